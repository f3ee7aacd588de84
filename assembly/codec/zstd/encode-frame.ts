// zstd frames against a raw-content dictionary (RFC 8878 section 3.1.1): one segment, so that the
// window is the content and the whole dictionary stays in reach; with content size and checksum,
// because decoders have delivered wrong bytes from frames without; without a dictionary number.

import {
  ZSTD_AREA_OFFSET,
  ZSTD_CONTENT_SIZE_BYTES_MAX,
  ZSTD_DICTIONARY_SIZE_BYTES_MAX,
} from '../../shared/codec-layout';
import { STATUS_BAD_ARGUMENT, STATUS_NO_SPACE } from '../../shared/status';
import { xxh64Of } from '../xxh64';
import { writeBlocks } from './encode-block';
import { buildTable, setPredefined } from './encode-fse';
import { beginParser, EFFORT_MAX, parserWorkSize } from './encode-parse';
import { beginRepeats, Repeats } from './encode-repeats';
import { Encoder, FIXED_SIZE_BYTES, layOut, sharedWorkSize, TABLE_SIZE_BYTES } from './encode-work';
import {
  BLOCK_SIZE_BYTES_MAX,
  CHECKSUM_SIZE_BYTES,
  FRAME_HEADER_SIZE_BYTES_MAX,
  FRAME_MAGIC,
  LITERAL_LENGTH_LOG_PREDEFINED,
  LITERAL_LENGTH_PREDEFINED,
  MATCH_LENGTH_LOG_PREDEFINED,
  MATCH_LENGTH_PREDEFINED,
  OFFSET_LOG_PREDEFINED,
  OFFSET_PREDEFINED,
} from './format';

const SINGLE_SEGMENT: u32 = 0x20;
const HAS_CHECKSUM: u32 = 4;
const BLOCK_HEADER_SIZE_BYTES: u32 = 3;
const ALIGNMENT: u32 = 16;

/** The most bytes that a frame of `sourceSize` bytes takes, which is what its area must hold. */
export function zstdEncodeBound(sourceSize: u32): i32 {
  if (sourceSize > <u32>ZSTD_CONTENT_SIZE_BYTES_MAX) return STATUS_BAD_ARGUMENT;
  const blocks = sourceSize / BLOCK_SIZE_BYTES_MAX + 1;
  const around = FRAME_HEADER_SIZE_BYTES_MAX + CHECKSUM_SIZE_BYTES;
  return sourceSize + blocks * BLOCK_HEADER_SIZE_BYTES + around;
}

/** How large the work area of an encoding must be. Errors: STATUS_BAD_ARGUMENT for a size above
 *  its maximum or an effort that is none of 1 (fast), 2 and 3 (best). */
export function zstdEncodeWorkSize(dictionarySize: u32, sourceSize: u32, effort: u32): i32 {
  if (sourceSize > <u32>ZSTD_CONTENT_SIZE_BYTES_MAX) return STATUS_BAD_ARGUMENT;
  if (dictionarySize > <u32>ZSTD_DICTIONARY_SIZE_BYTES_MAX) return STATUS_BAD_ARGUMENT;
  if (effort < 1 || effort > EFFORT_MAX) return STATUS_BAD_ARGUMENT;
  return sharedWorkSize(sourceSize) + parserWorkSize(dictionarySize, sourceSize, effort);
}

/** Encodes the source, which stands right after the dictionary, as one frame.
 *  Shape: areas in this order, none over another, `work` at a multiple of 16:
 *  work | dictionary, source | frame. Result: the frame's size.
 *  Errors: STATUS_BAD_ARGUMENT for areas that are not so or not inside the memory, or too small a
 *  work area; STATUS_NO_SPACE for a frame area below zstdEncodeBound(). Cost: by effort. */
export function zstdEncode(
  work: u32,
  workSize: u32,
  dictionary: u32,
  dictionarySize: u32,
  sourceSize: u32,
  frame: u32,
  frameSize: u32,
  effort: u32,
): i32 {
  const needed = zstdEncodeWorkSize(dictionarySize, sourceSize, effort);
  if (needed < 0 || workSize < <u32>needed) return STATUS_BAD_ARGUMENT;
  if (work < <u32>ZSTD_AREA_OFFSET || work % ALIGNMENT != 0) return STATUS_BAD_ARGUMENT;
  const memoryEnd = (<u64>memory.size()) << 16;
  const sourceEnd = <u64>dictionary + dictionarySize + sourceSize;
  if (<u64>work + workSize > <u64>dictionary) return STATUS_BAD_ARGUMENT;
  if (sourceEnd > <u64>frame || <u64>frame + frameSize > memoryEnd) return STATUS_BAD_ARGUMENT;
  if (frameSize < <u32>zstdEncodeBound(sourceSize)) return STATUS_NO_SPACE;
  const encoder = changetype<Encoder>(work);
  begin(encoder, dictionary, dictionarySize, sourceSize, effort);
  const blocks = writeHeader(frame, sourceSize);
  const end = writeBlocks(encoder, blocks);
  store<u32>(end, <u32>xxh64Of(dictionary + dictionarySize, sourceSize));
  return end + CHECKSUM_SIZE_BYTES - frame;
}

function begin(
  encoder: Encoder,
  dictionary: u32,
  dictionarySize: u32,
  sourceSize: u32,
  effort: u32,
): void {
  memory.fill(changetype<usize>(encoder), 0, FIXED_SIZE_BYTES);
  layOut(encoder, sourceSize);
  encoder.base = dictionary - 1;
  encoder.start = dictionarySize + 1;
  encoder.end = dictionarySize + 1 + sourceSize;
  encoder.effort = effort;
  beginRepeats(changetype<Repeats>(encoder.repeats));
  const literals = encoder.predefined;
  const offsets = literals + TABLE_SIZE_BYTES;
  const matches = offsets + TABLE_SIZE_BYTES;
  setPredefined(literals, LITERAL_LENGTH_PREDEFINED, 36, LITERAL_LENGTH_LOG_PREDEFINED);
  setPredefined(offsets, OFFSET_PREDEFINED, 29, OFFSET_LOG_PREDEFINED);
  setPredefined(matches, MATCH_LENGTH_PREDEFINED, 53, MATCH_LENGTH_LOG_PREDEFINED);
  buildTable(encoder, literals);
  buildTable(encoder, offsets);
  buildTable(encoder, matches);
  beginParser(encoder);
}

/** Magic, descriptor and content size in as few bytes as it fits (3.1.1.1). */
function writeHeader(ptr: u32, sourceSize: u32): u32 {
  const sizeFlag: u32 = sourceSize < 256 ? 0 : sourceSize < 65792 ? 1 : 2;
  store<u32>(ptr, FRAME_MAGIC);
  store<u8>(ptr, (sizeFlag << 6) | SINGLE_SEGMENT | HAS_CHECKSUM, 4);
  if (sizeFlag == 0) {
    store<u8>(ptr, sourceSize, 5);
    return ptr + 6;
  }
  if (sizeFlag == 1) {
    store<u16>(ptr, sourceSize - 256, 5);
    return ptr + 7;
  }
  store<u32>(ptr, sourceSize, 5);
  return ptr + 9;
}
