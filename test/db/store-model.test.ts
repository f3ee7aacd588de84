// The page store against a plain Map: folds, pins, retention, collections, restarts and branches in
// any order, and every kept state is what it was.

import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { type Random, SeededRandom } from '../../host/core/index.ts';
import type { PagePin } from '../../host/db/contract.ts';
import type { LmdbPageStore } from '../../host/db/page-store/index.ts';
import { testSeed } from '../support/seed.ts';
import { anyPage, readPage, StoreScene } from './store-scene.ts';

const PAGES_COUNT_MAX = 24;
const STEPS_COUNT = 40;
const seed = testSeed('store-model');
const scenes: StoreScene[] = [];
after(async () => {
  for (const scene of scenes) await scene.remove();
});

type State = ReadonlyMap<number, Uint8Array>;

interface Model {
  lsn: number;
  pageCount: number;
  pages: State;
  /** Every state that was ever folded. */
  readonly past: Map<number, { pages: State; pageCount: number }>;
}

function fresh(): Model {
  return { lsn: 0, pageCount: 0, pages: new Map(), past: new Map() };
}

async function foldAny(store: LmdbPageStore, model: Model, random: Random): Promise<void> {
  const below = (limit: number): number => random.uint32() % limit;
  const shrinks = below(5) === 0;
  const pageCount = shrinks
    ? below(model.pageCount + 1)
    : Math.min(PAGES_COUNT_MAX, model.pageCount + below(6));
  const pages = new Map([...model.pages].filter(([number]) => number <= pageCount));
  const folded = new Map<number, Uint8Array>();
  for (let count = pageCount === 0 ? 0 : below(8); count > 0; --count) {
    folded.set(1 + below(pageCount), anyPage(random));
  }
  for (const [number, bytes] of folded) pages.set(number, bytes);
  const lsn = model.lsn + 1 + below(5);
  await store.fold(
    lsn,
    pageCount,
    [...folded].map(([pageNumber, bytes]) => ({ pageNumber, bytes })),
  );
  Object.assign(model, { lsn, pageCount, pages });
  model.past.set(lsn, { pages, pageCount });
}

function assertState(store: LmdbPageStore, model: Model, lsn: number, stateLsn: number): void {
  const state = model.past.get(stateLsn) ?? { pages: new Map(), pageCount: 0 };
  for (let number = 1; number <= PAGES_COUNT_MAX + 1; ++number) {
    const expected = state.pages.get(number) ?? null;
    assert.deepEqual(readPage(store, number, lsn), expected, `page ${number} at lsn ${lsn}`);
  }
}

describe('a page store', () => {
  it('keeps every kept state as it was, in any order of things', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (runSeed) => {
        const random = new SeededRandom(runSeed);
        const below = (limit: number): number => random.uint32() % limit;
        const scene = new StoreScene();
        scenes.push(scene);
        const retentionMs = below(2) * 1000;
        let store = await scene.open({ retentionMs });
        const model = fresh();
        const pins: PagePin[] = [];
        for (let step = 0; step < STEPS_COUNT; ++step) {
          const what = below(12);
          if (what < 6) await foldAny(store, model, random);
          else if (what < 8) pins.push(store.pin(store.lsn));
          else if (what === 8) pins.splice(below(pins.length + 1), 1)[0]?.release();
          else if (what === 9) scene.clock.advance(below(900));
          else if (what === 10) await store.collect();
          else if (below(3) === 0) {
            pins.length = 0;
            await scene.close(store);
            store = await scene.open({ retentionMs });
          }
          assert.deepEqual([store.lsn, store.pageCount], [model.lsn, model.pageCount]);
          assertState(store, model, store.lsn + below(3), model.lsn);
          for (const pin of pins) assertState(store, model, pin.lsn, pin.lsn);
        }
        for (const state of store.states) {
          assertState(store, model, state.lsn, state.lsn);
          if (state.untilLsn !== null) assertState(store, model, state.untilLsn - 1, state.lsn);
        }
        // With nobody left who keeps anything, only the newest versions are left.
        for (const pin of pins) pin.release();
        scene.clock.advance(1000);
        await store.collect();
        const { historyCount, states, recordsSizeBytes } = store.stats();
        assert.deepEqual([historyCount, states.length], [0, 1]);
        assertState(store, model, model.lsn, model.lsn);
        const report = await store.check();
        assert.deepEqual(report.findings, []);
        assert.equal(report.recordsSizeBytes, recordsSizeBytes);
        await scene.close(store);
      }),
      { seed, numRuns: 12 },
    );
  });

  it('has branches, and branches of them, that go their own ways', async () => {
    const scene = new StoreScene();
    scenes.push(scene);
    const random = new SeededRandom(seed);
    const trunk = await scene.open();
    const model = fresh();
    while (model.pages.size < 8) await foldAny(trunk, model, random);
    const branchOf = async (parent: LmdbPageStore, name: string): Promise<LmdbPageStore> => {
      const lsn = parent.pinDurably(name, parent.lsn);
      const base = { parent: 'pages', lsn, pin: name };
      return scene.open({ folder: `${scene.folder}/${name}`, base, parent });
    };
    const first = await branchOf(trunk, 'first');
    const firstModel: Model = { ...model, past: new Map(model.past) };
    for (let count = 0; count < 6; ++count) {
      await foldAny(trunk, model, random);
      await foldAny(first, firstModel, random);
    }
    const second = await branchOf(first, 'second');
    const secondModel: Model = { ...firstModel, past: new Map(firstModel.past) };
    for (let count = 0; count < 12; ++count) {
      await foldAny(trunk, model, random);
      await foldAny(first, firstModel, random);
      await foldAny(second, secondModel, random);
    }
    assert.equal(second.depth, 2);
    for (const [store, one] of [
      [trunk, model],
      [first, firstModel],
      [second, secondModel],
    ] as const) {
      assertState(store, one, one.lsn, one.lsn);
      for (const { lsn } of store.states) assertState(store, one, lsn, lsn);
      assert.deepEqual((await store.check()).findings, []);
    }
    assert.deepEqual(
      trunk.durablePins.map(({ name }) => name),
      ['first'],
    );
  });

  it('refuses a state that is not kept, and one that lies between two', async () => {
    const scene = new StoreScene();
    scenes.push(scene);
    const store = await scene.open();
    const page = anyPage(new SeededRandom(1));
    for (const lsn of [10, 20, 30]) {
      if (lsn === 20) store.pin(10);
      await store.fold(lsn, 1, [{ pageNumber: 1, bytes: page }]);
    }
    assert.deepEqual(
      store.states.map(({ lsn, untilLsn }) => [lsn, untilLsn]),
      [
        [10, 20],
        [30, null],
      ],
    );
    assert.equal(store.pin(19).lsn, 10);
    for (const lsn of [9, 20, 29]) {
      assert.throws(() => store.pin(lsn), { code: 'DB_NO_STATE' }, String(lsn));
    }
    assert.equal(store.stateBefore(29).lsn, 10);
    assert.throws(() => store.stateBefore(9), { code: 'DB_NO_STATE' });
    await assert.rejects(store.fold(30, 1, []), RangeError);
    await assert.rejects(store.fold(31, 1, [{ pageNumber: 2, bytes: page }]), RangeError);
  });
});
