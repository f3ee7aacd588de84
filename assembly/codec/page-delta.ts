// What a commit changed of a page: runs of bytes, each with its distance from the one before. It is
// what the log keeps instead of pages: a page has 4,096 bytes, and a row's counter changes one.
// Not a compressor: runs stand as they are, because a commit waits for them.
//
//   delta            0      1
//                    +------+-------+-------+- - -
//                    | base |  run  |  run  |         to the end of the delta
//                    +------+-------+-------+- - -
//   base             0: runs over zeros, a page that was not there before; 1: over the page before
//
//   run              0               2          2, 3 or 4
//                    +---------------+- - - - - +--------------------+
//                    | token u16 LE  | extra    | the bytes after    |
//                    +---------------+- - - - - +--------------------+
//   token            bits 0..11: bytes that stay, from the end of the run before (or from 0);
//                    bits 12..15: length of the run less 1; 15: 16 and more, `extra` follows
//   extra            length less 16, seven bits a byte, low ones first, bit 7 where another
//                    follows; two bytes at most, and the second is not 0
//
// The encoder ends a run where three bytes stay, or at the page's end; two bytes that stay would
// cost as much as the token that leaves them out. A page that did not change is its base alone.

import {
  DELTA_BASE_PAGE,
  DELTA_BASE_ZEROS,
  DELTA_OFFSET,
  DELTA_PAGE_AFTER_OFFSET,
  DELTA_PAGE_OFFSET,
  DELTA_PAGE_SIZE_BYTES,
  DELTA_SIZE_BYTES_MAX,
} from '../shared/codec-layout';
import { STATUS_BAD_ARGUMENT, STATUS_CORRUPT, STATUS_OK } from '../shared/status';

const PAGE_END: u32 = DELTA_PAGE_OFFSET + DELTA_PAGE_SIZE_BYTES;
/** From a place in the page before to the same place in the page after. */
const TO_AFTER: u32 = DELTA_PAGE_AFTER_OFFSET - DELTA_PAGE_OFFSET;
const TOKEN_SIZE_BYTES = 2;
const STAY_MASK: u32 = 0xfff;
const LENGTH_SHIFT = 12;
/** A length that does not fit the token. */
const LENGTH_LONG: u32 = 16;

/** Writes the delta from the page before to the page after, both in their areas; where `base` is
 *  DELTA_BASE_ZEROS, fills the former with zeros first. Returns the delta's size.
 *  Errors: STATUS_BAD_ARGUMENT for another base. */
export function pageDeltaEncode(base: u32): i32 {
  if (base == DELTA_BASE_ZEROS) memory.fill(DELTA_PAGE_OFFSET, 0, DELTA_PAGE_SIZE_BYTES);
  else if (base != DELTA_BASE_PAGE) return STATUS_BAD_ARGUMENT;
  let out: u32 = DELTA_OFFSET;
  store<u8>(out++, <u8>base);
  let done: u32 = DELTA_PAGE_OFFSET;
  while (true) {
    const from = nextDifference(done);
    if (from >= PAGE_END) return out - DELTA_OFFSET;
    const end = runEnd(from + 1);
    out = writeRun(out, from - done, from, end - from);
    done = end;
  }
}

/** The first place from `start` on that differs, or one at or after the end. In bounds: loads begin
 *  before the page's end, and 64 bytes and the other areas of the window follow both pages. */
function nextDifference(start: u32): u32 {
  let at = start;
  while (at < PAGE_END) {
    const low = v128.or(changed(at), changed(at + 16));
    const high = v128.or(changed(at + 32), changed(at + 48));
    if (v128.any_true(v128.or(low, high))) break;
    at += 64;
  }
  for (; at < PAGE_END; at += 16) {
    const same = sameBits(at);
    if (same != 0xffff) return at + ctz<u32>(~same);
  }
  return PAGE_END;
}

function changed(at: u32): v128 {
  return v128.xor(v128.load(at), v128.load(at + TO_AFTER));
}

/** Bit n is set where byte `at` + n stays. */
function sameBits(at: u32): u32 {
  return i8x16.bitmask(i8x16.eq(v128.load(at), v128.load(at + TO_AFTER)));
}

/** The first place from `start` on from which three bytes stay; what stands beyond the page counts
 *  as staying. In bounds: as above. */
function runEnd(start: u32): u32 {
  for (let at = start; at < PAGE_END; at += 14) {
    let same = sameBits(at);
    const left = PAGE_END - at;
    if (left < 16) same |= 0xffff << left;
    // Of sixteen places the last two have not all their followers here.
    const three = same & (same >> 1) & (same >> 2) & 0x3fff;
    if (three != 0) return at + ctz<u32>(three);
  }
  return PAGE_END;
}

/** In bounds: a run of up to 143 bytes costs at most what it and the three bytes that stay behind
 *  it have, a longer one a byte more, and 27 of those fill a page; with the base and the three
 *  bytes that the last run may lack that is below DELTA_SIZE_BYTES_MAX, and the area goes on. */
function writeRun(to: u32, stay: u32, from: u32, length: u32): u32 {
  let out = to;
  if (length < LENGTH_LONG) {
    store<u16>(out, <u16>(stay | ((length - 1) << LENGTH_SHIFT)));
    out += TOKEN_SIZE_BYTES;
    v128.store(out, v128.load(from + TO_AFTER));
    return out + length;
  }
  store<u16>(out, <u16>(stay | (15 << LENGTH_SHIFT)));
  out += TOKEN_SIZE_BYTES;
  const extra = length - LENGTH_LONG;
  if (extra < 0x80) {
    store<u8>(out++, <u8>extra);
  } else {
    store<u16>(out, <u16>((extra & 0x7f) | 0x80 | ((extra >> 7) << 8)));
    out += 2;
  }
  memory.copy(out, from + TO_AFTER, length);
  return out + length;
}

/** Makes the page after out of the page before, in its area; the delta may be anybody's. `base` is
 *  what the caller has: DELTA_BASE_ZEROS where it has no page before. Errors: STATUS_CORRUPT, and
 *  then the area holds neither page; STATUS_BAD_ARGUMENT for a size or base that none has. */
export function pageDeltaDecode(base: u32, sizeBytes: u32): i32 {
  if (sizeBytes > <u32>DELTA_SIZE_BYTES_MAX || base > <u32>DELTA_BASE_PAGE)
    return STATUS_BAD_ARGUMENT;
  if (sizeBytes == 0 || load<u8>(DELTA_OFFSET) != base) return STATUS_CORRUPT;
  if (base == DELTA_BASE_ZEROS) memory.fill(DELTA_PAGE_OFFSET, 0, DELTA_PAGE_SIZE_BYTES);
  const end: u32 = DELTA_OFFSET + sizeBytes;
  let from: u32 = DELTA_OFFSET + 1;
  let to: u32 = DELTA_PAGE_OFFSET;
  while (from < end) {
    // In bounds: up to three bytes after the delta's end are read, all inside the window, and none
    // of them counts unless `from` is still inside the delta after it.
    const token = <u32>load<u16>(from);
    from += TOKEN_SIZE_BYTES;
    let length = (token >> LENGTH_SHIFT) + 1;
    if (length == LENGTH_LONG) {
      const extra = <u32>load<u16>(from);
      from += 1;
      length += extra & 0x7f;
      if (extra & 0x80) {
        // A second byte of 0 says nothing, and one with bit 7 says more than a page has.
        if (extra >> 8 == 0 || extra >> 15 != 0) return STATUS_CORRUPT;
        from += 1;
        length += (extra >> 8) << 7;
      }
    }
    to += token & STAY_MASK;
    // No sum here comes near 2^32: `to` and `from` are in the window, a length is below 2^15.
    if (to + length > PAGE_END || from + length > end) return STATUS_CORRUPT;
    // In bounds: both ends have just been checked.
    if (length < LENGTH_LONG) {
      for (const after = to + length; to < after; ++to) store<u8>(to, load<u8>(from++));
    } else {
      memory.copy(to, from, length);
      to += length;
      from += length;
    }
  }
  return STATUS_OK;
}
