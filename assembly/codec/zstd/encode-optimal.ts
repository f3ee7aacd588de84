// The parser of effort 3: of all ways to cut a block into literals and matches, the one whose price
// is lowest. Matches are looked for once; then a pass goes forward over the block and notes at each
// place the cheapest way to get there, and a second pass does so again with the prices that the
// first one's result has.
//
// A place has two notes, for the offsets that may be repeated differ: arriving by a match, and by a
// literal.
//
//   Note:  price u32 | length u32 (0: a literal) | distance u32 | run u32 | from u32 | repeats u32 x 3

import { analyseBlock } from './encode-analyse';
import { findMatches, MATCH_SIZE_BYTES, MATCHES_MAX, putMatch } from './encode-find';
import {
  beginPrices,
  learnPrices,
  literalPrice,
  matchPrice,
  offsetPrice,
  PRICES_SIZE_BYTES,
  runPrice,
} from './encode-prices';
import { REPEATS_SIZE_BYTES, Repeats, takeOffset } from './encode-repeats';
import { Matcher, matchLength, POSITIONS_MANY } from './encode-tables';

import { Block, Encoder, SEQUENCE_SIZE_BYTES, Sequence } from './encode-work';
import { BLOCK_SIZE_BYTES_MAX, MATCH_LENGTH_MIN } from './format';

@unmanaged
class Note {
  price: u32;
  length: u32;
  distance: u32;
  /** Literals since the last match. */
  run: u32;
  /** Which note of the place before: 0 by a match, 1 by a literal. */
  from: u32;
  first: u32;
  second: u32;
  third: u32;
}

@unmanaged
export class Optimal {
  /** Prices of the blocks so far, and those of the pass at hand. */
  known: u32;
  prices: u32;
  notes: u32;
  /** Where each place's matches begin. */
  places: u32;
  matches: u32;
  /** The furthest place that has notes. */
  reached: u32;
  passes: u32;
}

const OPTIMAL_SIZE_BYTES: u32 = 32;
const NOTE_SIZE_LOG: u32 = 5;
const PRICE_NEVER: u32 = 0x3fffffff;
/** A match this long is taken without looking at what begins inside it. */
export const LENGTH_ENOUGH: u32 = 384;
const LENGTHS_SHORT: u32 = 24;
const LENGTHS_LAST: u32 = 16;
/** Inside a match this long only every fourth position is looked up; the others have what is left
 *  of its matches. Where positions are many, looking up costs more. */
const LENGTH_SPARSE: u32 = 96;
const LENGTH_SPARSE_MANY: u32 = 32;
const SPARSE_STEP: u32 = 4;
/** What is kept of older blocks' counts, in eighths. */
const KEEP: u32 = 4;

export function optimalWorkSize(sourceSize: u32): u32 {
  const places = min<u32>(sourceSize, BLOCK_SIZE_BYTES_MAX) + 2;
  const fixed = OPTIMAL_SIZE_BYTES + ((2 * PRICES_SIZE_BYTES + 63) & ~63);
  return (
    fixed +
    (places << (NOTE_SIZE_LOG + 1)) +
    ((places + 1) << 2) +
    places * MATCHES_MAX * MATCH_SIZE_BYTES
  );
}

/** Lays the area out after the tree's head. */
export function beginOptimal(encoder: Encoder, area: u32): void {
  const optimal = changetype<Optimal>(area);
  const places = min<u32>(encoder.end - encoder.start, BLOCK_SIZE_BYTES_MAX) + 2;
  optimal.known = area + OPTIMAL_SIZE_BYTES;
  optimal.prices = optimal.known + PRICES_SIZE_BYTES;
  optimal.notes = optimal.known + ((2 * PRICES_SIZE_BYTES + 63) & ~63);
  optimal.places = optimal.notes + (places << (NOTE_SIZE_LOG + 1));
  optimal.matches = optimal.places + ((places + 1) << 2);
  optimal.passes = 3;
  beginPrices(encoder, optimal.known);
}

/** Parses a block into sequences and analyses it. */
export function parseOptimally(
  encoder: Encoder,
  block: Block,
  matcher: Matcher,
  optimal: Optimal,
): void {
  collectMatches(encoder, block, matcher, optimal);
  memory.copy(optimal.prices, optimal.known, PRICES_SIZE_BYTES);
  for (let pass = optimal.passes; pass > 1; --pass) {
    goForward(encoder, block, optimal);
    goBack(encoder, block, optimal);
    analyseBlock(encoder, block);
    const before = changetype<usize>(block) + offsetof<Block>('repeat1');
    memory.copy(encoder.repeats, before, REPEATS_SIZE_BYTES);
    learnPrices(encoder, optimal.prices, optimal.known, block.counts, KEEP);
  }
  goForward(encoder, block, optimal);
  goBack(encoder, block, optimal);
  analyseBlock(encoder, block);
  learnPrices(encoder, optimal.known, optimal.known, block.counts, KEEP);
  optimal.passes = 2;
}

/** Notes the matches of every place. In bounds: MATCHES_MAX a place, and one place more than the
 *  block has. */
function collectMatches(encoder: Encoder, block: Block, matcher: Matcher, optimal: Optimal): void {
  const places = optimal.places;
  const end = block.start + block.size;
  const sparse = encoder.end > POSITIONS_MANY ? LENGTH_SPARSE_MANY : LENGTH_SPARSE;
  let to = optimal.matches;
  let place: u32 = 0;
  while (place < block.size) {
    store<u32>(places + (place << 2), to);
    const from = to;
    to = findMatches(encoder, matcher, block.start + place, end, from);
    ++place;
    const longest = to > from ? load<u32>(to - MATCH_SIZE_BYTES) : 0;
    if (longest < sparse) continue;
    const last = to;
    const steps = longest < LENGTH_ENOUGH ? SPARSE_STEP : longest;
    for (let step: u32 = 1; step < steps; ++step) {
      store<u32>(places + (place++ << 2), to);
      if (longest < LENGTH_ENOUGH) to = inheritMatches(from, last, step, to);
    }
    matcher.nextInTree = max(matcher.nextInTree, block.start + place);
  }
  store<u32>(places + (place << 2), to);
}

/** The matches of a place `step` before, shorter by as much. */
function inheritMatches(from: u32, last: u32, step: u32, target: u32): u32 {
  let to = target;
  for (let each = from; each < last; each += MATCH_SIZE_BYTES) {
    const length = load<u32>(each);
    if (length >= MATCH_LENGTH_MIN + step)
      to = putMatch(target, to, length - step, load<u32>(each, 4));
  }
  return to;
}

function noteAt(optimal: Optimal, place: u32, by: u32): Note {
  return changetype<Note>(optimal.notes + (((place << 1) | by) << NOTE_SIZE_LOG));
}

function goForward(encoder: Encoder, block: Block, optimal: Optimal): void {
  const size = block.size;
  const begin = noteAt(optimal, 0, 0);
  begin.price = runPrice(encoder, optimal.prices, 0);
  begin.run = 0;
  begin.length = 0;
  memory.copy(
    changetype<usize>(begin) + offsetof<Note>('first'),
    encoder.repeats,
    REPEATS_SIZE_BYTES,
  );
  noteAt(optimal, 0, 1).price = PRICE_NEVER;
  optimal.reached = 0;
  let place: u32 = 0;
  while (place < size) {
    const byMatch = noteAt(optimal, place, 0);
    const byLiteral = noteAt(optimal, place, 1);
    if (place > 0) {
      settleMatch(optimal, place, byMatch);
      settleLiteral(optimal, place, byLiteral);
    }
    goLiteral(encoder, block, optimal, place);
    let longest: u32 = 0;
    if (byMatch.price < PRICE_NEVER) longest = goRepeated(encoder, block, optimal, place, 0);
    if (byLiteral.price < PRICE_NEVER) {
      longest = max(longest, goRepeated(encoder, block, optimal, place, 1));
    }
    longest = max(longest, goMatches(encoder, optimal, place));
    place += longest >= LENGTH_ENOUGH ? longest : 1;
  }
  settleMatch(optimal, size, noteAt(optimal, size, 0));
  settleLiteral(optimal, size, noteAt(optimal, size, 1));
}

/** The offsets that may be repeated after a note's match. */
function settleMatch(optimal: Optimal, place: u32, note: Note): void {
  if (note.price >= PRICE_NEVER) return;
  const source = noteAt(optimal, place - note.length, note.from);
  copyRepeats(source, note);
  const repeats = changetype<Repeats>(changetype<usize>(note) + offsetof<Note>('first'));
  takeOffset(repeats, note.distance, source.run);
}

function settleLiteral(optimal: Optimal, place: u32, note: Note): void {
  if (note.price < PRICE_NEVER) copyRepeats(noteAt(optimal, place - 1, note.from), note);
}

function copyRepeats(source: Note, target: Note): void {
  target.first = source.first;
  target.second = source.second;
  target.third = source.third;
}

/** Gives places up to `place` notes that nobody has reached. */
function reach(optimal: Optimal, place: u32): void {
  let reached = optimal.reached;
  while (reached < place) {
    ++reached;
    noteAt(optimal, reached, 0).price = PRICE_NEVER;
    noteAt(optimal, reached, 1).price = PRICE_NEVER;
  }
  optimal.reached = reached;
}

function goLiteral(encoder: Encoder, block: Block, optimal: Optimal, place: u32): void {
  reach(optimal, place + 1);
  const prices = optimal.prices;
  const byte = load<u8>(encoder.base + block.start + place);
  const target = noteAt(optimal, place + 1, 1);
  for (let by: u32 = 0; by < 2; ++by) {
    const source = noteAt(optimal, place, by);
    if (source.price >= PRICE_NEVER) continue;
    const run = source.run;
    const price =
      source.price +
      literalPrice(prices, byte) +
      runPrice(encoder, prices, run + 1) -
      runPrice(encoder, prices, run);
    if (price >= target.price) continue;
    target.price = price;
    target.length = 0;
    target.run = run + 1;
    target.from = by;
  }
}

/** The lengths of a match, from `least` on: the short ones and those that leave little out, for what
 *  is cut in between is rarely the better; a very long one as it is. */
function goLengths(
  encoder: Encoder,
  optimal: Optimal,
  place: u32,
  by: u32,
  distance: u32,
  least: u32,
  most: u32,
  price: u32,
): void {
  reach(optimal, place + most);
  const prices = optimal.prices;
  for (let length = most >= LENGTH_ENOUGH ? most : least; length <= most; ++length) {
    if (length == LENGTHS_SHORT && most > LENGTHS_SHORT + LENGTHS_LAST)
      length = most - LENGTHS_LAST;
    const target = noteAt(optimal, place + length, 0);
    const total = price + matchPrice(encoder, prices, length);
    if (total >= target.price) continue;
    target.price = total;
    target.length = length;
    target.distance = distance;
    target.run = 0;
    target.from = by;
  }
}

/** Tries the repeated offsets of a note; returns the longest match. */
function goRepeated(encoder: Encoder, block: Block, optimal: Optimal, place: u32, by: u32): u32 {
  const note = noteAt(optimal, place, by);
  const position = block.start + place;
  const here = encoder.base + position;
  const end = encoder.base + block.start + block.size;
  if (here + MATCH_LENGTH_MIN > end) return 0;
  const price = note.price + runPrice(encoder, optimal.prices, 0);
  const word = load<u32>(here) << 8;
  let longest: u32 = 0;
  for (let offset: u32 = 1; offset <= 3; ++offset) {
    const distance = repeatedDistance(note, offset + u32(by == 0));
    // In bounds: a distance below the position stays inside dictionary and content.
    if (distance == 0 || distance >= position) continue;
    if (load<u32>(here - distance) << 8 != word) continue;
    const length = matchLength(here - distance, here, end);
    const total = price + offsetPrice(optimal.prices, offset);
    goLengths(encoder, optimal, place, by, distance, MATCH_LENGTH_MIN, length, total);
    longest = max(longest, length);
  }
  return longest;
}

/** The first, second and third offset, and the first less one. */
function repeatedDistance(note: Note, which: u32): u32 {
  if (which == 1) return note.first;
  if (which == 2) return note.second;
  return which == 3 ? note.third : note.first - 1;
}

/** Tries the matches found at a place from its cheaper note; returns the longest. */
function goMatches(encoder: Encoder, optimal: Optimal, place: u32): u32 {
  const first = load<u32>(optimal.places + (place << 2));
  const last = load<u32>(optimal.places + (place << 2), 4);
  if (first == last) return 0;
  const prices = optimal.prices;
  const by = u32(noteAt(optimal, place, 1).price < noteAt(optimal, place, 0).price);
  const price = noteAt(optimal, place, by).price + runPrice(encoder, prices, 0);
  let least = MATCH_LENGTH_MIN;
  for (let ptr = first; ptr < last; ptr += MATCH_SIZE_BYTES) {
    const length = load<u32>(ptr);
    const distance = load<u32>(ptr, 4);
    const total = price + offsetPrice(prices, distance + 3);
    goLengths(encoder, optimal, place, by, distance, least, length, total);
    least = length + 1;
  }
  return least - 1;
}

/** Writes the sequences of the cheapest way, found from its end. */
function goBack(encoder: Encoder, block: Block, optimal: Optimal): void {
  let place = block.size;
  let by = u32(noteAt(optimal, place, 1).price < noteAt(optimal, place, 0).price);
  let count: u32 = 0;
  while (place > 0) {
    const note = noteAt(optimal, place, by);
    by = note.from;
    if (note.length == 0) {
      --place;
      continue;
    }
    place -= note.length;
    const sequence = changetype<Sequence>(block.sequences + count++ * SEQUENCE_SIZE_BYTES);
    sequence.literals = noteAt(optimal, place, by).run;
    sequence.length = note.length;
    sequence.distance = note.distance;
  }
  block.sequencesCount = count;
  for (let index: u32 = 0; index < count >> 1; ++index) {
    swap(
      block.sequences + index * SEQUENCE_SIZE_BYTES,
      block.sequences + (count - 1 - index) * SEQUENCE_SIZE_BYTES,
    );
  }
}

function swap(one: u32, other: u32): void {
  const low = load<u64>(one);
  const high = load<u32>(one, 8);
  store<u64>(one, load<u64>(other));
  store<u32>(one, load<u32>(other, 8), 8);
  store<u64>(other, low);
  store<u32>(other, high, 8);
}
