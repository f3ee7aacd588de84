// The decoder's door: frames in a row against a raw dictionary, into an area that bounds what they
// can produce. Left out: trained dictionaries, windows above 128 MiB, frames of zstd before 0.8.
// Source: RFC 8878.

import { ZSTD_AREA_OFFSET } from '../../shared/codec-layout';
import { STATUS_BAD_ARGUMENT, STATUS_CORRUPT, STATUS_UNSUPPORTED } from '../../shared/status';
import { decodeFrame } from './decode-frame';
import {
  DECODE_WORK_SIZE_BYTES,
  DICTIONARY_END,
  DICTIONARY_SIZE,
  INPUT_WIDE_END,
  NEXT_PTR,
  OUTPUT_WIDE_END,
} from './decode-work';
import { FRAME_MAGIC } from './format';

const SKIPPABLE_MAGIC: u32 = 0x184d2a50;
const SKIPPABLE_MASK: u32 = 0xfffffff0;
const SKIPPABLE_HEADER_SIZE_BYTES: u32 = 8;
const LEGACY_MAGIC_FIRST: u32 = 0xfd2fb51e;
const MAGIC_SIZE_BYTES: u32 = 4;
/** How far a wide copy begins before the end of its area. */
const WIDE_COPY_SIZE_BYTES: u32 = 16;
const MEMORY_END_MAX: u64 = 0x80000000;

/** The size of the work area. */
export function zstdDecodeWorkSizeBytes(): u32 {
  return DECODE_WORK_SIZE_BYTES;
}

/** Decodes all frames of the input, one after another; skippable ones are passed over.
 *  Shape: areas in the order of codec-layout.ts; the dictionary's `dictionarySize` bytes end at
 *  `output`. `requiresChecksum` is 0 or 1. Returns the size of the content.
 *  Errors: STATUS_CORRUPT, also for no frame at all: what was cut off must not pass for empty;
 *  STATUS_UNSUPPORTED; STATUS_BAD_CHECKSUM; STATUS_NO_CHECKSUM; STATUS_NO_SPACE for more content
 *  than `outputSize`; STATUS_BAD_ARGUMENT for areas in disorder.
 *  Cost: O(input + output), of hostile input 0.5 us a byte, where each block brings new tables. */
export function zstdDecode(
  work: u32,
  input: u32,
  inputSize: u32,
  dictionarySize: u32,
  output: u32,
  outputSize: u32,
  requiresChecksum: u32,
): i32 {
  // In 64 bits no sum wraps. What follows has all areas in the memory, apart and below 2 GiB.
  const inputStart = <u64>work + DECODE_WORK_SIZE_BYTES;
  const dictionaryStart = <u64>input + inputSize;
  const outputEnd = <u64>output + outputSize;
  const isInOrder =
    work >= <u32>ZSTD_AREA_OFFSET &&
    inputStart <= <u64>input &&
    dictionaryStart + dictionarySize <= <u64>output &&
    outputEnd <= min<u64>((<u64>memory.size()) << 16, MEMORY_END_MAX);
  if (!isInOrder) return STATUS_BAD_ARGUMENT;
  store<u32>(work, output, DICTIONARY_END);
  store<u32>(work, dictionarySize, DICTIONARY_SIZE);
  // Neither is below zero: what stands before is longer.
  store<u32>(work, <u32>dictionaryStart - WIDE_COPY_SIZE_BYTES, INPUT_WIDE_END);
  store<u32>(work, <u32>outputEnd - WIDE_COPY_SIZE_BYTES, OUTPUT_WIDE_END);
  return decodeFrames(
    work,
    input,
    input + inputSize,
    output,
    output + outputSize,
    requiresChecksum != 0,
  );
}

function decodeFrames(
  work: u32,
  input: u32,
  end: u32,
  output: u32,
  outputEnd: u32,
  requiresChecksum: bool,
): i32 {
  let ptr = input;
  let to = output;
  let hasFrame = false;
  while (ptr < end) {
    if (MAGIC_SIZE_BYTES > end - ptr) return STATUS_CORRUPT;
    // In bounds: the four bytes are inside the input, and so is what each branch checks.
    const magic = load<u32>(ptr);
    if (magic == FRAME_MAGIC) {
      const size = decodeFrame(work, ptr, end, to, outputEnd, requiresChecksum);
      if (size < 0) return size;
      ptr = load<u32>(work, NEXT_PTR);
      to += size;
      hasFrame = true;
    } else if ((magic & SKIPPABLE_MASK) == SKIPPABLE_MAGIC) {
      if (SKIPPABLE_HEADER_SIZE_BYTES > end - ptr) return STATUS_CORRUPT;
      const size = load<u32>(ptr, 4);
      if (size > end - ptr - SKIPPABLE_HEADER_SIZE_BYTES) return STATUS_CORRUPT;
      ptr += SKIPPABLE_HEADER_SIZE_BYTES + size;
    } else {
      const isLegacy = magic >= LEGACY_MAGIC_FIRST && magic < FRAME_MAGIC;
      return isLegacy ? STATUS_UNSUPPORTED : STATUS_CORRUPT;
    }
  }
  return hasFrame ? <i32>(to - output) : STATUS_CORRUPT;
}
