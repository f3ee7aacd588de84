// The literals section of a block (RFC 8878 section 3.1.1.3.1): raw, one byte repeated, or Huffman
// codes in one stream or four, with a tree of their own or the one the decoder holds.

import { buildHuffman, huffmanHeader, huffmanHeaderSize, putLiterals } from './encode-huffman';
import { segmentLiteralCounts } from './encode-segments';
import { Block, Encoder, HUFFMAN_SIZE_BYTES } from './encode-work';
import { LITERALS_COMPRESSED, LITERALS_RAW, LITERALS_RLE, LITERALS_TREELESS } from './format';

/** One stream takes no more: its sizes have ten bits. */
const SINGLE_STREAM_SIZE_BYTES_MAX: u32 = 1023;
const STREAM_SIZES_SIZE_BYTES: u32 = 6;

/** Writes the section of `encoder.literals`; returns where it ends. */
export function writeLiterals(encoder: Encoder, block: Block, ptr: u32): u32 {
  const size = block.literalsCount;
  if (size > 1 && isRun(encoder.literals, size)) {
    const end = writeHeader(ptr, LITERALS_RLE, size);
    store<u8>(end, load<u8>(encoder.literals));
    return end + 1;
  }
  // None at all are a byte as raw ones, and some decoders refuse them as coded ones.
  if (block.segmentLiterals != 0 && size > 0) {
    const end = writeCoded(encoder, block, ptr);
    if (end != 0) return end;
  }
  const start = writeHeader(ptr, LITERALS_RAW, size);
  memory.copy(start, encoder.literals, size);
  return start + size;
}

function isRun(from: u32, size: u32): bool {
  const first = load<u8>(from);
  for (let index: u32 = 1; index < size; ++index) {
    if (load<u8>(from + index) != first) return false;
  }
  return true;
}

/** Bytes of the header of raw literals and of a run. */
function headerSize(size: u32): u32 {
  return size < 32 ? 1 : size < 4096 ? 2 : 3;
}

function writeHeader(ptr: u32, type: u32, size: u32): u32 {
  if (size < 32) store<u8>(ptr, type | (size << 3));
  else if (size < 4096) store<u16>(ptr, type | 4 | (size << 4));
  else store<u32>(ptr, type | 12 | (size << 4));
  return ptr + headerSize(size);
}

/** Codes, for which the plan has decided: a tree may pay off in later blocks only. Returns 0 if
 *  there is no code or its size does not fit the header. */
function writeCoded(encoder: Encoder, block: Block, ptr: u32): u32 {
  const size = block.literalsCount;
  const isHeld = encoder.heldLiterals == block.segmentLiterals;
  const huffman = isHeld ? encoder.huffman : encoder.trialHuffman;
  if (!isHeld) {
    const counts = segmentLiteralCounts(encoder, block.segmentLiterals);
    if (!buildHuffman(encoder, huffman, counts)) return 0;
  }
  const start = ptr + (size <= SINGLE_STREAM_SIZE_BYTES_MAX ? 3 : size < 16384 ? 4 : 5);
  let end = start;
  if (!isHeld) {
    memory.copy(start, huffmanHeader(huffman), huffmanHeaderSize(huffman));
    end += huffmanHeaderSize(huffman);
  }
  end = writeStreams(encoder, huffman, size, end);
  if (end - start > codedSizeMax(size)) return 0;
  const type = isHeld ? LITERALS_TREELESS : LITERALS_COMPRESSED;
  writeCodedHeader(ptr, type, size, end - start);
  if (isHeld) return end;
  memory.copy(encoder.huffman, huffman, HUFFMAN_SIZE_BYTES);
  encoder.heldLiterals = block.segmentLiterals;
  return end;
}

/** One stream, or four quarters after the sizes of the first three. */
function writeStreams(encoder: Encoder, huffman: u32, size: u32, ptr: u32): u32 {
  const literals = encoder.literals;
  if (size <= SINGLE_STREAM_SIZE_BYTES_MAX)
    return putLiterals(encoder, huffman, literals, size, ptr);
  const quarter = (size + 3) >> 2;
  let end = ptr + STREAM_SIZES_SIZE_BYTES;
  for (let stream: u32 = 0; stream < 4; ++stream) {
    const begin = end;
    const from = stream * quarter;
    end = putLiterals(encoder, huffman, literals + from, min(quarter, size - from), begin);
    if (stream < 3) store<u16>(ptr + (stream << 1), end - begin);
  }
  return end;
}

/** The sizes' field is as wide as the literals need. */
function codedSizeMax(size: u32): u32 {
  return size <= SINGLE_STREAM_SIZE_BYTES_MAX ? 1023 : size < 16384 ? 16383 : 262143;
}

/** Both sizes in 10, 14 or 18 bits. */
function writeCodedHeader(ptr: u32, type: u32, size: u32, coded: u32): void {
  if (size <= SINGLE_STREAM_SIZE_BYTES_MAX) {
    const header = type | (size << 4) | (coded << 14);
    store<u16>(ptr, header);
    store<u8>(ptr, header >> 16, 2);
  } else if (size < 16384) {
    store<u32>(ptr, type | 8 | (size << 4) | (coded << 18));
  } else {
    const header = <u64>(type | 12 | (size << 4)) | ((<u64>coded) << 22);
    store<u32>(ptr, <u32>header);
    store<u8>(ptr, <u32>(header >> 32), 4);
  }
}
