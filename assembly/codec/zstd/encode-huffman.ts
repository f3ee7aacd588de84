// Huffman codes for literals (RFC 8878 section 4.2): the best lengths of at most 11 bits, their
// description in the stream, and the codes.
//
//   a code:  header size u32 | most bits u32 | header u8 x 136 | lengths u8 x 256 | codes u16 x 256

import { alignBits, BitWriter, beginBits, markBits, putBits } from './encode-bits';
import { buildTable, firstState, normalise, putState, putSymbol, writeTable } from './encode-fse';
import { Encoder, HUFFMAN_SIZE_BYTES } from './encode-work';
import { HUFFMAN_BITS_MAX, HUFFMAN_WEIGHTS_LOG_MAX } from './format';

const BITS_OFFSET: u32 = 4;
const HEADER_OFFSET: u32 = 8;
const LENGTHS_OFFSET: u32 = 144;
const CODES_OFFSET: u32 = 400;
/** A described tree of more bytes is not worth its place, nor is its size a byte below 128. */
const HEADER_SIZE_BYTES_MAX: u32 = 127;
/** A direct description holds no more weights. */
const DIRECT_WEIGHTS_MAX: u32 = 128;

// Parts of the scratch area while lengths are found:
//   sorted symbols u32 x 256 | weights u32 x 512, twice | leaf flags u8 x 512 x 11
const SORTED_OFFSET: u32 = 0;
const LIST_OFFSET: u32 = 1024;
const LIST_SIZE_BYTES: u32 = 2048;
const FLAGS_OFFSET: u32 = LIST_OFFSET + 2 * LIST_SIZE_BYTES;
const FLAGS_STRIDE: u32 = 512;
// And while the tree is described: weights, their counts, and the stream.
const WEIGHTS_OFFSET: u32 = 16384;
const WEIGHT_COUNTS_OFFSET: u32 = 16640;
const STREAM_OFFSET: u32 = 20480;
const WRITER_OFFSET: u32 = 32768;

export function huffmanHeaderSize(huffman: u32): u32 {
  return load<u32>(huffman);
}

export function huffmanHeader(huffman: u32): u32 {
  return huffman + HEADER_OFFSET;
}

/** Makes the code of 256 counts. Errors: false if fewer than two symbols are there, or if their
 *  tree cannot be described. */
export function buildHuffman(encoder: Encoder, huffman: u32, counts: u32): bool {
  memory.fill(huffman, 0, HUFFMAN_SIZE_BYTES);
  const symbols = sortSymbols(encoder.scratch + SORTED_OFFSET, counts);
  if (symbols < 2) return false;
  findLengths(encoder.scratch, huffman + LENGTHS_OFFSET, counts, symbols);
  let most: u32 = 0;
  for (let symbol: u32 = 0; symbol < 256; ++symbol) most = max(most, lengthOf(huffman, symbol));
  store<u32>(huffman, most, BITS_OFFSET);
  assignCodes(huffman, most);
  return describe(encoder, huffman, most);
}

function lengthOf(huffman: u32, symbol: u32): u32 {
  return load<u8>(huffman + symbol, LENGTHS_OFFSET);
}

/** Symbols that occur, rarest first. */
function sortSymbols(sorted: u32, counts: u32): u32 {
  let symbols: u32 = 0;
  for (let symbol: u32 = 0; symbol < 256; ++symbol) {
    const count = load<u32>(counts + (symbol << 2));
    if (count == 0) continue;
    let ptr = sorted + (symbols++ << 2);
    for (; ptr > sorted; ptr -= 4) {
      const before = load<u32>(ptr - 4);
      if (load<u32>(counts + (before << 2)) <= count) break;
      store<u32>(ptr, before);
    }
    store<u32>(ptr, symbol);
  }
  return symbols;
}

/** Package-merge: a symbol's length is in how many of the eleven lists it is among the cheapest.
 *  Source: Larmore and Hirschberg, "A fast algorithm for optimal length-limited Huffman codes". */
function findLengths(scratch: u32, lengths: u32, counts: u32, symbols: u32): void {
  let list = scratch + LIST_OFFSET;
  let other = list + LIST_SIZE_BYTES;
  let size: u32 = 0;
  for (let level: u32 = 0; level < HUFFMAN_BITS_MAX; ++level) {
    const flags = scratch + FLAGS_OFFSET + level * FLAGS_STRIDE;
    size = mergeLevel(scratch + SORTED_OFFSET, counts, symbols, list, size, other, flags);
    const swapped = list;
    list = other;
    other = swapped;
  }
  let taken: u32 = 2 * symbols - 2;
  for (let level: i32 = HUFFMAN_BITS_MAX - 1; level >= 0; --level) {
    const flags = scratch + FLAGS_OFFSET + level * FLAGS_STRIDE;
    let leaves: u32 = 0;
    for (let index: u32 = 0; index < taken; ++index) leaves += load<u8>(flags + index);
    for (let index: u32 = 0; index < leaves; ++index) {
      const ptr = lengths + load<u32>(scratch + SORTED_OFFSET + (index << 2));
      store<u8>(ptr, load<u8>(ptr) + 1);
    }
    taken = 2 * (taken - leaves);
  }
}

/** Merges the symbols with the pairs of the last list; flags tell symbols from pairs. In bounds:
 *  a list holds at most 256 symbols and 255 pairs. */
function mergeLevel(
  sorted: u32,
  counts: u32,
  symbols: u32,
  list: u32,
  size: u32,
  merged: u32,
  flags: u32,
): u32 {
  const pairs = size >> 1;
  let leaf: u32 = 0;
  let pair: u32 = 0;
  for (let index: u32 = 0; index < symbols + pairs; ++index) {
    const leafWeight =
      leaf < symbols ? load<u32>(counts + (load<u32>(sorted + (leaf << 2)) << 2)) : 0;
    const pairPtr = list + (pair << 3);
    const pairWeight = pair < pairs ? load<u32>(pairPtr) + load<u32>(pairPtr, 4) : 0;
    const isLeaf = pair >= pairs || (leaf < symbols && leafWeight <= pairWeight);
    store<u32>(merged + (index << 2), isLeaf ? leafWeight : pairWeight);
    store<u8>(flags + index, u32(isLeaf));
    leaf += u32(isLeaf);
    pair += u32(!isLeaf);
  }
  return symbols + pairs;
}

/** The longest codes come first, equal ones in the order of their symbols (4.2.1.3). */
function assignCodes(huffman: u32, most: u32): void {
  let code: u32 = 0;
  for (let length = most; length > 0; --length) {
    for (let symbol: u32 = 0; symbol < 256; ++symbol) {
      if (lengthOf(huffman, symbol) != length) continue;
      store<u16>(huffman + (symbol << 1), code++, CODES_OFFSET);
    }
    code >>= 1;
  }
}

/** Describes the tree by weights (4.2.1): 0 for none, else one more than the bits it saves. The
 *  last symbol's follows from the others. */
function describe(encoder: Encoder, huffman: u32, most: u32): bool {
  const weights = encoder.scratch + WEIGHTS_OFFSET;
  let last: u32 = 255;
  while (lengthOf(huffman, last) == 0) --last;
  for (let symbol: u32 = 0; symbol <= last; ++symbol) {
    const length = lengthOf(huffman, symbol);
    store<u8>(weights + symbol, length == 0 ? 0 : most + 1 - length);
  }
  store<u8>(weights + last, 0);
  const coded = describeCoded(encoder, huffman, weights, last);
  const direct: u32 = 1 + ((last + 1) >> 1);
  if (last <= DIRECT_WEIGHTS_MAX && (coded == 0 || direct <= coded)) {
    describeDirectly(huffman, weights, last, direct);
    return true;
  }
  if (coded == 0) return false;
  store<u32>(huffman, coded);
  return true;
}

/** Four bits a weight. In bounds: 65 bytes, and the weight after the last is 0. */
function describeDirectly(huffman: u32, weights: u32, count: u32, size: u32): void {
  store<u32>(huffman, size);
  store<u8>(huffman, 127 + count, HEADER_OFFSET);
  for (let index: u32 = 0; index < count; index += 2) {
    const byte = (load<u8>(weights + index) << 4) | load<u8>(weights + index, 1);
    store<u8>(huffman + (index >> 1), byte, HEADER_OFFSET + 1);
  }
}

/** FSE-coded weights at their best log. Returns the header's size, 0 if there is none. */
function describeCoded(encoder: Encoder, huffman: u32, weights: u32, count: u32): u32 {
  if (count < 2) return 0;
  const counts = encoder.scratch + WEIGHT_COUNTS_OFFSET;
  memory.fill(counts, 0, 256);
  for (let index: u32 = 0; index < count; ++index) {
    const ptr = counts + ((<u32>load<u8>(weights + index)) << 2);
    store<u32>(ptr, load<u32>(ptr) + 1);
  }
  let best: u32 = 0;
  for (let log: u32 = 5; log <= HUFFMAN_WEIGHTS_LOG_MAX; ++log) {
    if (!normalise(encoder, encoder.trial, counts, log)) continue;
    const stream = encoder.scratch + STREAM_OFFSET;
    const size = putWeights(encoder, weights, count, stream) - stream;
    if (size > HEADER_SIZE_BYTES_MAX || (best > 0 && size + 1 >= best)) continue;
    best = size + 1;
    store<u8>(huffman, size, HEADER_OFFSET);
    memory.copy(huffman + HEADER_OFFSET + 1, stream, size);
  }
  return best;
}

/** The table and the weights, from the last to the first, by two states in turn: even places by
 *  one, odd ones by the other (4.2.1.2). */
function putWeights(encoder: Encoder, weights: u32, count: u32, ptr: u32): u32 {
  const table = encoder.trial;
  const writer = changetype<BitWriter>(encoder.scratch + WRITER_OFFSET);
  const start = writeTable(encoder, table, ptr);
  buildTable(encoder, table);
  beginBits(writer, start);
  let index = count - 1;
  let state = firstState(table, load<u8>(weights + index));
  let other = firstState(table, load<u8>(weights + --index));
  while (index > 0) {
    const next = putSymbol(writer, table, state, load<u8>(weights + --index));
    state = other;
    other = next;
  }
  // `other` is of the first weight, and the decoder begins with it.
  putState(writer, table, state);
  putState(writer, table, other);
  return markBits(writer);
}

/** Bits that the counted symbols take. Every one of them must have a code: see covers(). */
export function huffmanBits(huffman: u32, counts: u32): u32 {
  let bits: u32 = 0;
  for (let symbol: u32 = 0; symbol < 256; ++symbol) {
    bits += load<u32>(counts + (symbol << 2)) * lengthOf(huffman, symbol);
  }
  return bits;
}

/** Whether every counted symbol has a code. */
export function huffmanCovers(huffman: u32, counts: u32): bool {
  for (let symbol: u32 = 0; symbol < 256; ++symbol) {
    if (load<u32>(counts + (symbol << 2)) > 0 && lengthOf(huffman, symbol) == 0) return false;
  }
  return true;
}

/** Writes one stream of `size` literals, last first; returns where it ends. */
export function putLiterals(encoder: Encoder, huffman: u32, from: u32, size: u32, ptr: u32): u32 {
  const writer = changetype<BitWriter>(encoder.scratch + WRITER_OFFSET);
  beginBits(writer, ptr);
  // In bounds: codes are of 256 symbols, and the block area has room for 18 bits a literal.
  for (let literal = from + size; literal > from; ) {
    const symbol = <u32>load<u8>(--literal);
    const code = load<u16>(huffman + (symbol << 1), CODES_OFFSET);
    putBits(writer, code, load<u8>(huffman + symbol, LENGTHS_OFFSET));
  }
  return markBits(writer);
}
