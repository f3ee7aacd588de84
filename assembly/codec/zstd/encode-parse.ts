// Which parser an effort has, and the memory it takes.

import { parseLazily } from './encode-lazy';
import { beginOptimal, Optimal, optimalWorkSize, parseOptimally } from './encode-optimal';
import {
  insertUpTo,
  LONG_LOG_MAX,
  MATCHER_SIZE_BYTES,
  Matcher,
  SHORT_LOG_MAX,
  tableLogFor,
} from './encode-tables';
import { growTree, NEAR_LOG, SLOTS_LOG_MAX, TREE_SIZE_BYTES, Tree } from './encode-tree';
import { Block, Encoder } from './encode-work';

/** 1: two tables, waits one byte. 2: chains, waits two. 3: a tree, weighs all. */
export const EFFORT_MAX: u32 = 3;
const EFFORT_CHAINS: u32 = 2;
const EFFORT_OPTIMAL: u32 = 3;
const CHAIN_DEPTH: u32 = 24;

export function parserWorkSize(dictionarySize: u32, sourceSize: u32, effort: u32): u32 {
  const positions = dictionarySize + sourceSize;
  const shortSize: u32 = 4 << tableLogFor(positions, SHORT_LOG_MAX);
  if (effort == EFFORT_OPTIMAL) {
    const nearSize: u32 = 4 << NEAR_LOG;
    return (
      TREE_SIZE_BYTES +
      shortSize +
      nearSize +
      (slotsOf(positions) << 3) +
      optimalWorkSize(sourceSize)
    );
  }
  const longSize: u32 = 4 << tableLogFor(positions, LONG_LOG_MAX);
  const chainSize = effort == EFFORT_CHAINS ? (positions + 1) << 2 : 0;
  return MATCHER_SIZE_BYTES + longSize + shortSize + chainSize;
}

/** One for every position, or a power of two. */
function slotsOf(positions: u32): u32 {
  return min<u32>(positions + 1, 1 << SLOTS_LOG_MAX);
}

/** Empties the tables and puts the dictionary in. */
export function beginParser(encoder: Encoder): void {
  if (encoder.effort == EFFORT_OPTIMAL) beginTree(encoder);
  else beginMatcher(encoder);
}

function beginMatcher(encoder: Encoder): void {
  const matcher = changetype<Matcher>(encoder.parser);
  const positions = encoder.end - 1;
  const longLog = tableLogFor(positions, LONG_LOG_MAX);
  const shortLog = tableLogFor(positions, SHORT_LOG_MAX);
  matcher.longTable = encoder.parser + MATCHER_SIZE_BYTES;
  matcher.longShift = 64 - longLog;
  matcher.shortTable = matcher.longTable + (4 << longLog);
  matcher.shortShift = 64 - shortLog;
  matcher.chain = encoder.effort == EFFORT_CHAINS ? matcher.shortTable + (4 << shortLog) : 0;
  matcher.depth = CHAIN_DEPTH;
  matcher.next = 1;
  memory.fill(matcher.longTable, 0, (4 << longLog) + (4 << shortLog));
  insertUpTo(encoder, matcher, encoder.start);
}

function beginTree(encoder: Encoder): void {
  const tree = changetype<Tree>(encoder.parser);
  const positions = encoder.end - 1;
  const headsLog = tableLogFor(positions, SHORT_LOG_MAX);
  const slots = slotsOf(positions);
  const headsSize: u32 = (4 << headsLog) + (4 << NEAR_LOG);
  tree.heads = encoder.parser + TREE_SIZE_BYTES;
  tree.headsShift = 32 - headsLog;
  tree.near = tree.heads + (4 << headsLog);
  tree.pairs = tree.heads + headsSize;
  tree.slotsMask = slots == 1 << SLOTS_LOG_MAX ? slots - 1 : 0xffffffff;
  tree.optimal = tree.pairs + (slots << 3);
  tree.next = 1;
  memory.fill(tree.heads, 0, headsSize);
  beginOptimal(encoder, tree.optimal);
  growTree(encoder, tree, encoder.start);
}

/** Parses a block into its sequences. */
export function parseBlock(encoder: Encoder, block: Block): void {
  if (encoder.effort != EFFORT_OPTIMAL) {
    parseLazily(encoder, block);
    return;
  }
  const tree = changetype<Tree>(encoder.parser);
  parseOptimally(encoder, block, tree, changetype<Optimal>(tree.optimal));
}
