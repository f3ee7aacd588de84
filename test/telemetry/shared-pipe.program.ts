// Three workers that log to one standard output, as io workers do. The pipe is what is tested.

import { isMainThread, threadId, Worker } from 'node:worker_threads';
import { AccessLog } from '../../host/telemetry/index.ts';

const WORKERS_COUNT = 3;
const LINES_COUNT = 5_000;

if (isMainThread) {
  // A worker does not inherit the loader that reads TypeScript.
  const source = `import('tsx/esm/api').then(({ register }) => {
    register();
    return import(${JSON.stringify(import.meta.url)});
  });`;
  for (let index = 0; index < WORKERS_COUNT; index++) new Worker(source, { eval: true });
} else {
  const log = new AccessLog({
    format: 'json',
    destination: 1,
    onError: (error) => {
      throw error;
    },
  });
  for (let index = 0; index < LINES_COUNT; index++) {
    log.write({
      wallMs: 1_700_000_000_000,
      clientAddress: '203.0.113.9',
      method: 'GET',
      path: `/${'x'.repeat((index * 37) % 900)}`,
      protocol: 'HTTP/1.1',
      route: `worker-${threadId}`,
      service: '',
      endpoint: '',
      status: 200,
      reason: 0,
      bytesIn: index,
      bytesOut: 0,
      durationMs: 1,
      traceId: '',
      detail: '',
    });
    // A turn now and then, as between requests, so that the workers' writes mix.
    if (index % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await log.close();
  if (log.linesDropped > 0) throw new Error(`${log.linesDropped} lines dropped`);
}
