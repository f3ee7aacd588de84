// One set of the limiter's table: find a bucket, charge it, give an idle slot to a new key. Neither
// hashing nor policy is known here. See assembly/shared/limiter-layout.ts for the picture of a set.
//
// Why a grant is never one too many. Take the grants of one key in the order of their effect, with
// their new TATs g1, g2, ... Each g is at least now + interval and at most now + window, whatever
// the thread's clock says. If also g(n+1) >= g(n) + interval, then between the clock readings a and
// b lie at most (b - a + window) / interval grants, which is the policy. So only that last
// inequality is to be held; clocks that differ, or step back, cannot break it.
//
//   1. A TAT is changed by compare-and-swap only, and each change makes it greater. So a swap that
//      succeeds knows that nothing changed since its thread read the TAT.
//   2. An owner changes under the set's lock, in the order: floor, hash := 0, TAT swapped to a
//      greater value, hash := new. charge() reads the TAT, then sees its own hash, then swaps. If
//      the swap succeeds, the slot was its own after the TAT was read, and no owner can have
//      changed since, for that would have changed the TAT. If it comes between `hash := 0` and the
//      other's swap, that other swap fails and the old owner is put back, its grant included.
//   3. A key that comes back after its eviction starts at the set's floor or later, and the floor
//      was raised to its last TAT before its hash was cleared.
//   4. A key has one slot at most: a claim looks again under the lock. Shared buckets serve a key
//      only under the lock of its set and leave their TAT there, where a later claim reads it.

import {
  LIMITER_CLAIMED_HASH_OFFSET,
  LIMITER_CLAIMED_OFFSET,
  LIMITER_ENTRIES_OFFSET,
  LIMITER_ENTRY_SIZE_BYTES,
  LIMITER_EVICTIONS_OFFSET,
  LIMITER_FLOOR_OFFSET,
  LIMITER_TAT_OFFSET,
  LIMITER_WAYS,
} from '../shared/limiter-layout';
import { LIMITER_OFFSET } from '../shared/memory-map';

// Every address below is a set plus an offset inside its 256 bytes. limiter.ts makes sets from an
// index below the region's count, so that all of them are inside the region.

/** Tries of a lock before the thread naps: more than a claim takes, about 100 ns. */
const LOCK_SPINS_MAX = 128;
/** Naps before a lock is given up: 10 ms, for an owner that was preempted or has died. */
const LOCK_NAPS_MAX = 200;
const LOCK_NAP_NS: i64 = 50_000;
/** Swaps lost in a row; each was another thread's grant from the same bucket. */
const SWAPS_MAX = 4096;

/** Takes the set's lock. False when its owner does not give it back. */
export function acquire(set: usize, owner: u32): bool {
  for (let spin = 0; spin < LOCK_SPINS_MAX; ++spin) {
    if (atomic.load<u32>(set) == 0 && atomic.cmpxchg<u32>(set, 0, owner) == 0) return true;
  }
  for (let nap = 0; nap < LOCK_NAPS_MAX; ++nap) {
    const other = atomic.load<i32>(set);
    if (other == 0 && atomic.cmpxchg<u32>(set, 0, owner) == 0) return true;
    // Nobody notifies: the nap only keeps a preempted owner's processor free.
    if (other != 0) atomic.wait<i32>(set, other, LOCK_NAP_NS);
  }
  return false;
}

export function release(set: usize): void {
  atomic.store<u32>(set, 0);
}

/** The way where the search for a hash begins, so that most are found at the first look. */
function firstWay(hash: u64): u32 {
  return (<u32>(hash & 0xffff) * LIMITER_WAYS) >> 16;
}

/** The address of the entry that holds the hash, or 0. Cost: one look when undisturbed. */
export function find(set: usize, hash: u64): usize {
  const entries = set + LIMITER_ENTRIES_OFFSET;
  let way = firstWay(hash);
  for (let looks = 0; looks < LIMITER_WAYS; ++looks) {
    const entry = entries + way * LIMITER_ENTRY_SIZE_BYTES;
    if (atomic.load<u64>(entry) == hash) return entry;
    way = way + 1 == LIMITER_WAYS ? 0 : way + 1;
  }
  return 0;
}

/** Takes one token from a bucket. Shape: the room left if granted, what is missing as a negative
 *  number if not, NaN when the entry is not the hash's any more. Units: ns. */
export function charge(entry: usize, hash: u64, interval: u64, limit: u64, atLeast: u64): f64 {
  for (let swaps = 0; swaps < SWAPS_MAX; ++swaps) {
    const tat = atomic.load<u64>(entry, LIMITER_TAT_OFFSET);
    if (atomic.load<u64>(entry) != hash) return NaN;
    const next = max<u64>(tat, atLeast) + interval;
    const room = <i64>(limit - next);
    if (room < 0) return <f64>room;
    if (atomic.cmpxchg<u64>(entry, tat, next, LIMITER_TAT_OFFSET) == tat) return <f64>room;
  }
  return -(<f64>interval);
}

/** What charge() would say now, without taking. */
export function look(entry: usize, hash: u64, interval: u64, limit: u64, atLeast: u64): f64 {
  const tat = atomic.load<u64>(entry, LIMITER_TAT_OFFSET);
  if (atomic.load<u64>(entry) != hash) return NaN;
  return <f64>(<i64>(limit - (max<u64>(tat, atLeast) + interval)));
}

/** Whether claimIdle() would find a slot. The set's lock is held. */
export function hasIdle(set: usize, now: u64): bool {
  const entries = set + LIMITER_ENTRIES_OFFSET;
  for (let way = 0; way < LIMITER_WAYS; ++way) {
    const entry = entries + way * LIMITER_ENTRY_SIZE_BYTES;
    if (atomic.load<u64>(entry, LIMITER_TAT_OFFSET) <= now) return true;
  }
  return false;
}

/** Gives an empty slot, or else an idle one, to a key whose first grant moves its TAT to `next`,
 *  which must be after `now`. The set's lock is held. False when every bucket is in use. */
export function claimIdle(set: usize, hash: u64, next: u64, now: u64): bool {
  const entries = set + LIMITER_ENTRIES_OFFSET;
  for (let pass = 0; pass < 2; ++pass) {
    let way = firstWay(hash);
    for (let looks = 0; looks < LIMITER_WAYS; ++looks) {
      const entry = entries + way * LIMITER_ENTRY_SIZE_BYTES;
      const isWanted = pass == 1 || atomic.load<u64>(entry) == 0;
      if (isWanted && claim(set, entry, hash, next, now)) return true;
      way = way + 1 == LIMITER_WAYS ? 0 : way + 1;
    }
  }
  return false;
}

/** Changes an entry's owner in the order that proof point 2 needs. `claimed` and its hash let
 *  recover() put the old owner back if this thread ends in between. */
function claim(set: usize, entry: usize, hash: u64, next: u64, now: u64): bool {
  const tat = atomic.load<u64>(entry, LIMITER_TAT_OFFSET);
  if (tat > now) return false;
  const old = atomic.load<u64>(entry);
  if (tat > atomic.load<u64>(set, LIMITER_FLOOR_OFFSET)) {
    atomic.store<u64>(set, tat, LIMITER_FLOOR_OFFSET);
  }
  atomic.store<u64>(set, old, LIMITER_CLAIMED_HASH_OFFSET);
  atomic.store<u32>(set, <u32>entry, LIMITER_CLAIMED_OFFSET);
  atomic.store<u64>(entry, 0);
  const isMine = atomic.cmpxchg<u64>(entry, tat, next, LIMITER_TAT_OFFSET) == tat;
  atomic.store<u64>(entry, isMine ? hash : old);
  atomic.store<u32>(set, 0, LIMITER_CLAIMED_OFFSET);
  if (isMine && old != 0) atomic.add<u64>(LIMITER_OFFSET + LIMITER_EVICTIONS_OFFSET, 1);
  return isMine;
}

/** Frees a lock whose owner has died and completes or undoes its claim. True if it held it. */
export function recover(set: usize, owner: u32): bool {
  if (atomic.load<u32>(set) != owner) return false;
  const entry: usize = atomic.load<u32>(set, LIMITER_CLAIMED_OFFSET);
  if (entry != 0) {
    // In bounds: `claimed` is written above only, with an entry of this set. An entry left at 0
    // goes back to its old owner, whose TAT is then no earlier than it was.
    if (atomic.load<u64>(entry) == 0) {
      atomic.store<u64>(entry, atomic.load<u64>(set, LIMITER_CLAIMED_HASH_OFFSET));
    }
    atomic.store<u32>(set, 0, LIMITER_CLAIMED_OFFSET);
  }
  release(set);
  return true;
}

/** Buckets of a set that are in use: not full at `now`. */
export function countBusy(set: usize, now: u64): u32 {
  const entries = set + LIMITER_ENTRIES_OFFSET;
  let count: u32 = 0;
  for (let way = 0; way < LIMITER_WAYS; ++way) {
    const entry = entries + way * LIMITER_ENTRY_SIZE_BYTES;
    count += <u32>(atomic.load<u64>(entry, LIMITER_TAT_OFFSET) > now);
  }
  return count;
}
