import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import {
  bucketIndexOf,
  bucketRange,
  SeriesRegistry,
  STATS_ROUTE_SLOT_NONE,
  StatsReader,
  StatsWriter,
} from '../../host/kernels/index.ts';
import { testSeed } from '../support/seed.ts';
import { edgeImage, edgeInstance } from '../support/wasm.ts';
import { statsCases } from './stats.cases.ts';
import { kernelModel } from './stats-kernel.ts';
import { StatsOracle } from './stats-oracle.ts';

statsCases('oracle', () => new StatsOracle());
statsCases('kernel, one worker', () => kernelModel(edgeImage(), [0]));
statsCases('kernel, three workers', () => kernelModel(edgeImage(), [1, 30, 63]));

describe('counting: the kernel against its oracle', () => {
  it('agrees after any sequence of calls', () => {
    const slot = fc.constantFrom(-1, 0, 1, 2, 4095, 4096, 16_383, 16_384);
    const reason = fc.constantFrom(0, 0, 0, 101, 201, 204, 604, 606, 701, 702, 1023, 1024);
    const call = fc.record({
      kind: fc.constantFrom('record', 'record', 'record', 'begin', 'finish', 'refuse'),
      slots: fc.tuple(slot, slot, slot),
      status: fc.constantFrom(101, 200, 204, 302, 404, 429, 502, 0, 700),
      reason,
      numbers: fc.tuple(fc.double(), fc.nat(2 ** 31 - 1), fc.maxSafeNat()),
    });
    const run = (calls: readonly (typeof call extends fc.Arbitrary<infer T> ? T : never)[]) => {
      const oracle = new StatsOracle();
      const kernel = kernelModel(edgeImage(), [0, 5]);
      for (const { kind, slots, status, reason, numbers } of calls) {
        for (const model of [oracle, kernel]) {
          if (kind === 'record') {
            // Sizes stay small enough for the oracle's sums to be exact.
            const [duration, sizeIn, sizeOut] = numbers;
            model.record(...slots, status, reason, duration, sizeIn, sizeOut % 2 ** 40);
          } else if (kind === 'refuse') model.refuse(reason);
          else model[kind === 'begin' ? 'begin' : 'finish'](...slots);
        }
      }
      for (const index of [0, 1, 2, 4095, 16_383]) {
        assert.deepEqual(kernel.route(index), oracle.route(index));
        assert.deepEqual(kernel.endpoint(index), oracle.endpoint(index));
        assert.deepEqual(kernel.histogram(index), oracle.histogram(index));
        if (index < 4096) assert.deepEqual(kernel.service(index), oracle.service(index));
      }
      for (let number = 0; number < 1024; number++) {
        assert.equal(kernel.refusals(number), oracle.refusals(number));
      }
    };
    fc.assert(fc.property(fc.array(call, { maxLength: 60 }), run), {
      seed: testSeed('stats kernel against oracle'),
      numRuns: 40,
    });
  });

  it('gives percentiles within 2 % of the exact ones', () => {
    const durations = fc.array(
      fc.oneof(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 2 ** 31 - 1 })),
      { minLength: 1, maxLength: 300 },
    );
    const check = (values: readonly number[]) => {
      const kernel = kernelModel(edgeImage(), [0]);
      for (const value of values) kernel.record(2, -1, -1, 200, 0, value, 0, 0);
      const sorted = values.toSorted((left, right) => left - right);
      for (const percentile of [50, 90, 99, 99.9, 100]) {
        const rank = Math.max(1, Math.ceil((percentile / 100) * sorted.length));
        const exact = sorted[rank - 1]!;
        let seen = 0;
        const found = kernel.histogram(2).find((range) => {
          seen += range[2];
          return seen >= rank;
        })!;
        const middle = (found[0] + found[1]) / 2;
        assert.ok(Math.abs(middle - exact) / exact <= 0.02, `p${percentile}: ${middle}, ${exact}`);
      }
    };
    const seed = testSeed('stats percentiles');
    fc.assert(fc.property(durations, check), { seed, numRuns: 40 });
  });

  it('the arithmetic of buckets in TypeScript is the kernel’s', () => {
    const value = fc.oneof(
      fc.integer({ min: 0, max: 200 }),
      fc.double({ min: 0, max: 2 ** 33, noNaN: true }),
    );
    const image = edgeImage();
    let slot = 2;
    const kernel = kernelModel(image, [0]);
    const check = (us: number) => {
      slot += 1;
      kernel.record(slot, -1, -1, 200, 0, us, 0, 0);
      const { lowestUs, highestUs } = bucketRange(bucketIndexOf(us));
      assert.deepEqual(kernel.histogram(slot), [[lowestUs, highestUs, 1]]);
      const bounded = Math.min(Math.floor(us), 2 ** 32 - 1);
      assert.ok(lowestUs <= bounded && bounded <= highestUs);
    };
    fc.assert(fc.property(value, check), { seed: testSeed('stats buckets'), numRuns: 500 });
  });
});

describe('counting: threads', () => {
  it('four threads on one route lose nothing', async () => {
    const image = edgeImage();
    const requestsEach = 100_000;
    const source = `
      const { workerData } = require('node:worker_threads');
      const { module, memory, worker, requests } = workerData;
      const kernel = new WebAssembly.Instance(module, { env: { memory } }).exports;
      for (let index = 0; index < requests; index++) {
        kernel.statsActive(worker, 2, 3, 4, 1);
        kernel.statsRecord(worker, 2, 3, 4, 200, index % 10 === 0 ? 604 : 0, index % 50, 10, 20);
        kernel.statsActive(worker, 2, 3, 4, -1);
      }`;
    // A writer made here marks each shard as used, as every thread of the gateway does itself.
    for (const worker of [0, 1, 2, 3]) new StatsWriter(edgeInstance(image, worker));
    const threads = [0, 1, 2, 3].map((worker) => {
      const workerData = { ...image, worker, requests: requestsEach };
      const thread = new Worker(source, { eval: true, workerData });
      return new Promise<number>((resolve, reject) => {
        thread.once('error', reject);
        thread.once('exit', resolve);
      });
    });
    const reader = new StatsReader(image.memory);
    let last = 0;
    const watch = setInterval(() => {
      const seen = reader.route(2).requestsByClass[1]!;
      assert.ok(seen >= last, `a counter went from ${last} to ${seen}`);
      last = seen;
    }, 1);
    const exits = await Promise.all(threads);
    clearInterval(watch);
    assert.deepEqual(exits, [0, 0, 0, 0]);
    const total = 4 * requestsEach;
    const route = reader.route(2);
    assert.equal(route.requestsByClass[1], total);
    assert.equal(route.durationSumUs, (total / 50) * ((49 * 50) / 2));
    assert.equal(route.bytesIn, total * 10);
    assert.equal(route.active, 0);
    assert.equal(reader.endpoint(3).requests, total);
    assert.equal(reader.service(4).bytesOut, total * 20);
    assert.equal(reader.refusals(604), total / 10);
    // The histogram is the one part that the threads share.
    const counts = [...reader.histogram(2)].map(({ count }) => count);
    assert.deepEqual(counts, Array(50).fill(total / 50));
  });
});

describe('worker cells', () => {
  it('are set, added to, and read by index', () => {
    const image = edgeImage();
    const writer = new StatsWriter(edgeInstance(image, 7));
    const reader = new StatsReader(image.memory);
    assert.deepEqual(reader.usedWorkers(), [7]);
    writer.setCell('connectionsOpen', 12);
    writer.addCell('connectionsTotal', 2);
    writer.addCell('connectionsTotal', 3);
    writer.setCell('loopDelayP99Ms', 1.25);
    writer.heartbeat();
    writer.heartbeat();
    const stats = reader.worker(7);
    assert.equal(stats.connectionsOpen, 12);
    assert.equal(stats.connectionsTotal, 5);
    assert.equal(stats.loopDelayP99Ms, 1.25);
    assert.equal(stats.heartbeat, 2);
    assert.equal(reader.worker(6).connectionsOpen, 0);
  });

  it('a dead worker’s gauges are taken back, its counters stay, others’ gauges stay', () => {
    const image = edgeImage();
    const dead = new StatsWriter(edgeInstance(image, 1));
    const alive = new StatsWriter(edgeInstance(image, 2));
    for (const writer of [dead, alive]) {
      writer.begin(2, 3, 4);
      writer.record(2, 3, 4, 200, 0, 5, 1, 1);
      writer.setCell('connectionsOpen', 9);
      writer.addCell('uncaughtErrors', 1);
    }
    const reader = new StatsReader(image.memory);
    reader.clearGauges(1);
    assert.equal(reader.route(2).active, 1);
    assert.equal(reader.endpoint(3).active, 1);
    assert.equal(reader.service(4).active, 1);
    assert.equal(reader.route(2).requestsByClass[1], 2);
    assert.equal(reader.worker(1).connectionsOpen, 0);
    assert.equal(reader.worker(1).uncaughtErrors, 1);
    assert.equal(reader.worker(2).connectionsOpen, 9);
  });

  it('a slot outside the table is refused by the reader', () => {
    const reader = new StatsReader(edgeImage().memory);
    assert.throws(() => reader.route(16_384), /stats slot 16384 is outside 0\.\.16383/);
    assert.throws(() => reader.worker(-1), RangeError);
    assert.throws(() => reader.service(1.5), RangeError);
  });

  it('the kernel refuses a worker outside the table', () => {
    const { exports } = edgeInstance();
    const kernel = exports as Record<string, (...values: number[]) => number>;
    assert.equal(kernel.statsRecord!(64, 1, 1, 1, 200, 0, 1, 1, 1), -4);
    assert.equal(kernel.statsActive!(-1, 1, 1, 1, 1), -4);
    assert.equal(kernel.statsRefuse!(64, 604), -4);
  });
});

describe('series', () => {
  it('a name keeps its slot and its counters over reloads', () => {
    const image = edgeImage();
    const writer = new StatsWriter(edgeInstance(image, 0));
    const registry = new SeriesRegistry('route', image.memory);
    const [first, second] = registry.assign(1, ['pay', 'browse']);
    writer.record(first!, -1, -1, 200, 0, 100, 0, 0);
    const reloaded = registry.assign(2, ['new', 'browse', 'pay']);
    assert.deepEqual([reloaded[2], reloaded[1]], [first, second]);
    registry.retire(2);
    assert.equal(new StatsReader(image.memory).route(first!).requestsByClass[1], 1);
    assert.equal(registry.slotOf('pay'), first);
    assert.ok(first! > STATS_ROUTE_SLOT_NONE, 'the shared series are nobody’s own');
  });

  it('a dropped name’s slot is zeroed and reused only after its generation is retired', () => {
    const image = edgeImage();
    const writer = new StatsWriter(edgeInstance(image, 3));
    const reader = new StatsReader(image.memory);
    const registry = new SeriesRegistry('route', image.memory);
    const old = registry.assign(1, ['old'])[0]!;
    writer.record(old, -1, -1, 200, 101, 100, 5, 5);
    const before = registry.assign(2, ['one'])[0]!;
    assert.notEqual(before, old);
    registry.retire(1);
    writer.record(old, -1, -1, 200, 0, 100, 5, 5);
    assert.equal(reader.route(old).requestsByClass[1], 2, 'late requests still count');
    assert.ok(registry.series().some(({ name }) => name === 'old'));
    registry.retire(2);
    assert.equal(reader.route(old).requestsByClass[1], 0);
    assert.deepEqual([...reader.histogram(old)], []);
    assert.equal(registry.assign(3, ['one', 'two'])[1], old);
  });

  it('a name that comes back before its generation is retired goes on counting', () => {
    const image = edgeImage();
    const registry = new SeriesRegistry('service', image.memory);
    const slot = registry.assign(1, ['wallet'])[0]!;
    registry.assign(2, []);
    assert.equal(registry.assign(3, ['wallet'])[0], slot);
    registry.retire(3);
    assert.equal(registry.slotOf('wallet'), slot);
  });

  // Zeroing wrote 7 KiB for each name that went, so 1,000 reloads of 10,000 routes that nobody had
  // asked for made 117 MiB of untouched histograms real.
  it('names that come and go unused cost no memory', () => {
    const image = edgeImage();
    new StatsWriter(edgeInstance(image, 0));
    const registry = new SeriesRegistry('route', image.memory);
    const names = Array.from({ length: 16_000 }, (_, index) => `route-${index}`);
    const before = process.memoryUsage.rss();
    for (let generation = 1; generation <= 6; generation++) {
      registry.assign(generation, generation % 2 === 1 ? names : []);
      registry.retire(generation);
    }
    const grownMiB = (process.memoryUsage.rss() - before) / 2 ** 20;
    assert.ok(grownMiB < 48, `${grownMiB} MiB`);
  });

  it('a full table sends further names to the shared series', () => {
    const registry = new SeriesRegistry('service', edgeImage().memory);
    const names = Array.from({ length: 4_100 }, (_, index) => `service-${index}`);
    const slots = registry.assign(1, names);
    assert.equal(new Set(slots.slice(0, 4_095)).size, 4_095);
    assert.deepEqual([...slots.slice(4_095)], [0, 0, 0, 0, 0]);
    assert.equal(registry.slotOf('service-4099'), undefined);
    registry.assign(2, names.slice(4_000));
    registry.retire(2);
    assert.ok(registry.assign(3, names.slice(4_000)).every((slot) => slot !== 0));
  });
});
