// The header of a block's sequences section: how many there are, and the three tables that tell
// their codes (RFC 8878 section 3.1.1.3.2.1).

import { STATUS_CORRUPT } from '../../shared/status';
import { buildSingle, buildTable, readDistribution, takeDistribution } from './decode-fse';
import {
  DISTRIBUTION_LOG,
  LITERAL_LENGTH_STATE,
  LITERAL_LENGTH_TABLE,
  MATCH_LENGTH_STATE,
  MATCH_LENGTH_TABLE,
  NEXT_PTR,
  OFFSET_STATE,
  OFFSET_TABLE,
  TABLE_PREDEFINED,
  TABLE_PRESENT,
} from './decode-work';
import {
  LITERAL_LENGTH_BASE,
  LITERAL_LENGTH_BITS,
  LITERAL_LENGTH_CODE_MAX,
  LITERAL_LENGTH_LOG_MAX,
  LITERAL_LENGTH_LOG_PREDEFINED,
  LITERAL_LENGTH_PREDEFINED,
  MATCH_LENGTH_BASE,
  MATCH_LENGTH_BITS,
  MATCH_LENGTH_CODE_MAX,
  MATCH_LENGTH_LOG_MAX,
  MATCH_LENGTH_LOG_PREDEFINED,
  MATCH_LENGTH_PREDEFINED,
  MODE_FSE,
  MODE_PREDEFINED,
  MODE_RLE,
  OFFSET_CODE_MAX,
  OFFSET_LOG_MAX,
  OFFSET_LOG_PREDEFINED,
  OFFSET_PREDEFINED,
} from './format';

/** An offset's code is how many bits follow it, and the smallest value is 1 with as many zeros. */
// biome-ignore format: sixteen a row
const OFFSET_BITS = memory.data<u8>([
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
  16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
]);
const OFFSET_BASE = memory.data<u32>([
  0x1, 0x2, 0x4, 0x8, 0x10, 0x20, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800, 0x1000, 0x2000, 0x4000,
  0x8000, 0x10000, 0x20000, 0x40000, 0x80000, 0x100000, 0x200000, 0x400000, 0x800000, 0x1000000,
  0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x80000000,
]);
const OFFSET_PREDEFINED_COUNT: u32 = 29;
const RESERVED_BITS: u32 = 3;

/** Reads the count: one byte below 128, two below 0x7f00, else three. Leaves in the work area where
 *  it ends. */
export function readCount(work: u32, ptr: u32, end: u32): i32 {
  if (ptr >= end) return STATUS_CORRUPT;
  const first: u32 = load<u8>(ptr);
  const size: u32 = first < 128 ? 1 : first < 255 ? 2 : 3;
  if (size > end - ptr) return STATUS_CORRUPT;
  store<u32>(work, ptr + size, NEXT_PTR);
  if (size == 1) return <i32>first;
  // In bounds: each byte is inside the count.
  const second: u32 = load<u8>(ptr, 1);
  if (size == 2) return <i32>(((first - 128) << 8) + second);
  return <i32>(second + ((<u32>load<u8>(ptr, 2)) << 8) + 0x7f00);
}

/** Reads the three tables, in the order of the format; returns where they end, or 0 if they are
 *  corrupt. */
export function readTables(work: u32, ptr: u32, end: u32): u32 {
  if (ptr >= end) return 0;
  const modes: u32 = load<u8>(ptr);
  if ((modes & RESERVED_BITS) != 0) return 0;
  let at = readLiteralLengths(work, ptr + 1, end, modes >> 6);
  if (at != 0) at = readOffsets(work, at, end, (modes >> 4) & 3);
  if (at != 0) at = readMatchLengths(work, at, end, (modes >> 2) & 3);
  return at;
}

function readLiteralLengths(work: u32, ptr: u32, end: u32, mode: u32): u32 {
  return readTable(
    work,
    ptr,
    end,
    mode,
    work + LITERAL_LENGTH_STATE,
    work + LITERAL_LENGTH_TABLE,
    LITERAL_LENGTH_CODE_MAX,
    LITERAL_LENGTH_LOG_MAX,
    <u32>LITERAL_LENGTH_BITS,
    <u32>LITERAL_LENGTH_BASE,
    <u32>LITERAL_LENGTH_PREDEFINED,
    LITERAL_LENGTH_CODE_MAX + 1,
    LITERAL_LENGTH_LOG_PREDEFINED,
  );
}

function readOffsets(work: u32, ptr: u32, end: u32, mode: u32): u32 {
  return readTable(
    work,
    ptr,
    end,
    mode,
    work + OFFSET_STATE,
    work + OFFSET_TABLE,
    OFFSET_CODE_MAX,
    OFFSET_LOG_MAX,
    <u32>OFFSET_BITS,
    <u32>OFFSET_BASE,
    <u32>OFFSET_PREDEFINED,
    OFFSET_PREDEFINED_COUNT,
    OFFSET_LOG_PREDEFINED,
  );
}

function readMatchLengths(work: u32, ptr: u32, end: u32, mode: u32): u32 {
  return readTable(
    work,
    ptr,
    end,
    mode,
    work + MATCH_LENGTH_STATE,
    work + MATCH_LENGTH_TABLE,
    MATCH_LENGTH_CODE_MAX,
    MATCH_LENGTH_LOG_MAX,
    <u32>MATCH_LENGTH_BITS,
    <u32>MATCH_LENGTH_BASE,
    <u32>MATCH_LENGTH_PREDEFINED,
    MATCH_LENGTH_CODE_MAX + 1,
    MATCH_LENGTH_LOG_PREDEFINED,
  );
}

/** Makes one table; returns where its description ends, or 0 if it is corrupt.
 *  In bounds: codes are checked against `codeMax`, logs against `logMax`. */
function readTable(
  work: u32,
  ptr: u32,
  end: u32,
  mode: u32,
  statePtr: u32,
  table: u32,
  codeMax: u32,
  logMax: u32,
  bitsPtr: u32,
  basePtr: u32,
  predefinedPtr: u32,
  predefinedCount: u32,
  predefinedLog: u32,
): u32 {
  const state = load<u32>(statePtr);
  if (mode == MODE_PREDEFINED) {
    if ((state & TABLE_PREDEFINED) != 0) return ptr;
    takeDistribution(work, predefinedPtr, predefinedCount, predefinedLog);
    buildTable(work, table, bitsPtr, basePtr);
    store<u32>(statePtr, predefinedLog | TABLE_PRESENT | TABLE_PREDEFINED);
    return ptr;
  }
  if (mode == MODE_RLE) {
    if (ptr >= end) return 0;
    const code: u32 = load<u8>(ptr);
    if (code > codeMax) return 0;
    buildSingle(table, load<u8>(bitsPtr + code), load<u32>(basePtr + (code << 2)));
    store<u32>(statePtr, TABLE_PRESENT);
    return ptr + 1;
  }
  if (mode == MODE_FSE) {
    const size = readDistribution(work, ptr, end, codeMax, logMax);
    if (size < 0) return 0;
    buildTable(work, table, bitsPtr, basePtr);
    store<u32>(statePtr, load<u32>(work, DISTRIBUTION_LOG) | TABLE_PRESENT);
    return ptr + size;
  }
  // Repeated: the table of the block before.
  return (state & TABLE_PRESENT) != 0 ? ptr : 0;
}
