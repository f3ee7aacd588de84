// Copies of a sequence: literals and match. The wide ones move 16 bytes at a time and write up to
// 15 bytes beyond the end, which the caller has room for; the careful one writes exactly.

import { STATUS_CORRUPT, STATUS_TOO_LONG } from '../../shared/status';
import {
  CONTENT_PTR,
  DICTIONARY_END,
  DICTIONARY_SIZE,
  LITERALS_PTR,
  LITERALS_SIZE,
  WINDOW_SIZE,
} from './decode-work';

/** From here on the engine's own copy is faster than a loop, call included. */
const LONG_SIZE: u32 = 512;

/** Copies what does not overlap within 16 bytes: `from` is 16 or more before `to`, or elsewhere. */
export function copyWide(to: u32, from: u32, size: u32): void {
  const end = to + size;
  do {
    const low = load<u64>(from);
    const high = load<u64>(from, 8);
    store<u64>(to, low);
    store<u64>(to, high, 8);
    to += 16;
    from += 16;
  } while (to < end);
}

/** Copies a match whose offset is checked. In bounds: `to` + `size` + 15 is inside the output, and
 *  the bytes before `to` down to the offset are there. */
export function copyMatch(to: u32, offset: u32, size: u32): void {
  if (offset >= 16) {
    if (size >= LONG_SIZE && offset >= size) memory.copy(to, to - offset, size);
    else copyWide(to, to - offset, size);
  } else {
    copyNear(to, offset, size);
  }
}

/** A match that repeats fewer than 16 bytes: eight one by one, then eight at a time from a distance
 *  that is a multiple of the offset and at least 8. */
function copyNear(to: u32, offset: u32, size: u32): void {
  const end = to + size;
  let distance = offset;
  if (offset < 8) {
    for (const after = to + 8; to < after; ++to) store<u8>(to, load<u8>(to - offset));
    // At most 7 more than 8, and the match began `offset` bytes before the eight.
    while (distance < 8) distance += offset;
  }
  for (; to < end; to += 8) store<u64>(to, load<u64>(to - distance));
}

/** Copies literals and match with every check, a byte at a time where they may overlap: near the
 *  ends of the areas, and from the dictionary where it does not stand right before the content.
 *  Errors: STATUS_TOO_LONG beyond `outputEnd`; STATUS_CORRUPT for more literals than there are and
 *  for an offset beyond what the window lets it reach. */
export function copyCarefully(
  work: u32,
  output: u32,
  outputEnd: u32,
  literals: u32,
  literalsCount: u32,
  offset: u32,
  matchSize: u32,
): i32 {
  const literalsEnd = load<u32>(work, LITERALS_PTR) + load<u32>(work, LITERALS_SIZE);
  if (literalsCount > literalsEnd - literals) return STATUS_CORRUPT;
  if (literalsCount + matchSize > outputEnd - output) return STATUS_TOO_LONG;
  memory.copy(output, literals, literalsCount);
  let to = output + literalsCount;
  const content = load<u32>(work, CONTENT_PTR);
  const window = load<u32>(work, WINDOW_SIZE);
  const produced = to - content;
  const reach = produced <= window ? produced + load<u32>(work, DICTIONARY_SIZE) : window;
  // One less than 0 is more than any reach.
  if (offset - 1 >= reach) return STATUS_CORRUPT;
  let left = matchSize;
  if (offset > produced) {
    // In bounds: `behind` is at most the dictionary's size.
    const behind = offset - produced;
    const taken = min<u32>(behind, left);
    memory.copy(to, load<u32>(work, DICTIONARY_END) - behind, taken);
    to += taken;
    left -= taken;
  }
  for (const end = to + left; to < end; ++to) store<u8>(to, load<u8>(to - offset));
  return 0;
}
