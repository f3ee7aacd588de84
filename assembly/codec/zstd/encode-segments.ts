// Segments: runs of blocks that share a table. The first block of one describes the table, the
// others say "repeat" (or send their literals without a tree).

import {
  buildTable,
  COST_NEVER,
  normalise,
  setSingle,
  tableCost,
  tableLog,
  writeTable,
} from './encode-fse';
import {
  BATCH_BLOCKS,
  BLOCK_RECORD_SIZE_BYTES,
  Block,
  CODE_COUNTS_OFFSET,
  CODE_COUNTS_SIZE_BYTES,
  COUNTS_SIZE_BYTES,
  Encoder,
  TABLE_SIZE_BYTES,
} from './encode-work';
import {
  BLOCK_COMPRESSED,
  LITERAL_LENGTH_LOG_MAX,
  MATCH_LENGTH_LOG_MAX,
  MODE_FSE,
  MODE_PREDEFINED,
  MODE_RLE,
  OFFSET_LOG_MAX,
} from './format';

/** The codes of a sequence, in the order of their tables. */
export const CODE_LITERALS: u32 = 0;
export const CODE_OFFSET: u32 = 1;
export const CODE_MATCH: u32 = 2;

const TABLE_LOG_MIN: u32 = 5;
const WRITTEN_OFFSET: u32 = 49152;

export function blockAt(encoder: Encoder, index: u32): Block {
  return changetype<Block>(encoder.blocks + index * BLOCK_RECORD_SIZE_BYTES);
}

export function codeCounts(block: Block, code: u32): u32 {
  return block.counts + CODE_COUNTS_OFFSET + code * CODE_COUNTS_SIZE_BYTES;
}

export function segmentOf(block: Block, code: u32): u32 {
  return load<u32>(changetype<usize>(block) + (code << 2), offsetof<Block>('segment0'));
}

export function setSegment(block: Block, code: u32, segment: u32): void {
  store<u32>(changetype<usize>(block) + (code << 2), segment, offsetof<Block>('segment0'));
}

export function heldSegment(encoder: Encoder, code: u32): u32 {
  return load<u32>(changetype<usize>(encoder) + (code << 2), offsetof<Encoder>('held0'));
}

export function holdSegment(encoder: Encoder, code: u32, segment: u32): void {
  store<u32>(changetype<usize>(encoder) + (code << 2), segment, offsetof<Encoder>('held0'));
}

/** The counts of a sum of blocks; one at a time. */
export function sumArea(encoder: Encoder): u32 {
  return encoder.counts + BATCH_BLOCKS * COUNTS_SIZE_BYTES;
}

export function addCounts(sum: u32, counts: u32, symbols: u32): void {
  for (let symbol: u32 = 0; symbol < symbols; ++symbol) {
    const ptr = sum + (symbol << 2);
    store<u32>(ptr, load<u32>(ptr) + load<u32>(counts + (symbol << 2)));
  }
}

/** The literals of a segment's blocks, counted. */
export function segmentLiteralCounts(encoder: Encoder, segment: u32): u32 {
  const sum = sumArea(encoder);
  memory.fill(sum, 0, CODE_COUNTS_OFFSET);
  for (let index: u32 = 0; index < encoder.blocksCount; ++index) {
    const block = blockAt(encoder, index);
    if (block.kind != BLOCK_COMPRESSED || block.segmentLiterals != segment) continue;
    addCounts(sum, block.counts, 256);
  }
  return sum;
}

/** Makes the table of a segment for a code: the predefined one, one symbol, or one of its own at
 *  its best log. Returns the mode. */
export function makeSegmentTable(encoder: Encoder, code: u32, segment: u32): u32 {
  const sum = sumArea(encoder);
  memory.fill(sum, 0, CODE_COUNTS_SIZE_BYTES);
  let blocks: u32 = 0;
  for (let index: u32 = 0; index < encoder.blocksCount; ++index) {
    const block = blockAt(encoder, index);
    if (block.kind != BLOCK_COMPRESSED || segmentOf(block, code) != segment) continue;
    addCounts(sum, codeCounts(block, code), 64);
    ++blocks;
  }
  const best = bestLog(encoder, code, sum, blocks);
  const table = encoder.tables + code * TABLE_SIZE_BYTES;
  if (best == LOG_PREDEFINED) {
    memory.copy(table, encoder.predefined + code * TABLE_SIZE_BYTES, TABLE_SIZE_BYTES);
    return MODE_PREDEFINED;
  }
  if (best == 0) setSingle(table, onlySymbol(sum));
  else normalise(encoder, table, sum, best);
  buildTable(encoder, table);
  return best == 0 ? MODE_RLE : MODE_FSE;
}

/** What bestLog() says for the predefined table. */
const LOG_PREDEFINED: u32 = 16;

/** The log at which the counted symbols and their table cost least over `blocks` streams. */
function bestLog(encoder: Encoder, code: u32, counts: u32, blocks: u32): u32 {
  tableBest(encoder, code, counts, blocks);
  return load<u32>(encoder.plan);
}

/** The least bits, in 1/65536, of the counted symbols with their table, over `blocks` streams. */
export function tableBest(encoder: Encoder, code: u32, counts: u32, blocks: u32): u64 {
  const symbol = onlySymbol(counts);
  if (symbol < 64) {
    store<u32>(encoder.plan, 0);
    return 8 << 16;
  }
  let total: u32 = 0;
  for (let each: u32 = 0; each < 64; ++each) total += load<u32>(counts + (each << 2));
  const predefined = encoder.predefined + code * TABLE_SIZE_BYTES;
  let best = tableCost(encoder, predefined, counts);
  best = min(best, COST_NEVER) + ((<u64>blocks * tableLog(predefined)) << 16);
  store<u32>(encoder.plan, LOG_PREDEFINED);
  const logMax =
    code == CODE_OFFSET
      ? OFFSET_LOG_MAX
      : code == CODE_LITERALS
        ? LITERAL_LENGTH_LOG_MAX
        : MATCH_LENGTH_LOG_MAX;
  for (let log = TABLE_LOG_MIN; log <= logMax; ++log) {
    if (log > TABLE_LOG_MIN && total >> (log - 2) == 0) break;
    if (!normalise(encoder, encoder.trial, counts, log)) continue;
    const ptr = encoder.scratch + WRITTEN_OFFSET;
    const bits = (writeTable(encoder, encoder.trial, ptr) - ptr) * 8 + blocks * log;
    const cost = tableCost(encoder, encoder.trial, counts) + ((<u64>bits) << 16);
    if (cost >= best) continue;
    best = cost;
    store<u32>(encoder.plan, log);
  }
  return best;
}

/** The one symbol that occurs; 64 if there are more. */
function onlySymbol(counts: u32): u32 {
  let only: u32 = 64;
  for (let symbol: u32 = 0; symbol < 64; ++symbol) {
    if (load<u32>(counts + (symbol << 2)) == 0) continue;
    if (only < 64) return 64;
    only = symbol;
  }
  return only;
}
