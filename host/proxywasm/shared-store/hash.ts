// Hashes of keys: FNV-1a over a seed that nobody outside knows.

const PRIME = 0x0100_0193;

/** Never 0. */
export function hashOf(bytes: Uint8Array, seed: number): number {
  let hash = seed;
  for (let index = 0; index < bytes.length; index++) {
    hash = Math.imul(hash ^ bytes[index]!, PRIME);
  }
  // Buckets take the low bits, which FNV mixes least.
  hash ^= hash >>> 15;
  return hash === 0 ? 1 : hash;
}
