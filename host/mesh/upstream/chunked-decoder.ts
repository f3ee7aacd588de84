// Decodes a chunked body (RFC 9112 section 7.1), strictly: sizes are hexadecimal digits and nothing
// else, lines end in CR LF. Chunk extensions must be well formed and are dropped, since nothing we
// know gives them a meaning; trailers are checked and kept. It keeps no body bytes.

import {
  CHUNK_LINE_SIZE_BYTES_MAX,
  NO_TRAILERS,
  passableTrailers,
  TRAILERS_SIZE_BYTES_MAX,
} from '../../core/index.ts';
import { FieldScanner, SCAN_INCOMPLETE } from './field-scanner.ts';

/** What take() returns for a malformed body; `detail` says how. */
export const CHUNKED_BAD = -2;

const LF = 0x0a;
const CR = 0x0d;
const SEMICOLON = 0x3b;
/** 13 digits stay below 2^53. */
const SIZE_DIGITS_MAX = 13;

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const QUOTED = '"(?:[\\t\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]|\\\\[\\t\\x20-\\x7e])*"';
const EXTENSIONS = new RegExp(`^(?:;${TOKEN}(?:=(?:${TOKEN}|${QUOTED}))?)+$`);

const HEX_VALUE = new Int8Array(256).fill(-1);
for (const [index, digit] of [...'0123456789abcdef'].entries()) {
  HEX_VALUE[digit.charCodeAt(0)] = index;
  HEX_VALUE[digit.toUpperCase().charCodeAt(0)] = index;
}

const AT_SIZE = 0;
const AT_EXTENSION = 1;
const AT_SIZE_LF = 2;
const AT_DATA = 3;
const AT_DATA_CR = 4;
const AT_DATA_LF = 5;
const AT_TRAILERS = 6;

export interface ChunkSink {
  onBody(chunk: Uint8Array): void;
}

const scanner = new FieldScanner();

export class ChunkedDecoder {
  readonly #sink: ChunkSink;
  #state = AT_SIZE;
  #remainingSizeBytes = 0;
  #digitsCount = 0;
  #extension = '';
  #section = '';
  isDone = false;
  /** What followed the body, without what has no place there. */
  trailers: readonly string[] = NO_TRAILERS;
  detail = '';

  constructor(sink: ChunkSink) {
    this.#sink = sink;
  }

  /** Makes the decoder ready for the next body. */
  reset(): void {
    this.#state = AT_SIZE;
    this.#remainingSizeBytes = 0;
    this.#digitsCount = 0;
    this.#extension = '';
    this.#section = '';
    this.trailers = NO_TRAILERS;
    this.isDone = false;
  }

  /** Takes bytes until one piece of body is handed on, the body is done, or the input is used up.
   *  Shape: the offset behind what was taken, or CHUNKED_BAD. */
  take(bytes: Buffer, start: number, end: number): number {
    let offset = start;
    while (offset < end) {
      if (this.#state === AT_DATA) return this.#takeData(bytes, offset, end);
      if (this.#state === AT_TRAILERS) return this.#takeTrailers(bytes, offset, end);
      if (!this.#step(bytes[offset]!)) return CHUNKED_BAD;
      offset += 1;
    }
    return offset;
  }

  #step(byte: number): boolean {
    switch (this.#state) {
      case AT_SIZE:
        return this.#stepSize(byte);
      case AT_EXTENSION:
        return this.#stepExtension(byte);
      case AT_SIZE_LF:
        if (byte !== LF) return this.#bad('a bare CR in a chunk-size line');
        this.#state = this.#remainingSizeBytes === 0 ? AT_TRAILERS : AT_DATA;
        return true;
      case AT_DATA_CR:
        if (byte !== CR) return this.#bad('a chunk longer than its size');
        this.#state = AT_DATA_LF;
        return true;
      default:
        if (byte !== LF) return this.#bad('a chunk longer than its size');
        this.#state = AT_SIZE;
        this.#digitsCount = 0;
        return true;
    }
  }

  #stepSize(byte: number): boolean {
    const value = HEX_VALUE[byte]!;
    if (value >= 0) {
      this.#digitsCount += 1;
      if (this.#digitsCount > SIZE_DIGITS_MAX) {
        return this.#bad(`a chunk size of more than ${SIZE_DIGITS_MAX} digits`);
      }
      this.#remainingSizeBytes = this.#remainingSizeBytes * 16 + value;
      return true;
    }
    if (this.#digitsCount === 0) return this.#bad('a chunk without a size');
    if (byte === CR) {
      this.#state = AT_SIZE_LF;
      return true;
    }
    if (byte !== SEMICOLON) return this.#bad(`byte 0x${byte.toString(16)} in a chunk size`);
    this.#extension = ';';
    this.#state = AT_EXTENSION;
    return true;
  }

  #stepExtension(byte: number): boolean {
    if (byte !== CR) {
      if (this.#extension.length === CHUNK_LINE_SIZE_BYTES_MAX) {
        return this.#bad(`chunk extensions above ${CHUNK_LINE_SIZE_BYTES_MAX} bytes`);
      }
      this.#extension += String.fromCharCode(byte);
      return true;
    }
    if (!EXTENSIONS.test(this.#extension)) return this.#bad('a malformed chunk extension');
    this.#extension = '';
    this.#state = AT_SIZE_LF;
    return true;
  }

  #takeData(bytes: Buffer, offset: number, end: number): number {
    const sizeBytes = Math.min(this.#remainingSizeBytes, end - offset);
    this.#remainingSizeBytes -= sizeBytes;
    if (this.#remainingSizeBytes === 0) this.#state = AT_DATA_CR;
    this.#sink.onBody(new Uint8Array(bytes.buffer, bytes.byteOffset + offset, sizeBytes));
    return offset + sizeBytes;
  }

  #takeTrailers(bytes: Buffer, offset: number, end: number): number {
    // Nearly always there are none and the empty line is here in one piece.
    if (this.#section === '' && end - offset >= 2) {
      if (bytes[offset] === CR && bytes[offset + 1] === LF) {
        this.isDone = true;
        return offset + 2;
      }
    }
    let at = offset;
    while (at < end) {
      const byte = bytes[at]!;
      at += 1;
      this.#section += String.fromCharCode(byte);
      if (this.#section.length > TRAILERS_SIZE_BYTES_MAX) {
        this.#bad(`trailers above ${TRAILERS_SIZE_BYTES_MAX} bytes`);
        return CHUNKED_BAD;
      }
      if (byte !== LF) continue;
      if (this.#section !== '\r\n' && !this.#section.endsWith('\r\n\r\n')) continue;
      return this.#checkTrailers() ? at : CHUNKED_BAD;
    }
    return at;
  }

  #checkTrailers(): boolean {
    const section = Buffer.from(this.#section, 'latin1');
    const scanned = scanner.scan(section, 0, section.length);
    if (scanned === SCAN_INCOMPLETE) return this.#bad('malformed trailers');
    if (scanned < 0) return this.#bad(`${scanner.detail}, in the trailers`);
    const found: string[] = [];
    for (let index = 0; index < scanner.count; index++) {
      const [start, end, valueStart, valueEnd] = scanner.spans.subarray(4 * index);
      const name = section.toString('latin1', start, end);
      // A trailer that speaks of framing is an attempt to be understood in two ways.
      if (name === 'content-length' || name === 'transfer-encoding') {
        return this.#bad(`${name} in the trailers`);
      }
      found.push(name, section.toString('latin1', valueStart, valueEnd));
    }
    this.trailers = passableTrailers(found);
    this.#section = '';
    this.isDone = true;
    return true;
  }

  #bad(detail: string): false {
    this.detail = detail;
    return false;
  }
}
