// A service for tests to stand behind a gateway: it answers with what it received, as JSON, unless
// a test gives it something else to do, and counts connections and requests.

import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { endAtLast } from './leftovers.ts';

/** What the default answer says. */
export interface Echo {
  readonly origin: string;
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

export interface Origin {
  readonly port: number;
  readonly url: string;
  /** Connections accepted, and requests received, so far. */
  connections: number;
  requests: number;
  /** Connections still open. */
  readonly open: ReadonlySet<Socket>;
  stop(): Promise<void>;
}

/** Starts a service on a free port of 127.0.0.1. */
export async function startOrigin(
  name: string,
  handler: RequestListener = echo(name),
): Promise<Origin> {
  const open = new Set<Socket>();
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    origin.requests += 1;
    handler(request, response);
  });
  server.on('connection', (socket: Socket) => {
    origin.connections += 1;
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  endAtLast(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const origin: Origin = {
    port,
    url: `http://127.0.0.1:${port}`,
    connections: 0,
    requests: 0,
    open,
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  return origin;
}

function echo(name: string): RequestListener {
  return (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method, url, headers, rawHeaders } = request;
      const body = Buffer.concat(chunks).toString();
      response.setHeader('content-type', 'application/json');
      response.setHeader('x-origin', name);
      response.end(JSON.stringify({ origin: name, method, url, headers, rawHeaders, body }));
    });
  };
}
