// Reads HTTP/1.1 responses off one connection of the load generator. Strict where laxness would
// count a wrong or short answer as a good one; it keeps no header but the few that matter here.

import { RESPONSE_HEAD_SIZE_BYTES_MAX } from './limits.ts';

/** What one complete response was. */
export interface ResponseSummary {
  status: number;
  /** `x-sluice-reason`, `''` when absent. */
  reason: string;
  bodySizeBytes: number;
  /** Whether the connection may carry another request. */
  isReusable: boolean;
}

/** A wrong answer: the message says what was wrong. The connection cannot be used further. */
export class BadResponse extends Error {}

type State = 'head' | 'sized' | 'chunk-line' | 'chunk' | 'chunk-end' | 'trailer' | 'until-close';

const HEAD_END = Buffer.from('\r\n\r\n');
/** A chunk-size line or a trailer line; more is not an honest answer. */
const LINE_SIZE_BYTES_MAX = 4_096;

/** Feed it every byte of a connection; it calls `onResponse` once for each response. */
export class ResponseParser {
  readonly #onResponse: (summary: ResponseSummary) => void;
  #state: State = 'head';
  #held: Buffer = Buffer.alloc(0);
  #left = 0;
  #isHeadRequest = false;
  #isExpecting = false;
  #isComplete = false;
  #summary: ResponseSummary = { status: 0, reason: '', bodySizeBytes: 0, isReusable: true };

  constructor(onResponse: (summary: ResponseSummary) => void) {
    this.#onResponse = onResponse;
  }

  /** Whether part of a response has come and more must follow. */
  get isInside(): boolean {
    return this.#state !== 'head' || this.#held.length > 0;
  }

  /** A request was sent: exactly one final response may follow. */
  expect(method: string): void {
    this.#isExpecting = true;
    this.#isHeadRequest = method === 'HEAD';
  }

  /** Reads what came. The bytes are not kept past the call. Errors: BadResponse. */
  feed(bytes: Buffer): void {
    let input = bytes;
    if (this.#held.length > 0) {
      input = Buffer.concat([this.#held, bytes]);
      this.#held = Buffer.alloc(0);
    }
    let offset = 0;
    while (offset < input.length) {
      const next = this.#step(input, offset);
      if (next < 0) {
        this.#held = Buffer.from(input.subarray(offset));
        return;
      }
      offset = next;
      if (this.#isComplete && offset < input.length) {
        throw new BadResponse('bytes that no request asked for');
      }
    }
    if (this.#isComplete) this.#deliver();
  }

  /** The peer closed. Returns whether that completed a response. */
  close(): boolean {
    if (this.#state !== 'until-close') return false;
    this.#summary.isReusable = false;
    this.#finish();
    this.#deliver();
    return true;
  }

  /** Consumes from `offset`; returns the next offset, -1 when more bytes are needed. */
  #step(input: Buffer, offset: number): number {
    switch (this.#state) {
      case 'head':
        return this.#readHead(input, offset);
      case 'sized':
      case 'chunk':
        return this.#readSized(input, offset);
      case 'until-close':
        this.#summary.bodySizeBytes += input.length - offset;
        return input.length;
      default:
        return this.#readLine(input, offset);
    }
  }

  #readHead(input: Buffer, offset: number): number {
    if (!this.#isExpecting) throw new BadResponse('bytes that no request asked for');
    const end = input.indexOf(HEAD_END, offset);
    if ((end === -1 ? input.length : end) - offset > RESPONSE_HEAD_SIZE_BYTES_MAX) {
      throw new BadResponse(`a head of more than ${RESPONSE_HEAD_SIZE_BYTES_MAX} bytes`);
    }
    if (end === -1) return -1;
    const framing = parseHead(input.toString('latin1', offset, end), this.#isHeadRequest);
    this.#summary = framing.summary;
    if (framing.kind === 'interim') return end + 4;
    if (framing.kind === 'sized' && framing.sizeBytes === 0) this.#finish();
    else if (framing.kind === 'sized') this.#await('sized', framing.sizeBytes);
    else this.#await(framing.kind === 'chunked' ? 'chunk-line' : 'until-close', 0);
    return end + 4;
  }

  #readSized(input: Buffer, offset: number): number {
    const taken = Math.min(this.#left, input.length - offset);
    this.#left -= taken;
    this.#summary.bodySizeBytes += taken;
    if (this.#left === 0) {
      if (this.#state === 'chunk') this.#await('chunk-end', 0);
      else this.#finish();
    }
    return offset + taken;
  }

  #readLine(input: Buffer, offset: number): number {
    const end = input.indexOf('\r\n', offset, 'latin1');
    if ((end === -1 ? input.length : end) - offset > LINE_SIZE_BYTES_MAX) {
      throw new BadResponse(`a chunk line of more than ${LINE_SIZE_BYTES_MAX} bytes`);
    }
    if (end === -1) return -1;
    const line = input.toString('latin1', offset, end);
    if (this.#state === 'chunk-line') {
      const found = /^([0-9a-fA-F]{1,12})(?:[ \t]*;.*)?$/.exec(line);
      if (found === null) throw new BadResponse(`chunk size ${JSON.stringify(line.slice(0, 40))}`);
      const sizeBytes = Number.parseInt(found[1]!, 16);
      this.#await(sizeBytes === 0 ? 'trailer' : 'chunk', sizeBytes);
    } else if (this.#state === 'chunk-end') {
      if (line !== '') throw new BadResponse('a chunk longer than its size');
      this.#await('chunk-line', 0);
    } else if (line === '') {
      this.#finish();
    }
    return end + 2;
  }

  #await(state: State, sizeBytes: number): void {
    this.#state = state;
    this.#left = sizeBytes;
  }

  #finish(): void {
    this.#state = 'head';
    this.#isExpecting = false;
    this.#isComplete = true;
  }

  /** Last of all, for the next request may be sent and expected from within the call. */
  #deliver(): void {
    this.#isComplete = false;
    this.#onResponse(this.#summary);
  }
}

interface Framing {
  readonly kind: 'interim' | 'sized' | 'chunked' | 'until-close';
  readonly sizeBytes: number;
  readonly summary: ResponseSummary;
}

function parseHead(head: string, isHeadRequest: boolean): Framing {
  const lines = head.split('\r\n');
  const first = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: |$)/.exec(lines[0]!);
  if (first === null) {
    throw new BadResponse(`status line ${JSON.stringify(lines[0]!.slice(0, 40))}`);
  }
  const status = Number(first[2]);
  const summary = { status, reason: '', bodySizeBytes: 0, isReusable: first[1] === '1' };
  let sizeBytes = -1;
  let isChunked = false;
  for (let index = 1; index < lines.length; index++) {
    const { name, value } = parseField(lines[index]!);
    if (name === 'content-length') {
      if (!/^\d{1,15}$/.test(value)) throw new BadResponse(`content-length ${value.slice(0, 40)}`);
      if (sizeBytes !== -1 && sizeBytes !== Number(value)) {
        throw new BadResponse('two different content-lengths');
      }
      sizeBytes = Number(value);
    } else if (name === 'transfer-encoding') {
      if (value.toLowerCase() !== 'chunked') throw new BadResponse(`transfer-encoding ${value}`);
      isChunked = true;
    } else if (name === 'connection') {
      if (/\bclose\b/i.test(value)) summary.isReusable = false;
    } else if (name === 'x-sluice-reason') {
      summary.reason = value.slice(0, 16);
    }
  }
  if (isChunked && sizeBytes !== -1) throw new BadResponse('chunked and content-length at once');
  if (status === 101) throw new BadResponse('status 101 without an upgrade');
  if (status < 200) return { kind: 'interim', sizeBytes: 0, summary };
  if (isHeadRequest || status === 204 || status === 304) {
    return { kind: 'sized', sizeBytes: 0, summary };
  }
  if (isChunked) return { kind: 'chunked', sizeBytes: 0, summary };
  return { kind: sizeBytes === -1 ? 'until-close' : 'sized', sizeBytes, summary };
}

function parseField(line: string): { name: string; value: string } {
  const colon = line.indexOf(':');
  if (colon < 1 || !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(line.slice(0, colon))) {
    throw new BadResponse(`header line ${JSON.stringify(line.slice(0, 40))}`);
  }
  return { name: line.slice(0, colon).toLowerCase(), value: line.slice(colon + 1).trim() };
}
