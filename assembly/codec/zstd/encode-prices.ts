// What literals, lengths and offsets will cost, in 1/256 bits, guessed from what blocks before and
// earlier passes over this one were made of.
//
//   Prices:  counts u32 x 448 | literals u32 x 256 | runs u32 x 256 | matches u32 x 512 |
//            offsets u32 x 32 | codes u32 x 64 x 3
//   counts:  literals x 256, then the three codes x 64 each, in units of 1/COUNT_UNIT

import { CODE_LITERALS, CODE_MATCH, CODE_OFFSET } from './encode-segments';
import {
  CODE_COUNTS_OFFSET,
  CODE_COUNTS_SIZE_BYTES,
  COUNTS_SIZE_BYTES,
  Encoder,
  literalLengthCode,
  log2,
  matchLengthCode,
  offsetCode,
} from './encode-work';
import {
  LITERAL_LENGTH_BITS,
  LITERAL_LENGTH_CODE_MAX,
  LITERAL_LENGTH_PREDEFINED,
  MATCH_LENGTH_BITS,
  MATCH_LENGTH_CODE_MAX,
  MATCH_LENGTH_MIN,
  MATCH_LENGTH_PREDEFINED,
  OFFSET_PREDEFINED,
} from './format';

const LITERALS_OFFSET: u32 = COUNTS_SIZE_BYTES;
const RUNS_OFFSET: u32 = LITERALS_OFFSET + 1024;
const MATCHES_OFFSET: u32 = RUNS_OFFSET + 1024;
const OFFSETS_OFFSET: u32 = MATCHES_OFFSET + 2048;
const CODES_OFFSET: u32 = OFFSETS_OFFSET + 128;
/** Prices of the codes themselves, for lengths beyond the tables. */
export const PRICES_SIZE_BYTES: u32 = CODES_OFFSET + 3 * CODE_COUNTS_SIZE_BYTES;
const RUNS_COUNT: u32 = 256;
const MATCHES_COUNT: u32 = 512;

/** One occurrence; what never occurred counts as one unit. */
const COUNT_UNIT: u32 = 16;
/** What a guess before the first block weighs. */
const GUESS_WEIGHT: u32 = 4;

/** Begins with the predefined distributions, and the content's first bytes as literals. */
export function beginPrices(encoder: Encoder, prices: u32): void {
  memory.fill(prices, 0, PRICES_SIZE_BYTES);
  const size = min<u32>(encoder.end - encoder.start, 65536);
  for (let index: u32 = 0; index < size; ++index) {
    const ptr = prices + ((<u32>load<u8>(encoder.base + encoder.start + index)) << 2);
    store<u32>(ptr, load<u32>(ptr) + COUNT_UNIT);
  }
  for (let symbol: u32 = 0; symbol < 256; ++symbol) {
    const ptr = prices + (symbol << 2);
    store<u32>(ptr, load<u32>(ptr) >> 6);
  }
  guess(prices, CODE_LITERALS, LITERAL_LENGTH_PREDEFINED, 36);
  guess(prices, CODE_OFFSET, OFFSET_PREDEFINED, 29);
  guess(prices, CODE_MATCH, MATCH_LENGTH_PREDEFINED, 53);
  computePrices(encoder, prices);
}

function guess(prices: u32, code: u32, norms: usize, symbols: u32): void {
  const counts = prices + CODE_COUNTS_OFFSET + code * CODE_COUNTS_SIZE_BYTES;
  for (let symbol: u32 = 0; symbol < symbols; ++symbol) {
    const norm = <u32>max<i32>(load<i8>(norms + symbol), 1);
    store<u32>(counts + (symbol << 2), norm * GUESS_WEIGHT);
  }
}

/** Makes `prices` of what a block was made of and what `before` knew of those before it. */
export function learnPrices(
  encoder: Encoder,
  prices: u32,
  before: u32,
  counts: u32,
  keep: u32,
): void {
  for (let symbol: u32 = 0; symbol < COUNTS_SIZE_BYTES >> 2; ++symbol) {
    const old = load<u32>(before + (symbol << 2));
    const now = load<u32>(counts + (symbol << 2)) * COUNT_UNIT;
    store<u32>(prices + (symbol << 2), ((old * keep) >> 3) + now);
  }
  computePrices(encoder, prices);
}

function computePrices(encoder: Encoder, prices: u32): void {
  priceSymbols(encoder, prices, prices + LITERALS_OFFSET, 256);
  const codes = prices + CODES_OFFSET;
  for (let code = CODE_LITERALS; code <= CODE_MATCH; ++code) {
    const each = code * CODE_COUNTS_SIZE_BYTES;
    priceSymbols(encoder, prices + CODE_COUNTS_OFFSET + each, codes + each, 64);
  }
  for (let run: u32 = 0; run < RUNS_COUNT; ++run) {
    store<u32>(prices + RUNS_OFFSET + (run << 2), longRunPrice(encoder, prices, run));
  }
  for (let length = MATCH_LENGTH_MIN; length < MATCHES_COUNT; ++length) {
    store<u32>(prices + MATCHES_OFFSET + (length << 2), longMatchPrice(encoder, prices, length));
  }
  for (let code: u32 = 0; code < 32; ++code) {
    const price = load<u32>(codes + CODE_COUNTS_SIZE_BYTES * CODE_OFFSET + (code << 2));
    store<u32>(prices + OFFSETS_OFFSET + (code << 2), price + (code << 8));
  }
}

function priceSymbols(encoder: Encoder, counts: u32, target: u32, symbols: u32): void {
  let sum: u32 = symbols;
  for (let symbol: u32 = 0; symbol < symbols; ++symbol) sum += load<u32>(counts + (symbol << 2));
  const whole = log2(encoder, sum);
  for (let symbol: u32 = 0; symbol < symbols; ++symbol) {
    const bits = whole - min(log2(encoder, load<u32>(counts + (symbol << 2)) + 1), whole);
    store<u32>(target + (symbol << 2), bits >> 8);
  }
}

function longRunPrice(encoder: Encoder, prices: u32, run: u32): u32 {
  const code = min(literalLengthCode(encoder, run), LITERAL_LENGTH_CODE_MAX);
  const bits = <u32>load<u8>(LITERAL_LENGTH_BITS + code);
  return load<u32>(prices + CODES_OFFSET + (code << 2)) + (bits << 8);
}

function longMatchPrice(encoder: Encoder, prices: u32, length: u32): u32 {
  const code = min(matchLengthCode(encoder, length), MATCH_LENGTH_CODE_MAX);
  const bits = <u32>load<u8>(MATCH_LENGTH_BITS + code);
  const codes = prices + CODES_OFFSET + CODE_COUNTS_SIZE_BYTES * CODE_MATCH;
  return load<u32>(codes + (code << 2)) + (bits << 8);
}

export function literalPrice(prices: u32, byte: u32): u32 {
  return load<u32>(prices + (byte << 2), LITERALS_OFFSET);
}

/** Price of the code of a run of literals. */
export function runPrice(encoder: Encoder, prices: u32, run: u32): u32 {
  if (run < RUNS_COUNT) return load<u32>(prices + (run << 2), RUNS_OFFSET);
  return longRunPrice(encoder, prices, run);
}

export function matchPrice(encoder: Encoder, prices: u32, length: u32): u32 {
  if (length < MATCHES_COUNT) return load<u32>(prices + (length << 2), MATCHES_OFFSET);
  return longMatchPrice(encoder, prices, length);
}

/** Price of an offset as coded. */
export function offsetPrice(prices: u32, offset: u32): u32 {
  return load<u32>(prices + (offsetCode(offset) << 2), OFFSETS_OFFSET);
}
