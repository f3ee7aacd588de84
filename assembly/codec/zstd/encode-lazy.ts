// The parser of efforts 1 and 2: takes the best match at hand, unless one that begins a byte or two
// later is worth more.

import { REPEATS_SIZE_BYTES, Repeats, takeOffset } from './encode-repeats';
import {
  HASH_SIZE_BYTES,
  hashLong,
  hashShort,
  insertUpTo,
  Matcher,
  matchLength,
} from './encode-tables';
import { Block, Encoder, SEQUENCE_SIZE_BYTES, Sequence } from './encode-work';

const MATCH_LENGTH_MIN_NEW: u32 = 4;
const MATCH_LENGTH_MIN_REPEATED: u32 = 3;
/** A match this long is not improved by waiting. */
const LENGTH_ENOUGH: u32 = 256;
/** What a byte later must be worth more, in quarters of a byte. */
const WAIT_GAIN: i32 = 4;

/** Parses a block into sequences. Cost: O(content x depth). */
export function parseLazily(encoder: Encoder, block: Block): void {
  const matcher = changetype<Matcher>(encoder.parser);
  const repeats = changetype<Repeats>(encoder.parserRepeats);
  memory.copy(encoder.parserRepeats, encoder.repeats, REPEATS_SIZE_BYTES);
  const end = block.start + block.size;
  let anchor = block.start;
  let position = anchor;
  while (position < end) {
    find(encoder, matcher, repeats, position, anchor, end);
    if (matcher.length == 0) {
      // The longer nothing is found, the larger the steps: content that has no matches.
      position += 1 + ((position - anchor) >> 9);
      continue;
    }
    const start = wait(encoder, matcher, repeats, position, anchor, end);
    const before = extendBack(encoder, matcher, start, anchor);
    const sequence = changetype<Sequence>(
      block.sequences + block.sequencesCount * SEQUENCE_SIZE_BYTES,
    );
    sequence.literals = start - before - anchor;
    sequence.length = matcher.length + before;
    sequence.distance = matcher.distance;
    takeOffset(repeats, sequence.distance, sequence.literals);
    ++block.sequencesCount;
    position = start + matcher.length;
    anchor = position;
  }
}

/** Looks whether a later match is worth more; returns where the one in `matcher` begins. */
function wait(
  encoder: Encoder,
  matcher: Matcher,
  repeats: Repeats,
  from: u32,
  anchor: u32,
  end: u32,
): u32 {
  let start = from;
  let length = matcher.length;
  let distance = matcher.distance;
  let gain = matcher.gain;
  const steps = encoder.effort;
  for (let step: u32 = 1; step <= steps && length < LENGTH_ENOUGH && start + step < end; ++step) {
    find(encoder, matcher, repeats, start + step, anchor, end);
    if (matcher.length == 0 || matcher.gain <= gain + WAIT_GAIN * step) continue;
    start += step;
    length = matcher.length;
    distance = matcher.distance;
    gain = matcher.gain;
    step = 0;
  }
  matcher.length = length;
  matcher.distance = distance;
  return start;
}

/** Bytes before the match that are alike too, and no sequence's yet. */
function extendBack(encoder: Encoder, matcher: Matcher, start: u32, anchor: u32): u32 {
  let position = start;
  const distance = matcher.distance;
  while (
    position > anchor &&
    position - distance > 1 &&
    load<u8>(encoder.base + position - 1) == load<u8>(encoder.base + position - distance - 1)
  ) {
    --position;
  }
  return start - position;
}

/** Puts the best match at a position into `matcher`. */
function find(
  encoder: Encoder,
  matcher: Matcher,
  repeats: Repeats,
  position: u32,
  anchor: u32,
  end: u32,
): void {
  matcher.length = 0;
  matcher.gain = i32.MIN_VALUE;
  const isFirst = position == anchor;
  tryRepeated(encoder, matcher, isFirst ? repeats.first - 1 : repeats.first, position, end);
  tryRepeated(encoder, matcher, repeats.second, position, end);
  tryRepeated(encoder, matcher, repeats.third, position, end);
  if (matcher.length >= LENGTH_ENOUGH) return;
  insertUpTo(encoder, matcher, position);
  if (position + HASH_SIZE_BYTES > encoder.end) return;
  const ptr = encoder.base + position;
  const longEntry = matcher.longTable + (hashLong(ptr, matcher.longShift) << 2);
  tryNew(encoder, matcher, load<u32>(longEntry), position, end);
  if (matcher.length >= LENGTH_ENOUGH) return;
  let candidate = load<u32>(matcher.shortTable + (hashShort(ptr, matcher) << 2));
  tryNew(encoder, matcher, candidate, position, end);
  if (matcher.chain == 0) return;
  for (let left = matcher.depth; left > 0 && candidate != 0; --left) {
    candidate = load<u32>(matcher.chain + (candidate << 2));
    tryNew(encoder, matcher, candidate, position, end);
    if (matcher.length >= LENGTH_ENOUGH) return;
  }
}

/** In bounds: a distance is less than the position. */
function tryRepeated(
  encoder: Encoder,
  matcher: Matcher,
  distance: u32,
  position: u32,
  end: u32,
): void {
  if (distance == 0 || distance >= position) return;
  const ptr = encoder.base + position;
  const length = matchLength(ptr - distance, ptr, encoder.base + end);
  if (length < MATCH_LENGTH_MIN_REPEATED) return;
  const gain = <i32>(length << 2);
  if (gain <= matcher.gain) return;
  matcher.length = length;
  matcher.distance = distance;
  matcher.gain = gain;
}

function tryNew(encoder: Encoder, matcher: Matcher, candidate: u32, position: u32, end: u32): void {
  if (candidate == 0 || candidate >= position) return;
  const ptr = encoder.base + position;
  const earlier = encoder.base + candidate;
  if (load<u32>(ptr) != load<u32>(earlier)) return;
  const length = matchLength(earlier, ptr, encoder.base + end);
  if (length < MATCH_LENGTH_MIN_NEW) return;
  const distance = position - candidate;
  const gain = <i32>(length << 2) - (31 - clz<u32>(distance + 3));
  if (gain <= matcher.gain) return;
  matcher.length = length;
  matcher.distance = distance;
  matcher.gain = gain;
}
