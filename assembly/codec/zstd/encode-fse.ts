// Finite state entropy (RFC 8878 section 4.1), the encoding side: how many of a table's states each
// symbol gets, the table's description in the stream, and the walk from state to state.
//
//   a table:  log u32 | symbols u32 | norm i16 x 64 | starts u16 x 64 | states u16 x 512
//
// A state is written as size + index, so that a symbol of n states leads from [n, 2n) to its state:
// `states[starts[symbol] + state - n]`. A table of log 0 has one state and costs nothing: RLE mode.

import { alignBits, BitWriter, beginBits, putBits } from './encode-bits';
import { Encoder, log2 } from './encode-work';

const NORM_OFFSET: u32 = 8;
const STARTS_OFFSET: u32 = 136;
const STATES_OFFSET: u32 = 264;
/** What costs can never reach. */
export const COST_NEVER: u64 = 0xffff_ffff_ffff;

export function tableLog(table: u32): u32 {
  return load<u32>(table);
}

export function tableNorm(table: u32, symbol: u32): i32 {
  return load<i16>(table + (symbol << 1), NORM_OFFSET);
}

function setNorm(table: u32, symbol: u32, norm: i32): void {
  store<i16>(table + (symbol << 1), norm, NORM_OFFSET);
}

/** States that a symbol has; "less than one" (-1) is one of its own kind. */
function statesOf(table: u32, symbol: u32): u32 {
  const norm = tableNorm(table, symbol);
  return norm < 0 ? 1 : norm;
}

/** Copies a predefined distribution of `symbols` bytes. */
export function setPredefined(table: u32, norms: usize, symbols: u32, log: u32): void {
  store<u32>(table, log);
  store<u32>(table, 64, 4);
  memory.fill(table + NORM_OFFSET, 0, 128);
  for (let symbol: u32 = 0; symbol < symbols; ++symbol) {
    setNorm(table, symbol, load<i8>(norms + symbol));
  }
}

/** The table of one symbol, which takes no bits. */
export function setSingle(table: u32, symbol: u32): void {
  store<u32>(table, 0);
  store<u32>(table, 64, 4);
  memory.fill(table + NORM_OFFSET, 0, 128);
  setNorm(table, symbol, 1);
}

/** Shares 2^log states out by the counts of 64 symbols, so that coding them takes the fewest bits.
 *  Errors: false if there are more symbols than states. */
export function normalise(encoder: Encoder, table: u32, counts: u32, log: u32): bool {
  const size: u32 = 1 << log;
  let total: u32 = 0;
  let present: u32 = 0;
  for (let symbol: u32 = 0; symbol < 64; ++symbol) {
    const count = load<u32>(counts + (symbol << 2));
    total += count;
    present += u32(count > 0);
  }
  if (present > size || present < 2) return false;
  store<u32>(table, log);
  store<u32>(table, 64, 4);
  let rest: i32 = size;
  for (let symbol: u32 = 0; symbol < 64; ++symbol) {
    const count = load<u32>(counts + (symbol << 2));
    const share = <u32>(((<u64>count) << (<u64>log)) / total);
    const norm = count == 0 ? 0 : max<u32>(share, 1);
    setNorm(table, symbol, norm);
    rest -= norm;
  }
  for (; rest > 0; --rest) giveState(encoder, table, counts);
  for (; rest < 0; ++rest) takeState(encoder, table, counts);
  markScarce(table, counts, total, log);
  return true;
}

/** One more state to the symbol that saves the most. */
function giveState(encoder: Encoder, table: u32, counts: u32): void {
  let best: u32 = 0;
  let bestGain: u64 = 0;
  for (let symbol: u32 = 0; symbol < 64; ++symbol) {
    const norm = <u32>tableNorm(table, symbol);
    if (norm == 0) continue;
    const step = log2(encoder, norm + 1) - log2(encoder, norm);
    const gain = <u64>load<u32>(counts + (symbol << 2)) * step;
    if (gain < bestGain) continue;
    best = symbol;
    bestGain = gain;
  }
  setNorm(table, best, tableNorm(table, best) + 1);
}

/** One state from the symbol that loses the least; there is one with two, for size >= symbols. */
function takeState(encoder: Encoder, table: u32, counts: u32): void {
  let best: u32 = 0;
  let bestLoss: u64 = COST_NEVER;
  for (let symbol: u32 = 0; symbol < 64; ++symbol) {
    const norm = <u32>tableNorm(table, symbol);
    if (norm < 2) continue;
    const step = log2(encoder, norm) - log2(encoder, norm - 1);
    const loss = <u64>load<u32>(counts + (symbol << 2)) * step;
    if (loss >= bestLoss) continue;
    best = symbol;
    bestLoss = loss;
  }
  setNorm(table, best, tableNorm(table, best) - 1);
}

/** What deserves less than half a state is marked -1: described in fewer bits. */
function markScarce(table: u32, counts: u32, total: u32, log: u32): void {
  for (let symbol: u32 = 0; symbol < 64; ++symbol) {
    if (tableNorm(table, symbol) != 1) continue;
    const count = load<u32>(counts + (symbol << 2));
    if ((<u64>count) << (<u64>log + 1) < <u64>total) setNorm(table, symbol, -1);
  }
}

/** Bits, in 1/65536, that the counted symbols take, without the state each stream begins with.
 *  COST_NEVER if the table lacks one of them. */
export function tableCost(encoder: Encoder, table: u32, counts: u32): u64 {
  let cost: u64 = 0;
  const log = tableLog(table) << 16;
  for (let symbol: u32 = 0; symbol < 64; ++symbol) {
    const count = load<u32>(counts + (symbol << 2));
    if (count == 0) continue;
    const states = statesOf(table, symbol);
    if (states == 0) return COST_NEVER;
    cost += <u64>count * (log - log2(encoder, states));
  }
  return cost;
}

/** Writes the table's description (4.1.1) at `ptr`; returns where it ends. */
export function writeTable(encoder: Encoder, table: u32, ptr: u32): u32 {
  const writer = changetype<BitWriter>(encoder.scratch);
  beginBits(writer, ptr);
  const log = tableLog(table);
  putBits(writer, log - 5, 4);
  let rest: u32 = (1 << log) + 1;
  let bits: u32 = log + 1;
  let symbol: u32 = 0;
  // A value below `rest` takes the fewest bits that tell it from the others; small ones one less.
  while (rest > 1) {
    const norm = tableNorm(table, symbol++);
    const half: u32 = 1 << (bits - 1);
    const short: u32 = 2 * half - 1 - rest;
    const value = <u32>(norm + 1);
    rest -= norm < 0 ? 1 : norm;
    if (value < short) putBits(writer, value, bits - 1);
    else putBits(writer, value + (value >= half ? short : 0), bits);
    while (rest < <u32>(1 << (bits - 1)) && bits > 1) --bits;
    if (norm == 0) symbol = writeZeros(writer, table, symbol);
  }
  return alignBits(writer);
}

/** After a symbol without states: how many more follow, in digits of 0 to 3. */
function writeZeros(writer: BitWriter, table: u32, from: u32): u32 {
  let symbol = from;
  while (tableNorm(table, symbol) == 0) ++symbol;
  let zeros = symbol - from;
  for (; zeros >= 3; zeros -= 3) putBits(writer, 3, 2);
  putBits(writer, zeros, 2);
  return symbol;
}

/** Spreads the symbols over the states (4.1.1) and notes each symbol's states in order. */
export function buildTable(encoder: Encoder, table: u32): void {
  const size: u32 = 1 << tableLog(table);
  const spread = encoder.scratch;
  // In bounds: spread is 512 bytes at most, and every state below `size` gets one symbol.
  spreadSymbols(table, spread, size);
  let start: u32 = 0;
  for (let symbol: u32 = 0; symbol < 64; ++symbol) {
    store<u16>(table + (symbol << 1), start, STARTS_OFFSET);
    start += statesOf(table, symbol);
  }
  const next = spread + 512;
  memory.copy(next, table + STARTS_OFFSET, 128);
  for (let state: u32 = 0; state < size; ++state) {
    const nextOfSymbol = next + ((<u32>load<u8>(spread + state)) << 1);
    const index = load<u16>(nextOfSymbol);
    store<u16>(nextOfSymbol, index + 1);
    store<u16>(table + ((<u32>index) << 1), size + state, STATES_OFFSET);
  }
}

function spreadSymbols(table: u32, spread: u32, size: u32): void {
  let high = size;
  for (let symbol: u32 = 0; symbol < 64; ++symbol) {
    if (tableNorm(table, symbol) < 0) store<u8>(spread + --high, symbol);
  }
  const step = (size >> 1) + (size >> 3) + 3;
  let state: u32 = 0;
  for (let symbol: u32 = 0; symbol < 64; ++symbol) {
    for (let left = tableNorm(table, symbol); left > 0; --left) {
      store<u8>(spread + state, symbol);
      do state = (state + step) & (size - 1);
      while (state >= high);
    }
  }
}

/** A state that stands for the symbol, to begin with: the first, which always has bits to give. */
export function firstState(table: u32, symbol: u32): u32 {
  const start = <u32>load<u16>(table + (symbol << 1), STARTS_OFFSET);
  return load<u16>(table + (start << 1), STATES_OFFSET);
}

/** Goes from a state to one that stands for the symbol and leads back to it; puts the bits that
 *  tell the way. */
export function putSymbol(writer: BitWriter, table: u32, state: u32, symbol: u32): u32 {
  const states = statesOf(table, symbol);
  let bits = tableLog(table) - (31 - clz<u32>(states));
  if (state >> bits < states) --bits;
  putBits(writer, state & ((1 << bits) - 1), bits);
  const start = <u32>load<u16>(table + (symbol << 1), STARTS_OFFSET);
  return load<u16>(table + ((start + (state >> bits) - states) << 1), STATES_OFFSET);
}

/** Ends a stream's states: their index, which the decoder begins with. */
export function putState(writer: BitWriter, table: u32, state: u32): void {
  const log = tableLog(table);
  putBits(writer, state & ((1 << log) - 1), log);
}
