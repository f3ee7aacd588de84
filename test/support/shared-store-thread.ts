// A thread that uses a shared store as an io worker's plugins would. Its task says what it does.

import { parentPort, workerData } from 'node:worker_threads';
import { SharedStore, systemTimers } from '../../host/proxywasm/index.ts';
import { viewStore } from '../../host/proxywasm/shared-store/layout.ts';
import { StoreLock } from '../../host/proxywasm/shared-store/lock.ts';

export interface StoreTask {
  readonly memory: SharedArrayBuffer;
  readonly workerIndex: number;
  readonly work:
    | { readonly kind: 'count'; readonly times: number }
    | { readonly kind: 'consume' }
    | { readonly kind: 'hold' };
}

const { memory, workerIndex, work } = workerData.task as StoreTask;
const port = parentPort!;
const store = new SharedStore(memory, workerIndex, systemTimers);

/** Adds 1 to the number under `count`, over and over, each time only to what it has read. */
function count(times: number): number {
  let conflicts = 0;
  for (let done = 0; done < times; ) {
    const found = store.data.get('vm', 'count');
    if (found === 'busy') continue;
    const number = found === null ? 0 : Buffer.from(found.value).readUInt32LE();
    const next = Buffer.alloc(4);
    next.writeUInt32LE(number + 1);
    const status = store.data.set('vm', 'count', next, found?.cas ?? 0xffff_ffff);
    if (status === 'ok') done += 1;
    else conflicts += 1;
  }
  return conflicts;
}

function consume(): void {
  const token = store.queues.register('vm', 'jobs');
  store.queues.watch(token, () => {
    const value = store.queues.dequeue(token);
    port.postMessage(value instanceof Uint8Array ? Buffer.from(value).readUInt32LE() : value);
  });
}

// A thread waits for messages for as long as it is not ended.
port.on('message', () => {});
if (work.kind === 'count') port.postMessage(count(work.times));
else if (work.kind === 'consume') consume();
else new StoreLock(viewStore(memory).head, workerIndex + 1).take();
port.postMessage('ready');
