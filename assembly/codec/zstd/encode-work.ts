// The work area of an encoding: what a kernel without globals keeps its state in.
//
//   0          fixed areas (FIXED_SIZE_BYTES)        sequences         match tables
//   +---------+-----------------------------------+-----------------+---------------- - -
//   | Encoder | logs, codes, entropy tables,      | of one batch    | of the parser of
//   |         | literals, block, records, counts  | of blocks       | the effort
//   +---------+-----------------------------------+-----------------+---------------- - -
//
// A position is a byte of dictionary or content, counted from 1: 0 in a match table is nobody.

import {
  BLOCK_SIZE_BYTES_MAX,
  LITERAL_LENGTH_BASE,
  LITERAL_LENGTH_CODE_MAX,
  MATCH_LENGTH_BASE,
  MATCH_LENGTH_CODE_MAX,
  MATCH_LENGTH_MIN,
} from './format';

/** Everything that an encoding knows; the areas' addresses are set by layOut(). */
@unmanaged
export class Encoder {
  /** Address of position 0, one byte before the dictionary. */
  base: u32;
  /** Positions of the first byte of content and of the byte after the last. */
  start: u32;
  end: u32;
  effort: u32;
  /** Repeats: at the start of the next block to be analysed, and the parser's own. */
  repeats: u32;
  parserRepeats: u32;
  /** Which segment's table the decoder holds, for literals and the three codes; 0: none. */
  heldLiterals: u32;
  held0: u32;
  held1: u32;
  held2: u32;
  /** Segments so far; each has a number of its own. */
  segmentsCount: u32;
  /** Blocks of the batch. */
  blocksCount: u32;
  logs: u32;
  literalLengthCodes: u32;
  matchLengthCodes: u32;
  /** Tables the decoder holds: literal lengths, offsets, match lengths; Huffman. */
  tables: u32;
  huffman: u32;
  /** Copies of them for a block that ends up raw. */
  saved: u32;
  trial: u32;
  trialHuffman: u32;
  predefined: u32;
  scratch: u32;
  literals: u32;
  block: u32;
  blocks: u32;
  counts: u32;
  plan: u32;
  sequences: u32;
  /** Where the parser's own areas begin. */
  parser: u32;
}

/** A block of the batch at hand. */
@unmanaged
export class Block {
  start: u32;
  size: u32;
  /** Address of the first sequence, and how many follow. */
  sequences: u32;
  sequencesCount: u32;
  literalsCount: u32;
  /** BLOCK_RAW, BLOCK_RLE or BLOCK_COMPRESSED. */
  kind: u32;
  /** Repeats before the block. */
  repeat1: u32;
  repeat2: u32;
  repeat3: u32;
  /** Segments whose tables code the literals and the three codes. */
  segmentLiterals: u32;
  segment0: u32;
  segment1: u32;
  segment2: u32;
  counts: u32;
  /** Bits of lengths and offsets that no table codes. */
  extraBits: u32;
  compressedSize: u32;
}

/** `literals` bytes as they are, then `length` bytes from `distance` back. */
@unmanaged
export class Sequence {
  literals: u32;
  length: u32;
  distance: u32;
  /** The distance as the format codes it: 1 to 3 are repeated offsets (3.1.1.3.2.1.1). */
  offset: u32;
}

export const SEQUENCE_SIZE_BYTES: u32 = 16;
export const BLOCK_RECORD_SIZE_BYTES: u32 = 64;
/** Blocks whose sequences are at hand together, so that they can share tables. */
export const BATCH_BLOCKS: u32 = 32;
export const SEQUENCES_PER_BLOCK_MAX: u32 = BLOCK_SIZE_BYTES_MAX / MATCH_LENGTH_MIN + 1;

/** One FSE table: log, symbols, norm i16 x 64, starts u16 x 64, states u16 x 512. */
export const TABLE_SIZE_BYTES: u32 = 1296;
/** A code table of Huffman: header size, header, lengths u8 x 256, codes u16 x 256. */
export const HUFFMAN_SIZE_BYTES: u32 = 1024;
/** Counts of one block: literals u32 x 256, then the three codes u32 x 64 each. */
export const COUNTS_SIZE_BYTES: u32 = 1792;
export const CODE_COUNTS_OFFSET: u32 = 1024;
export const CODE_COUNTS_SIZE_BYTES: u32 = 256;

const REPEATS_OFFSET: u32 = 192;
const LOGS_OFFSET: u32 = 256;
/** Logarithms of 0 to 512. */
const LOGS_COUNT: u32 = 513;
const CODES_OFFSET: u32 = LOGS_OFFSET + 2064;
const TABLES_OFFSET: u32 = CODES_OFFSET + 192;
const HELD_SIZE_BYTES: u32 = 3 * TABLE_SIZE_BYTES + HUFFMAN_SIZE_BYTES;
const SCRATCH_OFFSET: u32 =
  TABLES_OFFSET + 2 * HELD_SIZE_BYTES + 4 * TABLE_SIZE_BYTES + HUFFMAN_SIZE_BYTES;
const SCRATCH_SIZE_BYTES: u32 = 65536;
const LITERALS_OFFSET: u32 = SCRATCH_OFFSET + SCRATCH_SIZE_BYTES;
const BLOCK_OFFSET: u32 = LITERALS_OFFSET + BLOCK_SIZE_BYTES_MAX + 64;
/** The longest that a block can get: 18 bits a literal is above every code, 11 bytes above every
 *  sequence; and a block has both in no more than its 128 KiB. */
const BLOCK_AREA_SIZE_BYTES: u32 = 1048576;
const BLOCKS_OFFSET: u32 = BLOCK_OFFSET + BLOCK_AREA_SIZE_BYTES;
const COUNTS_OFFSET: u32 = BLOCKS_OFFSET + BATCH_BLOCKS * BLOCK_RECORD_SIZE_BYTES;
const PLAN_OFFSET: u32 = COUNTS_OFFSET + (BATCH_BLOCKS + 1) * COUNTS_SIZE_BYTES;
const PLAN_SIZE_BYTES: u32 = 4096;
export const FIXED_SIZE_BYTES: u32 = PLAN_OFFSET + PLAN_SIZE_BYTES;

/** Sequences of a batch take no more. */
function sequencesSize(sourceSize: u32): u32 {
  const blocks = min<u32>(
    (sourceSize + BLOCK_SIZE_BYTES_MAX - 1) / BLOCK_SIZE_BYTES_MAX,
    BATCH_BLOCKS,
  );
  const full = blocks * SEQUENCES_PER_BLOCK_MAX * SEQUENCE_SIZE_BYTES;
  return (min<u32>(full, (sourceSize / MATCH_LENGTH_MIN + 1) * SEQUENCE_SIZE_BYTES) + 63) & ~63;
}

/** The work area without the parser's part. */
export function sharedWorkSize(sourceSize: u32): u32 {
  return FIXED_SIZE_BYTES + sequencesSize(sourceSize);
}

/** Sets every address and the small tables; the area is `sharedWorkSize` long at least. */
export function layOut(encoder: Encoder, sourceSize: u32): void {
  const work = changetype<u32>(encoder);
  encoder.repeats = work + REPEATS_OFFSET;
  encoder.parserRepeats = work + REPEATS_OFFSET + 16;
  encoder.logs = work + LOGS_OFFSET;
  encoder.literalLengthCodes = work + CODES_OFFSET;
  encoder.matchLengthCodes = work + CODES_OFFSET + 64;
  encoder.tables = work + TABLES_OFFSET;
  encoder.huffman = encoder.tables + 3 * TABLE_SIZE_BYTES;
  encoder.saved = encoder.tables + HELD_SIZE_BYTES;
  encoder.predefined = encoder.saved + HELD_SIZE_BYTES;
  encoder.trial = encoder.predefined + 3 * TABLE_SIZE_BYTES;
  encoder.trialHuffman = encoder.trial + TABLE_SIZE_BYTES;
  encoder.scratch = work + SCRATCH_OFFSET;
  encoder.literals = work + LITERALS_OFFSET;
  encoder.block = work + BLOCK_OFFSET;
  encoder.blocks = work + BLOCKS_OFFSET;
  encoder.counts = work + COUNTS_OFFSET;
  encoder.plan = work + PLAN_OFFSET;
  encoder.sequences = work + FIXED_SIZE_BYTES;
  encoder.parser = encoder.sequences + sequencesSize(sourceSize);
  fillLogs(encoder.logs);
  fillCodes(encoder.literalLengthCodes, 64, LITERAL_LENGTH_BASE, LITERAL_LENGTH_CODE_MAX, 0);
  fillCodes(encoder.matchLengthCodes, 128, MATCH_LENGTH_BASE, MATCH_LENGTH_CODE_MAX, 3);
}

/** Keeps what the decoder holds, for a block that may end up raw. */
export function saveTables(encoder: Encoder): void {
  memory.copy(encoder.saved, encoder.tables, HELD_SIZE_BYTES);
}

export function restoreTables(encoder: Encoder): void {
  memory.copy(encoder.tables, encoder.saved, HELD_SIZE_BYTES);
}

/** log2 of 1 to 512 in 1/65536, digit by digit: squaring doubles a logarithm. */
function fillLogs(logs: u32): void {
  store<u32>(logs, 0);
  for (let number: u32 = 1; number < LOGS_COUNT; ++number) {
    const whole = 31 - clz<u32>(number);
    let rest: f64 = <f64>number / <f64>(1 << whole);
    let digits: u32 = 0;
    for (let digit = 0; digit < 17; ++digit) {
      rest *= rest;
      digits <<= 1;
      if (rest >= 2) {
        rest *= 0.5;
        digits |= 1;
      }
    }
    store<u32>(logs + (number << 2), (whole << 16) + ((digits + 1) >> 1));
  }
}

/** The code of each small length: the last one whose base is not above it. */
function fillCodes(codes: u32, count: u32, bases: usize, codeMax: u32, least: u32): void {
  let code: u32 = 0;
  for (let index: u32 = 0; index < count; ++index) {
    while (code < codeMax && load<u32>(bases + ((code + 1) << 2)) <= index + least) ++code;
    store<u8>(codes + index, code);
  }
}

/** log2 of a number from 1, in 1/65536; above 512 from its leading nine bits. */
export function log2(encoder: Encoder, number: u32): u32 {
  if (number <= 512) return load<u32>(encoder.logs + (number << 2));
  const shift = 23 - clz<u32>(number);
  return (shift << 16) + load<u32>(encoder.logs + ((number >> shift) << 2));
}

/** The code of a count of literals. */
export function literalLengthCode(encoder: Encoder, length: u32): u32 {
  if (length < 64) return load<u8>(encoder.literalLengthCodes + length);
  return 31 - clz<u32>(length) + 19;
}

/** The code of a match's length, which is 3 at least. */
export function matchLengthCode(encoder: Encoder, length: u32): u32 {
  const above = length - MATCH_LENGTH_MIN;
  if (above < 128) return load<u8>(encoder.matchLengthCodes + above);
  return 31 - clz<u32>(above) + 36;
}

/** The code of an offset as coded, from 1. */
export function offsetCode(offset: u32): u32 {
  return 31 - clz<u32>(offset);
}
