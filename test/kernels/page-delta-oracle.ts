// Page deltas the slow way: byte by byte, as the head of assembly/codec/page-delta.ts draws them.

const PAGE_SIZE_BYTES = 4096;
const STAYING_BYTES_MIN = 3;

/** The delta from one page to another; from zeros where there was none before. */
export function pageDeltaOracle(before: Uint8Array | null, after: Uint8Array): Uint8Array {
  const base = before ?? new Uint8Array(PAGE_SIZE_BYTES);
  const stays = (at: number): boolean => at >= PAGE_SIZE_BYTES || base[at] === after[at];
  const delta = [before === null ? 0 : 1];
  let done = 0;
  for (let at = 0; at < PAGE_SIZE_BYTES; ++at) {
    if (stays(at)) continue;
    let end = at + 1;
    while (!Array.from({ length: STAYING_BYTES_MIN }, (_, next) => end + next).every(stays)) ++end;
    const length = end - at;
    const token = (at - done) | (Math.min(15, length - 1) << 12);
    delta.push(token & 255, token >> 8);
    if (length >= 16 && length - 16 < 128) delta.push(length - 16);
    else if (length >= 16) delta.push(((length - 16) & 127) | 128, (length - 16) >> 7);
    delta.push(...after.subarray(at, end));
    done = end;
    at = end - 1;
  }
  return Uint8Array.from(delta);
}

/** The page after a delta, or null for what is none. */
export function pageOfDeltaOracle(before: Uint8Array | null, delta: Uint8Array): Uint8Array | null {
  if (delta.length === 0 || delta.length > PAGE_SIZE_BYTES + 32) return null;
  if (delta[0] !== (before === null ? 0 : 1)) return null;
  const page = before === null ? new Uint8Array(PAGE_SIZE_BYTES) : before.slice();
  let to = 0;
  for (let from = 1; from < delta.length; ) {
    if (from + 2 > delta.length) return null;
    const token = delta[from]! | (delta[from + 1]! << 8);
    from += 2;
    let length = (token >> 12) + 1;
    if (length === 16) {
      const low = delta[from++];
      if (low === undefined) return null;
      length += low & 127;
      if (low >= 128) {
        const high = delta[from++];
        if (high === undefined || high === 0 || high >= 128) return null;
        length += high << 7;
      }
    }
    to += token & 0xfff;
    if (to + length > PAGE_SIZE_BYTES || from + length > delta.length) return null;
    page.set(delta.subarray(from, from + length), to);
    to += length;
    from += length;
  }
  return page;
}
