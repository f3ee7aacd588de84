// Response heads of one upstream that came before, kept with what they meant: in a flood most
// responses differ in their bodies at the most, and their `date` changes once a second. To compare
// bytes costs a tenth of what it costs to read them, and a kept head can be written to a client as
// it was the last time. Only the very same bytes count, so that nothing is ever taken for
// something else. It refuses to keep large heads, and nearly ceases to look where heads never
// repeat.

import type { HeaderList, PreparedHead } from '../../core/index.ts';

/** What the fields of a head said. */
export interface HeadFields {
  /** Without what concerns this hop only. */
  readonly headers: HeaderList;
  /** -1 where the header is missing. */
  readonly contentLength: number;
  readonly isChunked: boolean;
  /** Whether `connection: close` was said. */
  readonly isLast: boolean;
  /** -1 where nothing was said. */
  readonly keepAliveSeconds: number;
}

/** One head, from its status line to its empty line. */
export interface KnownHead extends HeadFields {
  readonly sizeBytes: number;
  readonly minor: number;
  /** Its list of headers is the one above. */
  readonly prepared: PreparedHead;
}

/** Larger heads are read each time. */
const HEAD_SIZE_BYTES_MAX = 1_024;
/** Heads kept for one upstream; a power of two. Found by the size of what was read, which tells
 *  kinds of responses apart before one is looked at. */
const KEPT_COUNT = 8;
/** A head that did come again gives way after so many others in a row. */
const PROVEN_MISSES_COUNT = 8;
/** A head that never came again gives way after more others each time, up to this many. */
const UNPROVEN_MISSES_COUNT_MAX = 64;

class Place {
  head: KnownHead | null = null;
  bytes = new DataView(new ArrayBuffer(0));
  missesCount = 0;
  missesCountMax = 1;
  isProven = false;
}

/** The bytes that were read last, to be compared four at a time. All plain sockets share them. */
let seenBytes: Uint8Array = new Uint8Array(0);
let seen: DataView = new DataView(new ArrayBuffer(0));

export class KnownHeads {
  readonly #places: readonly Place[] = Array.from({ length: KEPT_COUNT }, () => new Place());

  /** The head that `bytes` begin with at `offset`, where it is kept; else null.
   *  Cost: about 0.3 ns a byte of a head that is the same, no allocation. */
  find(bytes: Uint8Array, offset: number, end: number): KnownHead | null {
    const place = this.#places[(end - offset) & (KEPT_COUNT - 1)]!;
    const { head } = place;
    if (head !== null && head.sizeBytes <= end - offset) {
      if (bytes !== seenBytes) {
        seenBytes = bytes;
        seen = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      }
      if (isSame(place.bytes, seen, offset, head.sizeBytes)) {
        place.missesCount = 0;
        place.missesCountMax = PROVEN_MISSES_COUNT;
        place.isProven = true;
        return head;
      }
    }
    place.missesCount += 1;
    return null;
  }

  /** After find() found nothing: a copy of the bytes that may be a head worth keeping, for learn();
   *  null mostly. */
  sample(bytes: Uint8Array, offset: number, end: number): Uint8Array<ArrayBuffer> | null {
    const place = this.#places[(end - offset) & (KEPT_COUNT - 1)]!;
    if (place.missesCount < place.missesCountMax) return null;
    const sizeBytes = Math.min(end - offset, HEAD_SIZE_BYTES_MAX);
    const copy = new Uint8Array(sizeBytes);
    for (let index = 0; index < sizeBytes; index++) copy[index] = bytes[offset + index]!;
    return copy;
  }

  /** Keeps a head that was read. `sample`: of sample() for the same bytes, of which
   *  `readSizeBytes` were there. */
  learn(
    sample: Uint8Array<ArrayBuffer>,
    readSizeBytes: number,
    line: { readonly status: number; readonly minor: number; readonly sizeBytes: number },
    fields: HeadFields,
  ): void {
    const { sizeBytes, minor, status } = line;
    const place = this.#places[readSizeBytes & (KEPT_COUNT - 1)]!;
    place.missesCount = 0;
    if (sizeBytes > sample.length) {
      place.missesCountMax = UNPROVEN_MISSES_COUNT_MAX;
      return;
    }
    const isWaste = place.head !== null && !place.isProven;
    const wanted = isWaste ? 2 * place.missesCountMax : place.missesCountMax;
    place.missesCountMax = Math.min(wanted, UNPROVEN_MISSES_COUNT_MAX);
    place.isProven = false;
    place.bytes = new DataView(sample.buffer, 0, sizeBytes);
    const { contentLength, isChunked, isLast, keepAliveSeconds } = fields;
    const headers = fields.headers.slice();
    place.head = {
      headers,
      contentLength,
      isChunked,
      isLast,
      keepAliveSeconds,
      sizeBytes,
      minor,
      prepared: { status, headers, listenerHead: null },
    };
  }
}

/** In bounds: `kept` is of `sizeBytes`, and the caller has as many from `offset` on. */
function isSame(kept: DataView, read: DataView, offset: number, sizeBytes: number): boolean {
  let at = 0;
  for (; at + 4 <= sizeBytes; at += 4) {
    if (kept.getInt32(at, true) !== read.getInt32(offset + at, true)) return false;
  }
  for (; at < sizeBytes; at++) {
    if (kept.getUint8(at) !== read.getUint8(offset + at)) return false;
  }
  return true;
}
