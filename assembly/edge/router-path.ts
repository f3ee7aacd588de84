// Normalises a path in place and cuts it into segments, before any route is looked at. Most paths
// are normal already: sixteen bytes at a time prove it. Percent-encoding is only taken from
// unreserved characters; all other triplets, `%2F` among them, stay as they came.

import {
  PATH_OFFSET,
  RESULT_PATH_SIZE_OFFSET,
  SEGMENT_HASH_OFFSET,
  SEGMENT_SIZE_BYTES,
  SEGMENTS_COUNT_MAX,
  SEGMENTS_OFFSET,
  STATE_SEGMENTS_COUNT_OFFSET,
} from '../shared/router-layout';
import { STATUS_BAD_PATH, STATUS_NOT_FOUND, STATUS_OK, STATUS_TOO_LONG } from '../shared/status';

const SLASH: i32 = 0x2f;
const DOT: i32 = 0x2e;
const PERCENT: i32 = 0x25;
const BACKSLASH: i32 = 0x5c;
const HASH: i32 = 0x23;
const STAR: i32 = 0x2a;
const DELETE: i32 = 0x7f;

/** Answer of cutPath for a path that needs the byte-wise pass. */
const NEEDS_NORMALISING: i32 = 1;

/** Normalises and cuts the path in `scratch`.
 *  Errors: STATUS_BAD_PATH; STATUS_TOO_LONG above SEGMENTS_COUNT_MAX segments; STATUS_NOT_FOUND for
 *  `*`, which no route's path matches. Cost: O(path), no allocation. */
export function preparePath(scratch: usize, sizeBytes: i32): i32 {
  // In bounds: the caller checked sizeBytes against PATH_SIZE_BYTES_MAX, and 64 bytes follow.
  const path = scratch + PATH_OFFSET;
  store<i32>(scratch + RESULT_PATH_SIZE_OFFSET, sizeBytes);
  if (sizeBytes == 0) return STATUS_BAD_PATH;
  if (load<u8>(path) != SLASH) {
    return sizeBytes == 1 && load<u8>(path) == STAR ? STATUS_NOT_FOUND : STATUS_BAD_PATH;
  }
  const status = cutPath(scratch, sizeBytes);
  return status == NEEDS_NORMALISING ? normalisePath(scratch, sizeBytes) : status;
}

function normalisePath(scratch: usize, sizeBytes: i32): i32 {
  const path = scratch + PATH_OFFSET;
  const decodedSize = decodeUnreserved(path, sizeBytes);
  if (decodedSize < 0) return decodedSize;
  const size = removeDotSegments(path, decodedSize);
  store<i32>(scratch + RESULT_PATH_SIZE_OFFSET, size);
  return cutNormalPath(scratch, size);
}

/** Finds the segments, and whether a byte or a `/.` asks for the byte-wise pass. */
function cutPath(scratch: usize, sizeBytes: i32): i32 {
  const path = scratch + PATH_OFFSET;
  let count = 0;
  let slashBefore: i32 = 0;
  for (let at = 0; at < sizeBytes; at += 16) {
    // In bounds: at most 15 bytes over the path's end, inside its padding.
    const block = v128.load(path + at);
    const slashes = i8x16.bitmask(i8x16.eq(block, i8x16.splat(<i8>SLASH)));
    const dots = i8x16.bitmask(i8x16.eq(block, i8x16.splat(<i8>DOT)));
    const left = sizeBytes - at;
    const inside: i32 = left >= 16 ? 0xffff : (1 << left) - 1;
    const odd = specialBytes(block) | (dots & ((slashes << 1) | slashBefore));
    if ((odd & inside) != 0) return NEEDS_NORMALISING;
    slashBefore = slashes >> 15;
    count = storeSegments(scratch, slashes & inside, at, count);
  }
  return endSegments(scratch, sizeBytes, count);
}

/** Cuts a path that is known to be normal, though it may hold `%` triplets. */
function cutNormalPath(scratch: usize, sizeBytes: i32): i32 {
  const path = scratch + PATH_OFFSET;
  let count = 0;
  for (let at = 0; at < sizeBytes; at += 16) {
    // In bounds: at most 15 bytes over the path's end, inside its padding.
    const slashes = i8x16.bitmask(i8x16.eq(v128.load(path + at), i8x16.splat(<i8>SLASH)));
    const left = sizeBytes - at;
    const inside: i32 = left >= 16 ? 0xffff : (1 << left) - 1;
    count = storeSegments(scratch, slashes & inside, at, count);
  }
  return endSegments(scratch, sizeBytes, count);
}

/** Bits of the bytes that are refused or begin a triplet. */
function specialBytes(block: v128): i32 {
  const controls = v128.or(
    i8x16.lt_u(block, i8x16.splat(0x20)),
    i8x16.eq(block, i8x16.splat(<i8>DELETE)),
  );
  const signs = v128.or(
    i8x16.eq(block, i8x16.splat(<i8>PERCENT)),
    v128.or(i8x16.eq(block, i8x16.splat(<i8>BACKSLASH)), i8x16.eq(block, i8x16.splat(<i8>HASH))),
  );
  return i8x16.bitmask(v128.or(controls, signs));
}

function storeSegments(scratch: usize, slashes: i32, at: i32, count: i32): i32 {
  let bits = slashes;
  while (bits != 0) {
    // In bounds: only below SEGMENTS_COUNT_MAX; one more place is kept for the end mark.
    if (count < SEGMENTS_COUNT_MAX) storeSegment(scratch, count, at + ctz(bits) + 1);
    count++;
    bits &= bits - 1;
  }
  return count;
}

function storeSegment(scratch: usize, index: i32, start: i32): void {
  // In bounds: index <= SEGMENTS_COUNT_MAX, and the area holds one place more than that.
  // The hash word becomes 0: not computed.
  store<u64>(scratch + SEGMENTS_OFFSET + index * SEGMENT_SIZE_BYTES, <u64>(<u32>start));
}

function endSegments(scratch: usize, sizeBytes: i32, count: i32): i32 {
  if (count > SEGMENTS_COUNT_MAX) return STATUS_TOO_LONG;
  storeSegment(scratch, count, sizeBytes + 1);
  store<i32>(scratch + STATE_SEGMENTS_COUNT_OFFSET, count);
  return STATUS_OK;
}

/** Decodes triplets of unreserved characters in place and refuses what no path may hold.
 *  Source: RFC 3986 section 2.3. Returns the new size. */
function decodeUnreserved(path: usize, sizeBytes: i32): i32 {
  let target = 0;
  // In bounds: 0 <= target <= source < sizeBytes; a triplet is read only when it lies before it.
  for (let source = 0; source < sizeBytes; source++) {
    let byte: i32 = load<u8>(path + source);
    if (byte < 0x20 || byte == DELETE || byte == BACKSLASH || byte == HASH) return STATUS_BAD_PATH;
    if (byte == PERCENT) {
      if (source + 2 >= sizeBytes) return STATUS_BAD_PATH;
      const value = decodeTriplet(path + source);
      if (value <= 0) return STATUS_BAD_PATH;
      if (isUnreserved(value)) {
        byte = value;
        source += 2;
      } else {
        store<u8>(path + target, byte);
        store<u16>(path + target + 1, load<u16>(path + source + 1));
        target += 3;
        source += 2;
        continue;
      }
    }
    store<u8>(path + target, byte);
    target++;
  }
  return target;
}

/** The value of the two hex digits after a `%`; negative when they are not hex digits. */
export function decodeTriplet(ptr: usize): i32 {
  // In bounds: the caller checked that two bytes follow the `%`.
  const high = hexDigit(load<u8>(ptr + 1));
  const low = hexDigit(load<u8>(ptr + 2));
  return high < 0 || low < 0 ? -1 : (high << 4) | low;
}

function hexDigit(byte: i32): i32 {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function isUnreserved(byte: i32): bool {
  const lower = byte | 0x20;
  if (lower >= 0x61 && lower <= 0x7a) return true;
  if (byte >= 0x30 && byte <= 0x39) return true;
  return byte == 0x2d || byte == DOT || byte == 0x5f || byte == 0x7e;
}

/** Removes `.` and `..` segments in place. Source: RFC 3986 section 5.2.4. Returns the new size. */
function removeDotSegments(path: usize, sizeBytes: i32): i32 {
  let target = 0;
  let start = 1;
  // In bounds: target < start <= sizeBytes at every step, for each segment kept is moved left or
  // stays, and each segment brings its own `/`.
  while (start <= sizeBytes) {
    let end = start;
    while (end < sizeBytes && load<u8>(path + end) != SLASH) end++;
    const size = end - start;
    const isParent = size == 2 && load<u16>(path + start) == 0x2e2e;
    const isSelf = size == 1 && load<u8>(path + start) == DOT;
    if (isParent) target = parentEnd(path, target);
    if (!isParent && !isSelf) {
      store<u8>(path + target, SLASH);
      memory.copy(path + target + 1, path + start, size);
      target += size + 1;
    } else if (end == sizeBytes) {
      store<u8>(path + target, SLASH);
      target++;
    }
    start = end + 1;
  }
  return target;
}

/** Where the path ends without its last segment; the root stays the root. */
function parentEnd(path: usize, end: i32): i32 {
  // In bounds: `at` runs from end - 1 down to 0.
  for (let at = end - 1; at >= 0; at--) {
    if (load<u8>(path + at) == SLASH) return at;
  }
  return 0;
}

/** Keeps a computed hash beside its segment. */
export function segmentHashPtr(scratch: usize, index: i32): usize {
  // In bounds: index < the count of segments <= SEGMENTS_COUNT_MAX.
  return scratch + SEGMENTS_OFFSET + index * SEGMENT_SIZE_BYTES + SEGMENT_HASH_OFFSET;
}

/** Where a segment starts; the end mark's start is one past the end of the path and its `/`. */
export function segmentStart(scratch: usize, index: i32): i32 {
  // In bounds: index <= the count of segments; the end mark stands at that index.
  return load<i32>(scratch + SEGMENTS_OFFSET + index * SEGMENT_SIZE_BYTES);
}
