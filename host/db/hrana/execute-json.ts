// The messages that make up most of the load, an `execute` over a WebSocket and a pipeline of them,
// read straight from their bytes: JSON.parse and the checks of what it makes cost five times as
// much. One spelling is known, that of clients: without spaces, escapes or other letters than
// ASCII. Whatever is different in anything is left to the decoder of everything (json-decode.ts),
// errors and limits too.
//
//   {"type":"request","request_id":N,"request":{"type":"execute","stream_id":N,"stmt":STMT}}
//   {"baton":null or none,"requests":[{"type":"execute","stmt":STMT},…,{"type":"close"}]}
//   STMT: {"sql_id":N or "sql":"…","args":[…],"named_args":[],"want_rows":true or false}

import type { SqlValue } from '../contract.ts';
import type { PipelineBody, SocketMessage, Stmt, StreamRequest } from './requests.ts';

/** Longer messages spend their time elsewhere. */
const MESSAGE_SIZE_BYTES_MAX = 4_096;
/** Digits that surely fit 32 bits, and those of a safe integer. */
const INT32_DIGITS_MAX = 9;
const SAFE_DIGITS_MAX = 15;

const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const BEGIN = ascii('{"type":"request","request_id":');
const EXECUTE = ascii(',"request":{"type":"execute","stream_id":');
const STMT = ascii(',"stmt":');
const PIPELINE_BEGIN = ascii('{"requests":[');
const NULL_BATON_BEGIN = ascii('{"baton":null,"requests":[');
const PIPELINE_EXECUTE = ascii('{"type":"execute","stmt":');
const PIPELINE_END = ascii(']}');
const PIPELINE_CLOSE = ascii('{"type":"close"}');
const SQL_ID = ascii('"sql_id":');
const SQL = ascii('"sql":"');
const ARGS = ascii(',"args":[');
const NO_NAMED_ARGS = ascii(',"named_args":[]');
const WANT_ROWS = ascii(',"want_rows":true');
const WANT_NO_ROWS = ascii(',"want_rows":false');
const END = ascii('}}');
const FLOAT = ascii('{"type":"float","value":');
const INTEGER = ascii('{"type":"integer","value":"');
const TEXT = ascii('{"type":"text","value":"');
const NULL = ascii('{"type":"null"}');
const VALUE_END = ascii('"}');

const QUOTE = 0x22;
const OBJECT_BEGIN = 0x7b;
const OBJECT_END = 0x7d;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DIGIT_0 = 0x30;
const BACKSLASH = 0x5c;
const LIST_END = 0x5d;

const NO_ARGS: Stmt['namedArgs'] = [];

/** The message, or null where another decoder has to look at it. */
export function readExecuteJson(bytes: Uint8Array): SocketMessage | null {
  return bytes.length <= MESSAGE_SIZE_BYTES_MAX ? new Scanner(bytes).message() : null;
}

/** As above, for a pipeline on a new stream. */
export function readPipelineJson(bytes: Uint8Array): PipelineBody | null {
  return bytes.length <= MESSAGE_SIZE_BYTES_MAX ? new Scanner(bytes).pipeline() : null;
}

class Scanner {
  readonly #bytes: Uint8Array;
  #at = 0;
  /** Something was different. */
  #hasFailed = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  message(): SocketMessage | null {
    this.#expect(BEGIN);
    const requestId = this.#int32();
    this.#expect(EXECUTE);
    const streamId = this.#int32();
    this.#expect(STMT);
    if (this.#hasFailed) return null;
    const stmt = this.#stmt();
    this.#expect(END);
    if (!this.#isWhole) return null;
    return { type: 'request', requestId, request: { type: 'execute', streamId, stmt } };
  }

  pipeline(): PipelineBody | null {
    if (!this.#accept(PIPELINE_BEGIN) && !this.#accept(NULL_BATON_BEGIN)) return null;
    const requests: StreamRequest[] = [];
    do {
      if (this.#accept(PIPELINE_CLOSE)) requests.push({ type: 'close' });
      else {
        this.#expect(PIPELINE_EXECUTE);
        requests.push({ type: 'execute', stmt: this.#stmt() });
        if (!this.#acceptByte(OBJECT_END)) this.#hasFailed = true;
      }
    } while (!this.#hasFailed && this.#acceptByte(COMMA));
    this.#expect(PIPELINE_END);
    return this.#isWhole ? { baton: null, requests } : null;
  }

  get #isWhole(): boolean {
    return !this.#hasFailed && this.#at === this.#bytes.length;
  }

  #stmt(): Stmt {
    let sql: string | null = null;
    let sqlId: number | null = null;
    if (!this.#acceptByte(OBJECT_BEGIN)) this.#hasFailed = true;
    if (this.#accept(SQL_ID)) sqlId = this.#int32();
    else {
      this.#expect(SQL);
      sql = this.#plainText();
    }
    const args = this.#accept(ARGS) ? this.#values() : [];
    this.#accept(NO_NAMED_ARGS);
    const wantRows = this.#accept(WANT_ROWS) || !this.#accept(WANT_NO_ROWS);
    if (!this.#acceptByte(OBJECT_END)) this.#hasFailed = true;
    return { sql, sqlId, args, namedArgs: NO_ARGS, wantRows };
  }

  #values(): SqlValue[] {
    const values: SqlValue[] = [];
    if (this.#acceptByte(LIST_END)) return values;
    while (!this.#hasFailed) {
      values.push(this.#value());
      if (this.#acceptByte(LIST_END)) break;
      if (!this.#acceptByte(COMMA)) this.#hasFailed = true;
    }
    return values;
  }

  #value(): SqlValue {
    if (this.#accept(INTEGER)) {
      const value = BigInt(this.#digits(SAFE_DIGITS_MAX));
      this.#expect(VALUE_END);
      return value;
    }
    if (this.#accept(TEXT)) {
      const value = this.#plainText();
      // #plainText has taken the quote.
      this.#at -= 1;
      this.#expect(VALUE_END);
      return value;
    }
    if (this.#accept(FLOAT)) {
      // What clients make of a small whole number; others have fractions.
      const value = this.#int32();
      if (!this.#acceptByte(OBJECT_END)) this.#hasFailed = true;
      return value;
    }
    this.#expect(NULL);
    return null;
  }

  /** Up to the quote and over it. */
  #plainText(): string {
    const bytes = this.#bytes;
    const start = this.#at;
    for (let at = start; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (byte === QUOTE) {
        this.#at = at + 1;
        return Buffer.from(bytes.buffer, bytes.byteOffset + start, at - start).toString('latin1');
      }
      if (byte < 0x20 || byte > 0x7e || byte === BACKSLASH) break;
    }
    this.#hasFailed = true;
    return '';
  }

  /** A number of JSON, which has no leading zeros, that fits 32 bits. */
  #int32(): number {
    const first = this.#bytes[this.#at];
    const second = this.#bytes[this.#at + 1];
    if (first === DIGIT_0 && isDigit(second)) this.#hasFailed = true;
    // -0 and -01 are left to others.
    if (first === MINUS && second === DIGIT_0) this.#hasFailed = true;
    return this.#digits(INT32_DIGITS_MAX);
  }

  #digits(countMax: number): number {
    const bytes = this.#bytes;
    const isNegative = this.#acceptByte(MINUS);
    const start = this.#at;
    let at = start;
    let value = 0;
    while (isDigit(bytes[at])) value = value * 10 + (bytes[at++]! - DIGIT_0);
    this.#at = at;
    if (at === start || at - start > countMax) {
      this.#hasFailed = true;
      return 0;
    }
    return isNegative && value !== 0 ? -value : value;
  }

  #acceptByte(byte: number): boolean {
    if (this.#bytes[this.#at] !== byte) return false;
    this.#at += 1;
    return true;
  }

  #accept(expected: Uint8Array): boolean {
    const bytes = this.#bytes;
    const at = this.#at;
    for (let index = 0; index < expected.length; index++) {
      // Beyond the end is undefined, and so different.
      if (bytes[at + index] !== expected[index]) return false;
    }
    this.#at = at + expected.length;
    return true;
  }

  #expect(expected: Uint8Array): void {
    if (!this.#accept(expected)) this.#hasFailed = true;
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= DIGIT_0 && byte <= DIGIT_0 + 9;
}
