// The sequences section of a block (RFC 8878 section 3.1.1.3.2): how many, how their codes are
// coded, and one bit stream of three states and the bits that no code tells.

import { BitWriter, beginBits, markBits, putBits } from './encode-bits';
import { firstState, putState, putSymbol, tableNorm, writeTable } from './encode-fse';
import {
  CODE_LITERALS,
  CODE_MATCH,
  CODE_OFFSET,
  heldSegment,
  holdSegment,
  makeSegmentTable,
  segmentOf,
} from './encode-segments';
import {
  Block,
  Encoder,
  literalLengthCode,
  matchLengthCode,
  offsetCode,
  SEQUENCE_SIZE_BYTES,
  Sequence,
  TABLE_SIZE_BYTES,
} from './encode-work';
import {
  LITERAL_LENGTH_BASE,
  LITERAL_LENGTH_BITS,
  MATCH_LENGTH_BASE,
  MATCH_LENGTH_BITS,
  MODE_FSE,
  MODE_REPEAT,
  MODE_RLE,
} from './format';

const WRITER_OFFSET: u32 = 32768;

/** Writes the section; returns where it ends. */
export function writeSequences(encoder: Encoder, block: Block, ptr: u32): u32 {
  const count = block.sequencesCount;
  let end = writeCount(ptr, count);
  if (count == 0) return end;
  const modes = end++;
  store<u8>(modes, 0);
  for (let code = CODE_LITERALS; code <= CODE_MATCH; ++code) {
    const segment = segmentOf(block, code);
    let mode = MODE_REPEAT;
    if (heldSegment(encoder, code) != segment) {
      mode = makeSegmentTable(encoder, code, segment);
      end = describeTable(encoder, code, mode, end);
      holdSegment(encoder, code, segment);
    }
    store<u8>(modes, load<u8>(modes) | (mode << (6 - 2 * code)));
  }
  return writeStream(encoder, block, end);
}

function writeCount(ptr: u32, count: u32): u32 {
  if (count < 128) {
    store<u8>(ptr, count);
    return ptr + 1;
  }
  if (count < 0x7f00) {
    store<u8>(ptr, 128 + (count >> 8));
    store<u8>(ptr, count, 1);
    return ptr + 2;
  }
  store<u8>(ptr, 255);
  store<u16>(ptr, count - 0x7f00, 1);
  return ptr + 3;
}

function describeTable(encoder: Encoder, code: u32, mode: u32, ptr: u32): u32 {
  const table = encoder.tables + code * TABLE_SIZE_BYTES;
  if (mode == MODE_FSE) return writeTable(encoder, table, ptr);
  if (mode != MODE_RLE) return ptr;
  let symbol: u32 = 0;
  while (tableNorm(table, symbol) == 0) ++symbol;
  store<u8>(ptr, symbol);
  return ptr + 1;
}

/** From the last sequence to the first; what the decoder reads first is written last. */
function writeStream(encoder: Encoder, block: Block, ptr: u32): u32 {
  const writer = changetype<BitWriter>(encoder.scratch + WRITER_OFFSET);
  const tables = encoder.tables;
  const offsetTable = tables + CODE_OFFSET * TABLE_SIZE_BYTES;
  const matchTable = tables + CODE_MATCH * TABLE_SIZE_BYTES;
  beginBits(writer, ptr);
  let literalsState: u32 = 0;
  let offsetState: u32 = 0;
  let matchState: u32 = 0;
  // In bounds: the block's own sequences, last first.
  for (let index = block.sequencesCount; index > 0; --index) {
    const sequence = changetype<Sequence>(block.sequences + (index - 1) * SEQUENCE_SIZE_BYTES);
    const literals = literalLengthCode(encoder, sequence.literals);
    const match = matchLengthCode(encoder, sequence.length);
    const offset = offsetCode(sequence.offset);
    if (index == block.sequencesCount) {
      offsetState = firstState(offsetTable, offset);
      matchState = firstState(matchTable, match);
      literalsState = firstState(tables, literals);
    } else {
      offsetState = putSymbol(writer, offsetTable, offsetState, offset);
      matchState = putSymbol(writer, matchTable, matchState, match);
      literalsState = putSymbol(writer, tables, literalsState, literals);
    }
    const literalsBase = load<u32>(LITERAL_LENGTH_BASE + (literals << 2));
    putBits(writer, sequence.literals - literalsBase, load<u8>(LITERAL_LENGTH_BITS + literals));
    const matchBase = load<u32>(MATCH_LENGTH_BASE + (match << 2));
    putBits(writer, sequence.length - matchBase, load<u8>(MATCH_LENGTH_BITS + match));
    putBits(writer, sequence.offset - (1 << offset), offset);
  }
  putState(writer, matchTable, matchState);
  putState(writer, offsetTable, offsetState);
  putState(writer, tables, literalsState);
  return markBits(writer);
}
