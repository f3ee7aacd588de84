// Token buckets of the whole process, one face per thread. A bucket is named by its policy and key
// and nothing else, so that it is the same in every thread and outlives a reload; a policy whose
// numbers changed goes on from the time its buckets had reached. It never waits for tokens: what to
// do with a refusal is the caller's. Layout and proof: assembly/edge/limiter-set.ts.

import {
  LIMITER_CLOSED_OFFSET,
  LIMITER_EVICTIONS_OFFSET,
  LIMITER_HASHES_COUNT,
  LIMITER_KEY_OFFSET,
  LIMITER_KEY_SIZE_BYTES_MAX,
  LIMITER_OVERFLOWS_OFFSET,
  LIMITER_SCRATCH_OFFSET,
  LIMITER_SEED_SIZE_BYTES,
  LIMITER_SET_COUNT_MAX,
  LIMITER_SET_COUNT_OFFSET,
  LIMITER_SHARED_SET_COUNT_MAX,
  LIMITER_SHARED_SET_COUNT_OFFSET,
} from '../../assembly/shared/limiter-layout.ts';
import {
  LIMITER_OFFSET,
  SCRATCH_OFFSET,
  SCRATCH_STRIDE_BYTES,
} from '../../assembly/shared/memory-map.ts';
import type { EdgeImage, EdgeInstance } from './edge-module.ts';
import { type LimiterPolicy, type LimiterRule, limiterTimes } from './limiter-policy.ts';

/** Longer keys, and keys beyond ASCII, are copied as UTF-16 by the runtime; below it a loop in
 *  JavaScript is faster than the call. */
const LOOP_KEY_LENGTH_MAX = 64;
/** First byte of a key in UTF-16, which no ASCII key begins with: different keys never share
 *  their bytes. */
const WIDE_MARK = 0xff;
const WIDE_CHUNK_LENGTH_MAX = (LIMITER_KEY_SIZE_BYTES_MAX >> 1) - 4;
const ASCII_MAX = 0x7f;
const NS_PER_MS = 1e6;

export interface LimiterOptions {
  /** 16 secret bytes, so that nobody can choose keys that meet in one set. */
  readonly seed: Uint8Array;
  /** Sets of 14 buckets; all that fit by default, which is 1.8 million buckets. */
  readonly setCount?: number;
  /** Sets of 14 buckets that overflowing policies use; all by default. */
  readonly sharedSetCount?: number;
}

type TakeKernel = (
  worker: number,
  sizeOrSlot: number,
  idHigh: number,
  idLow: number,
  intervalNs: number,
  windowNs: number,
  nowMs: number,
) => number;

interface LimiterKernels {
  readonly limiterHash: (w: number, slot: number, size: number, hi: number, lo: number) => void;
  readonly limiterTakeKey: TakeKernel;
  readonly limiterTake: TakeKernel;
  readonly limiterPeek: TakeKernel;
  readonly limiterOccupied: (nowMs: number) => number;
  readonly limiterRecover: (worker: number) => number;
}

/** Sets the region up: once a process, before any thread makes its Limiter. */
export function initialiseLimiter(image: EdgeImage, options: LimiterOptions): void {
  const setCount = options.setCount ?? LIMITER_SET_COUNT_MAX;
  const sharedSetCount = options.sharedSetCount ?? LIMITER_SHARED_SET_COUNT_MAX;
  requireRange('set count', setCount, LIMITER_SET_COUNT_MAX);
  requireRange('shared set count', sharedSetCount, LIMITER_SHARED_SET_COUNT_MAX);
  if (options.seed.length !== LIMITER_SEED_SIZE_BYTES) {
    throw new RangeError(`seed has ${options.seed.length} bytes, not ${LIMITER_SEED_SIZE_BYTES}`);
  }
  new Uint8Array(image.memory.buffer).set(options.seed, LIMITER_OFFSET);
  const words = new Int32Array(image.memory.buffer);
  Atomics.store(words, (LIMITER_OFFSET + LIMITER_SHARED_SET_COUNT_OFFSET) >> 2, sharedSetCount);
  Atomics.store(words, (LIMITER_OFFSET + LIMITER_SET_COUNT_OFFSET) >> 2, setCount);
}

function requireRange(what: string, value: number, max: number): void {
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw new RangeError(`${what} ${value} is outside 1..${max}`);
  }
}

export class Limiter {
  readonly #kernels: LimiterKernels;
  readonly #worker: number;
  readonly #keyBytes: Buffer;
  /** The hash slots, as halves: low, high. */
  readonly #hashes: Uint32Array;
  readonly #counts: BigUint64Array;
  readonly #results = new Float64Array(LIMITER_HASHES_COUNT);
  #policies: readonly LimiterPolicy[] = [];
  #policy: LimiterPolicy | null = null;
  #result = 0;

  constructor(instance: EdgeInstance) {
    const { buffer } = instance.memory;
    const setCount = new Int32Array(buffer)[(LIMITER_OFFSET + LIMITER_SET_COUNT_OFFSET) >> 2];
    if (setCount === 0) throw new TypeError('the limiter was not initialised');
    this.#kernels = instance.exports as unknown as LimiterKernels;
    this.#worker = instance.workerIndex;
    const scratch = SCRATCH_OFFSET + instance.workerIndex * SCRATCH_STRIDE_BYTES;
    const key = scratch + LIMITER_KEY_OFFSET;
    this.#keyBytes = Buffer.from(buffer as ArrayBufferLike, key, LIMITER_KEY_SIZE_BYTES_MAX);
    const hashes = scratch + LIMITER_SCRATCH_OFFSET;
    this.#hashes = new Uint32Array(buffer, hashes, LIMITER_HASHES_COUNT * 2);
    this.#counts = new BigUint64Array(buffer, LIMITER_OFFSET, 16);
  }

  /** Makes a policy. `name` is the bucket's: the route's and the policy's name together.
   *  Errors: GW_CONFIG_BAD_VALUE, GW_CONFIG_LIMIT. */
  policy(name: string, rule: LimiterRule): LimiterPolicy {
    const { limit, perMs, burst } = rule;
    const times = limiterTimes(name, rule);
    this.#hash(0, name, 0, 0);
    const idHigh = this.#hashes[1]!;
    const idLow = this.#hashes[0]!;
    return { name, limit, perMs, burst, idHigh, idLow, ...times };
  }

  /** Takes a token from the bucket of a key. Afterwards `remaining`, `retryAfterMs` and `resetMs`
   *  tell of that bucket. Units: `nowMs` of the shared monotonic clock. Cost: about 60 ns for a key
   *  of 20 characters, no allocation. */
  take(policy: LimiterPolicy, key: string, nowMs: number): boolean {
    const { idHigh, idLow, intervalNs, windowNs } = policy;
    const size = this.#writeShort(key);
    this.#policy = policy;
    if (size >= 0) {
      this.#result = this.#kernels.limiterTakeKey(
        this.#worker,
        size,
        idHigh,
        idLow,
        intervalNs,
        windowNs,
        nowMs,
      );
    } else {
      this.#hashWide(0, key, idHigh, idLow);
      this.#result = this.#takeSlot(0, policy, nowMs);
    }
    return this.#result >= 0;
  }

  /** Takes a token from each bucket, or from none. Returns -1, or the index of the policy that
   *  refuses; the numbers tell of it, or of the policy with the least remaining. It looks at all
   *  but the last, takes from the last, then from the others. Only when another thread takes the
   *  last token of one of those in between is a request refused that others were charged for: a
   *  token is never given back, for a bucket whose time stepped back could grant one too many. */
  takeAll(policies: readonly LimiterPolicy[], keys: readonly string[], nowMs: number): number {
    const count = policies.length;
    if (count > LIMITER_HASHES_COUNT || keys.length !== count) {
      throw new RangeError(`${count} policies with ${keys.length} keys, at most 16 of each`);
    }
    this.#policies = policies;
    if (count === 1) {
      const isGranted = this.take(policies[0]!, keys[0]!, nowMs);
      this.#results[0] = this.#result;
      return isGranted ? -1 : 0;
    }
    for (let index = 0; index < count; ++index) {
      const policy = policies[index]!;
      this.#hash(index, keys[index]!, policy.idHigh, policy.idLow);
      const isLast = index === count - 1;
      const result = isLast
        ? this.#takeSlot(index, policy, nowMs)
        : this.#peekSlot(index, policy, nowMs);
      if (!this.#keep(index, result)) return index;
    }
    for (let index = 0; index < count - 1; ++index) {
      if (!this.#keep(index, this.#takeSlot(index, policies[index]!, nowMs))) return index;
    }
    if (count > 0) this.select(this.#leastIndex(count));
    return -1;
  }

  /** Lets the numbers tell of one policy of the last takeAll() that granted. */
  select(index: number): void {
    this.#policy = this.#policies[index]!;
    this.#result = this.#results[index]!;
  }

  /** Whole tokens left. */
  get remaining(): number {
    if (this.#policy === null || this.#result < 0) return 0;
    return Math.floor(this.#result / this.#policy.intervalNs);
  }

  /** Time until a token is there; 0 when one was granted. */
  get retryAfterMs(): number {
    return this.#result < 0 ? -this.#result / NS_PER_MS : 0;
  }

  /** Time until the bucket is full. */
  get resetMs(): number {
    if (this.#policy === null) return 0;
    const { intervalNs, windowNs } = this.#policy;
    const fullNs = this.#result < 0 ? windowNs - intervalNs : windowNs;
    return (fullNs - this.#result) / NS_PER_MS;
  }

  /** Idle buckets that gave their slot to another key. */
  evictionCount(): number {
    return this.#count(LIMITER_EVICTIONS_OFFSET);
  }

  /** Requests decided by a shared bucket, because their key found no slot. */
  overflowCount(): number {
    return this.#count(LIMITER_OVERFLOWS_OFFSET);
  }

  /** Requests refused because even the shared buckets were all in use. */
  closedCount(): number {
    return this.#count(LIMITER_CLOSED_OFFSET);
  }

  /** Buckets that are not full. Cost: reads 32 MiB; for metrics, on the main thread. */
  occupied(nowMs: number): number {
    return this.#kernels.limiterOccupied(nowMs) >>> 0;
  }

  /** Frees what a worker held whose thread was ended from outside; returns how many sets. Call it
   *  after the thread is gone and before its index is given away again. */
  recover(workerIndex: number): number {
    return this.#kernels.limiterRecover(workerIndex);
  }

  #count(offset: number): number {
    return Number(Atomics.load(this.#counts, offset >> 3));
  }

  #keep(index: number, result: number): boolean {
    this.#results[index] = result;
    if (result >= 0) return true;
    this.select(index);
    return false;
  }

  #takeSlot(slot: number, policy: LimiterPolicy, nowMs: number): number {
    const { idHigh, idLow, intervalNs, windowNs } = policy;
    const worker = this.#worker;
    return this.#kernels.limiterTake(worker, slot, idHigh, idLow, intervalNs, windowNs, nowMs);
  }

  #peekSlot(slot: number, policy: LimiterPolicy, nowMs: number): number {
    const { idHigh, idLow, intervalNs, windowNs } = policy;
    const worker = this.#worker;
    return this.#kernels.limiterPeek(worker, slot, idHigh, idLow, intervalNs, windowNs, nowMs);
  }

  #leastIndex(count: number): number {
    let least = 0;
    let leastRemaining = Number.POSITIVE_INFINITY;
    for (let index = 0; index < count; ++index) {
      const remaining = Math.floor(this.#results[index]! / this.#policies[index]!.intervalNs);
      if (remaining >= leastRemaining) continue;
      least = index;
      leastRemaining = remaining;
    }
    return least;
  }

  #hash(slot: number, key: string, high: number, low: number): void {
    const size = this.#writeShort(key);
    if (size < 0) this.#hashWide(slot, key, high, low);
    else this.#kernels.limiterHash(this.#worker, slot, size, high, low);
  }

  /** Writes a short ASCII key, one byte a character. Returns its size, or -1 for any other. */
  #writeShort(key: string): number {
    const size = key.length;
    if (size > LOOP_KEY_LENGTH_MAX) return -1;
    const bytes = this.#keyBytes;
    let seen = 0;
    for (let index = 0; index < size; ++index) {
      const unit = key.charCodeAt(index);
      bytes[index] = unit;
      seen |= unit;
    }
    return seen > ASCII_MAX ? -1 : size;
  }

  /** Hashes a key of any length as UTF-16, by chunks: each hash is the word before the next. */
  #hashWide(slot: number, key: string, high: number, low: number): void {
    let wordHigh = high;
    let wordLow = low;
    const bytes = this.#keyBytes;
    for (let start = 0; start < key.length; start += WIDE_CHUNK_LENGTH_MAX) {
      const isWhole = key.length <= WIDE_CHUNK_LENGTH_MAX;
      const chunk = isWhole ? key : key.slice(start, start + WIDE_CHUNK_LENGTH_MAX);
      bytes[0] = WIDE_MARK;
      const size = 1 + bytes.write(chunk, 1, 'utf16le');
      this.#kernels.limiterHash(this.#worker, slot, size, wordHigh, wordLow);
      wordLow = this.#hashes[slot * 2]!;
      wordHigh = this.#hashes[slot * 2 + 1]!;
    }
  }
}
