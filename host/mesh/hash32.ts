// A 32-bit hash of text for consistent hashing. Every worker, every reload and every process must
// agree on it, so it has no seed; whatever clients must not predict (limiter keys) is hashed with a
// secret elsewhere.

/** Hashes UTF-16 code units. Source: FNV-1a, closed by murmur3's finaliser, because FNV alone
 *  leaves the high bits of short keys poor. Cost: about 1 ns a character, no allocation. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return mix32(hash);
}

/** Spreads each bit of a number over all 32. Source: murmur3's fmix32. */
export function mix32(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
