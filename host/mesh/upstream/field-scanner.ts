// Reads one section of header or trailer fields in a single pass over the bytes, strictly: no bare
// CR or LF, no control characters, no space before the colon, no folded lines (RFC 9112 section 5).
// It makes no strings; it notes where names and values lie, so that a bad section costs nothing.

import { RESPONSE_HEADERS_COUNT_MAX } from '../../core/index.ts';

/** The section is not complete in the bytes given. */
export const SCAN_INCOMPLETE = -1;
/** The section is malformed; `detail` says how. */
export const SCAN_BAD = -2;

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const COLON = 0x3a;

/** Byte to its lower-case form where it is a token character, else 0. */
const TOKEN_LOWER = new Uint8Array(256);
/** 1 where a byte may stand in a field value. */
const IS_VALUE = new Uint8Array(256);

for (let byte = 0; byte < 256; byte++) {
  const text = String.fromCharCode(byte);
  if (/^[!#$%&'*+.^_`|~0-9A-Za-z-]$/.test(text)) {
    TOKEN_LOWER[byte] = text.toLowerCase().charCodeAt(0);
  }
  if (byte === TAB || (byte >= SPACE && byte !== 0x7f)) IS_VALUE[byte] = 1;
}

/** Whether a byte may stand in a field value or a reason phrase. */
export function isValueByte(byte: number): boolean {
  return IS_VALUE[byte] === 1;
}

export class FieldScanner {
  /**
   * Where the fields lie, in bytes from the beginning of the buffer, values without white space
   * around them:
   *
   *     [ name start | name end | value start | value end ] × count
   */
  readonly spans = new Int32Array(4 * RESPONSE_HEADERS_COUNT_MAX);
  count = 0;
  detail = '';

  /** Scans from `start` to the empty line. Names are put in lower case in place. Shape: the offset
   *  behind the empty line, SCAN_INCOMPLETE or SCAN_BAD. Cost: O(bytes), no allocation. */
  scan(bytes: Uint8Array, start: number, end: number): number {
    const spans = this.spans;
    let offset = start;
    let count = 0;
    for (;;) {
      if (offset >= end) return SCAN_INCOMPLETE;
      if (bytes[offset] === CR) {
        if (offset + 1 >= end) return SCAN_INCOMPLETE;
        if (bytes[offset + 1] !== LF) return this.#bad('a bare CR');
        this.count = count;
        return offset + 2;
      }
      if (count === RESPONSE_HEADERS_COUNT_MAX) {
        return this.#bad(`more than ${RESPONSE_HEADERS_COUNT_MAX} header fields`);
      }
      const nameStart = offset;
      let lower = TOKEN_LOWER[bytes[offset]!]!;
      while (lower !== 0) {
        bytes[offset] = lower;
        offset += 1;
        lower = offset < end ? TOKEN_LOWER[bytes[offset]!]! : 0;
      }
      if (offset >= end) return SCAN_INCOMPLETE;
      if (bytes[offset] !== COLON || offset === nameStart) return this.#badName(bytes[offset]!);
      const nameEnd = offset;
      offset += 1;
      while (offset < end && (bytes[offset] === SPACE || bytes[offset] === TAB)) offset += 1;
      const valueStart = offset;
      while (offset < end && IS_VALUE[bytes[offset]!] === 1) offset += 1;
      if (offset < end && bytes[offset] !== CR) return this.#badValue(bytes[offset]!);
      if (offset + 1 >= end) return SCAN_INCOMPLETE;
      if (bytes[offset + 1] !== LF) return this.#bad('a bare CR');
      let valueEnd = offset;
      while (valueEnd > valueStart && isBlank(bytes[valueEnd - 1]!)) valueEnd -= 1;
      const at = 4 * count;
      spans[at] = nameStart;
      spans[at + 1] = nameEnd;
      spans[at + 2] = valueStart;
      spans[at + 3] = valueEnd;
      count += 1;
      offset += 2;
    }
  }

  #bad(detail: string): number {
    this.detail = detail;
    return SCAN_BAD;
  }

  #badName(byte: number): number {
    return this.#bad(`byte 0x${byte.toString(16)} in a header name`);
  }

  #badValue(byte: number): number {
    return this.#bad(byte === LF ? 'a bare LF' : `byte 0x${byte.toString(16)} in a header value`);
  }
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}
