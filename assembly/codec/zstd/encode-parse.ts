// Which parser an effort has, and the memory it takes.

import { parseLazily } from './encode-lazy';
import {
  insertUpTo,
  LONG_LOG_MAX,
  MATCHER_SIZE_BYTES,
  Matcher,
  SHORT_LOG_MAX,
  tableLogFor,
} from './encode-tables';
import { Block, Encoder } from './encode-work';

/** 1: two tables, waits one byte. 2: chains, waits two. */
export const EFFORT_MAX: u32 = 3;
const CHAIN_DEPTH: u32 = 24;

export function parserWorkSize(positions: u32, effort: u32): u32 {
  const longSize: u32 = 4 << tableLogFor(positions, LONG_LOG_MAX);
  const shortSize: u32 = 4 << tableLogFor(positions, SHORT_LOG_MAX);
  const chainSize = effort == 1 ? 0 : (positions + 1) << 2;
  return MATCHER_SIZE_BYTES + longSize + shortSize + chainSize;
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
  matcher.chain = encoder.effort == 1 ? 0 : matcher.shortTable + (4 << shortLog);
  matcher.depth = CHAIN_DEPTH;
  matcher.next = 1;
  memory.fill(matcher.longTable, 0, (4 << longLog) + (4 << shortLog));
  insertUpTo(encoder, matcher, encoder.start);
}

/** Parses a block into its sequences. */
export function parseBlock(encoder: Encoder, block: Block): void {
  parseLazily(encoder, block);
}
