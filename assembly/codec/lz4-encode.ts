// LZ4 blocks of up to 64 KiB: greedy, one candidate for each hash of four bytes, faster and faster
// over what does not repeat. No streaming, no dictionary and no frame: a page is a block.
// Source: LZ4 block format, github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
//
//   block            +----------+----------+- - -+---------------------------+
//                    | sequence | sequence |     | last: no offset, no match |
//                    +----------+----------+- - -+---------------------------+
//   sequence         0       1
//                    +-------+----------+----------+---------------+----------+
//                    | token | more lit | literals | offset u16 LE | more len |
//                    +-------+----------+----------+---------------+----------+
//   token            bits 4..7: literals; bits 0..3: length of the match less 4. 15: more follows,
//                    bytes that are added to it, up to and with the first that is not 255
//   offset           bytes back to the match, from 1; it may overlap what it makes
//   end              the last five bytes are literals, and the last match begins twelve or more
//                    before the end: what decoders rely on that copy wide

import {
  LZ4_BLOCK_OFFSET,
  LZ4_PLAIN_OFFSET,
  LZ4_PLAIN_SIZE_BYTES_MAX,
  LZ4_TABLE_BITS,
  LZ4_TABLE_OFFSET,
} from '../shared/codec-layout';
import { STATUS_BAD_ARGUMENT, STATUS_NO_SPACE } from '../shared/status';
import { copyWide } from './zstd/decode-copy';

const MATCH_SIZE_MIN: u32 = 4;
/** A match begins no nearer to the end, and ends no nearer. */
const START_MARGIN: u32 = 12;
const END_MARGIN: u32 = 5;
/** After so many misses in a row the search takes a byte more at a step, and so on. */
const MISSES_SHIFT: u32 = 6;
/** 2^32 over the golden ratio. */
const HASH_FACTOR: u32 = 0x9e3779b1;
const TABLE_SIZE_BYTES: u32 = 2 << LZ4_TABLE_BITS;
/** Token, offset, and the last byte of either length. */
const SEQUENCE_SIZE_BYTES: u32 = 5;

/** Makes a block of the plain area's first `plainSize` bytes. Returns its size.
 *  Errors: STATUS_NO_SPACE where it might have more than `blockSizeMax` bytes; STATUS_BAD_ARGUMENT
 *  for no bytes, or more than the area has. Cost: O(plainSize), and 16 KiB to clear. */
export function lz4Encode(plainSize: u32, blockSizeMax: u32): i32 {
  if (plainSize - 1 >= <u32>LZ4_PLAIN_SIZE_BYTES_MAX) return STATUS_BAD_ARGUMENT;
  const end: u32 = LZ4_PLAIN_OFFSET + plainSize;
  // A block of the area's bytes never has more, so that a larger limit is none.
  const outEnd: u32 = LZ4_BLOCK_OFFSET + min<u32>(blockSizeMax, plainSize + plainSize / 255 + 16);
  if (plainSize <= START_MARGIN)
    return lastLiterals(LZ4_BLOCK_OFFSET, LZ4_PLAIN_OFFSET, end, outEnd);
  memory.fill(LZ4_TABLE_OFFSET, 0, TABLE_SIZE_BYTES);
  const startMax: u32 = end - START_MARGIN;
  const matchEnd: u32 = end - END_MARGIN;
  let out: u32 = LZ4_BLOCK_OFFSET;
  let anchor: u32 = LZ4_PLAIN_OFFSET;
  // The first byte's place is what the empty table says of every hash.
  let at: u32 = LZ4_PLAIN_OFFSET + 1;
  let misses: u32 = 1 << MISSES_SHIFT;
  while (at <= startMax) {
    const word = load<u32>(at);
    let candidate = exchange(at, word);
    if (load<u32>(candidate) != word) {
      at += misses++ >> MISSES_SHIFT;
      continue;
    }
    // In bounds: neither goes before the plain area.
    while (at > anchor && candidate > <u32>LZ4_PLAIN_OFFSET) {
      if (load<u8>(at - 1) != load<u8>(candidate - 1)) break;
      --at;
      --candidate;
    }
    // One match after another, as long as there is one right behind.
    let next: u32;
    do {
      const literals = at - anchor;
      const size = matchSize(at, candidate, matchEnd);
      const needed = SEQUENCE_SIZE_BYTES + literals + literals / 255 + size / 255;
      if (out + needed > outEnd) return STATUS_NO_SPACE;
      out = writeSequence(out, anchor, literals, at - candidate, size - MATCH_SIZE_MIN);
      at += size;
      anchor = at;
      exchange(at - 2, load<u32>(at - 2));
      next = load<u32>(at);
      candidate = exchange(at, next);
    } while (at <= startMax && load<u32>(candidate) == next);
    misses = 1 << MISSES_SHIFT;
    ++at;
  }
  return lastLiterals(out, anchor, end, outEnd);
}

/** Where the last four bytes of this hash stood, or the plain area's start; notes that they stand
 *  at `at` now. In bounds: `at` has four bytes behind it, a hash has LZ4_TABLE_BITS bits, and a
 *  place in the table is one that was put there. */
function exchange(at: u32, word: u32): u32 {
  const hash = (word * HASH_FACTOR) >> (32 - LZ4_TABLE_BITS);
  const slot: u32 = LZ4_TABLE_OFFSET + (hash << 1);
  const candidate: u32 = LZ4_PLAIN_OFFSET + <u32>load<u16>(slot);
  store<u16>(slot, <u16>(at - LZ4_PLAIN_OFFSET));
  return candidate;
}

/** How far both go on alike, four bytes of which are known to; up to `end`. In bounds: loads begin
 *  before `end`, and five bytes and the slack follow it. */
function matchSize(at: u32, candidate: u32, end: u32): u32 {
  let size: u32 = MATCH_SIZE_MIN;
  for (; at + size < end; size += 8) {
    const difference = load<u64>(at + size) ^ load<u64>(candidate + size);
    if (difference != 0) {
      size += <u32>(ctz<u64>(difference) >> 3);
      break;
    }
  }
  return min<u32>(size, end - at);
}

/** In bounds: the caller has compared the room, and up to 15 bytes go into the slack. */
function writeSequence(to: u32, from: u32, literals: u32, offset: u32, extra: u32): u32 {
  const token = to;
  let out = writeLiterals(to, from, literals);
  store<u16>(out, <u16>offset);
  out += 2;
  if (extra < 15) {
    store<u8>(token, load<u8>(token) | <u8>extra);
    return out;
  }
  store<u8>(token, load<u8>(token) | 15);
  return writeMore(out, extra - 15);
}

/** The token with no match yet, and the literals. */
function writeLiterals(to: u32, from: u32, count: u32): u32 {
  let out = to + 1;
  if (count < 15) {
    store<u8>(to, <u8>(count << 4));
    v128.store(out, v128.load(from));
    return out + count;
  }
  store<u8>(to, 15 << 4);
  out = writeMore(out, count - 15);
  copyWide(out, from, count);
  return out + count;
}

function writeMore(to: u32, rest: u32): u32 {
  let out = to;
  for (; rest >= 255; rest -= 255) store<u8>(out++, 255);
  store<u8>(out, <u8>rest);
  return out + 1;
}

function lastLiterals(to: u32, from: u32, end: u32, outEnd: u32): i32 {
  const count = end - from;
  const more = count < 15 ? 0 : (count - 15) / 255 + 1;
  if (to + 1 + more + count > outEnd) return STATUS_NO_SPACE;
  return writeLiterals(to, from, count) - LZ4_BLOCK_OFFSET;
}
