// A binary tree per hash of four bytes, sorted by what follows, with the latest position on top. A
// walk down from the top meets the nearest match of each length, and sorts the new position in on
// the way.
//
//   pairs:  (smaller u32, larger u32) per position
//
// A position's pair stands at its low bits: beyond SLOTS_LOG_MAX the oldest are forgotten, and only
// the long table still knows them.

import { putMatch } from './encode-find';
import { hashShort, insertLimit, Matcher, matchLength, POSITIONS_MANY } from './encode-tables';
import { Encoder } from './encode-work';

export const SLOTS_LOG_MAX: u32 = 26;
/** Comparisons of a walk: of a position that is only sorted in, and of one whose matches are
 *  wanted. Many positions do not fit the caches, and deep walks cost more than they find. */
const DEPTH_INDEX: u32 = 32;
const DEPTH_FIND: u32 = 64;
const DEPTH_INDEX_MANY: u32 = 16;
const DEPTH_FIND_MANY: u32 = 32;
/** Positions that agree so far are one to the tree. */
const AGREED: u32 = 128;
/** Positions on to the next one that is sorted in, inside what agrees. */
const AGREED_STEP: u32 = 8;
const LENGTH_MIN: u32 = 4;

/** Sorts in every position before `position`, the middle of long repeats aside. */
export function growTree(encoder: Encoder, matcher: Matcher, position: u32): void {
  const limit = insertLimit(encoder, position);
  const depth = encoder.end > POSITIONS_MANY ? DEPTH_INDEX_MANY : DEPTH_INDEX;
  let next = matcher.nextInTree;
  while (next < limit) {
    const hasTwin = walk(encoder, matcher, next, 0, depth, 0, 0) != 0;
    next += hasTwin ? AGREED_STEP : 1;
  }
  matcher.nextInTree = max(matcher.nextInTree, next);
}

/** Sorts a position in and adds its matches to those at `from`; returns the place after them. */
export function walkTree(
  encoder: Encoder,
  matcher: Matcher,
  position: u32,
  end: u32,
  from: u32,
  to: u32,
): u32 {
  const depth = encoder.end > POSITIONS_MANY ? DEPTH_FIND_MANY : DEPTH_FIND;
  matcher.nextInTree = max(matcher.nextInTree, position + 1);
  return walk(encoder, matcher, position, end, depth, from, to);
}

/** Without `from` returns 1 if a position was found that is one with this. In bounds: bytes are
 *  compared before the content's end, and candidates are positions of the tree. */
function walk(
  encoder: Encoder,
  matcher: Matcher,
  position: u32,
  end: u32,
  depth: u32,
  from: u32,
  start: u32,
): u32 {
  const base = encoder.base;
  const pairs = matcher.pairs;
  const mask = matcher.slotsMask;
  const here = base + position;
  const limit = min(encoder.end, position + AGREED);
  const head = matcher.shortTable + (hashShort(here, matcher) << 2);
  let candidate = load<u32>(head);
  store<u32>(head, position);
  let smaller = pairs + ((position & mask) << 3);
  let larger = smaller + 4;
  let smallerLength: u32 = 0;
  let largerLength: u32 = 0;
  let best = LENGTH_MIN - 1;
  let to = start;
  for (let left = depth; left > 0 && candidate != 0 && position - candidate <= mask; --left) {
    const pair = pairs + ((candidate & mask) << 3);
    let length = min(smallerLength, largerLength);
    length += matchLength(base + candidate + length, here + length, base + limit);
    if (length > best) {
      best = length;
      if (from != 0) to = putFound(encoder, position, candidate, length, end, from, to);
    }
    if (position + length >= limit) {
      // As far as the tree sorts they are one: the new one takes the old one's place.
      store<u32>(smaller, load<u32>(pair));
      store<u32>(larger, load<u32>(pair, 4));
      return from == 0 ? 1 : to;
    }
    if (load<u8>(base + candidate + length) < load<u8>(here + length)) {
      store<u32>(smaller, candidate);
      smaller = pair + 4;
      smallerLength = length;
      candidate = load<u32>(smaller);
    } else {
      store<u32>(larger, candidate);
      larger = pair;
      largerLength = length;
      candidate = load<u32>(larger);
    }
  }
  store<u32>(smaller, 0);
  store<u32>(larger, 0);
  return to;
}

/** A match ends with its block; one as long as the tree compares may be longer. */
function putFound(
  encoder: Encoder,
  position: u32,
  candidate: u32,
  length: u32,
  end: u32,
  from: u32,
  to: u32,
): u32 {
  let whole = min(length, end - position);
  if (length >= AGREED) {
    const here = encoder.base + position + whole;
    whole += matchLength(encoder.base + candidate + whole, here, encoder.base + end);
  }
  return putMatch(from, to, whole, position - candidate);
}
