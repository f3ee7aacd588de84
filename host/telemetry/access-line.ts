// One line of the access log from one finished request. Lines are ASCII whatever a client sends:
// JSON escapes the rest as \uXXXX, so that a parser gives back the exact text, and text escapes it
// as \xXX as nginx does, so that no control character ever reaches a terminal. A path that is UTF-8
// is decoded for JSON; text shows its bytes.

import { shownByteString } from '../core/index.ts';

export interface AccessEntry {
  /** When the request began. Units: ms, wall clock. */
  readonly wallMs: number;
  readonly clientAddress: string;
  readonly method: string;
  /** As received, a byte string, with its query if the caller wants it logged. */
  readonly path: string;
  readonly protocol: string;
  /** Names, `''` where there is none. */
  readonly route: string;
  readonly service: string;
  readonly endpoint: string;
  readonly status: number;
  /** 0 where nothing was refused. */
  readonly reason: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationMs: number;
  /** `''` for none. */
  readonly traceId: string;
  /** What went wrong, in words; `''`, and then left out of the line, for nothing. */
  readonly detail: string;
}

/** A longer field is cut; what a listener lets through is shorter. */
export const ACCESS_FIELD_LENGTH_MAX = 16_384;

/** A larger duration can only be a fault, and a thousand times itself may be infinite. */
const MAGNITUDE_MAX = 1e12;
const YEAR_10000_MS = 253_402_300_800_000;

// What stands for itself in a quoted string: printable ASCII but the quote and the backslash.
const PLAIN = /^[ !#-[\]-~]*$/;
const PLAIN_WORD = /^[!#-[\]-~]+$/;

/** A JSON object and a line end. Cost: under 1 us when every field is plain. */
export function jsonLine(entry: AccessEntry, time: string): string {
  return (
    `{"time":"${time}","client":"${json(entry.clientAddress)}",` +
    `"method":"${json(entry.method)}","path":"${jsonBytes(entry.path)}",` +
    `"protocol":"${json(entry.protocol)}","route":"${json(entry.route)}",` +
    `"service":"${json(entry.service)}","endpoint":"${json(entry.endpoint)}",` +
    `"status":${whole(entry.status)},"reason":${whole(entry.reason)},` +
    `"bytesIn":${whole(entry.bytesIn)},"bytesOut":${whole(entry.bytesOut)},` +
    `"durationMs":${thousandths(entry.durationMs)},"traceId":"${json(entry.traceId)}"` +
    (entry.detail === '' ? '}\n' : `,"detail":"${json(shortDetail(entry))}"}\n`)
  );
}

/** A line for people: fields in a fixed order, texts quoted, `-` for what is absent. */
export function textLine(entry: AccessEntry, time: string): string {
  return (
    `${time} ${bare(entry.clientAddress)} ` +
    `"${plain(entry.method)} ${plain(entry.path)} ${plain(entry.protocol)}" ` +
    `${whole(entry.status)} ${whole(entry.reason)} ` +
    `${whole(entry.bytesIn)} ${whole(entry.bytesOut)} ${thousandths(entry.durationMs)}ms ` +
    `${bare(entry.route)} ${bare(entry.service)} ${bare(entry.endpoint)} ${bare(entry.traceId)}` +
    (entry.detail === '' ? '\n' : ` "${plain(shortDetail(entry))}"\n`)
  );
}

/** Details quote what an upstream sent; a line stays one write of a pipe. */
const DETAIL_LENGTH_MAX = 512;

function shortDetail({ detail }: AccessEntry): string {
  return detail.slice(0, DETAIL_LENGTH_MAX);
}

/** RFC 3339 times in UTC, made once a second and patched with the milliseconds. */
export class LineTime {
  #second = Number.NaN;
  #prefix = '';

  text(wallMs: number): string {
    // Outside these years a date has no such text; a log line must not throw for a bad clock.
    if (!(wallMs >= 0 && wallMs < YEAR_10000_MS)) return this.text(0);
    const second = Math.floor(wallMs / 1000);
    if (second !== this.#second) {
      this.#prefix = new Date(second * 1000).toISOString().slice(0, 20);
      this.#second = second;
    }
    const ms = Math.floor(wallMs - second * 1000);
    return `${this.#prefix}${ms < 10 ? '00' : ms < 100 ? '0' : ''}${ms}Z`;
  }
}

function json(text: string): string {
  if (text.length <= ACCESS_FIELD_LENGTH_MAX && PLAIN.test(text)) return text;
  let escaped = '';
  const length = Math.min(text.length, ACCESS_FIELD_LENGTH_MAX);
  for (let index = 0; index < length; index++) {
    const unit = text.charCodeAt(index);
    if (unit === 0x22 || unit === 0x5c) escaped += `\\${text[index]}`;
    else if (unit >= 0x20 && unit <= 0x7e) escaped += text[index];
    else escaped += `\\u${unit.toString(16).padStart(4, '0')}`;
  }
  return escaped;
}

function jsonBytes(bytes: string): string {
  if (bytes.length <= ACCESS_FIELD_LENGTH_MAX && PLAIN.test(bytes)) return bytes;
  return json(shownByteString(bytes));
}

function plain(text: string): string {
  if (text.length <= ACCESS_FIELD_LENGTH_MAX && PLAIN.test(text)) return text;
  let escaped = '';
  const length = Math.min(text.length, ACCESS_FIELD_LENGTH_MAX);
  for (let index = 0; index < length; index++) {
    const unit = text.charCodeAt(index);
    if (unit >= 0x20 && unit <= 0x7e && unit !== 0x22 && unit !== 0x5c) escaped += text[index];
    else if (unit <= 0xff) escaped += `\\x${unit.toString(16).padStart(2, '0').toUpperCase()}`;
    else escaped += `\\u${unit.toString(16).padStart(4, '0').toUpperCase()}`;
  }
  return escaped;
}

/** A text outside quotes: a space would shift the fields after it. */
function bare(text: string): string {
  if (text.length <= ACCESS_FIELD_LENGTH_MAX && PLAIN_WORD.test(text)) return text;
  return text === '' ? '-' : plain(text).replaceAll(' ', '\\x20');
}

function whole(value: number): number {
  return Number.isFinite(value) ? Math.trunc(value) : 0;
}

function thousandths(value: number): number {
  return Math.abs(value) < MAGNITUDE_MAX ? Math.round(value * 1000) / 1000 : 0;
}
