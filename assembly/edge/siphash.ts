// SipHash-1-3: a keyed 64-bit hash for keys that clients choose. XXH64 costs the same for short
// keys, but inputs that collide under every seed are known for it, and whoever finds one for
// another user's key spends that user's tokens.
// Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", with c = 1 and d = 3.

/** Hashes the 8 bytes of `word` followed by `sizeBytes` bytes at `ptr`.
 *  Shape: `ptr` must have 8 readable bytes more than `sizeBytes`.
 *  Cost: O(bytes), about 2 ns per 8 bytes. */
export function sipHash(key0: u64, key1: u64, word: u64, ptr: usize, sizeBytes: u32): u64 {
  let v0 = key0 ^ 0x736f6d6570736575;
  let v1 = key1 ^ 0x646f72616e646f6d;
  let v2 = key0 ^ 0x6c7967656e657261;
  let v3 = key1 ^ 0x7465646279746573;
  const lastPtr = ptr + (sizeBytes & ~7);
  // In bounds because of the caller's slack; the bytes beyond the input are masked away.
  const tail = load<u64>(lastPtr) & (((<u64>1) << ((<u64>(sizeBytes & 7)) << 3)) - 1);
  const last = ((<u64>(sizeBytes + 8)) << 56) | tail;
  let message = word;
  let isLast = false;
  while (true) {
    v3 ^= message;
    v0 += v1;
    v2 += v3;
    v1 = rotl<u64>(v1, 13) ^ v0;
    v3 = rotl<u64>(v3, 16) ^ v2;
    v0 = rotl<u64>(v0, 32);
    v2 += v1;
    v0 += v3;
    v1 = rotl<u64>(v1, 17) ^ v2;
    v3 = rotl<u64>(v3, 21) ^ v0;
    v2 = rotl<u64>(v2, 32);
    v0 ^= message;
    if (isLast) break;
    if (ptr < lastPtr) {
      // In bounds: `ptr` and `lastPtr` differ by a multiple of 8 and lastPtr ends inside the input.
      message = load<u64>(ptr);
      ptr += 8;
    } else {
      message = last;
      isLast = true;
    }
  }
  v2 ^= 0xff;
  for (let round = 0; round < 3; ++round) {
    v0 += v1;
    v2 += v3;
    v1 = rotl<u64>(v1, 13) ^ v0;
    v3 = rotl<u64>(v3, 16) ^ v2;
    v0 = rotl<u64>(v0, 32);
    v2 += v1;
    v0 += v3;
    v1 = rotl<u64>(v1, 17) ^ v2;
    v3 = rotl<u64>(v3, 21) ^ v0;
    v2 = rotl<u64>(v2, 32);
  }
  return v0 ^ v1 ^ v2 ^ v3;
}
