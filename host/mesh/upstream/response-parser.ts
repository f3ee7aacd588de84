// A strict, incremental parser of HTTP/1.1 responses. Whatever could be understood in two ways is
// refused. It holds no body bytes and at most one head. Node's own parser
// sits behind an internal binding, and calls back once per piece of every header.
//
// It is never laxer than Node's parser; where it is stricter is listed in the differential test.

import {
  BODY_SIZE_UNKNOWN,
  DRAIN_SIZE_BYTES_MAX,
  type HeaderList,
  INTERIM_RESPONSES_COUNT_MAX,
  type PreparedHead,
  READ_SIZE_BYTES,
  RESPONSE_HEADERS_SIZE_BYTES_MAX,
} from '../../core/index.ts';
import { ChunkedDecoder } from './chunked-decoder.ts';
import { isValueByte, SCAN_BAD, SCAN_INCOMPLETE } from './field-scanner.ts';
import type { HeadFields, KnownHead, KnownHeads } from './known-heads.ts';
import { ResponseFields } from './response-fields.ts';

export interface ResponseSink {
  /** `kept`: the same head where it is kept for responses to come; then `headers` is its list, and
   *  must stay as it is. */
  onHead(
    status: number,
    headers: HeaderList,
    bodySizeBytes: number,
    kept: PreparedHead | null,
  ): void;
  /** Valid only during the call. */
  onBody(chunk: Uint8Array): void;
  /** What followed a chunked body, where there was anything; before onComplete. */
  onTrailers?(trailers: readonly string[]): void;
  /** The response is complete. `leftoverSizeBytes` of this read lie behind it. */
  onComplete(leftoverSizeBytes: number): void;
}

/** What the next bytes may be. */
export const EXPECT_NOTHING = 0;
export const EXPECT_RESPONSE = 1;
/** The answer to HEAD, which has no body whatever its headers say. */
export const EXPECT_BODYLESS = 2;

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const DIGIT_ZERO = 0x30;
/** `HTTP/1.1 200` and one byte more, which is a space or CR. */
const STATUS_LINE_SIZE_BYTES_MIN = 13;
const VERSION_PREFIX = Buffer.from('HTTP/1.');

const AT_HEAD = 0;
const AT_LENGTH_BODY = 1;
const AT_CHUNKED_BODY = 2;
const AT_CLOSE_BODY = 3;
const AT_STOP = 4;

const fields = new ResponseFields();

export class ResponseParser {
  readonly #sink: ResponseSink;
  readonly #known: KnownHeads;
  readonly #chunked: ChunkedDecoder;
  #state = AT_HEAD;
  #expectation = EXPECT_NOTHING;
  #remainingSizeBytes = 0;
  #interimCount = 0;
  /** A head that did not come in one read. */
  #held: Buffer | null = null;
  #heldSizeBytes = 0;
  #searchedSizeBytes = 0;
  /** Whether the connection ends with this response. */
  shouldClose = false;
  /** `timeout=` of the last Keep-Alive header; -1 where there was none. Units: s. */
  keepAliveSeconds = -1;
  /** What is wrong, after execute() or finish() has returned false. */
  detail = '';

  /** `known`: heads of the same upstream. */
  constructor(sink: ResponseSink, known: KnownHeads) {
    this.#sink = sink;
    this.#known = known;
    this.#chunked = new ChunkedDecoder(sink);
  }

  /** Says what the next response answers. */
  expect(expectation: number): void {
    this.#expectation = expectation;
  }

  /** Whether bytes of a response have come and its end has not. */
  get isInside(): boolean {
    return this.#state !== AT_HEAD || this.#held !== null || this.#interimCount > 0;
  }

  /** Body bytes still to come; Infinity where it cannot be known. */
  get remainingSizeBytes(): number {
    return this.#state === AT_LENGTH_BODY ? this.#remainingSizeBytes : Infinity;
  }

  /** Whether so much is announced that it is not worth reading in vain. */
  get isLargeBody(): boolean {
    return this.#state === AT_LENGTH_BODY && this.#remainingSizeBytes > DRAIN_SIZE_BYTES_MAX;
  }

  /** Takes no more bytes; safe inside a callback. */
  stop(): void {
    this.#state = AT_STOP;
  }

  /** Takes one read. False: the response is bad, `detail` says how. Names of headers are put in
   *  lower case inside `bytes`. Cost: O(bytes); one string per head, and what the headers are. */
  execute(bytes: Buffer, end: number): boolean {
    let offset = 0;
    while (offset < end) {
      if (this.#state === AT_HEAD) offset = this.#takeHead(bytes, offset, end);
      else if (this.#state === AT_LENGTH_BODY) offset = this.#takeLengthBody(bytes, offset, end);
      else if (this.#state === AT_CHUNKED_BODY) offset = this.#takeChunked(bytes, offset, end);
      else if (this.#state === AT_CLOSE_BODY) {
        this.#sink.onBody(view(bytes, offset, end));
        offset = end;
      } else return true;
      if (offset < 0) return false;
    }
    return true;
  }

  /** Takes the end of the connection, which ends a body that had no other end. False: it came too
   *  early, or where nothing was expected. */
  finish(): boolean {
    if (this.#state !== AT_CLOSE_BODY) return false;
    this.#complete(0);
    return true;
  }

  #takeHead(bytes: Buffer, offset: number, end: number): number {
    if (this.#expectation === EXPECT_NOTHING) return this.#bad('bytes that answer no request');
    if (this.#held !== null) return this.#takeHeldHead(bytes, offset, end);
    const known = this.#known.find(bytes, offset, end);
    if (known !== null) return this.#takeKnownHead(known, offset, end);
    // Taken before names are put in lower case.
    const sample = this.#known.sample(bytes, offset, end);
    const behind = this.#parseHead(bytes, offset, end, sample);
    if (behind !== SCAN_INCOMPLETE) return behind;
    this.#held = Buffer.allocUnsafe(Math.max(4096, end - offset));
    this.#heldSizeBytes = 0;
    this.#searchedSizeBytes = 0;
    return this.#takeHeldHead(bytes, offset, end);
  }

  #takeKnownHead(known: KnownHead, offset: number, end: number): number {
    const behind = offset + known.sizeBytes;
    const { prepared } = known;
    const isBegun = this.#beginResponse(
      prepared.status,
      known.minor,
      known,
      prepared,
      end - behind,
    );
    return isBegun ? behind : SCAN_BAD;
  }

  /** Collects a head that comes in pieces; each byte is looked at once, however small they are. */
  #takeHeldHead(bytes: Buffer, offset: number, end: number): number {
    const sizeBefore = this.#heldSizeBytes;
    const room = RESPONSE_HEADERS_SIZE_BYTES_MAX - sizeBefore;
    const held = this.#hold(bytes, offset, Math.min(end, offset + room));
    const headSize = this.#findHeadEnd(held);
    if (headSize === SCAN_BAD) return SCAN_BAD;
    if (headSize !== SCAN_INCOMPLETE) {
      this.#held = null;
      const behind = this.#parseHead(
        held,
        0,
        headSize,
        null,
        end - offset - (headSize - sizeBefore),
      );
      if (behind === SCAN_INCOMPLETE) return this.#bad('a malformed response head');
      return behind < 0 ? behind : offset + (headSize - sizeBefore);
    }
    if (this.#heldSizeBytes < RESPONSE_HEADERS_SIZE_BYTES_MAX) return end;
    return this.#badSize();
  }

  #hold(bytes: Buffer, offset: number, end: number): Buffer {
    let held = this.#held!;
    const sizeBytes = this.#heldSizeBytes + end - offset;
    if (sizeBytes > held.length) {
      held = Buffer.allocUnsafe(Math.max(sizeBytes, 2 * held.length));
      this.#held!.copy(held, 0, 0, this.#heldSizeBytes);
      this.#held = held;
    }
    bytes.copy(held, this.#heldSizeBytes, offset, end);
    this.#heldSizeBytes = sizeBytes;
    return held;
  }

  /** Finds the empty line, and refuses early what can never become a head. */
  #findHeadEnd(held: Buffer): number {
    const prefixSize = Math.min(this.#heldSizeBytes, VERSION_PREFIX.length);
    if (held.compare(VERSION_PREFIX, 0, prefixSize, 0, prefixSize) !== 0) {
      return this.#bad('a response that does not begin with HTTP/1.');
    }
    for (let at = this.#searchedSizeBytes; at < this.#heldSizeBytes; at++) {
      if (held[at] !== LF) {
        if (held[at - 1] === CR) return this.#bad('a bare CR');
        continue;
      }
      if (held[at - 1] !== CR) return this.#bad('a bare LF');
      if (at >= 3 && held[at - 2] === LF) return at + 1;
    }
    this.#searchedSizeBytes = this.#heldSizeBytes;
    return SCAN_INCOMPLETE;
  }

  #parseHead(
    bytes: Buffer,
    offset: number,
    end: number,
    sample: Uint8Array<ArrayBuffer> | null,
    leftoverSizeBytes = -1,
  ): number {
    if (end - offset < STATUS_LINE_SIZE_BYTES_MIN) return SCAN_INCOMPLETE;
    for (let index = 0; index < VERSION_PREFIX.length; index++) {
      if (bytes[offset + index] !== VERSION_PREFIX[index]) {
        return this.#bad('a response that does not begin with HTTP/1.');
      }
    }
    const minor = bytes[offset + 7]! - DIGIT_ZERO;
    if ((minor !== 0 && minor !== 1) || bytes[offset + 8] !== SPACE) {
      return this.#bad('an HTTP version that is neither 1.1 nor 1.0');
    }
    const status = readStatus(bytes, offset + 9);
    if (status < 100) return this.#bad('a status that is not from 100 to 599');
    let at = offset + 12;
    if (bytes[at] !== SPACE && bytes[at] !== CR) return this.#bad('a malformed status line');
    while (at < end && isValueByte(bytes[at]!)) at += 1;
    if (at < end && bytes[at] !== CR) return this.#bad('a control character in the status line');
    if (at + 1 >= end) return SCAN_INCOMPLETE;
    if (bytes[at + 1] !== LF) return this.#bad('a bare CR');
    const behind = fields.read(bytes, at + 2, end);
    if (behind === SCAN_BAD) return this.#bad(fields.detail);
    if (behind === SCAN_INCOMPLETE) return SCAN_INCOMPLETE;
    if (behind - offset > RESPONSE_HEADERS_SIZE_BYTES_MAX) return this.#badSize();
    if (sample !== null && status >= 200) {
      const sizeBytes = behind - offset;
      this.#known.learn(sample, end - offset, { status, minor, sizeBytes }, fields);
    }
    const leftover = leftoverSizeBytes < 0 ? end - behind : leftoverSizeBytes;
    return this.#beginResponse(status, minor, fields, null, leftover) ? behind : SCAN_BAD;
  }

  #beginResponse(
    status: number,
    minor: number,
    head: HeadFields,
    kept: PreparedHead | null,
    leftoverSizeBytes: number,
  ): boolean {
    const { contentLength, isChunked } = head;
    if (minor === 0 && isChunked) {
      this.#bad('transfer-encoding in an HTTP/1.0 response');
      return false;
    }
    if (status < 200) return this.#skipInterim(status, minor);
    const isBodyless = this.#expectation === EXPECT_BODYLESS || status === 304;
    const hasNoBody = isBodyless || status === 204 || contentLength === 0;
    const isUntilClose = !hasNoBody && contentLength < 0 && !isChunked;
    // A 204 that announces a body may send one, which would be read as the next response.
    const isBodyWrong = status === 204 && (contentLength > 0 || isChunked);
    this.shouldClose = minor === 0 || head.isLast || isUntilClose || isBodyWrong;
    this.keepAliveSeconds = head.keepAliveSeconds;
    this.#interimCount = 0;
    this.#remainingSizeBytes = hasNoBody ? 0 : contentLength;
    if (isUntilClose) this.#state = AT_CLOSE_BODY;
    else if (isChunked) {
      this.#state = AT_CHUNKED_BODY;
      this.#chunked.reset();
    } else this.#state = AT_LENGTH_BODY;
    let announced = contentLength < 0 ? BODY_SIZE_UNKNOWN : contentLength;
    if (status === 204) announced = 0;
    this.#sink.onHead(status, head.headers, announced, kept);
    if (hasNoBody && this.#state !== AT_STOP) this.#complete(leftoverSizeBytes);
    return true;
  }

  #skipInterim(status: number, minor: number): boolean {
    this.#interimCount += 1;
    if (status === 101) this.#bad('status 101 where no upgrade was asked for');
    else if (minor === 0 || fields.isLast)
      this.#bad('an interim response that closes the connection');
    else if (fields.isChunked || fields.contentLength > 0) {
      this.#bad('an interim response with a body');
    } else if (this.#interimCount > INTERIM_RESPONSES_COUNT_MAX) {
      this.#bad(`more than ${INTERIM_RESPONSES_COUNT_MAX} interim responses`);
    } else return true;
    return false;
  }

  #takeLengthBody(bytes: Buffer, offset: number, end: number): number {
    const behind = Math.min(end, offset + this.#remainingSizeBytes);
    this.#remainingSizeBytes -= behind - offset;
    this.#sink.onBody(view(bytes, offset, behind));
    if (this.#remainingSizeBytes === 0 && this.#state === AT_LENGTH_BODY) {
      this.#complete(end - behind);
    }
    return behind;
  }

  #takeChunked(bytes: Buffer, offset: number, end: number): number {
    const behind = this.#chunked.take(bytes, offset, end);
    if (behind < 0) return this.#bad(this.#chunked.detail);
    if (this.#chunked.isDone && this.#state === AT_CHUNKED_BODY) {
      const { trailers } = this.#chunked;
      if (trailers.length > 0) this.#sink.onTrailers?.(trailers);
      this.#complete(end - behind);
    }
    return behind;
  }

  #complete(leftoverSizeBytes: number): void {
    this.#state = AT_HEAD;
    this.#expectation = EXPECT_NOTHING;
    this.#sink.onComplete(leftoverSizeBytes);
  }

  #badSize(): number {
    return this.#bad(`a response head above ${RESPONSE_HEADERS_SIZE_BYTES_MAX} bytes`);
  }

  #bad(detail: string): number {
    this.detail = detail;
    this.#state = AT_STOP;
    return SCAN_BAD;
  }
}

/** Three digits from 100 to 599; else 0. A client that meets another class can only guess where
 *  the message ends and what it means. Source: RFC 9110 section 15. */
function readStatus(bytes: Uint8Array, offset: number): number {
  const hundreds = bytes[offset]! - DIGIT_ZERO;
  const tens = bytes[offset + 1]! - DIGIT_ZERO;
  const ones = bytes[offset + 2]! - DIGIT_ZERO;
  const isDigits = hundreds > 0 && hundreds <= 5 && tens >= 0 && tens <= 9 && ones >= 0;
  return isDigits && ones <= 9 ? 100 * hundreds + 10 * tens + ones : 0;
}

/** Views of the read buffer that all plain sockets share, by where they lie: a response of a size
 *  that came before has the view that was made then, for they are valid only during a call. */
const VIEWS_COUNT = 256;
const views: Uint8Array[] = new Array(VIEWS_COUNT).fill(new Uint8Array(0));
const viewKeys = new Float64Array(VIEWS_COUNT).fill(-1);
let viewed: Buffer | null = null;

function view(bytes: Buffer, offset: number, end: number): Uint8Array {
  // Buffers of TLS sockets are smaller, and each is another.
  if (bytes.length !== READ_SIZE_BYTES) return makeView(bytes, offset, end);
  if (bytes !== viewed) {
    viewed = bytes;
    viewKeys.fill(-1);
  }
  const key = offset * 2 * READ_SIZE_BYTES + end;
  const place = (offset ^ (end << 3)) & (VIEWS_COUNT - 1);
  if (viewKeys[place] !== key) {
    viewKeys[place] = key;
    views[place] = makeView(bytes, offset, end);
  }
  return views[place]!;
}

function makeView(bytes: Buffer, offset: number, end: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + offset, end - offset);
}
