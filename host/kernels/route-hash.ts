// The hashes of assembly/edge/router-hash.ts for the thread that compiles a table. Both must agree
// to the bit: a literal whose hash differs is a route that is never found.

import {
  FNV_BASIS,
  FNV_PRIME,
  HASH_A,
  HASH_B,
  HASH_C,
  HASH_D,
  HASH_ROTATION,
} from '../../assembly/shared/router-layout.ts';

/** Hash of a path segment whose bytes lie at `words[start]`, zeros up to a multiple of 8. */
export function hashLiteral(words: Int32Array, start: number, sizeBytes: number): number {
  let hash = sizeBytes;
  for (let at = 0; at < sizeBytes; at += 8) {
    const low = words[start + (at >> 2)]!;
    const high = words[start + (at >> 2) + 1]!;
    const mixed = (Math.imul(low ^ hash, HASH_A) + Math.imul(high, HASH_B)) | 0;
    hash = (mixed << HASH_ROTATION) | (mixed >>> (32 - HASH_ROTATION));
  }
  return hash === 0 ? 1 : hash;
}

/** The key of a literal child in the slots. */
export function slotKey(parent: number, hash: number): number {
  let key = hash ^ Math.imul(parent, HASH_C);
  key ^= key >>> 16;
  key = Math.imul(key, HASH_D);
  return key ^ (key >>> 15);
}

/** FNV-1a over bytes: of a query parameter's name. */
export function hashBytes(bytes: Uint8Array): number {
  let hash = FNV_BASIS;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, FNV_PRIME);
  return hash;
}

/** FNV-1a from the last byte to the first: of a host, so that suffixes are hashed on the way. */
export function hashHost(bytes: Uint8Array): number {
  let hash = FNV_BASIS;
  for (let at = bytes.length - 1; at >= 0; at--) hash = Math.imul(hash ^ bytes[at]!, FNV_PRIME);
  return hash;
}
