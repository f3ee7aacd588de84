// The arena of route tables, and what publishing does with tables that somebody still reads.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HEADER_HELD_TABLES_OFFSET, TABLES_OFFSET } from '../../assembly/shared/memory-map.ts';
import { isGatewayError, type RouteSpec } from '../../host/core/index.ts';
import { encodeRouteTable, Matcher, RouteTables } from '../../host/kernels/index.ts';
import { TABLES_COUNT_MAX, TableArena } from '../../host/kernels/table-arena.ts';
import { testSeed } from '../support/seed.ts';
import { edgeImage, edgeInstance } from '../support/wasm.ts';

const isLimit = (error: unknown): boolean =>
  isGatewayError(error) && error.code === 'GW_CONFIG_LIMIT';

function specs(count: number): RouteSpec[] {
  return Array.from({ length: count }, (_, index) => ({
    host: '',
    path: `/${index}`,
    methods: [],
    headers: [],
    query: [],
  }));
}

describe('the arena', () => {
  it('fills its region to the last byte, and says so with both sizes', () => {
    const arena = new TableArena(TABLES_OFFSET, 1024);
    assert.equal(arena.allocate(960), TABLES_OFFSET);
    assert.equal(arena.allocate(1), TABLES_OFFSET + 960);
    assert.equal(arena.usedBytes, 1024);
    assert.throws(() => arena.allocate(1), /needs 64 bytes, the largest free span has 0/);
    assert.throws(() => arena.allocate(1), isLimit);
  });

  it('joins a freed block with the free ones on both sides', () => {
    const arena = new TableArena(0, 640);
    const blocks = [0, 1, 2, 3, 4].map(() => arena.allocate(128));
    arena.free(blocks[1]!);
    arena.free(blocks[3]!);
    assert.throws(() => arena.allocate(256), /largest free span has 128/);
    arena.free(blocks[2]!);
    assert.equal(arena.allocate(384), blocks[1]);
    arena.free(blocks[0]!);
    arena.free(blocks[1]!);
    arena.free(blocks[4]!);
    assert.equal(arena.usedBytes, 0);
    assert.equal(arena.allocate(640), 0);
  });

  it('refuses to free what is not taken, or to take nothing', () => {
    const arena = new TableArena(0, 640);
    const block = arena.allocate(64);
    arena.free(block);
    assert.throws(() => arena.free(block), RangeError);
    for (const size of [0, -1, Number.NaN]) assert.throws(() => arena.allocate(size), RangeError);
  });

  it('bounds the number of tables', () => {
    const arena = new TableArena();
    for (let count = 0; count < TABLES_COUNT_MAX; count++) arena.allocate(64);
    assert.throws(() => arena.allocate(64), isLimit);
  });

  it('never gives out the same byte twice and forgets none', () => {
    const seed = testSeed('arena');
    const regionSize = 4096;
    const steps = fc.array(
      fc.oneof(
        fc.nat({ max: 900 }),
        fc.nat({ max: 9 }).map((n) => -1 - n),
      ),
    );
    fc.assert(
      fc.property(steps, (sizes) => {
        const arena = new TableArena(0, regionSize);
        const taken = new Map<number, number>();
        for (const size of sizes) {
          const chosen = [...taken.keys()][-1 - size];
          if (size > 0) take(arena, taken, size);
          else if (chosen !== undefined) {
            arena.free(chosen);
            taken.delete(chosen);
          }
          const total = [...taken.values()].reduce((sum, bytes) => sum + bytes, 0);
          assert.equal(arena.usedBytes, total);
        }
        for (const block of taken.keys()) arena.free(block);
        assert.equal(arena.allocate(regionSize), 0);
      }),
      { seed, numRuns: 300 },
    );
  });
});

/** Takes a block if there is room, and checks that it overlaps no other. */
function take(arena: TableArena, taken: Map<number, number>, size: number): void {
  let offset: number;
  try {
    offset = arena.allocate(size);
  } catch (error) {
    assert.ok(isLimit(error));
    return;
  }
  const bytes = Math.ceil(size / 64) * 64;
  for (const [other, otherBytes] of taken) {
    assert.ok(offset + bytes <= other || other + otherBytes <= offset, 'blocks overlap');
  }
  taken.set(offset, bytes);
}

describe('publishing', () => {
  it('keeps a retired table while a worker holds it, and frees it after', () => {
    const image = edgeImage();
    const tables = new RouteTables(edgeInstance(image, 63));
    const reader = new Matcher(edgeInstance(image, 2));
    tables.publish(tables.compile(specs(3)));
    const first = reader.acquire();
    assert.equal(first, tables.active);
    const firstBytes = tables.usedBytes;
    tables.publish(tables.compile(specs(3)));
    assert.equal(tables.freeRetired(), 1);
    assert.equal(tables.usedBytes, 2 * firstBytes);
    assert.equal(reader.match('GET', '', '/2', '', []), 2);
    assert.notEqual(reader.acquire(), first);
    assert.equal(tables.freeRetired(), 0);
    assert.equal(tables.usedBytes, firstBytes);
  });

  it('lets go of what a dead worker held', () => {
    const image = edgeImage();
    const tables = new RouteTables(edgeInstance(image, 63));
    tables.publish(tables.compile(specs(1)));
    new Matcher(edgeInstance(image, 62)).acquire();
    tables.publish(tables.compile(specs(1)));
    assert.equal(tables.freeRetired(), 1);
    tables.clearWorker(62);
    assert.equal(tables.freeRetired(), 0);
    assert.throws(() => tables.clearWorker(64), RangeError);
  });

  it('says that the region is full when readers hold every old table', () => {
    const image = edgeImage();
    const table = encodeRouteTable(specs(10));
    const arena = new TableArena(TABLES_OFFSET, Math.ceil(table.length / 64) * 64 * 3);
    const tables = new RouteTables(edgeInstance(image, 63), arena);
    for (const worker of [0, 1]) {
      tables.publish(tables.place(table));
      new Matcher(edgeInstance(image, worker)).acquire();
    }
    tables.publish(tables.place(table));
    assert.throws(() => tables.place(table), isLimit);
    tables.clearWorker(0);
    assert.equal(tables.freeRetired(), 1);
    tables.discard(tables.place(table));
  });

  it('takes only tables, and publishes or discards each once', () => {
    const tables = new RouteTables(edgeInstance());
    const table = encodeRouteTable(specs(1));
    assert.throws(() => tables.place(table.subarray(0, table.length - 8)), TypeError);
    assert.throws(() => tables.place(new Uint8Array(4)), TypeError);
    assert.throws(() => tables.place(new Uint8Array(1024)), TypeError);
    const placed = tables.place(table);
    tables.discard(placed);
    assert.throws(() => tables.discard(placed), RangeError);
    assert.throws(() => tables.publish(placed), RangeError);
    assert.equal(tables.usedBytes, 0);
  });

  it('a worker notices a table published between its look and its hold', () => {
    const image = edgeImage();
    const tables = new RouteTables(edgeInstance(image, 63));
    tables.publish(tables.compile(specs(1)));
    const words = new Int32Array(image.memory.buffer);
    const reader = new Matcher(edgeInstance(image, 0));
    const store = Atomics.store;
    // The swap happens exactly before the reader's word is written, and the old table is freed.
    let swaps = 0;
    Atomics.store = ((...stored: Parameters<typeof store>) => {
      if (swaps++ === 0) tables.publish(tables.compile(specs(2)));
      return store(...stored);
    }) as typeof store;
    try {
      assert.equal(reader.acquire(), tables.active);
    } finally {
      Atomics.store = store;
    }
    assert.equal(words[HEADER_HELD_TABLES_OFFSET >> 2], tables.active);
    assert.equal(swaps, 2);
    assert.equal(reader.match('GET', '', '/1', '', []), 1);
    assert.equal(tables.freeRetired(), 0);
  });
});
