// A thread that matches without a pause while the main thread swaps tables, and reports the first
// answer that no single table could have given. Each table's generation `g` holds `g % 50 + 1`
// routes: `/gen` for the first, `/n/1` ... for the rest, so that an answer tells what it read.

import { parentPort, workerData } from 'node:worker_threads';
import { STATUS_NOT_FOUND } from '../../assembly/shared/status.ts';
import type { EdgeImage } from '../../host/kernels/index.ts';
import { instantiateEdge, Matcher } from '../../host/kernels/index.ts';

interface ReaderData {
  readonly image: EdgeImage;
  readonly workerIndex: number;
  readonly signals: Int32Array;
}

const { image, workerIndex, signals } = workerData as ReaderData;
const matcher = new Matcher(instantiateEdge(image, workerIndex));
const words = new Int32Array(image.memory.buffer);
const ROUTES_COUNT_WORD = 4;

function failure(): string {
  const table = matcher.acquire();
  const count = words[(table >> 2) + ROUTES_COUNT_WORD]!;
  if (count < 1 || count > 50) return `a table of ${count} routes`;
  const sent: readonly (readonly [string, number])[] = [
    ['/gen', 0],
    [`/n/${count - 1}`, count > 1 ? count - 1 : STATUS_NOT_FOUND],
    [`/n/${count}`, STATUS_NOT_FOUND],
  ];
  for (const [path, wanted] of sent) {
    const found = matcher.match('GET', 'host', path, '', []);
    if (found !== wanted) return `${path} is ${found} in a table of ${count} routes`;
  }
  return '';
}

let rounds = 0;
let broken = '';
while (Atomics.load(signals, 0) === 0 && broken === '') {
  broken = failure();
  rounds++;
  Atomics.add(signals, 2 + workerIndex, 1);
  if (rounds % 7 === 0) matcher.release();
  if (rounds % 64 === 0) Atomics.add(signals, 1, 1);
}
matcher.release();
parentPort!.postMessage({ rounds, broken });
