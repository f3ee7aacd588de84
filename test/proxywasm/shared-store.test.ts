// The store that plugins of all io workers share: against a model, from several threads at once,
// at its bounds, and after deaths at every write.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, describe, it } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { SeededRandom } from '../../host/core/index.ts';
import {
  createSharedStore,
  HISTOGRAM_BOUNDS,
  SharedStore,
  SharedStoreKeeper,
  systemTimers,
} from '../../host/proxywasm/index.ts';
import {
  METRICS_COUNT_MAX,
  NAMESPACES_COUNT_MAX,
  PLUGIN_METRICS_COUNT_MAX,
  QUEUE_MESSAGES_COUNT_MAX,
  QUEUES_COUNT_MAX,
  SHARED_ENTRIES_COUNT_MAX,
  SHARED_VALUE_SIZE_BYTES_MAX,
} from '../../host/proxywasm/limits.ts';
import { SharedEntries } from '../../host/proxywasm/shared-store/entries.ts';
import { bury } from '../../host/proxywasm/shared-store/keeper.ts';
import {
  BLOCKS_COUNT,
  HEAD_FREE_COUNT,
  HEAD_FREE_FIRST,
  HEAD_LOCK,
  type StoreView,
  viewStore,
} from '../../host/proxywasm/shared-store/layout.ts';
import { StoreLock } from '../../host/proxywasm/shared-store/lock.ts';
import { SharedQueueTable } from '../../host/proxywasm/shared-store/queues.ts';
import { ThreadData, ThreadQueues } from '../../host/proxywasm/thread-store.ts';
import { ManualTimers } from '../support/plugin-scene.ts';
import { testSeed } from '../support/seed.ts';
import type { StoreTask } from '../support/shared-store-thread.ts';
import { startThread } from '../support/thread.ts';

const ABSENT = 0xffff_ffff;

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

/** The bytes without what they lie in. */
function plain(value: Uint8Array | undefined): Uint8Array | undefined {
  return value === undefined ? undefined : new Uint8Array(value);
}

/** An entry that is there. */
function entry(store: SharedStore, vmId: string, key: string) {
  const found = store.data.get(vmId, key);
  if (found === null || found === 'busy') assert.fail(`${key}: ${found}`);
  return { value: new Uint8Array(found.value), cas: found.cas };
}

function number(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function scene() {
  const memory = createSharedStore();
  const timers = new ManualTimers();
  return { memory, timers, store: new SharedStore(memory, 0, timers) };
}

/** Blocks that are in the free list, counted one by one. */
function freeBlocks(memory: SharedArrayBuffer): number {
  const { head, links } = viewStore(memory);
  let count = 0;
  for (let block = head[HEAD_FREE_FIRST]!; block !== 0; block = links[block]!) count += 1;
  assert.equal(count, head[HEAD_FREE_COUNT]);
  return count;
}

describe('shared data', () => {
  it('says what a map would say, and what the store of one thread says', () => {
    const seed = testSeed('shared data');
    const random = new SeededRandom(seed);
    const { memory, store } = scene();
    const single = new ThreadData();
    const model = new Map<string, Uint8Array>();
    const pick = (count: number) => Math.floor(random.unit() * count);
    for (let step = 0; step < 30_000; step++) {
      const vmId = `vm${pick(3)}`;
      const key = `key ${'é'.repeat(pick(3))}${'x'.repeat(300 * pick(2))}${pick(80)}`;
      const name = `${vmId}/${key}`;
      const found = store.data.get(vmId, key);
      const alone = single.get(vmId, key);
      const known = model.get(name);
      if (found === 'busy') assert.fail('nobody else has the lock');
      assert.deepEqual(plain(found?.value), known, `seed ${seed} step ${step}`);
      if (pick(3) === 0) continue;
      const value = new Uint8Array(pick(20) === 0 ? pick(3_000) : pick(40)).fill(pick(256));
      const kind = pick(4);
      // By turns: unconditional, on what was read, on something else, only where there is none.
      const casOf = (entry: { cas: number } | null) =>
        [0, entry?.cas ?? ABSENT, (entry?.cas ?? 0) + 1, ABSENT][kind]!;
      const status = store.data.set(vmId, key, value, casOf(found));
      assert.equal(single.set(vmId, key, value, casOf(alone as never)), status);
      const isTaken = kind < 2 || (kind === 3 && known === undefined);
      assert.equal(status, isTaken ? 'ok' : 'cas-mismatch', `seed ${seed} step ${step}`);
      if (isTaken) model.set(name, value);
    }
    const stats = new SharedStoreKeeper(memory).stats();
    assert.equal(stats.entriesCount, model.size);
    assert.equal(stats.usedSizeBytes / 256, BLOCKS_COUNT - 1 - freeBlocks(memory));
  });

  it('refuses what does not fit, keeps what there is, and still replaces it', () => {
    const { memory, store } = scene();
    const half = SHARED_ENTRIES_COUNT_MAX / 2;
    for (const vmId of ['a', 'b']) {
      for (let key = 0; key < half; key++) {
        assert.equal(store.data.set(vmId, `${key}`, text('x'), 0), 'ok');
      }
      assert.equal(store.data.set(vmId, 'one more', text('x'), 0), 'full');
    }
    assert.equal(store.data.set('c', 'another vm', text('x'), 0), 'full');
    assert.equal(store.data.set('a', '7', text('longer than it was'), 0), 'ok');
    assert.equal(new SharedStoreKeeper(memory).stats().refusedCount, 3);
    const large = new Uint8Array(SHARED_VALUE_SIZE_BYTES_MAX);
    const bytes = scene().store;
    const statuses = Array.from({ length: 80 }, (_, index) =>
      bytes.data.set(`vm${index % 4}`, `${index}`, large, 0),
    );
    const fits = statuses.filter((status) => status === 'ok').length;
    assert.ok(fits >= 60 && fits < 64, `${fits} of 256 KiB in 16 MiB`);
    assert.equal(bytes.data.set('vm0', '0', large, 0), 'ok');
    assert.equal(bytes.data.set('vm0', 'one more', large, 0), 'full');
  });

  it('frees what vm ids shared that are gone, and bounds how many there are', () => {
    const { memory, store } = scene();
    const before = freeBlocks(memory);
    for (let vm = 0; vm < NAMESPACES_COUNT_MAX; vm++) {
      assert.equal(store.data.set(`vm${vm}`, 'key', text('value'), 0), 'ok');
    }
    assert.equal(store.data.set('one more', 'key', text('value'), 0), 'full');
    const token = store.queues.register('vm0', 'queue');
    assert.equal(store.queues.enqueue(token, text('waits')), 'ok');
    const keeper = new SharedStoreKeeper(memory);
    assert.equal(
      keeper.forget((vmId) => vmId !== 'vm7'),
      NAMESPACES_COUNT_MAX,
    );
    assert.equal(store.data.get('vm0', 'key'), null);
    assert.equal(store.queues.enqueue(token, text('gone')), 'not-found');
    assert.deepEqual(entry(store, 'vm7', 'key'), { value: text('value'), cas: 8 });
    assert.equal(store.data.set('one more', 'key', text('value'), 0), 'ok');
    keeper.forget(() => true);
    assert.equal(freeBlocks(memory), before);
  });
});

describe('a death while the lock is held', () => {
  /** The same parts, of which one throws at the n-th write to any. */
  function mortal(view: StoreView, writesMax: number): { view: StoreView; written: () => number } {
    let count = 0;
    const spend = () => {
      count += 1;
      if (count > writesMax) throw new Error('dead');
    };
    const part = <T extends object>(array: T): T =>
      new Proxy(array, {
        get: (target, key) => {
          const found = Reflect.get(target, key, target) as unknown;
          if (typeof found !== 'function') return found;
          return (...args: unknown[]) => {
            if (key === 'fill' || key === 'set') spend();
            return found.apply(target, args);
          };
        },
        set: (target, key, value) => {
          spend();
          return Reflect.set(target, key, value, target);
        },
      });
    const { buckets, bytes, head, links, namespaces, queues, words } = view;
    const parts = { buckets, bytes, head, links, namespaces, queues, words };
    const mapped = Object.fromEntries(
      Object.entries(parts).map(([name, array]) => [name, part<object>(array)]),
    );
    return { view: { ...view, ...mapped } as StoreView, written: () => count };
  }

  const unlocked = { take: () => true, release: () => {} } as unknown as StoreLock;

  /** Runs an operation that dies at each of its writes in turn, on a copy of the memory, and looks
   *  at what is left after the repair. Returns how many deaths there were. */
  function dieEverywhere(
    memory: SharedArrayBuffer,
    run: (view: StoreView) => void,
    check: (store: SharedStore, copy: SharedArrayBuffer) => void,
  ): number {
    for (let writesMax = 0; ; writesMax++) {
      const copy = memory.slice(0);
      const { view, written } = mortal(viewStore(copy), writesMax);
      try {
        run(view);
      } catch (error) {
        assert.equal((error as Error).message, 'dead');
      }
      if (written() <= writesMax) return writesMax;
      const real = viewStore(copy);
      real.head[HEAD_LOCK] = 5;
      bury(real, new StoreLock(real.head, 64), 5);
      assert.equal(real.head[HEAD_LOCK], 0);
      check(new SharedStore(copy, 1, new ManualTimers()), copy);
    }
  }

  it('leaves the old value or the new one, and loses no block', () => {
    const { memory, store } = scene();
    for (let key = 0; key < 50; key++) store.data.set('vm', `${key}`, number(key), 0);
    const free = freeBlocks(memory);
    const large = new Uint8Array(1_000).fill(9);
    let deaths = 0;
    for (const key of ['7', 'new']) {
      deaths += dieEverywhere(
        memory,
        (view) => void new SharedEntries(view, unlocked).set('vm', key, large, 0),
        (left, copy) => {
          for (let other = 0; other < 50; other++) {
            if (`${other}` === key) continue;
            const found = left.data.get('vm', `${other}`);
            assert.ok(found !== null && found !== 'busy');
            assert.deepEqual(Buffer.from(found.value), number(other));
          }
          const found = left.data.get('vm', key);
          if (found === 'busy') assert.fail('the lock is free');
          const isNew = found !== null && found.value.length === 1_000;
          if (isNew) assert.deepEqual(plain(found.value), large);
          else assert.deepEqual(found?.value.length, key === 'new' ? undefined : 4);
          const newBlocks = isNew ? (key === 'new' ? 5 : 4) : 0;
          assert.equal(freeBlocks(copy), free - newBlocks);
        },
      );
    }
    assert.ok(deaths > 30, `${deaths} places to die`);
  });

  it('loses no message that was in a queue', () => {
    const { memory, store } = scene();
    const token = store.queues.register('vm', 'q');
    store.queues.enqueue(token, text('one'));
    store.queues.enqueue(token, text('two'));
    const signals = { send: () => {}, listen: () => {}, close: () => {} };
    const options = { owner: 1, timers: new ManualTimers(), signals };
    const left = (survivor: SharedStore) => {
      const found: string[] = [];
      for (;;) {
        const value = survivor.queues.dequeue(token);
        if (!(value instanceof Uint8Array)) return found.join(' ');
        found.push(Buffer.from(value).toString());
      }
    };
    const enqueue = (view: StoreView) =>
      void new SharedQueueTable(view, unlocked, options).enqueue(token, text('three'));
    const dequeue = (view: StoreView) =>
      void new SharedQueueTable(view, unlocked, options).dequeue(token);
    let deaths = dieEverywhere(memory, enqueue, (survivor, copy) => {
      assert.match(left(survivor), /^one two( three)?$/);
      // What is left is the queue's name.
      assert.equal(freeBlocks(copy), BLOCKS_COUNT - 2);
    });
    deaths += dieEverywhere(memory, dequeue, (survivor, copy) => {
      assert.match(left(survivor), /^(one )?two$/);
      assert.equal(freeBlocks(copy), BLOCKS_COUNT - 2);
    });
    assert.ok(deaths > 10, `${deaths} places to die`);
  });
});

describe('shared metrics', () => {
  it('are one for all threads, bounded for each plugin and in all', () => {
    const { memory, store } = scene();
    const other = new SharedStore(memory, 1, systemTimers).metrics;
    const { metrics } = store;
    const hits = metrics.define('a', 'counter', 'hits');
    assert.equal(other.define('a', 'counter', 'hits'), hits);
    assert.equal(other.define('a', 'gauge', 'hits'), -1);
    metrics.increment(hits, 2);
    other.increment(hits, 3);
    other.increment(hits, -3);
    assert.equal(metrics.value(hits), 5);
    const took = metrics.define('b', 'histogram', 'took');
    for (const value of [1, 30, 4_000_000]) other.record(took, value);
    const level = other.define('b', 'gauge', 'level');
    other.record(level, 9);
    metrics.increment(level, -4);
    const listed = [...new SharedStoreKeeper(memory).metrics.all()];
    assert.deepEqual(
      listed.map(({ plugin, kind, name, value }) => [plugin, kind, name, value]),
      [
        ['a', 'counter', 'hits', 5],
        ['b', 'histogram', 'took', 4_000_000],
        ['b', 'gauge', 'level', 5],
      ],
    );
    const { buckets, count, sum } = listed[1]!;
    assert.deepEqual([count, sum], [3, 4_000_031]);
    const expected = [0, 4, HISTOGRAM_BOUNDS.length];
    assert.deepEqual(
      [...buckets.keys()].filter((index) => buckets[index] === 1),
      expected,
    );
    assert.equal(metrics.increment(99, 1), false);
    for (let index = 1; index < PLUGIN_METRICS_COUNT_MAX; index++) {
      assert.notEqual(metrics.define('a', 'counter', `more ${index}`), -1);
    }
    assert.equal(metrics.define('a', 'counter', 'too many'), -1);
    assert.notEqual(metrics.define('c', 'counter', 'another plugin'), -1);
    assert.ok(PLUGIN_METRICS_COUNT_MAX * 3 < METRICS_COUNT_MAX);
  });

  it('end with their plugin, and an id of one that is gone counts for nobody', () => {
    // They stayed until the gateway ended: plugins that came and went used up the room of all.
    const { memory, store } = scene();
    const { metrics } = store;
    const keeper = new SharedStoreKeeper(memory);
    const before = freeBlocks(memory);
    const stays = metrics.define('stays', 'gauge', 'level');
    metrics.record(stays, 9);
    let old = -1;
    for (let round = 0; round < 3; round++) {
      for (let index = 0; index < METRICS_COUNT_MAX - 1; index++) {
        const plugin = `gone ${round}.${Math.floor(index / PLUGIN_METRICS_COUNT_MAX)}`;
        const id = metrics.define(plugin, 'counter', `${index}`);
        assert.ok(id >= 0, `${plugin} ${index}`);
        metrics.increment(id, 1);
        assert.equal(metrics.value(id), 1);
        if (index === 0) {
          assert.ok(!metrics.increment(old, 5) && !metrics.record(old, 5), `round ${round}`);
          assert.equal(metrics.value(old), undefined);
          old = id;
        }
      }
      assert.equal(metrics.define('late', 'counter', 'x'), -1);
      assert.equal(keeper.stats().metricsCount, METRICS_COUNT_MAX);
      assert.equal(
        keeper.forgetMetrics((plugin) => plugin !== 'stays'),
        METRICS_COUNT_MAX - 1,
      );
      assert.deepEqual(
        [...keeper.metrics.all()].map(({ plugin, value }) => [plugin, value]),
        [['stays', 9]],
      );
    }
    // Of a worker that knew the name: what comes back under it begins at 0.
    const again = metrics.define('gone 0.0', 'counter', '0');
    assert.notEqual(again, old);
    assert.equal(metrics.value(again), 0);
    keeper.forgetMetrics(() => true);
    assert.equal(freeBlocks(memory), before);
  });
});

describe('shared queues', () => {
  it('tell the last who registered of each message, and nobody of what was taken', () => {
    const { memory, store, timers } = scene();
    const alone = { queues: new ThreadQueues(timers) };
    for (const { queues } of [store, alone]) {
      const told: string[] = [];
      const token = queues.register('vm', 'q');
      assert.equal(queues.register('vm', 'q'), token);
      assert.equal(queues.resolve('vm', 'q'), token);
      assert.equal(queues.resolve('other', 'q'), 0);
      queues.watch(token, () => told.push('first'));
      const end = queues.watch(token, () => told.push('second'));
      queues.enqueue(token, text('x'));
      queues.enqueue(token, text('y'));
      assert.deepEqual(told, []);
      timers.run();
      assert.deepEqual(told, ['second', 'second']);
      end();
      queues.enqueue(token, text('z'));
      timers.run();
      assert.deepEqual(told, ['second', 'second', 'first']);
      assert.equal(Buffer.from(queues.dequeue(token) as Uint8Array).toString(), 'x');
    }
    store.close();
    assert.equal(new SharedStoreKeeper(memory).stats().messagesCount, 2);
  });

  it('are bounded in number, length and bytes', () => {
    const { store } = scene();
    const tokens = Array.from({ length: QUEUES_COUNT_MAX }, (_, index) =>
      store.queues.register('vm', `${index}`),
    );
    assert.equal(new Set(tokens).size, QUEUES_COUNT_MAX);
    assert.equal(store.queues.register('vm', 'one more'), 0);
    for (let message = 0; message < QUEUE_MESSAGES_COUNT_MAX; message++) {
      assert.equal(store.queues.enqueue(tokens[0]!, text('x')), 'ok');
    }
    assert.equal(store.queues.enqueue(tokens[0]!, text('x')), 'full');
    assert.equal(store.queues.enqueue(tokens[1]!, text('x')), 'ok');
    const large = new Uint8Array(SHARED_VALUE_SIZE_BYTES_MAX);
    let count = 0;
    while (store.queues.enqueue(tokens[2]!, large) === 'ok') count += 1;
    assert.ok(count > 20 && count < 40, `${count} of 256 KiB in half of 16 MiB`);
    assert.equal(store.data.set('vm', 'k', text('data has its own half'), 0), 'ok');
    assert.equal(store.queues.enqueue(0, text('x')), 'not-found');
    assert.equal(store.queues.dequeue(257), 'not-found');
  });
});

describe('threads that share a store', { timeout: 60_000 }, () => {
  const threads: Worker[] = [];
  const file = new URL('../support/shared-store-thread.ts', import.meta.url);
  const start = (task: StoreTask): Worker => {
    const thread = startThread(file, task);
    threads.push(thread);
    return thread;
  };
  after(async () => {
    await Promise.all(threads.map((thread) => thread.terminate()));
  });

  it('count to the exact sum by compare-and-swap', async () => {
    const memory = createSharedStore();
    const times = 20_000;
    const counting = [0, 1].map(async (workerIndex) => {
      const thread = start({ memory, workerIndex, work: { kind: 'count', times } });
      const [conflicts] = (await once(thread, 'message')) as [number];
      return conflicts;
    });
    await Promise.all(counting);
    const found = new SharedStore(memory, 2, systemTimers).data.get('vm', 'count');
    assert.ok(found !== null && found !== 'busy');
    assert.equal(Buffer.from(found.value).readUInt32LE(), 2 * times);
  });

  it('get each message once, and the next in line gets those of a dead one', async () => {
    const memory = createSharedStore();
    const keeper = new SharedStoreKeeper(memory);
    const producer = new SharedStore(memory, 5, systemTimers);
    const consumed: { by: number; value: number }[] = [];
    let wake = () => {};
    const until = async (count: number) => {
      while (consumed.length < count) await new Promise<void>((resolve) => (wake = resolve));
    };
    const consumers: Worker[] = [];
    for (const by of [0, 1]) {
      const thread = start({ memory, workerIndex: by, work: { kind: 'consume' } });
      await once(thread, 'message');
      thread.on('message', (value: number) => {
        consumed.push({ by, value });
        wake();
      });
      consumers.push(thread);
    }
    const token = producer.queues.resolve('vm', 'jobs');
    for (let value = 0; value < 300; value++) producer.queues.enqueue(token, number(value));
    await until(300);
    assert.deepEqual(
      consumed.map(({ value }) => value),
      Array.from({ length: 300 }, (_, value) => value),
    );
    assert.deepEqual([...new Set(consumed.map(({ by }) => by))], [1]);
    await consumers[1]!.terminate();
    for (let value = 300; value < 400; value++) producer.queues.enqueue(token, number(value));
    keeper.workerGone(1);
    await until(400);
    assert.deepEqual([...new Set(consumed.slice(300).map(({ by }) => by))], [0]);
    assert.equal(new Set(consumed.map(({ value }) => value)).size, 400);
    assert.equal(keeper.stats().messagesCount, 0);
    producer.close();
    keeper.close();
  });

  it('go on when one dies with the lock', async () => {
    const memory = createSharedStore();
    const keeper = new SharedStoreKeeper(memory);
    const store = new SharedStore(memory, 0, systemTimers);
    assert.equal(store.data.set('vm', 'k', text('before'), 0), 'ok');
    const thread = start({ memory, workerIndex: 1, work: { kind: 'hold' } });
    await once(thread, 'message');
    assert.equal(store.data.get('vm', 'k'), 'busy');
    assert.equal(store.data.set('vm', 'k', text('in vain'), 0), 'busy');
    await thread.terminate();
    keeper.workerGone(1);
    assert.deepEqual(entry(store, 'vm', 'k'), { value: text('before'), cas: 1 });
    assert.equal(store.data.set('vm', 'k', text('after'), 0), 'ok');
    const { repairsCount, timeoutsCount } = keeper.stats();
    assert.deepEqual({ repairsCount, timeoutsCount }, { repairsCount: 1, timeoutsCount: 2 });
  });
});
