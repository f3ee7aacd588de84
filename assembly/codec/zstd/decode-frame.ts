// A frame: header, blocks, checksum (RFC 8878 section 3.1.1).

import {
  STATUS_BAD_CHECKSUM,
  STATUS_CORRUPT,
  STATUS_NO_CHECKSUM,
  STATUS_NO_SPACE,
  STATUS_TOO_LONG,
  STATUS_UNSUPPORTED,
} from '../../shared/status';
import { xxh64Of } from '../xxh64';
import { decodeBlock } from './decode-block';
import {
  CONTENT_PTR,
  CONTENT_SIZE,
  DICTIONARY_END,
  DICTIONARY_SIZE,
  HAS_CHECKSUM,
  HISTORY_PTR,
  NEXT_PTR,
  REPEATS,
  resetWork,
  WINDOW_SIZE,
} from './decode-work';
import {
  BLOCK_COMPRESSED,
  BLOCK_RAW,
  BLOCK_RLE,
  BLOCK_SIZE_BYTES_MAX,
  CHECKSUM_SIZE_BYTES,
  REPEAT_OFFSET_1,
  REPEAT_OFFSET_2,
  REPEAT_OFFSET_3,
} from './format';

/** What `zstd --ultra -22 --long=27` uses, and the most that dcz allows (RFC 9842 section 2.2). */
const WINDOW_SIZE_BYTES_MAX: u64 = 134217728;
const MAGIC_SIZE_BYTES: u32 = 4;
const BLOCK_HEADER_SIZE_BYTES: u32 = 3;
const CONTENT_SIZE_UNKNOWN: u64 = 0xffffffffffffffff;

const SINGLE_SEGMENT_BIT: u32 = 0x20;
const RESERVED_BIT: u32 = 0x08;
const CHECKSUM_BIT: u32 = 0x04;

/** Decodes the frame whose magic stands at `ptr`; returns its content's size and leaves in the work
 *  area where the frame ends. */
export function decodeFrame(
  work: u32,
  ptr: u32,
  end: u32,
  output: u32,
  outputEnd: u32,
  requiresChecksum: bool,
): i32 {
  resetWork(work);
  store<u32>(work, REPEAT_OFFSET_1, REPEATS);
  store<u32>(work, REPEAT_OFFSET_2, REPEATS + 4);
  store<u32>(work, REPEAT_OFFSET_3, REPEATS + 8);
  const status = readHeader(work, ptr + MAGIC_SIZE_BYTES, end, outputEnd - output);
  if (status < 0) return status;
  const hasChecksum = load<u32>(work, HAS_CHECKSUM) != 0;
  if (requiresChecksum && !hasChecksum) return STATUS_NO_CHECKSUM;
  // The dictionary stands right before the output, which is right before the first frame's content.
  const dictionaryEnd = load<u32>(work, DICTIONARY_END);
  const dictionarySize = output == dictionaryEnd ? load<u32>(work, DICTIONARY_SIZE) : 0;
  store<u32>(work, output, CONTENT_PTR);
  store<u32>(work, output - dictionarySize, HISTORY_PTR);

  const contentSize = load<u64>(work, CONTENT_SIZE);
  const isSizeKnown = contentSize != CONTENT_SIZE_UNKNOWN;
  const contentEnd = isSizeKnown ? output + <u32>contentSize : outputEnd;
  const size = decodeBlocks(work, load<u32>(work, NEXT_PTR), end, output, contentEnd);
  if (size == STATUS_TOO_LONG) return isSizeKnown ? STATUS_CORRUPT : STATUS_NO_SPACE;
  if (size < 0) return size;
  if (isSizeKnown && <u32>size != <u32>contentSize) return STATUS_CORRUPT;
  return hasChecksum ? checkContent(work, end, output, size) : size;
}

/** Reads what follows the magic: descriptor, window, dictionary id, content size.
 *
 *    descriptor: | form of the size 2 | single segment 1 | unused 1 | reserved 1 | checksum 1 |
 *                | form of the dictionary id 2 |
 */
function readHeader(work: u32, ptr: u32, end: u32, sizeMax: u32): i32 {
  if (ptr >= end) return STATUS_CORRUPT;
  const descriptor: u32 = load<u8>(ptr);
  if ((descriptor & RESERVED_BIT) != 0) return STATUS_UNSUPPORTED;
  const isSingle = (descriptor & SINGLE_SEGMENT_BIT) != 0;
  const idForm = descriptor & 3;
  const sizeForm = descriptor >> 6;
  const windowFieldSize: u32 = isSingle ? 0 : 1;
  const idFieldSize: u32 = idForm == 3 ? 4 : idForm;
  const sizeFieldSize: u32 = sizeForm == 0 ? (isSingle ? 1 : 0) : 1 << sizeForm;
  const idPtr = ptr + 1 + windowFieldSize;
  const sizePtr = idPtr + idFieldSize;
  if (1 + windowFieldSize + idFieldSize + sizeFieldSize > end - ptr) return STATUS_CORRUPT;
  // In bounds from here on: all fields are inside the frame.
  if (littleEndian(idPtr, idFieldSize) != 0) return STATUS_UNSUPPORTED;
  let contentSize = CONTENT_SIZE_UNKNOWN;
  if (sizeFieldSize > 0) contentSize = littleEndian(sizePtr, sizeFieldSize);
  if (sizeFieldSize == 2) contentSize += 256;
  if (contentSize != CONTENT_SIZE_UNKNOWN && contentSize > <u64>sizeMax) return STATUS_NO_SPACE;
  let window = contentSize;
  if (!isSingle) {
    const field: u64 = load<u8>(ptr, 1);
    const base = (<u64>1) << (10 + (field >> 3));
    window = base + (base >> 3) * (field & 7);
  }
  if (window > WINDOW_SIZE_BYTES_MAX) return STATUS_UNSUPPORTED;
  store<u32>(work, <u32>window, WINDOW_SIZE);
  store<u64>(work, contentSize, CONTENT_SIZE);
  store<u32>(work, descriptor & CHECKSUM_BIT, HAS_CHECKSUM);
  store<u32>(work, sizePtr + sizeFieldSize, NEXT_PTR);
  return 0;
}

/** A number of 0 to 8 bytes; the caller says why it is in bounds. */
function littleEndian(ptr: u32, size: u32): u64 {
  let value: u64 = 0;
  for (let byte: u32 = 0; byte < size; ++byte) {
    value |= (<u64>load<u8>(ptr + byte)) << ((<u64>byte) << 3);
  }
  return value;
}

/** Decodes the blocks from `ptr` to the last; returns the bytes produced and leaves where the last
 *  block ends. Errors: STATUS_TOO_LONG beyond `outputEnd`. */
function decodeBlocks(work: u32, ptr: u32, end: u32, output: u32, outputEnd: u32): i32 {
  const sizeMax = min<u32>(BLOCK_SIZE_BYTES_MAX, load<u32>(work, WINDOW_SIZE));
  let from = ptr;
  let to = output;
  let isLast = false;
  while (!isLast) {
    if (BLOCK_HEADER_SIZE_BYTES > end - from) return STATUS_CORRUPT;
    // In bounds: the three bytes are inside the frame.
    const header = <u32>load<u16>(from) | ((<u32>load<u8>(from, 2)) << 16);
    from += BLOCK_HEADER_SIZE_BYTES;
    isLast = (header & 1) != 0;
    const kind = (header >> 1) & 3;
    const size = header >> 3;
    const storedSize: u32 = kind == BLOCK_RLE ? 1 : size;
    if (size > sizeMax || storedSize > end - from) return STATUS_CORRUPT;
    const room = outputEnd - to;
    if (kind == BLOCK_COMPRESSED) {
      const isRoomLess = room < sizeMax;
      const produced = decodeBlock(
        work,
        from,
        size,
        sizeMax,
        to,
        to + (isRoomLess ? room : sizeMax),
      );
      // Beyond a block's own limit is not a lack of room.
      if (produced == STATUS_TOO_LONG && !isRoomLess) return STATUS_CORRUPT;
      if (produced < 0) return produced;
      to += produced;
    } else {
      if (kind != BLOCK_RAW && kind != BLOCK_RLE) return STATUS_CORRUPT;
      if (size > room) return STATUS_TOO_LONG;
      if (kind == BLOCK_RAW) memory.copy(to, from, size);
      else memory.fill(to, load<u8>(from), size);
      to += size;
    }
    from += storedSize;
  }
  store<u32>(work, from, NEXT_PTR);
  return <i32>(to - output);
}

/** Compares the content with the checksum that ends the frame. */
function checkContent(work: u32, end: u32, content: u32, size: i32): i32 {
  const ptr = load<u32>(work, NEXT_PTR);
  if (CHECKSUM_SIZE_BYTES > end - ptr) return STATUS_CORRUPT;
  store<u32>(work, ptr + CHECKSUM_SIZE_BYTES, NEXT_PTR);
  // In bounds: the four bytes are inside the frame.
  return load<u32>(ptr) == <u32>xxh64Of(content, size) ? size : STATUS_BAD_CHECKSUM;
}
