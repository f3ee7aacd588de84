// The sequences of a block, decoded and carried out in one pass (RFC 8878 sections 3.1.1.3.2 and
// 3.1.1.4). One pass, not a list of sequences first: a list would be written and read for nothing.

import { STATUS_CORRUPT, STATUS_TOO_LONG } from '../../shared/status';
import { firstBits, streamBits, topBits } from './decode-bits';
import { copyCarefully, copyMatch, copyWide } from './decode-copy';
import {
  CONTENT_PTR,
  HISTORY_PTR,
  LITERAL_LENGTH_STATE,
  LITERAL_LENGTH_TABLE,
  LITERALS_PTR,
  LITERALS_SIZE,
  LITERALS_WIDE_END,
  MATCH_LENGTH_STATE,
  MATCH_LENGTH_TABLE,
  OFFSET_STATE,
  OFFSET_TABLE,
  OUTPUT_WIDE_END,
  REPEATS,
  TABLE_LOG_MASK,
  WINDOW_SIZE,
} from './decode-work';

/** Carries out `count` sequences, 1 at least, and appends the literals that are left over.
 *  Returns the bytes produced. Errors: STATUS_TOO_LONG beyond `outputEnd`, else STATUS_CORRUPT.
 *  Cost: O(count + bytes produced). */
export function decodeSequences(
  work: u32,
  stream: u32,
  streamSize: u32,
  count: u32,
  output: u32,
  outputEnd: u32,
): i32 {
  let bits = streamBits(stream, streamSize);
  const literalLengthLog = load<u32>(work, LITERAL_LENGTH_STATE) & TABLE_LOG_MASK;
  const matchLengthLog = load<u32>(work, MATCH_LENGTH_STATE) & TABLE_LOG_MASK;
  const offsetLog = load<u32>(work, OFFSET_STATE) & TABLE_LOG_MASK;
  if (bits < 0) return STATUS_CORRUPT;
  let word = topBits(stream, bits);
  let literalLengthState = firstBits(word, literalLengthLog);
  word <<= literalLengthLog;
  let offsetState = firstBits(word, offsetLog);
  word <<= offsetLog;
  let matchLengthState = firstBits(word, matchLengthLog);
  bits -= <i32>(literalLengthLog + offsetLog + matchLengthLog);

  let repeat1 = load<u32>(work, REPEATS);
  let repeat2 = load<u32>(work, REPEATS + 4);
  let repeat3 = load<u32>(work, REPEATS + 8);
  const wideEnd = min<u32>(outputEnd, load<u32>(work, OUTPUT_WIDE_END));
  const literalsWideEnd = load<u32>(work, LITERALS_WIDE_END);
  const content = load<u32>(work, CONTENT_PTR);
  const history = load<u32>(work, HISTORY_PTR);
  const window = load<u32>(work, WINDOW_SIZE);
  let literals = load<u32>(work, LITERALS_PTR);
  let at = output;
  let left = count;
  while (true) {
    if (bits < 0) return STATUS_CORRUPT;
    // In bounds: a state is below the size of its table, which buildTable() sees to.
    const offsetEntry = load<u64>(work + OFFSET_TABLE + (offsetState << 3));
    const matchEntry = load<u64>(work + MATCH_LENGTH_TABLE + (matchLengthState << 3));
    const literalEntry = load<u64>(work + LITERAL_LENGTH_TABLE + (literalLengthState << 3));
    // At most 31 + 16 bits of the 57 of the first word, 16 + 9 + 9 + 8 of the second.
    const offsetBits = extraBits(offsetEntry);
    const matchBits = extraBits(matchEntry);
    word = topBits(stream, bits);
    const value = baseValue(offsetEntry) + firstBits(word, offsetBits);
    const matchSize = baseValue(matchEntry) + firstBits(word << offsetBits, matchBits);
    bits -= <i32>(offsetBits + matchBits);
    if (bits < 0) return STATUS_CORRUPT;
    word = topBits(stream, bits);
    const literalBits = extraBits(literalEntry);
    const literalsCount = baseValue(literalEntry) + firstBits(word, literalBits);
    bits -= <i32>literalBits;

    let offset: u32;
    if (value > 3) {
      offset = value - 3;
      repeat3 = repeat2;
      repeat2 = repeat1;
      repeat1 = offset;
    } else {
      // Without literals the first repeat would only prolong the match before: the choice moves on.
      const choice = literalsCount == 0 ? value + 1 : value;
      offset = choice == 1 ? repeat1 : choice == 2 ? repeat2 : choice == 3 ? repeat3 : repeat1 - 1;
      if (choice > 2) repeat3 = repeat2;
      if (choice > 1) repeat2 = repeat1;
      repeat1 = offset;
    }

    const matchAt = at + literalsCount;
    const after = matchAt + matchSize;
    const reach = matchAt - content <= window ? matchAt - history : window;
    // No sum wraps: areas end below 2^31 and lengths are below 2^18. One less than an offset of 0
    // is beyond any reach.
    if (after <= wideEnd && literals + literalsCount <= literalsWideEnd && offset - 1 < reach) {
      // In bounds: 15 bytes more may be read after these literals and written after this match.
      copyWide(at, literals, literalsCount);
      copyMatch(matchAt, offset, matchSize);
    } else {
      const status = copyCarefully(work, at, outputEnd, literals, literalsCount, offset, matchSize);
      if (status < 0) return status;
    }
    at = after;
    literals += literalsCount;

    if (--left == 0) break;
    word <<= literalBits;
    literalLengthState = nextState(literalEntry, word);
    word <<= stateBits(literalEntry);
    matchLengthState = nextState(matchEntry, word);
    word <<= stateBits(matchEntry);
    offsetState = nextState(offsetEntry, word);
    bits -= <i32>(stateBits(literalEntry) + stateBits(matchEntry) + stateBits(offsetEntry));
  }
  if (bits != 0) return STATUS_CORRUPT;
  store<u32>(work, repeat1, REPEATS);
  store<u32>(work, repeat2, REPEATS + 4);
  store<u32>(work, repeat3, REPEATS + 8);
  const produced = at - output;
  const rest = appendLiterals(work, literals, at, outputEnd);
  return rest < 0 ? rest : <i32>(produced + rest);
}

/** Appends what stands from `literals` to the end of the block's literals; returns how many. */
export function appendLiterals(work: u32, literals: u32, output: u32, outputEnd: u32): i32 {
  const size = load<u32>(work, LITERALS_PTR) + load<u32>(work, LITERALS_SIZE) - literals;
  if (size > outputEnd - output) return STATUS_TOO_LONG;
  memory.copy(output, literals, size);
  return <i32>size;
}

function nextState(entry: u64, word: u64): u32 {
  return (<u32>entry & 0xffff) + firstBits(word, stateBits(entry));
}

function stateBits(entry: u64): u32 {
  return (<u32>entry >> 16) & 0xff;
}

function extraBits(entry: u64): u32 {
  return <u32>entry >> 24;
}

function baseValue(entry: u64): u32 {
  return <u32>(entry >> 32);
}
