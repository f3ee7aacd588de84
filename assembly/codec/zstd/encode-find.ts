// All matches of a position, for the parser that weighs them: the nearest of each length that the
// tree or the chain yields, before them a near one of three bytes, after them what the long table
// remembers.
//
//   a match: length u32 | distance u32; each longer than the one before

import {
  HASH_SIZE_BYTES,
  hashLong,
  hashShort,
  insertLongUpTo,
  insertUpTo,
  Matcher,
  matchLength,
} from './encode-tables';
import { growTree, walkTree } from './encode-tree';
import { Encoder } from './encode-work';

/** The matches kept of one position. */
export const MATCHES_MAX: u32 = 16;
export const MATCH_SIZE_BYTES: u32 = 8;
export const NEAR_LOG: u32 = 16;
/** A match of three bytes from further away costs more than its literals. */
const NEAR_DISTANCE_MAX: u32 = 16384;
const NEAR_LENGTH: u32 = 3;
const PRIME: u32 = 0x9e3779b1;

/** Writes the matches of a position; returns the place after them. In bounds: MATCHES_MAX at most,
 *  and a position with fewer than eight bytes after it has none. */
export function findMatches(
  encoder: Encoder,
  matcher: Matcher,
  position: u32,
  end: u32,
  from: u32,
): u32 {
  if (position + HASH_SIZE_BYTES > encoder.end) return from;
  const here = encoder.base + position;
  const longEntry = matcher.longTable + (hashLong(here, matcher.longShift) << 2);
  let to = tryNear(encoder, matcher, position, end, from);
  if (matcher.pairs == 0) {
    insertUpTo(encoder, matcher, position);
    to = followChain(encoder, matcher, position, end, from, to);
  } else {
    insertLongUpTo(encoder, matcher, position);
    growTree(encoder, matcher, position);
    to = walkTree(encoder, matcher, position, end, from, to);
  }
  const candidate = load<u32>(longEntry);
  if (candidate == 0) return to;
  const length = matchLength(encoder.base + candidate, here, encoder.base + end);
  return putMatch(from, to, length, position - candidate);
}

/** Adds a match if it is longer than those before; the last place is the longest's. */
export function putMatch(from: u32, to: u32, length: u32, distance: u32): u32 {
  let place = to;
  if (length < NEAR_LENGTH || (to > from && load<u32>(to - MATCH_SIZE_BYTES) >= length)) return to;
  if (to - from >= MATCHES_MAX * MATCH_SIZE_BYTES) place -= MATCH_SIZE_BYTES;
  store<u32>(place, length);
  store<u32>(place, distance, 4);
  return place + MATCH_SIZE_BYTES;
}

function tryNear(encoder: Encoder, matcher: Matcher, position: u32, end: u32, from: u32): u32 {
  const here = encoder.base + position;
  const entry = matcher.near + ((((load<u32>(here) << 8) * PRIME) >> (32 - NEAR_LOG)) << 2);
  const candidate = load<u32>(entry);
  store<u32>(entry, position);
  if (candidate == 0 || position - candidate > NEAR_DISTANCE_MAX) return from;
  const length = matchLength(encoder.base + candidate, here, encoder.base + end);
  return putMatch(from, from, length, position - candidate);
}

/** In bounds: a word that ends where a longer match would is looked at before the block's end. */
function followChain(
  encoder: Encoder,
  matcher: Matcher,
  position: u32,
  end: u32,
  from: u32,
  start: u32,
): u32 {
  const base = encoder.base;
  const here = base + position;
  const room = end - position;
  let to = start;
  let best: u32 = NEAR_LENGTH;
  let candidate = load<u32>(matcher.shortTable + (hashShort(here, matcher) << 2));
  for (let left = matcher.depth; left > 0 && candidate != 0 && best < room; --left) {
    const earlier = base + candidate;
    if (load<u32>(earlier + best - 3) == load<u32>(here + best - 3)) {
      const length = matchLength(earlier, here, base + end);
      if (length > best) {
        best = length;
        to = putMatch(from, to, length, position - candidate);
      }
    }
    candidate = load<u32>(matcher.chain + (candidate << 2));
  }
  return to;
}
