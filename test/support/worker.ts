// Starts a TypeScript file as a worker thread. On Node 20 the loader of the main thread does not
// reach workers, so each registers its own before it imports the file.

import { type ResourceLimits, Worker } from 'node:worker_threads';

/** Starts `file`, an absolute URL of a `.ts` module. */
export function startWorker(
  file: URL,
  workerData: unknown,
  resourceLimits: ResourceLimits = {},
): Worker {
  const loader = import.meta.resolve('tsx/esm/api');
  const source = `import { register } from ${JSON.stringify(loader)};
register();
await import(${JSON.stringify(file.href)});`;
  const entry = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
  return new Worker(entry, { workerData, execArgv: [], resourceLimits });
}
