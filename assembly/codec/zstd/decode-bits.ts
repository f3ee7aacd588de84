// Bits of a stream that is read from its last byte backwards (RFC 8878 section 4.1). Where a reader
// stands is one number, the bits left before it; it falls below zero when more is read than there
// is, and what is read then is never used.

import { STATUS_CORRUPT } from '../../shared/status';

/** The bits of a stream without the 1 that ends it. Errors: STATUS_CORRUPT without such a 1. */
export function streamBits(ptr: u32, size: u32): i32 {
  if (size == 0) return STATUS_CORRUPT;
  // In bounds: the last byte of the stream.
  const last: u32 = load<u8>(ptr + size - 1);
  if (last == 0) return STATUS_CORRUPT;
  return <i32>((size << 3) - 8 + (31 - clz<u32>(last)));
}

/** The next bits, 57 at least, at the top of a word. Before: `bits` is not below zero.
 *  In bounds: the 8 bytes end inside the stream, and at least 8 bytes of the same frame stand
 *  before any stream: magic 4, frame header 2, block header 3. What they add comes after the bits
 *  that are left. */
export function topBits(ptr: u32, bits: i32): u64 {
  return load<u64>(ptr + ((<u32>bits + 7) >> 3) - 8) << (<u64>(0 - bits) & 7);
}

/** The top `count` bits, 0 to 63: two shifts, for a shift by 64 would be one by 0. */
export function firstBits(word: u64, count: u32): u32 {
  return <u32>((word >> 1) >> <u64>(63 - count));
}

/** The bits of a stream that is read forwards, from the bit `position` on, 25 at least; zeros
 *  beyond `end`. In bounds: four bytes where there are four, else one by one. */
export function forwardBits(ptr: u32, end: u32, position: u32): u32 {
  const at = ptr + (position >> 3);
  const shift = position & 7;
  if (at + 4 <= end) return load<u32>(at) >> shift;
  let word: u32 = 0;
  for (let byte: u32 = 0; at + byte < end; ++byte)
    word |= (<u32>load<u8>(at + byte)) << (byte << 3);
  return word >> shift;
}
