// The matches of a whole block, looked for once, before the optimal parser's passes over it.
//
//   places:  u32 per place, and one more: where its matches begin in `matches`

import { findMatches, MATCH_SIZE_BYTES, putMatch } from './encode-find';
import { Matcher, POSITIONS_MANY } from './encode-tables';
import { Block, Encoder } from './encode-work';
import { MATCH_LENGTH_MIN } from './format';

/** A match this long is taken without looking at what begins inside it. */
export const LENGTH_ENOUGH: u32 = 384;
/** Inside a match this long only every fourth position is looked up; the others have what is left
 *  of its matches. Where positions are many, looking up costs more. */
const LENGTH_SPARSE: u32 = 96;
const LENGTH_SPARSE_MANY: u32 = 32;
const SPARSE_STEP: u32 = 4;

/** Notes the matches of every place. In bounds: MATCHES_MAX a place, and one place more than the
 *  block has. */
export function collectMatches(
  encoder: Encoder,
  block: Block,
  matcher: Matcher,
  places: u32,
  matches: u32,
): void {
  const end = block.start + block.size;
  const sparse = encoder.end > POSITIONS_MANY ? LENGTH_SPARSE_MANY : LENGTH_SPARSE;
  let to = matches;
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
