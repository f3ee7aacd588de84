// The Huffman code of literals: the weights as a block describes them and the flat table made of
// them (RFC 8878 section 4.2.1).

import { STATUS_CORRUPT } from '../../shared/status';
import { firstBits, streamBits, topBits } from './decode-bits';
import { buildTable, readDistribution } from './decode-fse';
import {
  DISTRIBUTION_LOG,
  HUFFMAN_BITS,
  HUFFMAN_TABLE,
  WEIGHT_PLACES,
  WEIGHT_TABLE,
  WEIGHTS,
} from './decode-work';
import { HUFFMAN_BITS_MAX, HUFFMAN_WEIGHTS_LOG_MAX } from './format';

/** The last weight is not written: it follows from the others. */
const WEIGHTS_COUNT_MAX: u32 = 255;

/** Reads a tree's description and makes its table; returns the description's size in bytes. */
export function readTree(work: u32, ptr: u32, end: u32): i32 {
  if (ptr >= end) return STATUS_CORRUPT;
  const header: u32 = load<u8>(ptr);
  const isDirect = header >= 128;
  const size = isDirect ? (header - 126) >> 1 : header;
  if (size > end - ptr - 1) return STATUS_CORRUPT;
  const count = isDirect
    ? readDirectWeights(work, ptr + 1, header - 127)
    : readCodedWeights(work, ptr + 1, size);
  if (count < 0) return count;
  const status = buildHuffman(work, count);
  return status < 0 ? status : <i32>(size + 1);
}

/** Four bits each, the high half of a byte first. In bounds: `count` <= 128, checked by the caller
 *  against the end. */
function readDirectWeights(work: u32, ptr: u32, count: u32): i32 {
  for (let index: u32 = 0; index < count; ++index) {
    const byte: u32 = load<u8>(ptr + (index >> 1));
    store<u8>(work + index, <u8>((index & 1) == 0 ? byte >> 4 : byte & 15), WEIGHTS);
  }
  return <i32>count;
}

/** Two states take turns until one lacks the bits for its next state; then the other's symbol is
 *  the last. Returns the count. */
function readCodedWeights(work: u32, ptr: u32, size: u32): i32 {
  const read = readDistribution(work, ptr, ptr + size, HUFFMAN_BITS_MAX, HUFFMAN_WEIGHTS_LOG_MAX);
  if (read < 0) return read;
  const table = work + WEIGHT_TABLE;
  buildTable(work, table, 0, 0);
  const stream = ptr + read;
  let bits = streamBits(stream, size - read);
  const log = load<u32>(work, DISTRIBUTION_LOG);
  if (bits < <i32>(log << 1)) return STATUS_CORRUPT;
  let word = topBits(stream, bits);
  let state = firstBits(word, log);
  let other = firstBits(word << log, log);
  bits -= <i32>(log << 1);
  for (let count: u32 = 0; count < WEIGHTS_COUNT_MAX - 1; ++count) {
    // In bounds: a state is below the table's size, `count` below 254.
    const entry = load<u64>(table + (state << 3));
    store<u8>(work + count, <u8>(entry >> 32), WEIGHTS);
    const taken = <u32>(entry >> 16) & 0xff;
    if (<i32>taken > bits) {
      store<u8>(work + count + 1, <u8>(load<u64>(table + (other << 3)) >> 32), WEIGHTS);
      return <i32>(count + 2);
    }
    word = topBits(stream, bits);
    state = other;
    other = (<u32>entry & 0xffff) + firstBits(word, taken);
    bits -= <i32>taken;
  }
  return STATUS_CORRUPT;
}

/** Makes the table of the first `count` weights and the one that follows from them.
 *  Errors: STATUS_CORRUPT unless the code is complete, has at least two longest codes, as zstd asks
 *  for, and none longer than HUFFMAN_BITS_MAX. */
function buildHuffman(work: u32, count: u32): i32 {
  for (let weight: u32 = 0; weight < 16; ++weight) {
    store<u32>(work + (weight << 2), 0, WEIGHT_PLACES);
  }
  let total: u32 = 0;
  for (let index: u32 = 0; index < count; ++index) {
    const weight: u32 = load<u8>(work + index, WEIGHTS);
    if (weight > HUFFMAN_BITS_MAX) return STATUS_CORRUPT;
    countWeight(work, weight);
    total += (1 << weight) >> 1;
  }
  const bits: u32 = 32 - clz<u32>(total);
  if (total == 0 || bits > HUFFMAN_BITS_MAX) return STATUS_CORRUPT;
  const left: u32 = (1 << bits) - total;
  if ((left & (left - 1)) != 0) return STATUS_CORRUPT;
  const last: u32 = 32 - clz<u32>(left);
  // In bounds: count <= 255.
  store<u8>(work + count, <u8>last, WEIGHTS);
  countWeight(work, last);
  // An odd number cannot be: the code is complete.
  if (load<u32>(work + (1 << 2), WEIGHT_PLACES) < 2) return STATUS_CORRUPT;
  fillHuffman(work, count + 1, bits);
  store<u32>(work, bits, HUFFMAN_BITS);
  return 0;
}

function countWeight(work: u32, weight: u32): void {
  const ptr = work + (weight << 2);
  store<u32>(ptr, load<u32>(ptr, WEIGHT_PLACES) + 1, WEIGHT_PLACES);
}

/** Symbols stand in the order of weight, then of value; one of weight w takes 2^(w - 1) entries.
 *  In bounds: the code is complete, so that all take 2^bits entries together. */
function fillHuffman(work: u32, count: u32, bits: u32): void {
  let place: u32 = 0;
  for (let weight: u32 = 1; weight <= bits; ++weight) {
    const ptr = work + (weight << 2);
    const symbols = load<u32>(ptr, WEIGHT_PLACES);
    store<u32>(ptr, place, WEIGHT_PLACES);
    place += symbols << (weight - 1);
  }
  for (let symbol: u32 = 0; symbol < count; ++symbol) {
    const weight: u32 = load<u8>(work + symbol, WEIGHTS);
    if (weight == 0) continue;
    const ptr = work + (weight << 2);
    const first = load<u32>(ptr, WEIGHT_PLACES);
    const taken: u32 = (1 << weight) >> 1;
    store<u32>(ptr, first + taken, WEIGHT_PLACES);
    fillEntries(work + HUFFMAN_TABLE + (first << 1), taken, symbol | ((bits + 1 - weight) << 8));
  }
}

/** `count` is a power of two. */
function fillEntries(ptr: u32, count: u32, entry: u32): void {
  if (count == 1) {
    store<u16>(ptr, <u16>entry);
  } else if (count == 2) {
    store<u32>(ptr, entry * 0x10001);
  } else {
    const four: u64 = <u64>entry * 0x1000100010001;
    for (const end = ptr + (count << 1); ptr < end; ptr += 8) store<u64>(ptr, four);
  }
}
