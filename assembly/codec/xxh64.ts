// XXH64 in 64-bit integer arithmetic, for pages and files of our own; not for keys that a stranger
// chooses (assembly/edge/siphash.ts says why). Four scalar lanes, not SIMD: a 64-bit multiply of
// vectors is many instructions on x86 before AVX-512 (measured: 6.6 GB/s against 20.9).
// Source: xxHash specification 0.1.1, github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md

import { WINDOW_OFFSET, WINDOW_SIZE_BYTES, XXH64_STATE_OFFSET } from '../shared/codec-layout';

const PRIME_1: u64 = 0x9e3779b185ebca87;
const PRIME_2: u64 = 0xc2b2ae3d27d4eb4f;
const PRIME_3: u64 = 0x165667b19e3779f9;
const PRIME_4: u64 = 0x85ebca77c2b2ae63;
const PRIME_5: u64 = 0x27d4eb2f165667c5;

const SEED_OFFSET = 32;
const TOTAL_OFFSET = 40;
const STRIPE_SIZE_BYTES = 32;

/** Starts a hash. */
export function xxh64Begin(seedHigh: u32, seedLow: u32): void {
  const seed = ((<u64>seedHigh) << 32) | <u64>seedLow;
  store<u64>(XXH64_STATE_OFFSET, seed + PRIME_1 + PRIME_2);
  store<u64>(XXH64_STATE_OFFSET, seed + PRIME_2, 8);
  store<u64>(XXH64_STATE_OFFSET, seed, 16);
  store<u64>(XXH64_STATE_OFFSET, seed - PRIME_1, 24);
  store<u64>(XXH64_STATE_OFFSET, seed, SEED_OFFSET);
  store<u64>(XXH64_STATE_OFFSET, 0, TOTAL_OFFSET);
}

/** Takes the window's first `sizeBytes`, which must be whole stripes of 32 bytes. */
export function xxh64Update(sizeBytes: u32): void {
  update(WINDOW_OFFSET, min<u32>(sizeBytes, WINDOW_SIZE_BYTES) & ~(STRIPE_SIZE_BYTES - 1));
}

/** `size` is whole stripes, and [from, from + size) is inside the memory. */
function update(from: u32, size: u32): void {
  let lane1 = load<u64>(XXH64_STATE_OFFSET);
  let lane2 = load<u64>(XXH64_STATE_OFFSET, 8);
  let lane3 = load<u64>(XXH64_STATE_OFFSET, 16);
  let lane4 = load<u64>(XXH64_STATE_OFFSET, 24);
  const end: u32 = from + size;
  // In bounds: `end` is inside the memory and a whole number of stripes away.
  for (let ptr: u32 = from; ptr < end; ptr += STRIPE_SIZE_BYTES) {
    lane1 = round(lane1, load<u64>(ptr));
    lane2 = round(lane2, load<u64>(ptr, 8));
    lane3 = round(lane3, load<u64>(ptr, 16));
    lane4 = round(lane4, load<u64>(ptr, 24));
  }
  store<u64>(XXH64_STATE_OFFSET, lane1);
  store<u64>(XXH64_STATE_OFFSET, lane2, 8);
  store<u64>(XXH64_STATE_OFFSET, lane3, 16);
  store<u64>(XXH64_STATE_OFFSET, lane4, 24);
  const total = load<u64>(XXH64_STATE_OFFSET, TOTAL_OFFSET);
  store<u64>(XXH64_STATE_OFFSET, total + size, TOTAL_OFFSET);
}

/** Takes the window's first `sizeBytes`, of any number, and ends the hash. */
export function xxh64Finish(sizeBytes: u32): u64 {
  return finish(WINDOW_OFFSET, min<u32>(sizeBytes, WINDOW_SIZE_BYTES));
}

/** The hash, with seed 0, of bytes that stand anywhere in the memory: zstd's content checksum is
 *  its low half (RFC 8878 section 3.1.1). The caller has checked that they are inside. */
export function xxh64Of(from: u32, size: u32): u64 {
  xxh64Begin(0, 0);
  return finish(from, size);
}

function finish(from: u32, size: u32): u64 {
  const stripes = size & ~(STRIPE_SIZE_BYTES - 1);
  if (stripes > 0) update(from, stripes);
  const before = load<u64>(XXH64_STATE_OFFSET, TOTAL_OFFSET);
  const total = before + (size - stripes);
  const start = before == 0 ? load<u64>(XXH64_STATE_OFFSET, SEED_OFFSET) + PRIME_5 : converged();
  return avalanche(rest(start + total, from + stripes, from + size));
}

function converged(): u64 {
  const lane1 = load<u64>(XXH64_STATE_OFFSET);
  const lane2 = load<u64>(XXH64_STATE_OFFSET, 8);
  const lane3 = load<u64>(XXH64_STATE_OFFSET, 16);
  const lane4 = load<u64>(XXH64_STATE_OFFSET, 24);
  let hash = rotl<u64>(lane1, 1) + rotl<u64>(lane2, 7);
  hash += rotl<u64>(lane3, 12) + rotl<u64>(lane4, 18);
  hash = (hash ^ round(0, lane1)) * PRIME_1 + PRIME_4;
  hash = (hash ^ round(0, lane2)) * PRIME_1 + PRIME_4;
  hash = (hash ^ round(0, lane3)) * PRIME_1 + PRIME_4;
  return (hash ^ round(0, lane4)) * PRIME_1 + PRIME_4;
}

/** The last bytes, fewer than a stripe. In bounds: each load is guarded by the bytes left. */
function rest(start: u64, from: u32, end: u32): u64 {
  let hash = start;
  let ptr = from;
  for (; ptr + 8 <= end; ptr += 8) {
    hash = rotl<u64>(hash ^ round(0, load<u64>(ptr)), 27) * PRIME_1 + PRIME_4;
  }
  if (ptr + 4 <= end) {
    hash = rotl<u64>(hash ^ (<u64>load<u32>(ptr) * PRIME_1), 23) * PRIME_2 + PRIME_3;
    ptr += 4;
  }
  for (; ptr < end; ++ptr) {
    hash = rotl<u64>(hash ^ (<u64>load<u8>(ptr) * PRIME_5), 11) * PRIME_1;
  }
  return hash;
}

function avalanche(mixed: u64): u64 {
  let hash = mixed;
  hash = (hash ^ (hash >> 33)) * PRIME_2;
  hash = (hash ^ (hash >> 29)) * PRIME_3;
  return hash ^ (hash >> 32);
}

function round(lane: u64, input: u64): u64 {
  return rotl<u64>(lane + input * PRIME_2, 31) * PRIME_1;
}
