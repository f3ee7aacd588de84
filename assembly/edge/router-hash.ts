// Hashes and comparisons of bytes, eight at a time. Refuses to look at bytes one by one, because a
// path's segments are the router's whole input. Every caller passes bytes that are followed by at
// least eight more bytes of the same area (scratch areas and tables are padded), so a load that
// runs over the end stays inside the memory, and what it read too much is masked away.

import {
  FNV_BASIS,
  FNV_PRIME,
  HASH_A,
  HASH_B,
  HASH_C,
  HASH_D,
  HASH_ROTATION,
} from '../shared/router-layout';

/** Hashes a path segment; never 0. */
export function hashSegment(ptr: usize, sizeBytes: i32): i32 {
  let hash: i32 = sizeBytes;
  let left = sizeBytes;
  while (left >= 8) {
    hash = hashStep(hash, load<u64>(ptr));
    ptr += 8;
    left -= 8;
  }
  if (left > 0) hash = hashStep(hash, load<u64>(ptr) & lowBytesMask(left));
  return hash == 0 ? 1 : hash;
}

function hashStep(hash: i32, word: u64): i32 {
  return rotl<i32>((<i32>word ^ hash) * HASH_A + <i32>(word >> 32) * HASH_B, HASH_ROTATION);
}

function lowBytesMask(count: i32): u64 {
  return ((<u64>1) << (count << 3)) - 1;
}

/** The key of a child node in the slots. */
export function slotKey(parent: i32, hash: i32): i32 {
  let key = hash ^ (parent * HASH_C);
  key ^= <i32>(<u32>key >> 16);
  key *= HASH_D;
  return key ^ <i32>(<u32>key >> 15);
}

/** One step of FNV-1a. */
export function fnvStep(hash: i32, byte: i32): i32 {
  return (hash ^ byte) * FNV_PRIME;
}

/** FNV-1a over bytes. */
export function fnv(ptr: usize, sizeBytes: i32): i32 {
  let hash: i32 = FNV_BASIS;
  for (let end = ptr + sizeBytes; ptr < end; ptr++) hash = fnvStep(hash, load<u8>(ptr));
  return hash;
}

/** Whether two runs of bytes are equal. */
export function bytesEqual(left: usize, right: usize, sizeBytes: i32): bool {
  let count = sizeBytes;
  while (count >= 8) {
    if (load<u64>(left) != load<u64>(right)) return false;
    left += 8;
    right += 8;
    count -= 8;
  }
  return count == 0 || ((load<u64>(left) ^ load<u64>(right)) & lowBytesMask(count)) == 0;
}
