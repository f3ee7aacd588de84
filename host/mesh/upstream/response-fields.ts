// Turns the scanned fields of a response head into a header list and what its framing says. Values
// are byte strings: they go on with the very bytes they came with, whatever those mean. Headers
// that concern one connection only (RFC 9110 section 7.6.1) and those of the framing are taken out,
// so that nothing downstream can repeat them by mistake.

import type { HeaderList } from '../../core/index.ts';
import { FieldScanner, SCAN_BAD } from './field-scanner.ts';

type Latin1Buffer = Buffer & { latin1Slice(start: number, end: number): string };

const TAB = 0x09;
const CR = 0x0d;
const FRAMING = new Set(['content-length', 'transfer-encoding']);
/** 15 digits stay below 2^53. */
const CONTENT_LENGTH = /^[0-9]{1,15}$/;
const KEEP_ALIVE_TIMEOUT = /(?:^|[\s,;])timeout=([0-9]{1,9})(?:$|[\s,;])/i;

export class ResponseFields {
  readonly #scanner = new FieldScanner();
  #keepAliveText = '';
  #keepAliveTextSeconds = -1;
  /** What `connection` said beyond keep-alive, in lower case. */
  #connection = '';
  headers: HeaderList = [];
  /** -1 where the header is missing. */
  contentLength = -1;
  isChunked = false;
  /** Whether `connection: close` was said. */
  isLast = false;
  keepAliveSeconds = -1;
  detail = '';

  /** Reads the fields up to the empty line. Shape: the offset behind it, SCAN_INCOMPLETE, or
   *  SCAN_BAD with `detail`. Cost: O(bytes); the strings of names and values. */
  read(bytes: Buffer, start: number, end: number): number {
    const scanner = this.#scanner;
    const behind = scanner.scan(bytes, start, end);
    if (behind < 0) {
      this.detail = scanner.detail;
      return behind;
    }
    this.headers = [];
    this.contentLength = -1;
    this.isChunked = false;
    this.isLast = false;
    this.keepAliveSeconds = -1;
    this.#connection = '';
    const text = (bytes as Latin1Buffer).latin1Slice(start, behind);
    const { spans, count } = scanner;
    for (let at = 0; at < 4 * count; at += 4) {
      const name = text.slice(spans[at]! - start, spans[at + 1]! - start);
      const value = text.slice(spans[at + 2]! - start, spans[at + 3]! - start);
      if (!this.#take(name, value)) return SCAN_BAD;
      if (bytes[spans[at + 3]!] !== CR && FRAMING.has(name)) {
        // Node refuses a tab here; two readers must not disagree about framing.
        const lineEnd = bytes.indexOf(CR, spans[at + 3]);
        if (bytes.subarray(spans[at + 3], lineEnd).includes(TAB)) {
          return this.#bad(`a tab after ${name}`);
        }
      }
    }
    if (this.isChunked && this.contentLength >= 0) {
      return this.#bad('both content-length and transfer-encoding');
    }
    if (this.#connection !== '') this.#applyConnection();
    return behind;
  }

  /** Lengths keep the common header from being compared with every special one. */
  #take(name: string, value: string): boolean {
    switch (name.length) {
      case 2:
        if (name === 'te') return true;
        break;
      case 7:
        if (name === 'trailer' || name === 'upgrade') return true;
        break;
      case 10:
        if (name === 'connection') return this.#takeConnection(value);
        if (name === 'keep-alive') return this.#takeKeepAlive(value);
        break;
      case 14:
        if (name === 'content-length') return this.#takeContentLength(value);
        break;
      case 15:
        // Ours to say: a client tells by it that the gateway refused, and an upstream must not.
        if (name === 'x-sluice-reason') return true;
        break;
      case 16:
        if (name === 'proxy-connection') return true;
        break;
      case 17:
        if (name === 'transfer-encoding') return this.#takeTransferEncoding(value);
        break;
    }
    this.headers.push(name, value);
    return true;
  }

  #takeConnection(value: string): boolean {
    if (value !== 'keep-alive') this.#connection += `,${value.toLowerCase()}`;
    return true;
  }

  /** Servers repeat themselves, so the last value's meaning is kept. */
  #takeKeepAlive(value: string): boolean {
    if (value !== this.#keepAliveText) {
      const found = KEEP_ALIVE_TIMEOUT.exec(value);
      this.#keepAliveText = value;
      this.#keepAliveTextSeconds = found === null ? -1 : Number(found[1]);
    }
    this.keepAliveSeconds = this.#keepAliveTextSeconds;
    return true;
  }

  #takeContentLength(value: string): boolean {
    if (!CONTENT_LENGTH.test(value)) {
      this.#bad(`content-length ${JSON.stringify(value.slice(0, 64))}`);
      return false;
    }
    const sizeBytes = Number(value);
    if (this.contentLength >= 0 && this.contentLength !== sizeBytes) {
      this.#bad(`content-length ${this.contentLength} and ${sizeBytes}`);
      return false;
    }
    this.contentLength = sizeBytes;
    return true;
  }

  #takeTransferEncoding(value: string): boolean {
    if (this.isChunked || value.toLowerCase() !== 'chunked') {
      this.#bad(`transfer-encoding ${JSON.stringify(value.slice(0, 64))}`);
      return false;
    }
    this.isChunked = true;
    return true;
  }

  /** Takes out the headers that `connection` lists. */
  #applyConnection(): void {
    const listed = new Set<string>();
    for (const part of this.#connection.split(',')) {
      const option = part.trim();
      if (option === 'close') this.isLast = true;
      else if (option !== '' && option !== 'keep-alive') listed.add(option);
    }
    if (listed.size === 0) return;
    const kept: HeaderList = [];
    for (let index = 0; index < this.headers.length; index += 2) {
      if (listed.has(this.headers[index]!)) continue;
      kept.push(this.headers[index]!, this.headers[index + 1]!);
    }
    this.headers = kept;
  }

  #bad(detail: string): number {
    this.detail = detail;
    return SCAN_BAD;
  }
}
