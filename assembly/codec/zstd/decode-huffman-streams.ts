// Literals that are Huffman-coded, in one stream or in four (RFC 8878 section 4.2.2). A stream must
// end exactly with its last literal.

import { STATUS_CORRUPT } from '../../shared/status';
import { streamBits, topBits } from './decode-bits';
import { HUFFMAN_BITS, HUFFMAN_TABLE } from './decode-work';

const JUMP_TABLE_SIZE_BYTES: u32 = 6;
/** With fewer literals the first three streams would hold more than there are. */
const FOUR_STREAMS_SIZE_MIN: u32 = 6;
/** Literals of at most 11 bits that the 57 bits of a word hold for certain. */
const ROUND_COUNT: u32 = 5;

/** Decodes `count` literals to `output`. Before: the work area has a table; `output` has room. */
export function decodeStream(work: u32, ptr: u32, size: u32, output: u32, count: u32): i32 {
  const bits = streamBits(ptr, size);
  return bits < 0 ? bits : finishStream(work, ptr, bits, output, count);
}

/** Decodes `count` literals, a quarter (rounded up) from each stream and the rest from the last. */
export function decodeFourStreams(work: u32, ptr: u32, size: u32, output: u32, count: u32): i32 {
  if (count < FOUR_STREAMS_SIZE_MIN || size < JUMP_TABLE_SIZE_BYTES) return STATUS_CORRUPT;
  const size1: u32 = load<u16>(ptr);
  const size2: u32 = load<u16>(ptr, 2);
  const size3: u32 = load<u16>(ptr, 4);
  const before = JUMP_TABLE_SIZE_BYTES + size1 + size2 + size3;
  if (before > size) return STATUS_CORRUPT;
  const ptr1 = ptr + JUMP_TABLE_SIZE_BYTES;
  const ptr2 = ptr1 + size1;
  const ptr3 = ptr2 + size2;
  const ptr4 = ptr3 + size3;
  let bits1 = streamBits(ptr1, size1);
  let bits2 = streamBits(ptr2, size2);
  let bits3 = streamBits(ptr3, size3);
  let bits4 = streamBits(ptr4, size - before);
  const quarter = (count + 3) >> 2;
  const table = work + HUFFMAN_TABLE;
  const shift: u64 = 64 - load<u32>(work, HUFFMAN_BITS);
  let at = output;
  let left = count - 3 * quarter;
  for (; left >= ROUND_COUNT; left -= ROUND_COUNT) {
    if ((bits1 | bits2 | bits3 | bits4) < 0) return STATUS_CORRUPT;
    bits1 = decodeRound(table, shift, ptr1, bits1, at);
    bits2 = decodeRound(table, shift, ptr2, bits2, at + quarter);
    bits3 = decodeRound(table, shift, ptr3, bits3, at + 2 * quarter);
    bits4 = decodeRound(table, shift, ptr4, bits4, at + 3 * quarter);
    at += ROUND_COUNT;
  }
  const rest = quarter - (at - output);
  const status =
    finishStream(work, ptr1, bits1, at, rest) |
    finishStream(work, ptr2, bits2, at + quarter, rest) |
    finishStream(work, ptr3, bits3, at + 2 * quarter, rest) |
    finishStream(work, ptr4, bits4, at + 3 * quarter, left);
  return status < 0 ? STATUS_CORRUPT : 0;
}

/** Decodes the last `count` literals of a stream. */
function finishStream(work: u32, ptr: u32, bits: i32, output: u32, count: u32): i32 {
  const table = work + HUFFMAN_TABLE;
  const shift: u64 = 64 - load<u32>(work, HUFFMAN_BITS);
  let left = count;
  let at = output;
  for (; left >= ROUND_COUNT; left -= ROUND_COUNT) {
    if (bits < 0) return STATUS_CORRUPT;
    bits = decodeRound(table, shift, ptr, bits, at);
    at += ROUND_COUNT;
  }
  for (const end = at + left; at < end; ++at) {
    if (bits < 0) return STATUS_CORRUPT;
    const entry = entryOf(table, shift, topBits(ptr, bits));
    store<u8>(at, <u8>entry);
    bits -= <i32>(entry >> 8);
  }
  return bits == 0 ? 0 : STATUS_CORRUPT;
}

/** Decodes five literals; returns the bits left, below zero if there were not enough.
 *  In bounds: five more literals fit the output, and topBits() says why it is. */
function decodeRound(table: u32, shift: u64, ptr: u32, bits: i32, output: u32): i32 {
  let word = topBits(ptr, bits);
  const first = entryOf(table, shift, word);
  store<u8>(output, <u8>first);
  word <<= first >> 8;
  const second = entryOf(table, shift, word);
  store<u8>(output, <u8>second, 1);
  word <<= second >> 8;
  const third = entryOf(table, shift, word);
  store<u8>(output, <u8>third, 2);
  word <<= third >> 8;
  const fourth = entryOf(table, shift, word);
  store<u8>(output, <u8>fourth, 3);
  word <<= fourth >> 8;
  const fifth = entryOf(table, shift, word);
  store<u8>(output, <u8>fifth, 4);
  return bits - <i32>((first >> 8) + (second >> 8) + (third >> 8) + (fourth >> 8) + (fifth >> 8));
}

/** In bounds: as many bits as the table's longest code has. */
function entryOf(table: u32, shift: u64, word: u64): u32 {
  return load<u16>(table + ((<u32>(word >> shift)) << 1));
}
