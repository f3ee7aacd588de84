// Blocks (RFC 8878 section 3.1.1.2): parsed in batches, so that neighbours can share tables, and
// then written one after the other.

import { analyseBlock } from './encode-analyse';
import { writeLiterals } from './encode-literals';
import { parseBlock } from './encode-parse';
import { planBatch } from './encode-plan';
import { REPEATS_SIZE_BYTES } from './encode-repeats';
import { blockAt } from './encode-segments';
import { writeSequences } from './encode-sequences';
import {
  BATCH_BLOCKS,
  Block,
  COUNTS_SIZE_BYTES,
  Encoder,
  restoreTables,
  SEQUENCE_SIZE_BYTES,
  Sequence,
  saveTables,
} from './encode-work';
import { BLOCK_COMPRESSED, BLOCK_RAW, BLOCK_RLE, BLOCK_SIZE_BYTES_MAX } from './format';

const HEADER_SIZE_BYTES: u32 = 3;

/** Writes every block of the content; returns where they end. In bounds: no block is longer than
 *  its content and its header, for which the caller has checked the room. */
export function writeBlocks(encoder: Encoder, ptr: u32): u32 {
  let position = encoder.start;
  let end = ptr;
  do {
    position = parseBatch(encoder, position);
    planBatch(encoder, 0);
    end = writeBatch(encoder, end);
  } while (position < encoder.end);
  return end;
}

/** Parses up to BATCH_BLOCKS blocks; returns the position after them. */
function parseBatch(encoder: Encoder, from: u32): u32 {
  let position = from;
  let sequences = encoder.sequences;
  let count: u32 = 0;
  do {
    const block = blockAt(encoder, count);
    block.start = position;
    block.size = min(encoder.end - position, BLOCK_SIZE_BYTES_MAX);
    block.counts = encoder.counts + count * COUNTS_SIZE_BYTES;
    block.sequences = sequences;
    block.sequencesCount = 0;
    block.kind = BLOCK_RLE;
    if (!isRun(encoder, block)) parseBlock(encoder, block);
    sequences += block.sequencesCount * SEQUENCE_SIZE_BYTES;
    position += block.size;
    ++count;
  } while (position < encoder.end && count < BATCH_BLOCKS);
  encoder.blocksCount = count;
  return position;
}

/** Whether a block is one byte over and over; one that takes four bytes anyway is not. */
function isRun(encoder: Encoder, block: Block): bool {
  if (block.size < 2) return false;
  const from = encoder.base + block.start;
  const first = load<u8>(from);
  for (let ptr = from + 1; ptr < from + block.size; ++ptr) {
    if (load<u8>(ptr) != first) return false;
  }
  return true;
}

function writeBatch(encoder: Encoder, ptr: u32): u32 {
  let end = ptr;
  for (let index: u32 = 0; index < encoder.blocksCount; ++index) {
    const block = blockAt(encoder, index);
    const isLast = block.start + block.size == encoder.end;
    if (block.kind == BLOCK_COMPRESSED) compress(encoder, block, index);
    end = writeBlock(encoder, block, end, u32(isLast));
  }
  return end;
}

/** Compresses a block into the block area. One that turns out no shorter becomes raw: then the
 *  decoder's tables and offsets are those before it, and the blocks after it are analysed anew. */
function compress(encoder: Encoder, block: Block, index: u32): void {
  saveTables(encoder);
  const heldLiterals = encoder.heldLiterals;
  const held0 = encoder.held0;
  const held1 = encoder.held1;
  const held2 = encoder.held2;
  gatherLiterals(encoder, block);
  const end = writeSequences(encoder, block, writeLiterals(encoder, block, encoder.block));
  block.compressedSize = end - encoder.block;
  if (block.compressedSize < block.size) return;
  restoreTables(encoder);
  encoder.heldLiterals = heldLiterals;
  encoder.held0 = held0;
  encoder.held1 = held1;
  encoder.held2 = held2;
  block.kind = BLOCK_RAW;
  if (block.sequencesCount > 0) analyseAfter(encoder, block, index + 1);
}

function analyseAfter(encoder: Encoder, block: Block, from: u32): void {
  const before = changetype<usize>(block) + offsetof<Block>('repeat1');
  memory.copy(encoder.repeats, before, REPEATS_SIZE_BYTES);
  for (let index = from; index < encoder.blocksCount; ++index) {
    const next = blockAt(encoder, index);
    if (next.kind != BLOCK_RLE) analyseBlock(encoder, next);
  }
  planBatch(encoder, from);
}

/** Copies the literals of a block to one place. In bounds: they are bytes of the block. */
function gatherLiterals(encoder: Encoder, block: Block): void {
  let from = encoder.base + block.start;
  let target = encoder.literals;
  const end = block.sequences + block.sequencesCount * SEQUENCE_SIZE_BYTES;
  for (let each = block.sequences; each < end; each += SEQUENCE_SIZE_BYTES) {
    const sequence = changetype<Sequence>(each);
    memory.copy(target, from, sequence.literals);
    target += sequence.literals;
    from += sequence.literals + sequence.length;
  }
  memory.copy(target, from, encoder.base + block.start + block.size - from);
}

function writeBlock(encoder: Encoder, block: Block, ptr: u32, last: u32): u32 {
  const kind = block.kind;
  const size = kind == BLOCK_COMPRESSED ? block.compressedSize : block.size;
  const header = last | (kind << 1) | (size << 3);
  store<u16>(ptr, header);
  store<u8>(ptr, header >> 16, 2);
  const content = ptr + HEADER_SIZE_BYTES;
  if (kind == BLOCK_RLE) {
    store<u8>(content, load<u8>(encoder.base + block.start));
    return content + 1;
  }
  memory.copy(content, kind == BLOCK_RAW ? encoder.base + block.start : encoder.block, size);
  return content + size;
}
