// Readers in real threads while tables are swapped and freed: nobody may see half a table, and
// memory does not grow.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RouteSpec } from '../../host/core/index.ts';
import { encodeRouteTable, RouteTables } from '../../host/kernels/index.ts';
import { edgeImage, edgeInstance } from '../support/wasm.ts';
import { startWorker } from '../support/worker.ts';

const SWAPS = 600;
const READERS = [0, 1, 2];

function generation(count: number): RouteSpec[] {
  return Array.from({ length: count }, (_, index) => ({
    host: '',
    path: index === 0 ? '/gen' : `/n/${index}`,
    methods: [],
    headers: [],
    query: [],
  }));
}

describe('tables under readers', () => {
  it('are whole for every reader through 600 swaps, and all old ones are freed', async () => {
    const image = edgeImage();
    const tables = new RouteTables(edgeInstance(image, 63));
    const encoded = Array.from({ length: 50 }, (_, index) =>
      encodeRouteTable(generation(index + 1)),
    );
    const largest = Math.max(...encoded.map((table) => table.length));
    tables.publish(tables.place(encoded[0]!));
    // Word 0: stop. Word 1: raised by the readers now and then, so that swaps fall among reads.
    // Then a word for each reader, raised with each round.
    const signals = new Int32Array(new SharedArrayBuffer(8 + 4 * READERS.length));
    const readers = READERS.map((workerIndex) => {
      const file = new URL('./router-reader.ts', import.meta.url);
      const worker = startWorker(file, { image, workerIndex, signals });
      return { worker, report: once(worker, 'message') };
    });
    let usedBytesMax = 0;
    try {
      for (let swap = 1; swap <= SWAPS; swap++) {
        const progress = Atomics.load(signals, 1);
        tables.publish(tables.place(encoded[swap % 50]!));
        usedBytesMax = Math.max(usedBytesMax, tables.usedBytes);
        if (swap % 3 === 0) await progressed(signals, progress, readers);
      }
      // On a busy machine two readers may see all swaps before the third thread has begun.
      for (const [index, { worker }] of readers.entries()) {
        while (Atomics.load(signals, 2 + index) === 0 && worker.threadId > 0) await sleep(5);
      }
    } finally {
      Atomics.store(signals, 0, 1);
    }
    for (const { worker, report } of readers) {
      const [{ rounds, broken }] = await report;
      await worker.terminate();
      assert.equal(broken, '');
      assert.ok(rounds > 0, 'a reader never read');
    }
    assert.equal(tables.freeRetired(), 0);
    assert.ok(tables.usedBytes <= largest + 64, `${tables.usedBytes} bytes remain`);
    // The active table, the next one, and one per reader.
    assert.ok(usedBytesMax <= (largest + 64) * (READERS.length + 2), `${usedBytesMax} bytes used`);
  });
});

/** Waits until a reader has gone on, or has reported a failure. */
async function progressed(
  signals: Int32Array,
  before: number,
  readers: readonly { readonly report: Promise<unknown[]> }[],
): Promise<void> {
  let isOver = false;
  const over = (): void => {
    isOver = true;
  };
  for (const { report } of readers) report.then(over, over);
  while (!isOver && Atomics.load(signals, 1) === before) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}
