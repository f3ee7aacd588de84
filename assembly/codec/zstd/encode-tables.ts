// Match tables: which earlier positions look like this one. A long table remembers the latest
// position of each hash of eight bytes; a short one that of each hash of four or five, and above
// effort 1 each position knows the one before it of its hash, a chain, or has a tree's pair.
//
//   | Matcher | long u32 x 2^longLog | short u32 x 2^shortLog | chain u32 x (positions + 1) |

import { Encoder } from './encode-work';

/** A parser's tables, and the match that the lazy parser found last. */
@unmanaged
export class Matcher {
  longTable: u32;
  longShift: u32;
  shortTable: u32;
  shortShift: u32;
  /** 0 if there are no chains. */
  chain: u32;
  /** Candidates of a chain that are tried. */
  depth: u32;
  /** The first position that is not in the tables yet. */
  next: u32;
  /** The match: 0 long if there is none. */
  length: u32;
  distance: u32;
  /** What it is worth, in quarters of a byte. */
  gain: i32;
  /** Effort 3: pairs of the tree, 0 if there are chains; how positions become slots; the first
   *  position that is not in the tree; the latest position of each hash of three bytes. */
  pairs: u32;
  slotsMask: u32;
  nextInTree: u32;
  near: u32;
  /** The optimal parser's own area. */
  optimal: u32;
}

export const MATCHER_SIZE_BYTES: u32 = 64;
const LOG_MIN: u32 = 10;
export const LONG_LOG_MAX: u32 = 26;
export const SHORT_LOG_MAX: u32 = 24;
/** From here on tables are far larger than the caches, and every look-up counts. */
export const POSITIONS_MANY: u32 = 4194304;
/** Bytes that a hash may look at. */
export const HASH_SIZE_BYTES: u32 = 8;
/** Content inside a longer match is in the tables already, where the match points. */
const GAP_MAX: u32 = 4096;
const GAP_KEPT: u32 = 1024;

const PRIME_4: u32 = 0x9e3779b1;
const PRIME_8: u64 = 0x9fb21c651e98df25;

/** As many entries as positions, within bounds. */
export function tableLogFor(positions: u32, logMax: u32): u32 {
  return min(max(32 - clz<u32>(positions), LOG_MIN), logMax);
}

export function hashLong(ptr: u32, shift: u32): u32 {
  return <u32>((load<u64>(ptr) * PRIME_8) >> <u64>shift);
}

/** Of five bytes at effort 1, else of four. */
export function hashShort(ptr: u32, matcher: Matcher): u32 {
  if (matcher.depth != 0) return (load<u32>(ptr) * PRIME_4) >> (matcher.shortShift - 32);
  return <u32>(((load<u64>(ptr) << 24) * PRIME_8) >> <u64>matcher.shortShift);
}

/** Puts every position before `position` into the tables. In bounds: no position is among the
 *  last seven bytes, and hashes are below their tables' sizes. */
export function insertUpTo(encoder: Encoder, matcher: Matcher, position: u32): void {
  const limit = insertLimit(encoder, position);
  let next = matcher.next;
  if (next > encoder.start && limit > next + GAP_MAX) next = limit - GAP_KEPT;
  const base = encoder.base;
  const chain = matcher.chain;
  for (; next < limit; ++next) {
    const ptr = base + next;
    store<u32>(matcher.longTable + (hashLong(ptr, matcher.longShift) << 2), next);
    const head = matcher.shortTable + (hashShort(ptr, matcher) << 2);
    if (chain != 0) store<u32>(chain + (next << 2), load<u32>(head));
    store<u32>(head, next);
  }
  matcher.next = max(matcher.next, next);
}

/** The same for the long table alone. */
export function insertLongUpTo(encoder: Encoder, matcher: Matcher, position: u32): void {
  const limit = insertLimit(encoder, position);
  let next = matcher.next;
  for (; next < limit; ++next) {
    store<u32>(matcher.longTable + (hashLong(encoder.base + next, matcher.longShift) << 2), next);
  }
  matcher.next = max(matcher.next, next);
}

/** A position with fewer than eight bytes after it has no hash. */
export function insertLimit(encoder: Encoder, position: u32): u32 {
  return min<u32>(position, encoder.end - min<u32>(encoder.end, HASH_SIZE_BYTES - 1));
}

/** Bytes alike at two places, the later before `end`. In bounds: words loaded end before it. */
export function matchLength(earlier: u32, later: u32, end: u32): u32 {
  let ptr = later;
  const distance = later - earlier;
  for (; ptr + 8 <= end; ptr += 8) {
    const differing = load<u64>(ptr) ^ load<u64>(ptr - distance);
    if (differing != 0) return ptr - later + (<u32>ctz<u64>(differing) >> 3);
  }
  while (ptr < end && load<u8>(ptr) == load<u8>(ptr - distance)) ++ptr;
  return ptr - later;
}
