// The literals section of a block (RFC 8878 section 3.1.1.3.1).

import { STATUS_CORRUPT } from '../../shared/status';
import { decodeFourStreams, decodeStream } from './decode-huffman-streams';
import { readTree } from './decode-huffman-tree';
import {
  HUFFMAN_BITS,
  INPUT_WIDE_END,
  LITERALS,
  LITERALS_PTR,
  LITERALS_SIZE,
  LITERALS_WIDE_END,
} from './decode-work';
import { LITERALS_COMPRESSED, LITERALS_RAW, LITERALS_RLE } from './format';

/** Reads the section that begins at `ptr`; leaves in the work area where the literals stand.
 *  Returns the section's size. Errors: STATUS_CORRUPT, also above `sizeMax` literals. */
export function readLiterals(work: u32, ptr: u32, end: u32, sizeMax: u32): i32 {
  if (ptr >= end) return STATUS_CORRUPT;
  const kind = <u32>load<u8>(ptr) & 3;
  return kind == LITERALS_RAW || kind == LITERALS_RLE
    ? readPlain(work, ptr, end, sizeMax, kind)
    : readCoded(work, ptr, end, sizeMax, kind);
}

/** Header: kind 2 bits, form 2 bits (or 1 and a size of 5), size of 12 or 20 bits. */
function readPlain(work: u32, ptr: u32, end: u32, sizeMax: u32, kind: u32): i32 {
  const form = (<u32>load<u8>(ptr) >> 2) & 3;
  const headerSize: u32 = form == 1 ? 2 : form == 3 ? 3 : 1;
  if (headerSize > end - ptr) return STATUS_CORRUPT;
  // In bounds: each byte is inside the header.
  let size: u32 = <u32>load<u8>(ptr) >> 3;
  if (headerSize > 1) size = (<u32>load<u8>(ptr) >> 4) | ((<u32>load<u8>(ptr, 1)) << 4);
  if (headerSize > 2) size |= (<u32>load<u8>(ptr, 2)) << 12;
  if (size > sizeMax) return STATUS_CORRUPT;
  const from = ptr + headerSize;
  const bodySize: u32 = kind == LITERALS_RLE ? 1 : size;
  if (bodySize > end - from) return STATUS_CORRUPT;
  store<u32>(work, size, LITERALS_SIZE);
  if (kind == LITERALS_RLE) {
    // In bounds: size <= sizeMax, the room for literals.
    memory.fill(work + LITERALS, load<u8>(from), size);
    placeInWork(work, size);
  } else {
    // Used where they stand. They may be read 16 bytes at a time except at the input's end.
    store<u32>(work, from, LITERALS_PTR);
    store<u32>(work, min<u32>(from + size, load<u32>(work, INPUT_WIDE_END)), LITERALS_WIDE_END);
  }
  return <i32>(headerSize + bodySize);
}

/** Header: kind 2 bits, form 2 bits, then the decoded and the coded size of 10, 14 or 18 bits. */
function readCoded(work: u32, ptr: u32, end: u32, sizeMax: u32, kind: u32): i32 {
  const form = (<u32>load<u8>(ptr) >> 2) & 3;
  const headerSize: u32 = form < 2 ? 3 : form + 2;
  if (headerSize > end - ptr) return STATUS_CORRUPT;
  let header: u64 = 0;
  // In bounds: each byte is inside the header.
  for (let at: u32 = 0; at < headerSize; ++at) header |= (<u64>load<u8>(ptr + at)) << (at << 3);
  const width = form < 2 ? 10 : form == 2 ? 14 : 18;
  const mask: u32 = (1 << width) - 1;
  const size = <u32>(header >> 4) & mask;
  const codedSize = <u32>(header >> (4 + width)) & mask;
  if (size == 0 || size > sizeMax) return STATUS_CORRUPT;
  if (codedSize > end - ptr - headerSize) return STATUS_CORRUPT;
  let from = ptr + headerSize;
  const codedEnd = from + codedSize;
  if (kind == LITERALS_COMPRESSED) {
    const treeSize = readTree(work, from, codedEnd);
    if (treeSize < 0) return treeSize;
    from += treeSize;
  } else if (load<u32>(work, HUFFMAN_BITS) == 0) {
    return STATUS_CORRUPT;
  }
  const status =
    form == 0
      ? decodeStream(work, from, codedEnd - from, work + LITERALS, size)
      : decodeFourStreams(work, from, codedEnd - from, work + LITERALS, size);
  if (status < 0) return status;
  store<u32>(work, size, LITERALS_SIZE);
  placeInWork(work, size);
  return <i32>(headerSize + codedSize);
}

/** Slack follows the room for literals: each may be read with 15 bytes more. */
function placeInWork(work: u32, size: u32): void {
  store<u32>(work, work + LITERALS, LITERALS_PTR);
  store<u32>(work, work + LITERALS + size, LITERALS_WIDE_END);
}
