// The three repeated offsets (RFC 8878 section 3.1.1.5) as an encoder sees them: given a distance,
// how it is coded, and what the decoder remembers after it. Without literals before the match the
// first offset cannot be meant, and the codes shift: 1 is the second, 2 the third, 3 the first
// less one.

import { REPEAT_OFFSET_1, REPEAT_OFFSET_2, REPEAT_OFFSET_3 } from './format';

@unmanaged
export class Repeats {
  first: u32;
  second: u32;
  third: u32;
}

export const REPEATS_SIZE_BYTES: u32 = 12;

export function beginRepeats(repeats: Repeats): void {
  repeats.first = REPEAT_OFFSET_1;
  repeats.second = REPEAT_OFFSET_2;
  repeats.third = REPEAT_OFFSET_3;
}

/** The distance as the format codes it: 1 to 3, or the distance plus 3. */
export function codeOffset(repeats: Repeats, distance: u32, literals: u32): u32 {
  if (literals > 0) {
    if (distance == repeats.first) return 1;
    if (distance == repeats.second) return 2;
    return distance == repeats.third ? 3 : distance + 3;
  }
  if (distance == repeats.second) return 1;
  if (distance == repeats.third) return 2;
  return distance == repeats.first - 1 ? 3 : distance + 3;
}

/** codeOffset(), and the decoder's memory after it. */
export function takeOffset(repeats: Repeats, distance: u32, literals: u32): u32 {
  const offset = codeOffset(repeats, distance, literals);
  const place = offset > 3 ? 4 : offset + u32(literals == 0);
  if (place == 1) return offset;
  if (place > 2) repeats.third = repeats.second;
  repeats.second = repeats.first;
  repeats.first = distance;
  return offset;
}
