// Two small services to stand behind the example gateway: each answers with its name and with what
// it was asked, so that a person sees where a request went.

import { createServer, type Server } from 'node:http';

export interface ExampleService {
  readonly name: string;
  readonly server: Server;
}

/** Starts one service on a loopback port. Errors: EADDRINUSE and its like. */
export function startService(name: string, port: number): Promise<ExampleService> {
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      const answer = { service: name, method: request.method, url: request.url };
      response.setHeader('content-type', 'application/json');
      response.end(`${JSON.stringify(answer)}\n`);
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve({ name, server }));
  });
}
