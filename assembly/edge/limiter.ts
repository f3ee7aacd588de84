// Token buckets by GCRA, exact across threads. A bucket is one number, its TAT: full when that is
// in the past, and a token moves it one interval on. There is a bucket per key in a table of fixed
// size: a key that finds every slot of its set in use is decided by a bucket that its policy's keys
// share, and refused when there is none: a limit that opens under attack is not one.
// Source: ITU-T I.371 annex A (virtual scheduling); the proof stands in limiter-set.ts.

import {
  LIMITER_CLOSED_OFFSET,
  LIMITER_FLOOR_OFFSET,
  LIMITER_HASHES_COUNT,
  LIMITER_KEY_OFFSET,
  LIMITER_KEY_SIZE_BYTES_MAX,
  LIMITER_OVERFLOWS_OFFSET,
  LIMITER_SCRATCH_OFFSET,
  LIMITER_SET_COUNT_MAX,
  LIMITER_SET_COUNT_OFFSET,
  LIMITER_SET_SIZE_BYTES,
  LIMITER_SETS_OFFSET,
  LIMITER_SHARED_SET_COUNT_MAX,
  LIMITER_SHARED_SET_COUNT_OFFSET,
  LIMITER_SHARED_SETS_OFFSET,
  LIMITER_SHARED_TAT_OFFSET,
  LIMITER_TAT_OFFSET,
} from '../shared/limiter-layout';
import {
  LIMITER_OFFSET,
  SCRATCH_OFFSET,
  SCRATCH_STRIDE_BYTES,
  WORKERS_MAX,
} from '../shared/memory-map';
import {
  acquire,
  charge,
  claimIdle,
  countBusy,
  find,
  hasIdle,
  look,
  recover,
  release,
} from './limiter-set';
import { sipHash } from './siphash';

/** Hashes the key in the worker's scratch area into its hash slot. `high` and `low` are the word
 *  before the key: the policy's id, or the hash of the key's bytes so far. */
export function limiterHash(worker: u32, slot: u32, sizeBytes: u32, high: u32, low: u32): void {
  store<u64>(hashPtr(worker, slot), hashKey(worker, sizeBytes, joined(high, low)));
}

/** Hashes the key and takes a token: the common case in one call. Result as of charge(). */
export function limiterTakeKey(
  worker: u32,
  sizeBytes: u32,
  high: u32,
  low: u32,
  interval: f64,
  window: f64,
  nowMs: f64,
): f64 {
  const policy = joined(high, low);
  const hash = hashKey(worker, sizeBytes, policy);
  return take(worker, hash, policy, <u64>interval, <u64>window, nanoseconds(nowMs));
}

/** Takes a token from the bucket of a hash made by limiterHash(). Result as of charge(). */
export function limiterTake(
  worker: u32,
  slot: u32,
  high: u32,
  low: u32,
  interval: f64,
  window: f64,
  nowMs: f64,
): f64 {
  const hash = load<u64>(hashPtr(worker, slot));
  const now = nanoseconds(nowMs);
  return take(worker, hash, joined(high, low), <u64>interval, <u64>window, now);
}

/** What limiterTake() would say now, without taking. */
export function limiterPeek(
  worker: u32,
  slot: u32,
  high: u32,
  low: u32,
  interval: f64,
  window: f64,
  nowMs: f64,
): f64 {
  const hash = load<u64>(hashPtr(worker, slot));
  const now = nanoseconds(nowMs);
  const limit = now + <u64>window;
  const set = setOf(hash);
  const entry = find(set, hash);
  if (entry != 0) {
    const result = look(entry, hash, <u64>interval, limit, now);
    if (result == result) return result;
  }
  const owner = ownerOf(worker);
  if (!acquire(set, owner)) return -interval;
  const result = peekLocked(set, hash, joined(high, low), <u64>interval, limit, now, owner);
  release(set);
  return result;
}

/** Buckets in use. Cost: reads the whole table, some milliseconds; never on a request's thread. */
export function limiterOccupied(nowMs: f64): u32 {
  const now = nanoseconds(nowMs);
  const setCount = atomic.load<u32>(LIMITER_OFFSET + LIMITER_SET_COUNT_OFFSET);
  let count: u32 = 0;
  for (let index: u32 = 0; index < min<u32>(setCount, LIMITER_SET_COUNT_MAX); ++index) {
    count += countBusy(setAt(LIMITER_SETS_OFFSET, index), now);
  }
  return count;
}

/** Frees the locks of a worker that has ended, and answers how many. Its thread must be gone. */
export function limiterRecover(worker: u32): u32 {
  const owner = ownerOf(worker);
  let count: u32 = 0;
  for (let index = 0; index < LIMITER_SET_COUNT_MAX; ++index) {
    count += <u32>recover(setAt(LIMITER_SETS_OFFSET, index), owner);
  }
  for (let index = 0; index < LIMITER_SHARED_SET_COUNT_MAX; ++index) {
    count += <u32>recover(setAt(LIMITER_SHARED_SETS_OFFSET, index), owner);
  }
  return count;
}

function take(worker: u32, hash: u64, policy: u64, interval: u64, window: u64, now: u64): f64 {
  const set = setOf(hash);
  const limit = now + window;
  const entry = find(set, hash);
  if (entry != 0) {
    const result = charge(entry, hash, interval, limit, now);
    if (result == result) return result;
  }
  const owner = ownerOf(worker);
  if (!acquire(set, owner)) return closed(interval);
  const result = takeLocked(set, hash, policy, interval, limit, now, owner);
  release(set);
  return result;
}

function takeLocked(
  set: usize,
  hash: u64,
  policy: u64,
  interval: u64,
  limit: u64,
  now: u64,
  owner: u32,
): f64 {
  // Under the lock no owner changes, so that charge() cannot answer NaN.
  const entry = find(set, hash);
  if (entry != 0) return charge(entry, hash, interval, limit, now);
  const floor = max<u64>(now, atomic.load<u64>(set, LIMITER_FLOOR_OFFSET));
  const start = startOf(set, policy, limit, floor, owner);
  const next = start + interval;
  const room = <i64>(limit - next);
  if (room < 0) {
    if (start > floor) countOverflow();
    return <f64>room;
  }
  if (claimIdle(set, hash, next, now)) return <f64>room;
  return takeShared(set, policy, interval, limit, floor, now, owner);
}

function peekLocked(
  set: usize,
  hash: u64,
  policy: u64,
  interval: u64,
  limit: u64,
  now: u64,
  owner: u32,
): f64 {
  const entry = find(set, hash);
  if (entry != 0) return look(entry, hash, interval, limit, now);
  const floor = max<u64>(now, atomic.load<u64>(set, LIMITER_FLOOR_OFFSET));
  const start = startOf(set, policy, limit, floor, owner);
  const room = <i64>(limit - (start + interval));
  if (room < 0 || hasIdle(set, now)) return <f64>room;
  const shared = max<u64>(floor, sharedTat(policy, limit, owner));
  return <f64>(<i64>(limit - (shared + interval)));
}

/** Where a key's new bucket starts: where it last left a bucket of this set, or the shared one.
 *  The latter is looked up only where a shared bucket that served this set may be ahead. */
function startOf(set: usize, policy: u64, limit: u64, floor: u64, owner: u32): u64 {
  if (atomic.load<u64>(set, LIMITER_SHARED_TAT_OFFSET) <= floor) return floor;
  return max<u64>(floor, sharedTat(policy, limit, owner));
}

/** The TAT of the policy's shared bucket; where it has none, of the latest that was evicted. */
function sharedTat(policy: u64, limit: u64, owner: u32): u64 {
  const set = sharedSetOf(policy);
  if (!acquire(set, owner)) return limit;
  const entry = find(set, policy);
  const tat =
    entry != 0
      ? atomic.load<u64>(entry, LIMITER_TAT_OFFSET)
      : atomic.load<u64>(set, LIMITER_FLOOR_OFFSET);
  release(set);
  return tat;
}

/** Takes a token from the policy's shared bucket. The lock of the key's own set is held; locks of
 *  shared sets are always taken second, so that no two threads wait for each other. */
function takeShared(
  keySet: usize,
  policy: u64,
  interval: u64,
  limit: u64,
  atLeast: u64,
  now: u64,
  owner: u32,
): f64 {
  countOverflow();
  const set = sharedSetOf(policy);
  if (!acquire(set, owner)) return closed(interval);
  const entry = find(set, policy);
  let result: f64;
  if (entry != 0) {
    result = charge(entry, policy, interval, limit, atLeast);
  } else {
    const next = max<u64>(atLeast, atomic.load<u64>(set, LIMITER_FLOOR_OFFSET)) + interval;
    result = <f64>(<i64>(limit - next));
    if (result >= 0 && !claimIdle(set, policy, next, now)) result = closed(interval);
  }
  release(set);
  if (result >= 0) {
    // Exact: a room is below 2^53 ns.
    const tat = limit - <u64>result;
    if (tat > atomic.load<u64>(keySet, LIMITER_SHARED_TAT_OFFSET)) {
      atomic.store<u64>(keySet, tat, LIMITER_SHARED_TAT_OFFSET);
    }
  }
  return result;
}

function countOverflow(): void {
  atomic.add<u64>(LIMITER_OFFSET + LIMITER_OVERFLOWS_OFFSET, 1);
}

function closed(interval: u64): f64 {
  atomic.add<u64>(LIMITER_OFFSET + LIMITER_CLOSED_OFFSET, 1);
  return -(<f64>interval);
}

/** In bounds: at most LIMITER_KEY_SIZE_BYTES_MAX from LIMITER_KEY_OFFSET leave the hash its slack
 *  in the worker's own 64 KiB. Zero is reserved for an empty slot. */
function hashKey(worker: u32, sizeBytes: u32, word: u64): u64 {
  const hash = sipHash(
    load<u64>(LIMITER_OFFSET),
    load<u64>(LIMITER_OFFSET + 8),
    word,
    scratchOf(worker) + LIMITER_KEY_OFFSET,
    min<u32>(sizeBytes, LIMITER_KEY_SIZE_BYTES_MAX),
  );
  return hash == 0 ? 1 : hash;
}

function scratchOf(worker: u32): usize {
  return SCRATCH_OFFSET + (worker & (WORKERS_MAX - 1)) * SCRATCH_STRIDE_BYTES;
}

function hashPtr(worker: u32, slot: u32): usize {
  return scratchOf(worker) + LIMITER_SCRATCH_OFFSET + (slot & (LIMITER_HASHES_COUNT - 1)) * 8;
}

function ownerOf(worker: u32): u32 {
  return (worker & (WORKERS_MAX - 1)) + 1;
}

function joined(high: u32, low: u32): u64 {
  return ((<u64>high) << 32) | <u64>low;
}

/** Saturates: a time that is negative or not a number is zero, and none comes near 2^64. */
function nanoseconds(timeMs: f64): u64 {
  return min<u64>(<u64>(timeMs * 1e6), 1 << 62);
}

/** In bounds: the index is below the region's set count, which the region was made for. */
function setOf(hash: u64): usize {
  const setCount: u64 = load<u32>(LIMITER_OFFSET + LIMITER_SET_COUNT_OFFSET);
  return setAt(LIMITER_SETS_OFFSET, <u32>(((hash >> 32) * setCount) >> 32));
}

function sharedSetOf(policy: u64): usize {
  const setCount: u64 = load<u32>(LIMITER_OFFSET + LIMITER_SHARED_SET_COUNT_OFFSET);
  return setAt(LIMITER_SHARED_SETS_OFFSET, <u32>(((policy >> 32) * setCount) >> 32));
}

function setAt(offset: u32, index: u32): usize {
  return LIMITER_OFFSET + offset + index * LIMITER_SET_SIZE_BYTES;
}
