// Worker threads from TypeScript files. tsx hooks the main thread only, so that a thread first
// registers it for itself.

import { Worker } from 'node:worker_threads';

const BOOT = `
const { workerData } = require('node:worker_threads');
import('tsx/esm/api').then(({ register }) => {
  register();
  return import(workerData.url);
});
`;

/** Starts a thread on the file; its `workerData.task` is a clone of the task. */
export function startThread(url: URL, task: unknown): Worker {
  return new Worker(BOOT, { eval: true, workerData: { url: url.href, task } });
}
