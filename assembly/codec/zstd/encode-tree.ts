// The matches of every position, for the parser that weighs them all: a binary tree per hash of four
// bytes, sorted by what follows, with the latest position on top. A walk down from the top meets the
// nearest match of each length, and sorts the new position in on the way.
//
//   | Tree | heads u32 x 2^headsLog | near u32 x 2^nearLog | pairs (smaller u32, larger u32) x slots |
//
// A position's pair stands at its low bits: beyond `slots` positions the oldest are forgotten, and
// only the long table (encode-tables.ts) still knows them.

import { matchLength } from './encode-tables';
import { Encoder } from './encode-work';

@unmanaged
export class Tree {
  heads: u32;
  headsShift: u32;
  /** Latest position of each hash of three bytes. */
  near: u32;
  pairs: u32;
  slotsMask: u32;
  /** The first position that is not in the tree yet. */
  next: u32;
  /** The optimal parser's own area. */
  optimal: u32;
}

export const TREE_SIZE_BYTES: u32 = 32;
export const NEAR_LOG: u32 = 16;
export const SLOTS_LOG_MAX: u32 = 26;
/** Comparisons of a walk: of a dictionary's position, and of one whose matches are wanted. */
const DEPTH_INDEX: u32 = 64;
const DEPTH_FIND: u32 = 128;
/** Positions that agree so far are one to the tree. */
export const AGREED: u32 = 256;
/** A match of three bytes from further away costs more than its literals. */
const NEAR_DISTANCE_MAX: u32 = 16384;
/** The matches kept of one position. */
export const MATCHES_MAX: u32 = 16;
const MATCH_LENGTH_MIN_TREE: u32 = 4;
const PRIME: u32 = 0x9e3779b1;
const WALK_SIZE_BYTES: u32 = 8;

function headOf(tree: Tree, ptr: u32): u32 {
  return tree.heads + (((load<u32>(ptr) * PRIME) >> tree.headsShift) << 2);
}

function nearOf(tree: Tree, ptr: u32): u32 {
  return tree.near + ((((load<u32>(ptr) << 8) * PRIME) >> (32 - NEAR_LOG)) << 2);
}

/** Sorts in every position before `position`; what is inside long matches is left out. */
export function growTree(encoder: Encoder, tree: Tree, position: u32): void {
  const limit = min<u32>(position, encoder.end - min<u32>(encoder.end, WALK_SIZE_BYTES - 1));
  let next = tree.next;
  while (next < limit) {
    store<u32>(nearOf(tree, encoder.base + next), next);
    next += walk(encoder, tree, next, 0, 0, DEPTH_INDEX);
  }
  tree.next = max(tree.next, next);
}

/** Writes the matches at a position, each longer and further than the one before, as pairs of
 *  length and distance; returns the place after them. In bounds: MATCHES_MAX at most. */
export function findMatches(encoder: Encoder, tree: Tree, position: u32, end: u32, ptr: u32): u32 {
  if (position + WALK_SIZE_BYTES > encoder.end) return ptr;
  growTree(encoder, tree, position);
  const here = encoder.base + position;
  const nearEntry = nearOf(tree, here);
  const near = load<u32>(nearEntry);
  store<u32>(nearEntry, position);
  let target = ptr;
  if (near != 0 && position - near < NEAR_DISTANCE_MAX) {
    const length = matchLength(encoder.base + near, here, encoder.base + end);
    if (length >= 3) {
      store<u32>(target, length);
      store<u32>(target, position - near, 4);
      target += 8;
    }
  }
  walk(encoder, tree, position, end, target, DEPTH_FIND);
  tree.next = position + 1;
  return changetype<Found>(encoder.scratch).end;
}

@unmanaged
class Found {
  end: u32;
}

/** Sorts a position in; with a `target` writes its matches there. Returns how many positions on
 *  the next one to sort in is: the middle of long repeats is skipped. */
function walk(encoder: Encoder, tree: Tree, position: u32, end: u32, target: u32, depth: u32): u32 {
  const base = encoder.base;
  const pairs = tree.pairs;
  const mask = tree.slotsMask;
  const here = base + position;
  const limit = min(encoder.end, position + AGREED);
  const head = headOf(tree, here);
  let candidate = load<u32>(head);
  store<u32>(head, position);
  let smaller = pairs + ((position & mask) << 3);
  let larger = smaller + 4;
  let smallerLength: u32 = 0;
  let largerLength: u32 = 0;
  let best = MATCH_LENGTH_MIN_TREE - 1;
  let to = target;
  for (let left = depth; left > 0 && candidate != 0 && position - candidate <= mask; --left) {
    const pair = pairs + ((candidate & mask) << 3);
    let length = min(smallerLength, largerLength);
    length += matchLength(base + candidate + length, here + length, base + limit);
    if (length > best) {
      best = length;
      if (to != 0) to = putMatch(encoder, position, candidate, length, end, to, target);
    }
    if (position + length >= limit) {
      // As far as the tree sorts they are one: the new one takes the old one's place.
      store<u32>(smaller, load<u32>(pair));
      store<u32>(larger, load<u32>(pair, 4));
      changetype<Found>(encoder.scratch).end = to;
      return length >= AGREED ? 8 : 1;
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
  changetype<Found>(encoder.scratch).end = to;
  return 1;
}

/** A match that goes as far as the tree compares may go further, up to the block's end. */
function putMatch(
  encoder: Encoder,
  position: u32,
  candidate: u32,
  length: u32,
  end: u32,
  to: u32,
  from: u32,
): u32 {
  let whole = min(length, end - position);
  if (length >= AGREED) {
    const here = encoder.base + position + whole;
    whole += matchLength(encoder.base + candidate + whole, here, encoder.base + end);
  }
  let target = to;
  if (target > from && load<u32>(target - 8) >= whole) return to;
  if (target - from >= (MATCHES_MAX - 1) << 3) target -= 8;
  store<u32>(target, whole);
  store<u32>(target, position - candidate, 4);
  return target + 8;
}
