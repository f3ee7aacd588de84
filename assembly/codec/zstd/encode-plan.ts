// Which blocks of a batch share a table: for the literals and for each of the three codes the
// blocks are divided into the segments that cost least, each with one described table. A delta's
// blocks are so small that tables are much of them.
//
//   plan area:  best log u32 | - | costs u64 x 33 at 64 | starts u32 x 33 at 384
//
// costs[n] is the least of the first n blocks, starts[n] where their last segment begins, or
// START_HELD if all of them use what the decoder holds from the batch before.

import { COST_NEVER, tableCost, tableLog } from './encode-fse';
import { buildHuffman, huffmanBits, huffmanCovers, huffmanHeaderSize } from './encode-huffman';
import {
  addCounts,
  blockAt,
  CODE_LITERALS,
  CODE_MATCH,
  codeCounts,
  heldSegment,
  setSegment,
  sumArea,
  tableBest,
} from './encode-segments';
import { Block, Encoder, TABLE_SIZE_BYTES } from './encode-work';
import { BLOCK_COMPRESSED } from './format';

const COSTS_OFFSET: u32 = 64;
const STARTS_OFFSET: u32 = 384;
const START_HELD: u32 = 0xffffffff;
/** The literals take the place of a fourth code. */
const LITERALS: u32 = 3;

/** Divides the batch's blocks, from `from` on, into segments. Cost: O(blocks x longest segment). */
export function planBatch(encoder: Encoder, from: u32): void {
  for (let code = CODE_LITERALS; code <= LITERALS; ++code) {
    planCode(encoder, code, from);
    assignSegments(encoder, code, from);
  }
}

/** The longest segment that is tried. */
function segmentMax(encoder: Encoder): u32 {
  return encoder.effort == 1 ? 4 : encoder.effort == 2 ? 12 : 32;
}

function planCode(encoder: Encoder, code: u32, from: u32): void {
  const costs = encoder.plan + COSTS_OFFSET;
  const starts = encoder.plan + STARTS_OFFSET;
  const blocks = encoder.blocksCount;
  const longest = segmentMax(encoder);
  let heldCost: u64 = 0;
  store<u64>(costs + (from << 3), 0);
  for (let end = from + 1; end <= blocks; ++end) {
    heldCost = min(heldCost + costWithHeld(encoder, code, blockAt(encoder, end - 1)), COST_NEVER);
    let best = heldCost;
    let bestStart = START_HELD;
    memory.fill(sumArea(encoder), 0, 1024);
    let streams: u32 = 0;
    for (let start = end; start > from && end - start < longest; ) {
      const block = blockAt(encoder, --start);
      if (takesPart(block, code)) {
        addCounts(sumArea(encoder), countsOf(block, code), code == LITERALS ? 256 : 64);
        ++streams;
      }
      const own = segmentCost(encoder, code, start, end, streams);
      const cost = load<u64>(costs + (start << 3)) + own;
      if (cost >= best) continue;
      best = cost;
      bestStart = start;
    }
    store<u64>(costs + (end << 3), best);
    store<u32>(starts + (end << 2), bestStart);
  }
}

function takesPart(block: Block, code: u32): bool {
  if (block.kind != BLOCK_COMPRESSED) return false;
  return code == LITERALS ? block.literalsCount > 0 : block.sequencesCount > 0;
}

function countsOf(block: Block, code: u32): u32 {
  return code == LITERALS ? block.counts : codeCounts(block, code);
}

/** Bits, in 1/65536, of a block with the table that the decoder holds. */
function costWithHeld(encoder: Encoder, code: u32, block: Block): u64 {
  if (!takesPart(block, code)) return 0;
  if (code == LITERALS) {
    if (encoder.heldLiterals == 0) return COST_NEVER;
    return (<u64>literalsBits(encoder.huffman, block)) << 16;
  }
  if (heldSegment(encoder, code) == 0) return COST_NEVER;
  const table = encoder.tables + code * TABLE_SIZE_BYTES;
  return tableCost(encoder, table, codeCounts(block, code)) + ((<u64>tableLog(table)) << 16);
}

/** Bits, in 1/65536, of the blocks from `start` to `end` with one table, described once. */
function segmentCost(encoder: Encoder, code: u32, start: u32, end: u32, streams: u32): u64 {
  if (streams == 0) return 0;
  const sum = sumArea(encoder);
  if (code != LITERALS) return tableBest(encoder, code, sum, streams);
  const huffman = encoder.trialHuffman;
  const hasCode = buildHuffman(encoder, huffman, sum);
  let coded = hasCode ? huffmanHeaderSize(huffman) << 3 : 0;
  let raw: u32 = 0;
  for (let index = start; index < end; ++index) {
    const block = blockAt(encoder, index);
    if (!takesPart(block, code)) continue;
    raw += block.literalsCount << 3;
    if (hasCode) coded += literalsBits(huffman, block);
  }
  return (<u64>(hasCode ? min(raw, coded) : raw)) << 16;
}

/** Bits of a block's literals with a code, or raw if that is less or some have no code. */
function literalsBits(huffman: u32, block: Block): u32 {
  const raw = block.literalsCount << 3;
  if (!huffmanCovers(huffman, block.counts)) return raw;
  return min(raw, huffmanBits(huffman, block.counts) + streamsBits(block.literalsCount));
}

/** What coded literals take besides the codes: a longer header, and the ends of their streams. */
function streamsBits(literals: u32): u32 {
  return literals > 1023 ? 80 : literals < 32 ? 20 : 12;
}

/** Numbers the segments, from the last to the first. */
function assignSegments(encoder: Encoder, code: u32, from: u32): void {
  const starts = encoder.plan + STARTS_OFFSET;
  let end = encoder.blocksCount;
  while (end > from) {
    const start = load<u32>(starts + (end << 2));
    const isHeld = start == START_HELD;
    const held = code == LITERALS ? encoder.heldLiterals : heldSegment(encoder, code);
    const segment = isHeld ? held : ++encoder.segmentsCount;
    const first = isHeld ? from : start;
    for (let index = first; index < end; ++index) {
      const block = blockAt(encoder, index);
      if (code == LITERALS) block.segmentLiterals = segment;
      else setSegment(block, code, segment);
    }
    if (code == LITERALS) leaveRaw(encoder, first, end, u32(isHeld));
    end = first;
  }
}

/** Literals that their segment's code does not make shorter stay as they are: segment 0. */
function leaveRaw(encoder: Encoder, first: u32, end: u32, isHeld: u32): void {
  const sum = sumArea(encoder);
  let huffman = encoder.huffman;
  let hasCode = true;
  if (!isHeld) {
    memory.fill(sum, 0, 1024);
    for (let index = first; index < end; ++index) {
      const block = blockAt(encoder, index);
      if (takesPart(block, LITERALS)) addCounts(sum, block.counts, 256);
    }
    huffman = encoder.trialHuffman;
    hasCode = buildHuffman(encoder, huffman, sum);
  }
  let saved: u32 = 0;
  for (let index = first; index < end; ++index) {
    const block = blockAt(encoder, index);
    if (!takesPart(block, LITERALS)) continue;
    const raw = block.literalsCount << 3;
    const bits = hasCode ? literalsBits(huffman, block) : raw;
    saved += raw - bits;
    if (bits >= raw) block.segmentLiterals = 0;
  }
  if (isHeld || saved > (hasCode ? huffmanHeaderSize(huffman) << 3 : 0)) return;
  for (let index = first; index < end; ++index) blockAt(encoder, index).segmentLiterals = 0;
}
