// The limiter's table when it is full: eviction, shared buckets, locks left behind. One thread.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  LIMITER_CLAIMED_HASH_OFFSET,
  LIMITER_CLAIMED_OFFSET,
  LIMITER_ENTRIES_OFFSET,
  LIMITER_ENTRY_SIZE_BYTES,
  LIMITER_SET_SIZE_BYTES,
  LIMITER_SETS_OFFSET,
  LIMITER_SHARED_SETS_OFFSET,
  LIMITER_WAYS,
} from '../../assembly/shared/limiter-layout.ts';
import { LIMITER_OFFSET, LIMITER_SIZE_BYTES } from '../../assembly/shared/memory-map.ts';
import { initialiseLimiter, Limiter } from '../../host/kernels/index.ts';
import { edgeImage, edgeInstance } from '../support/wasm.ts';

const START_MS = 50_000;
const SET_PTR = LIMITER_OFFSET + LIMITER_SETS_OFFSET;

/** One set of 14 buckets, so that the fifteenth key finds no slot. */
function tinyLimiter(sharedSetCount = 1) {
  const image = edgeImage();
  initialiseLimiter(image, { seed: new Uint8Array(16).fill(7), setCount: 1, sharedSetCount });
  return { limiter: new Limiter(edgeInstance(image)), view: new DataView(image.memory.buffer) };
}

function keysFrom(start: number, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `key-${start + index}`);
}

describe('eviction', () => {
  it('gives the slot of an idle bucket away, and never that of one in use', () => {
    const { limiter } = tinyLimiter();
    const policy = limiter.policy('p', { limit: 1, perMs: 1000, burst: 2 });
    for (const key of keysFrom(0, 14)) assert.ok(limiter.take(policy, key, START_MS));
    assert.equal(limiter.occupied(START_MS), 14);
    assert.equal(limiter.occupied(START_MS + 1000), 0);
    for (const key of keysFrom(14, 14)) assert.ok(limiter.take(policy, key, START_MS + 1000));
    assert.equal(limiter.evictionCount(), 14);
    assert.equal(limiter.overflowCount(), 0);
    for (const key of keysFrom(14, 14)) {
      assert.ok(limiter.take(policy, key, START_MS + 1000));
      assert.equal(limiter.take(policy, key, START_MS + 1000), false);
    }
    assert.equal(limiter.evictionCount(), 14);
  });

  it('a key that returns under a clock that lags grants no second burst', () => {
    // Its bucket was evicted when full by a thread whose clock was ahead by a few microseconds;
    // forgotten, it would be full again before its time.
    const { limiter } = tinyLimiter();
    const policy = limiter.policy('p', { limit: 1_000_000, perMs: 1000, burst: 10 });
    for (let taken = 0; taken < 10; ++taken) assert.ok(limiter.take(policy, 'k', START_MS));
    for (const key of keysFrom(0, 14)) assert.ok(limiter.take(policy, key, START_MS + 0.01));
    assert.equal(limiter.evictionCount(), 1);
    assert.equal(limiter.overflowCount(), 0);
    // From here the table is idle again, but `k` comes with a clock that is 5 us behind.
    const other = limiter.policy('q', { limit: 1_000_000, perMs: 1000, burst: 10 });
    for (const key of keysFrom(0, 14)) assert.ok(limiter.take(other, key, START_MS + 0.02));
    let granted = 0;
    for (let taken = 0; taken < 20; ++taken) {
      if (limiter.take(policy, 'k', START_MS + 0.005)) granted += 1;
    }
    assert.ok(granted <= 5, `${granted} granted in 5 us, the interval is 1 us`);
  });
});

describe('shared buckets', () => {
  const rule = { limit: 1, perMs: 1000, burst: 3 };

  it('decide for keys without a slot, one bucket per policy', () => {
    const { limiter } = tinyLimiter();
    const policy = limiter.policy('p', rule);
    for (const key of keysFrom(0, 14)) assert.ok(limiter.take(policy, key, START_MS));
    const granted = keysFrom(14, 6).map((key) => limiter.take(policy, key, START_MS));
    assert.deepEqual(granted, [true, true, true, false, false, false]);
    assert.equal(limiter.retryAfterMs, 1000);
    assert.equal(limiter.overflowCount(), 6);
    const other = limiter.policy('q', rule);
    assert.ok(limiter.take(other, 'key-14', START_MS), 'a policy of its own');
    assert.equal(limiter.remaining, 2);
    assert.equal(limiter.closedCount(), 0);
  });

  it('a key that gets a slot at last goes on from the shared bucket', () => {
    // With a fresh bucket it would have a burst from each of the two.
    const { limiter } = tinyLimiter();
    const policy = limiter.policy('p', rule);
    for (const key of keysFrom(0, 14)) assert.ok(limiter.take(policy, key, START_MS));
    for (let taken = 0; taken < 3; ++taken) assert.ok(limiter.take(policy, 'k', START_MS));
    assert.equal(limiter.take(policy, 'k', START_MS), false);
    assert.equal(limiter.overflowCount(), 4);
    assert.equal(limiter.take(policy, 'k', START_MS + 1000), true);
    assert.equal(limiter.overflowCount(), 4, 'from a slot of its own');
    assert.equal(limiter.take(policy, 'k', START_MS + 1000), false);
    const other = limiter.policy('q', rule);
    for (let taken = 0; taken < 3; ++taken) {
      assert.ok(limiter.take(other, 'k', START_MS + 1000), 'another policy pays nothing for it');
    }
  });

  it('a look does not take, whatever would decide', () => {
    const { limiter } = tinyLimiter();
    const policy = limiter.policy('p', rule);
    const never = limiter.policy('never', { limit: 1, perMs: 1000, burst: 1 });
    assert.ok(limiter.take(never, 'n', START_MS));
    for (const key of keysFrom(0, 13)) assert.ok(limiter.take(policy, key, START_MS));
    for (let tries = 0; tries < 10; ++tries) {
      assert.equal(limiter.takeAll([policy, never], ['k', 'n'], START_MS), 1);
    }
    const granted = [0, 1, 2, 3].map(() => limiter.take(policy, 'k', START_MS));
    assert.deepEqual(granted, [true, true, true, false]);
    for (let tries = 0; tries < 10; ++tries) {
      assert.equal(limiter.takeAll([never, policy], ['m', 'k'], START_MS), 1);
    }
    assert.equal(limiter.take(never, 'm', START_MS), true);
  });

  it('refuse when there is none left', () => {
    const { limiter } = tinyLimiter();
    const long = { limit: 1, perMs: 1000, burst: 1 };
    for (let index = 0; index < 14; ++index) {
      const policy = limiter.policy(`slot-${index}`, long);
      assert.ok(limiter.take(policy, 'k', START_MS));
    }
    for (let index = 0; index < 14; ++index) {
      const policy = limiter.policy(`shared-${index}`, long);
      assert.ok(limiter.take(policy, 'k', START_MS));
    }
    assert.equal(limiter.closedCount(), 0);
    const last = limiter.policy('last', long);
    assert.equal(limiter.take(last, 'k', START_MS), false);
    assert.equal(limiter.retryAfterMs, 1000);
    assert.equal(limiter.closedCount(), 1);
    assert.equal(limiter.take(last, 'k', START_MS + 1000), true);
  });
});

describe('a lock left behind', () => {
  const DEAD_WORKER = 9;
  const rule = { limit: 1, perMs: 1000, burst: 2 };

  it('refuses new keys after a wait, and is freed by recover()', () => {
    const { limiter, view } = tinyLimiter();
    const policy = limiter.policy('p', rule);
    assert.ok(limiter.take(policy, 'known', START_MS));
    view.setUint32(SET_PTR, DEAD_WORKER + 1, true);
    assert.ok(limiter.take(policy, 'known', START_MS), 'a known key needs no lock');
    assert.equal(limiter.take(policy, 'new', START_MS), false);
    assert.equal(limiter.closedCount(), 1);
    assert.equal(limiter.recover(DEAD_WORKER + 1), 0);
    assert.equal(limiter.recover(DEAD_WORKER), 1);
    assert.ok(limiter.take(policy, 'new', START_MS));
  });

  it('a claim cut short leaves the old owner its bucket', () => {
    const { limiter, view } = tinyLimiter();
    const policy = limiter.policy('p', rule);
    assert.ok(limiter.take(policy, 'k', START_MS));
    assert.ok(limiter.take(policy, 'k', START_MS));
    const entries = Array.from(
      { length: LIMITER_WAYS },
      (_, way) => SET_PTR + LIMITER_ENTRIES_OFFSET + way * LIMITER_ENTRY_SIZE_BYTES,
    );
    const entry = entries.find((ptr) => view.getBigUint64(ptr, true) !== 0n)!;
    view.setUint32(SET_PTR, DEAD_WORKER + 1, true);
    const hash = view.getBigUint64(entry, true);
    view.setBigUint64(SET_PTR + LIMITER_CLAIMED_HASH_OFFSET, hash, true);
    view.setUint32(SET_PTR + LIMITER_CLAIMED_OFFSET, entry, true);
    view.setBigUint64(entry, 0n, true);
    assert.equal(limiter.recover(DEAD_WORKER), 1);
    assert.equal(limiter.take(policy, 'k', START_MS), false);
    assert.equal(view.getUint32(SET_PTR + LIMITER_CLAIMED_OFFSET, true), 0);
  });
});

describe('the layout', () => {
  it('fills the region, each set aligned to its size', () => {
    const end = LIMITER_SETS_OFFSET + 130_800 * LIMITER_SET_SIZE_BYTES;
    assert.equal(end, LIMITER_SIZE_BYTES);
    const sharedEnd = LIMITER_SHARED_SETS_OFFSET + 256 * LIMITER_SET_SIZE_BYTES;
    assert.equal(sharedEnd, LIMITER_SETS_OFFSET);
    assert.equal(SET_PTR % LIMITER_SET_SIZE_BYTES, 0);
    const used = LIMITER_ENTRIES_OFFSET + LIMITER_WAYS * LIMITER_ENTRY_SIZE_BYTES;
    assert.equal(used, LIMITER_SET_SIZE_BYTES);
  });
});
