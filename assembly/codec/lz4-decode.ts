// Decodes an LZ4 block (drawn in lz4-encode.ts) of a known size; the block may be anybody's. It is
// strict: the last sequence has no match, the last five bytes are literals, and an offset of 0 or
// beyond the first byte is an error, as are bytes too many or too few.

import {
  LZ4_BLOCK_OFFSET,
  LZ4_BLOCK_SIZE_BYTES_MAX,
  LZ4_PLAIN_OFFSET,
  LZ4_PLAIN_SIZE_BYTES_MAX,
} from '../shared/codec-layout';
import { STATUS_BAD_ARGUMENT, STATUS_CORRUPT, STATUS_OK } from '../shared/status';
import { copyMatch, copyWide } from './zstd/decode-copy';

const MATCH_SIZE_MIN: u32 = 4;
const END_MARGIN: u32 = 5;

/** Decodes the block area's first `blockSize` bytes to exactly `plainSize` bytes.
 *  Errors: STATUS_CORRUPT, and then the plain area holds nothing of worth; STATUS_BAD_ARGUMENT for
 *  sizes that the areas do not have. */
export function lz4Decode(blockSize: u32, plainSize: u32): i32 {
  if (blockSize > <u32>LZ4_BLOCK_SIZE_BYTES_MAX) return STATUS_BAD_ARGUMENT;
  if (plainSize > <u32>LZ4_PLAIN_SIZE_BYTES_MAX) return STATUS_BAD_ARGUMENT;
  const blockEnd: u32 = LZ4_BLOCK_OFFSET + blockSize;
  const plainEnd: u32 = LZ4_PLAIN_OFFSET + plainSize;
  // Lengths are sums of bytes of the block: far below 2^32, so that no sum here wraps.
  let from: u32 = LZ4_BLOCK_OFFSET;
  let to: u32 = LZ4_PLAIN_OFFSET;
  while (from < blockEnd) {
    const token = <u32>load<u8>(from++);
    let literals = token >> 4;
    if (literals == 15) {
      let more: u32 = 255;
      while (more == 255) {
        if (from >= blockEnd) return STATUS_CORRUPT;
        more = <u32>load<u8>(from++);
        literals += more;
      }
    }
    if (literals > blockEnd - from || literals > plainEnd - to) return STATUS_CORRUPT;
    // In bounds: both areas have what has just been compared, and slack for the width.
    v128.store(to, v128.load(from));
    if (literals > 16) copyWide(to + 16, from + 16, literals - 16);
    from += literals;
    to += literals;
    if (from == blockEnd) return to == plainEnd ? STATUS_OK : STATUS_CORRUPT;
    // Reads a byte of slack where there is but one of the block, which then ends too soon.
    const offset = <u32>load<u16>(from);
    from += 2;
    let size = (token & 15) + MATCH_SIZE_MIN;
    if (size == 15 + MATCH_SIZE_MIN) {
      let more: u32 = 255;
      while (more == 255) {
        if (from >= blockEnd) return STATUS_CORRUPT;
        more = <u32>load<u8>(from++);
        size += more;
      }
    }
    // One less than 0 is more than any reach.
    if (offset - 1 >= to - LZ4_PLAIN_OFFSET) return STATUS_CORRUPT;
    if (size + END_MARGIN > plainEnd - to) return STATUS_CORRUPT;
    // In bounds: the match begins in the plain area, and five bytes and the slack follow its end.
    if (offset >= 16 && size <= 32) {
      v128.store(to, v128.load(to - offset));
      if (size > 16) v128.store(to + 16, v128.load(to + 16 - offset));
    } else {
      copyMatch(to, offset, size);
    }
    to += size;
  }
  return STATUS_CORRUPT;
}
