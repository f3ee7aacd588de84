// A worker thread that reads a configuration snapshot in place and posts what it sees.

import { parentPort, workerData } from 'node:worker_threads';
import { openSnapshot } from '../../host/config/index.ts';

const snapshot = openSnapshot(workerData as SharedArrayBuffer);
parentPort!.postMessage({
  generation: snapshot.generation,
  route: snapshot.route(0),
  service: snapshot.service(snapshot.serviceCount - 1),
});
