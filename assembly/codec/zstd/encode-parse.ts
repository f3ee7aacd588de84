// Which parser and which tables an effort has, and the memory they take.
//
//   | Matcher | long | short | chain, or pairs of the tree | near | Optimal ... |
//                            '-- from effort 2             '-- effort 3

import { analyseBlock } from './encode-analyse';
import { LENGTH_ENOUGH } from './encode-collect';
import { NEAR_LOG } from './encode-find';
import { parseLazily } from './encode-lazy';
import { beginOptimal, Optimal, optimalWorkSize, parseOptimally } from './encode-optimal';
import {
  HASH_SIZE_BYTES,
  hashLong,
  insertLongUpTo,
  insertUpTo,
  LONG_LOG_MAX,
  MATCHER_SIZE_BYTES,
  Matcher,
  matchLength,
  SHORT_LOG_MAX,
  tableLogFor,
} from './encode-tables';
import { growTree, SLOTS_LOG_MAX } from './encode-tree';
import { Block, Encoder } from './encode-work';

/** 1: two tables, waits one byte. 2: chains, waits two. 3: a tree or deep chains, weighs all. */
export const EFFORT_MAX: u32 = 3;
const EFFORT_FAST: u32 = 1;
const EFFORT_OPTIMAL: u32 = 3;
const DEPTH_LAZY: u32 = 24;
/** Chains of effort 3 are as deep as the time that a tree would take allows. */
const DEPTH_OPTIMAL_MIN: u32 = 128;
const DEPTH_OPTIMAL_MAX: u32 = 1024;
const DEPTH_TIMES_CHANGED: u32 = 12;
const NEAR_SIZE_BYTES: u32 = 4 << NEAR_LOG;

export function parserWorkSize(dictionarySize: u32, sourceSize: u32, effort: u32): u32 {
  const positions = dictionarySize + sourceSize;
  const longSize: u32 = 4 << tableLogFor(positions, LONG_LOG_MAX);
  const shortSize: u32 = 4 << tableLogFor(positions, SHORT_LOG_MAX);
  const tables = MATCHER_SIZE_BYTES + longSize + shortSize;
  if (effort == EFFORT_FAST) return tables;
  if (effort != EFFORT_OPTIMAL) return tables + ((positions + 1) << 2);
  return tables + linksSize(positions) + NEAR_SIZE_BYTES + optimalWorkSize(sourceSize);
}

/** A chain or a tree, whichever is larger. */
function linksSize(positions: u32): u32 {
  return max((positions + 1) << 2, slotsOf(positions) << 3);
}

/** One for every position, or a power of two. */
function slotsOf(positions: u32): u32 {
  return min<u32>(positions + 1, 1 << SLOTS_LOG_MAX);
}

/** Empties the tables and puts the dictionary in. */
export function beginParser(encoder: Encoder): void {
  const matcher = changetype<Matcher>(encoder.parser);
  const positions = encoder.end - 1;
  const longLog = tableLogFor(positions, LONG_LOG_MAX);
  const shortLog = tableLogFor(positions, SHORT_LOG_MAX);
  matcher.longTable = encoder.parser + MATCHER_SIZE_BYTES;
  matcher.longShift = 64 - longLog;
  matcher.shortTable = matcher.longTable + (4 << longLog);
  matcher.shortShift = 64 - shortLog;
  matcher.next = 1;
  matcher.pairs = 0;
  memory.fill(matcher.longTable, 0, (4 << longLog) + (4 << shortLog));
  const links = matcher.shortTable + (4 << shortLog);
  matcher.chain = encoder.effort == EFFORT_FAST ? 0 : links;
  matcher.depth = encoder.effort == EFFORT_FAST ? 0 : DEPTH_LAZY;
  if (encoder.effort == EFFORT_OPTIMAL) beginBest(encoder, matcher, links);
  else insertUpTo(encoder, matcher, encoder.start);
}

/** Chains where the dictionary covers most of the content: the fewer positions are left to look
 *  for, the deeper. Else a tree, which takes longer to build and finds more. */
function beginBest(encoder: Encoder, matcher: Matcher, links: u32): void {
  const positions = encoder.end - 1;
  matcher.near = links + linksSize(positions);
  matcher.optimal = matcher.near + NEAR_SIZE_BYTES;
  memory.fill(matcher.near, 0, NEAR_SIZE_BYTES);
  beginOptimal(encoder, matcher.optimal);
  insertLongUpTo(encoder, matcher, encoder.start);
  const changed = countChanged(encoder, matcher);
  const depth = (<u64>encoder.start * DEPTH_TIMES_CHANGED) / max(changed, 1);
  matcher.depth = <u32>min<u64>(depth, DEPTH_OPTIMAL_MAX);
  if (depth >= <u64>DEPTH_OPTIMAL_MIN) {
    matcher.next = 1;
    insertUpTo(encoder, matcher, encoder.start);
    return;
  }
  const slots = slotsOf(positions);
  matcher.chain = 0;
  matcher.depth = 1;
  matcher.pairs = links;
  matcher.slotsMask = slots == 1 << SLOTS_LOG_MAX ? slots - 1 : 0xffffffff;
  matcher.nextInTree = 1;
  growTree(encoder, matcher, encoder.start);
}

/** Positions of the content outside long matches with the dictionary. */
function countChanged(encoder: Encoder, matcher: Matcher): u32 {
  const base = encoder.base;
  let changed = min<u32>(encoder.end - encoder.start, HASH_SIZE_BYTES);
  let position = encoder.start;
  while (position + HASH_SIZE_BYTES <= encoder.end) {
    const here = base + position;
    const candidate = load<u32>(matcher.longTable + (hashLong(here, matcher.longShift) << 2));
    const length: u32 =
      candidate == 0 ? 0 : matchLength(base + candidate, here, base + encoder.end);
    const isLong = length >= LENGTH_ENOUGH;
    changed += u32(!isLong);
    position += isLong ? length : 1;
  }
  return changed;
}

/** Parses a block into its sequences and analyses it; the one of empty content has none. */
export function parseBlock(encoder: Encoder, block: Block): void {
  const matcher = changetype<Matcher>(encoder.parser);
  if (encoder.effort == EFFORT_OPTIMAL && block.size > 0) {
    parseOptimally(encoder, block, matcher, changetype<Optimal>(matcher.optimal));
  } else {
    parseLazily(encoder, block);
    analyseBlock(encoder, block);
  }
}
