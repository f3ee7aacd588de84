// Finite state entropy: distributions as frames describe them and the tables made of them
// (RFC 8878 sections 4.1.1 and 4.1.2).

import { STATUS_CORRUPT } from '../../shared/status';
import { forwardBits } from './decode-bits';
import { DISTRIBUTION, DISTRIBUTION_COUNT, DISTRIBUTION_LOG, NEXT_OF_SYMBOL } from './decode-work';

const LOG_MIN: u32 = 5;

/** Reads a distribution into the work area; returns its size in bytes. Before: `symbolMax` < 64.
 *  Errors: STATUS_CORRUPT for a log above `logMax`, a symbol above `symbolMax`, an early end. */
export function readDistribution(work: u32, ptr: u32, end: u32, symbolMax: u32, logMax: u32): i32 {
  if (ptr >= end) return STATUS_CORRUPT;
  const log = (<u32>load<u8>(ptr) & 15) + LOG_MIN;
  if (log > logMax) return STATUS_CORRUPT;
  let position: u32 = 4;
  let symbol: u32 = 0;
  // A value is 0 (a share of less than one, which takes a place), 1 (no share) or a share plus 1:
  // never more than is left plus 1, so that the rest ends at zero exactly.
  let left: u32 = 1 << log;
  while (left > 0) {
    if (symbol > symbolMax) return STATUS_CORRUPT;
    const valueMax = left + 1;
    const bits: u32 = 32 - clz<u32>(valueMax);
    const half: u32 = 1 << (bits - 1);
    // So many of the smallest values save a bit.
    const shortCount = (half << 1) - 1 - valueMax;
    const word = forwardBits(ptr, end, position);
    let value = word & (half - 1);
    position += bits - 1;
    if (value >= shortCount) {
      ++position;
      if ((word & half) != 0) value += half - shortCount;
    }
    // In bounds: symbol <= symbolMax < 64.
    store<i16>(work + (symbol << 1), <i16>(<i32>value - 1), DISTRIBUTION);
    ++symbol;
    left -= value == 0 ? 1 : value - 1;
    if (value != 1) continue;
    let zeros: u32 = 0;
    do {
      zeros = forwardBits(ptr, end, position) & 3;
      position += 2;
      if (symbol + zeros > symbolMax + 1) return STATUS_CORRUPT;
      for (const after = symbol + zeros; symbol < after; ++symbol) {
        // In bounds: symbol <= symbolMax < 64.
        store<i16>(work + (symbol << 1), 0, DISTRIBUTION);
      }
    } while (zeros == 3);
  }
  const size = (position + 7) >> 3;
  if (size > end - ptr) return STATUS_CORRUPT;
  store<u32>(work, log, DISTRIBUTION_LOG);
  store<u32>(work, symbol, DISTRIBUTION_COUNT);
  return <i32>size;
}

/** Makes a predefined distribution, i8 each, the one of the work area. */
export function takeDistribution(work: u32, ptr: u32, count: u32, log: u32): void {
  for (let symbol: u32 = 0; symbol < count; ++symbol) {
    // In bounds: both hold `count` values, at most 53.
    store<i16>(work + (symbol << 1), load<i8>(ptr + symbol), DISTRIBUTION);
  }
  store<u32>(work, log, DISTRIBUTION_LOG);
  store<u32>(work, count, DISTRIBUTION_COUNT);
}

/** Makes the table of the work area's distribution, whose shares are exactly the places: an entry
 *  for each state. `bitsPtr` and `basePtr` tell what each symbol means; where they are 0 it means
 *  itself. Cost: O(places). */
export function buildTable(work: u32, table: u32, bitsPtr: u32, basePtr: u32): void {
  const log = load<u32>(work, DISTRIBUTION_LOG);
  const count = load<u32>(work, DISTRIBUTION_COUNT);
  spreadSymbols(work, table, log, count);
  const size: u32 = 1 << log;
  for (let state: u32 = 0; state < size; ++state) {
    const entry = table + (state << 3);
    // In bounds: spreadSymbols left one of `count` symbols in each of the table's places.
    const symbol: u32 = load<u8>(entry);
    const next: u32 = load<u16>(work + (symbol << 1), NEXT_OF_SYMBOL);
    store<u16>(work + (symbol << 1), <u16>(next + 1), NEXT_OF_SYMBOL);
    // `next` runs from the symbol's share to twice that: next << bits is in [size, 2 * size), and
    // with `bits` more bits still a state.
    const bits = log - (31 - clz<u32>(next));
    store<u16>(entry, <u16>((next << bits) - size));
    store<u8>(entry, <u8>bits, 2);
    store<u8>(entry, bitsPtr == 0 ? 0 : load<u8>(bitsPtr + symbol), 3);
    store<u32>(entry, basePtr == 0 ? symbol : load<u32>(basePtr + (symbol << 2)), 4);
  }
}

/** Puts a symbol into the first byte of each entry.
 *  In bounds: a place is below the table's size. */
function spreadSymbols(work: u32, table: u32, log: u32, count: u32): void {
  const size: u32 = 1 << log;
  let high: i32 = <i32>size - 1;
  for (let symbol: u32 = 0; symbol < count; ++symbol) {
    const share: i32 = load<i16>(work + (symbol << 1), DISTRIBUTION);
    store<u16>(work + (symbol << 1), <u16>(share < 0 ? 1 : share), NEXT_OF_SYMBOL);
    if (share >= 0) continue;
    store<u8>(table + ((<u32>high) << 3), <u8>symbol);
    --high;
  }
  // The step is odd and the size a power of two: every place comes once before the first returns.
  const step = (size >> 1) + (size >> 3) + 3;
  let place: u32 = 0;
  for (let symbol: u32 = 0; symbol < count; ++symbol) {
    const share: i32 = load<i16>(work + (symbol << 1), DISTRIBUTION);
    for (let taken: i32 = 0; taken < share; ++taken) {
      store<u8>(table + (place << 3), <u8>symbol);
      do {
        place = (place + step) & (size - 1);
      } while (<i32>place > high);
    }
  }
}

/** A table of one state that never changes. */
export function buildSingle(table: u32, bits: u32, base: u32): void {
  store<u32>(table, bits << 24);
  store<u32>(table, base, 4);
}
