// Versions by LSN against a model that keeps every state whole: commits, truncations, snapshots,
// folds into a source that keeps its old states while they are needed, commits taken back; with no
// cache of the source's pages, one for some of them, one for all.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SeededRandom } from '../../host/core/index.ts';
import type { PageSource } from '../../host/db/contract.ts';
import { Overlay, type Snapshot } from '../../host/db/engine/overlay.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';

const PAGES_MAX = 40;
const STEPS = 400;

/** A state: a number for each page, its place in the array being its page number - 1. 0 for a page
 *  of zeros. */
type State = readonly number[];

class Source implements PageSource {
  lsn = 0;
  pageCount = 0;
  readonly states = new Map<number, State>([[0, []]]);

  readPage(pageNumber: number, atLsn: number, into: Uint8Array): boolean {
    const state = this.states.get(atLsn);
    assert.ok(state !== undefined, `the source's state at ${atLsn} was released`);
    if (pageNumber > state.length) return false;
    into.fill(0);
    new DataView(into.buffer, into.byteOffset).setFloat64(0, state[pageNumber - 1]!);
    return true;
  }
}

class World {
  readonly source = new Source();
  readonly overlay: Overlay;
  readonly states: State[] = [[]];
  readonly pinned: Snapshot[] = [];
  readonly #random: SeededRandom;
  #page = new Uint8Array(4096);
  #stamp = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    const cachedCount = [0, 1, 7, PAGES_MAX][this.#below(4)]!;
    this.overlay = new Overlay(this.source, cachedCount * 4096);
  }

  step(): void {
    const dice = this.#random.unit();
    if (dice < 0.5) this.#commit();
    else if (dice < 0.65) this.#pin();
    else if (dice < 0.85) this.#unpin();
    else if (dice < 0.97) this.#fold();
    else this.#drop();
    for (const snapshot of this.pinned) this.#check(snapshot);
    this.#check({ lsn: this.overlay.lsn, pageCount: this.overlay.pageCount });
  }

  finish(): void {
    while (this.pinned.length > 0) this.#unpin();
    const newest = this.#makePin();
    this.#foldAt(newest);
    this.overlay.unpin(newest);
    // Everything stands in the source: no version is left, and one state of the source.
    assert.equal(this.overlay.memory.heldBytes, 0);
    assert.equal(this.overlay.pagesCount, 0);
    assert.deepEqual([...this.source.states.keys()], [this.overlay.lsn]);
  }

  #below(count: number): number {
    return this.#random.uint32() % count;
  }

  #commit(): void {
    const state = [...this.states[this.overlay.lsn]!];
    const shrinks = this.#random.unit() < 0.15;
    if (shrinks) state.length = this.#below(state.length + 1);
    else while (this.#random.unit() < 0.4 && state.length < PAGES_MAX) state.push(0);
    const versions = new Map<number, number>();
    for (let count = this.#below(5); count > 0 && state.length > 0; count--) {
      versions.set(this.#below(state.length) + 1, ++this.#stamp);
    }
    const { memory } = this.overlay;
    const pages = [...versions].map(([pageNumber, value]) => {
      const version = memory.take(pageNumber);
      version.bytes.fill(0);
      new DataView(version.bytes.buffer, version.bytes.byteOffset).setFloat64(0, value);
      state[pageNumber - 1] = value;
      return version;
    });
    const lsn = this.overlay.lsn + 1;
    this.overlay.install(lsn, state.length, pages);
    this.states[lsn] = state;
  }

  #makePin(): Snapshot {
    const snapshot = { lsn: 0, pageCount: 0 };
    this.overlay.pin(snapshot);
    return snapshot;
  }

  #pin(): void {
    if (this.pinned.length < 8) this.pinned.push(this.#makePin());
  }

  #unpin(): void {
    if (this.pinned.length === 0) return;
    const [snapshot] = this.pinned.splice(this.#below(this.pinned.length), 1);
    this.overlay.unpin(snapshot!);
  }

  #fold(): void {
    const newer = this.pinned.filter(({ lsn }) => lsn > this.source.lsn);
    if (newer.length > 0) this.#foldAt(newer[this.#below(newer.length)]!);
  }

  /** What a page store does: its state, and the changed pages over it. */
  #foldAt(snapshot: Snapshot): void {
    const former = this.source.lsn;
    if (snapshot.lsn === former) return;
    const state = [...this.source.states.get(former)!].slice(0, snapshot.pageCount);
    for (const { pageNumber, bytes } of this.overlay.changedPages(snapshot)) {
      state[pageNumber - 1] = new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0);
    }
    for (let index = 0; index < snapshot.pageCount; index++) state[index] ??= 0;
    assert.deepEqual(state, this.states[snapshot.lsn]);
    this.source.states.set(snapshot.lsn, state);
    this.source.lsn = snapshot.lsn;
    this.source.pageCount = snapshot.pageCount;
    this.overlay.advance(snapshot, () => {
      assert.ok(this.source.states.delete(former));
    });
  }

  #drop(): void {
    const durable = this.pinned.filter(({ lsn }) => lsn >= this.source.lsn);
    if (durable.length === 0) return;
    const target = durable[this.#below(durable.length)]!;
    for (const snapshot of this.pinned.filter(({ lsn }) => lsn > target.lsn)) {
      this.pinned.splice(this.pinned.indexOf(snapshot), 1);
      this.overlay.unpin(snapshot);
    }
    this.overlay.dropTo(target);
    this.states.length = target.lsn + 1;
  }

  #check(snapshot: Snapshot): void {
    const state = this.states[snapshot.lsn]!;
    assert.equal(snapshot.pageCount, state.length);
    for (let pageNumber = 1; pageNumber <= state.length; pageNumber++) {
      this.overlay.read(pageNumber, snapshot, this.#page);
      const value = new DataView(this.#page.buffer).getFloat64(0);
      assert.equal(value, state[pageNumber - 1], `page ${pageNumber} at ${snapshot.lsn}`);
    }
    assert.equal(this.overlay.read(state.length + 1, snapshot, this.#page), false);
  }
}

describe('the overlay', () => {
  it('shows every snapshot its state, and holds no more than they need', () => {
    const seed = testSeed('engine-overlay');
    const end = performance.now() + FUZZ_TIME_MS;
    for (let round = 0; round < 2 || performance.now() < end; round++) {
      try {
        const world = new World(seed + round);
        for (let step = 0; step < STEPS; step++) world.step();
        world.finish();
      } catch (error) {
        assert.fail(`with SEED=${seed + round}: ${error instanceof Error ? error.stack : error}`);
      }
    }
  });
});
