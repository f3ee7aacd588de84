// An exchange whose route has filters, between the client's own and the rest of the pipeline, which
// sees what the filters let through and answers into them. Lengths are told anew: a body that a
// filter looks at has the length it leaves with, or none that is known. What is recorded is what
// the client got.

import {
  BODY_SIZE_UNKNOWN,
  type BodyReader,
  type Clock,
  ERRORS,
  type ErrorCode,
  type Exchange,
  type FilterChain,
  type FilterSink,
  type FilterStream,
  type HeaderList,
  headerValue,
  isFramingHeader,
  isToken,
  type LocalAnswer,
  NO_TRAILERS,
  type PreparedHead,
  passableTrailers,
  problemResponse,
  TRAILERS_SIZE_BYTES_MAX,
  trailersSizeBytes,
  type WebSocketChannel,
  type WebSocketPeer,
} from '../core/index.ts';
import type { Recorder, Visit } from './visit.ts';
import { VisitFacts } from './visit-facts.ts';

const NO_BYTES = new Uint8Array(0);
/** A path as it may go on the wire. */
const PATH = /^\/[\x21-\x22\x24-\x7e\x80-\xff]*$/;
const AUTHORITY = /^[A-Za-z0-9.\-_~%:[\]]*$/;

interface Head {
  readonly status: number;
  readonly headers: HeaderList;
  readonly bodySizeBytes: number;
}

/** Body bytes that passed the filters before anybody reads them. */
interface Waiting {
  readonly chunk: Uint8Array;
  readonly isLast: boolean;
}

export class FilteredExchange implements Exchange, FilterSink {
  method: string;
  path: string;
  query: string;
  authority: string;
  headers: HeaderList;
  bodySizeBytes: number;
  /** Of the request, when they have passed the filters. */
  trailers: HeaderList = [];
  onDrain: (() => void) | null = null;
  onAbort: ((refusal?: ErrorCode) => void) | null = null;
  readonly #received: Exchange;
  readonly #visit: Visit;
  readonly #recorder: Recorder;
  readonly #clock: Clock;
  readonly #stream: FilterStream;
  readonly #next: () => void;
  #reader: BodyReader | null = null;
  #waiting: Waiting[] = [];
  #isReading = false;
  #isReaderPaused = false;
  #hasHeadPassed = false;
  #isGoingOn = false;
  /** What the pipeline answered: a whole body for a head that has none on the wire. */
  #innerSizeBytes = BODY_SIZE_UNKNOWN;
  #wholeBody: Uint8Array | null = null;
  #isInnerEnded = false;
  /** The head that passed the filters, until the first bytes behind it. */
  #head: Head | null = null;
  /** What follows the response, when it has passed the filters. */
  #responseTrailers: HeaderList = [];
  #isBegun = false;
  #sentStatus = 0;
  #sentSizeBytes = 0;
  /** What the pipeline recorded; 0 for nothing wrong. */
  #reason = 0;
  #isOver = false;

  /** `next`: goes on with the request, once its head has passed. */
  constructor(
    visit: Visit,
    path: string,
    chain: FilterChain,
    recorder: Recorder,
    clock: Clock,
    next: () => void,
  ) {
    const received = visit.received;
    this.#received = received;
    this.#visit = visit;
    this.#recorder = recorder;
    this.#clock = clock;
    this.#next = next;
    this.method = received.method;
    this.path = path;
    this.query = received.query;
    this.authority = received.authority;
    this.headers = received.headers;
    this.bodySizeBytes = received.bodySizeBytes;
    this.#stream = chain.open(new VisitFacts(visit, clock), this);
  }

  /** Sends the request into the filters. */
  start(): void {
    const received = this.#received;
    const { query, headers } = received;
    this.#visit.generation.enter();
    received.onAbort = (refusal) => this.#onClientGone(refusal ?? this.#recorder.abortCode);
    received.onDrain = () => this.#stream.responseDrained();
    const path = query === '' ? this.path : `${this.path}?${query}`;
    const head: HeaderList = [':method', received.method, ':path', path];
    head.push(':authority', received.authority, ':scheme', received.scheme);
    for (let index = 0; index < headers.length; index += 2) {
      if (headers[index] !== 'host') head.push(headers[index]!, headers[index + 1]!);
    }
    const hasBody = received.bodySizeBytes !== 0;
    this.#stream.requestHeaders(head, !hasBody);
    if (this.#isOver || !hasBody || !this.#stream.wantsRequestBody) return;
    this.#isReading = true;
    received.readBody({
      onChunk: (chunk, isLast) => {
        if (this.#isOver) return;
        const trailers = isLast ? givenTrailers(received.trailers) : undefined;
        if (!this.#stream.requestBody(chunk, isLast, trailers) && !isLast) received.pauseBody();
      },
    });
  }

  // --- what leaves the filters
  // --------------------------------------------------------------------

  onRequestHeaders(headers: HeaderList, isLast: boolean): void {
    const path = headerValue(headers, ':path') ?? '';
    const method = headerValue(headers, ':method') ?? '';
    const authority = headerValue(headers, ':authority') ?? '';
    if (!PATH.test(path) && !(path === '*' && this.#received.path === '*')) {
      this.onFailure('GW_PLUGIN_BAD_MESSAGE', 'the path that a filter set cannot be sent');
      return;
    }
    if (!isToken(method) || !AUTHORITY.test(authority)) {
      this.onFailure('GW_PLUGIN_BAD_MESSAGE', 'the method or authority that a filter set is bad');
      return;
    }
    const mark = path.indexOf('?');
    const newPath = mark < 0 ? path : path.slice(0, mark);
    this.#visit.isPathChosen = newPath !== this.path;
    this.path = newPath;
    this.query = mark < 0 ? '' : path.slice(mark + 1);
    this.method = method;
    this.authority = authority.toLowerCase();
    this.headers = ownHeaders(headers);
    this.#hasHeadPassed = true;
    // Length and fate of a body that filters look at are known with its first bytes.
    if (isLast || !this.#stream.wantsRequestBody) this.#goOn();
  }

  onRequestBody(chunk: Uint8Array, isLast: boolean, trailers?: HeaderList): boolean {
    if (trailers !== undefined) {
      const passed = this.#checkTrailers(trailers);
      if (passed === null) return true;
      this.trailers = passed;
    }
    if (this.#reader !== null) {
      this.#reader.onChunk(chunk, isLast);
      return !this.#isReaderPaused;
    }
    // A copy: bytes are valid only during the call.
    this.#waiting.push({ chunk: new Uint8Array(chunk), isLast });
    if (!this.#isGoingOn && this.#hasHeadPassed) {
      const isSized = isLast && this.trailers.length === 0;
      this.bodySizeBytes = isSized ? chunk.length : BODY_SIZE_UNKNOWN;
      this.#goOn();
    }
    return this.#reader !== null && !this.#isReaderPaused;
  }

  onRequestDrain(): void {
    this.#received.resumeBody();
  }

  onResponseHeaders(headers: HeaderList, isLast: boolean): void {
    const status = statusOf(headers);
    const isKept = !this.#stream.wantsResponseBody;
    this.#head = {
      status,
      headers: responseHeaders(headers),
      bodySizeBytes: isKept ? this.#innerSizeBytes : BODY_SIZE_UNKNOWN,
    };
    if (!isLast) return;
    if (this.#wholeBody !== null) {
      this.#respond(this.#head, this.#wholeBody);
      return;
    }
    // Without a body on the wire, and with the length that it would have.
    this.#begin({ ...this.#head, bodySizeBytes: this.#innerSizeBytes });
    if (this.#isInnerEnded) this.#finishStream();
  }

  onResponseBody(chunk: Uint8Array, isLast: boolean, trailers?: HeaderList): boolean {
    if (this.#isOver) return true;
    if (trailers !== undefined) {
      const passed = this.#checkTrailers(trailers);
      if (passed === null) return true;
      this.#responseTrailers = passed;
    }
    const head = this.#head;
    if (head !== null && isLast && this.#responseTrailers.length === 0) {
      // A large body must stay as it is until the client has read it; this one may not.
      this.#respond(head, chunk === this.#wholeBody ? chunk : new Uint8Array(chunk));
      return true;
    }
    if (head !== null) this.#begin(head);
    this.#sentSizeBytes += chunk.length;
    const mayContinue = chunk.length === 0 || this.#received.write(chunk);
    if (isLast) this.#finishStream();
    return mayContinue;
  }

  onResponseDrain(): void {
    this.onDrain?.();
  }

  onLocalResponse(answer: LocalAnswer): void {
    if (this.#isOver) return;
    this.#reason = ERRORS.GW_PLUGIN_ANSWERED.reason;
    this.#visit.detail = answer.details;
    this.#detach();
    const headers = responseHeaders(answer.headers);
    this.#respond({ status: answer.status, headers, bodySizeBytes: 0 }, answer.body);
  }

  onFailure(code: ErrorCode, detail: string): void {
    if (this.#isOver) return;
    this.#reason = ERRORS[code].reason;
    this.#visit.detail = detail;
    this.#detach();
    if (this.#isBegun) {
      this.#record(this.#sentStatus);
      this.#received.abort();
      return;
    }
    const { status, headers, body } = problemResponse(code, '');
    this.#respond({ status, headers, bodySizeBytes: 0 }, Buffer.from(body));
  }

  onClose(detail: string): void {
    if (this.#isOver) return;
    this.#reason = ERRORS.GW_PLUGIN_CLOSED.reason;
    this.#visit.detail = detail;
    this.#detach();
    this.#record(this.#isBegun ? this.#sentStatus : ERRORS.GW_PLUGIN_CLOSED.status);
    this.#received.abort();
  }

  // --- what the pipeline sees
  // ---------------------------------------------------------------------

  get scheme(): Exchange['scheme'] {
    return this.#received.scheme;
  }

  get httpVersion(): Exchange['httpVersion'] {
    return this.#received.httpVersion;
  }

  /** What filters wrote is not known to be. */
  get isAscii(): boolean {
    return false;
  }

  get remoteAddress(): string {
    return this.#received.remoteAddress;
  }

  get localPort(): number {
    return this.#received.localPort;
  }

  get isWebSocketUpgrade(): boolean {
    return this.#received.isWebSocketUpgrade;
  }

  get isEnded(): boolean {
    return this.#isOver || this.#isInnerEnded || this.#received.isEnded;
  }

  readBody(reader: BodyReader): void {
    if (this.#isOver) return;
    this.#reader = reader;
    if (!this.#isReading) {
      this.#received.readBody(reader);
      return;
    }
    for (const { chunk, isLast } of this.#waiting.splice(0)) reader.onChunk(chunk, isLast);
    if (!this.#isReaderPaused) this.#stream.requestDrained();
  }

  pauseBody(): void {
    this.#isReaderPaused = true;
    if (!this.#isReading) this.#received.pauseBody();
  }

  resumeBody(): void {
    this.#isReaderPaused = false;
    if (this.#isReading) this.#stream.requestDrained();
    else this.#received.resumeBody();
  }

  respond(status: number, headers: HeaderList, body: Uint8Array | string): void {
    if (this.isEnded) return;
    this.#isInnerEnded = true;
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    const isLast = bytes.length === 0 || !hasBody(this.#received.method, status);
    this.#innerSizeBytes = bytes.length;
    this.#wholeBody = bytes;
    this.#stream.responseHeaders([':status', String(status), ...headers], isLast);
    if (!isLast) this.#stream.responseBody(bytes, true);
  }

  respondPrepared(head: PreparedHead, body: Uint8Array): void {
    this.respond(head.status, [...head.headers], body);
  }

  begin(status: number, headers: HeaderList, bodySizeBytes: number): void {
    if (this.isEnded) return;
    this.#innerSizeBytes = bodySizeBytes;
    const isLast = !hasBody(this.#received.method, status);
    this.#stream.responseHeaders([':status', String(status), ...headers], isLast);
  }

  write(chunk: Uint8Array): boolean {
    if (this.isEnded) return true;
    return this.#stream.responseBody(chunk, false);
  }

  end(trailers: readonly string[] = NO_TRAILERS): void {
    if (this.isEnded) return;
    this.#isInnerEnded = true;
    if (this.#isBegun && !hasBody(this.#received.method, this.#sentStatus)) this.#finishStream();
    else this.#stream.responseBody(NO_BYTES, true, givenTrailers(trailers));
  }

  abort(): void {
    if (this.#isOver) return;
    this.#record(this.#isBegun ? this.#sentStatus : ERRORS.GW_INTERNAL.status);
    this.#received.abort();
  }

  /** The answer to an upgrade does not pass the filters. */
  acceptWebSocket(protocol: string, peer: WebSocketPeer): WebSocketChannel | null {
    const channel = this.#received.acceptWebSocket(protocol, peer);
    if (channel !== null) this.#visit.filtered = null;
    if (channel !== null) this.#leave(101, 0);
    return channel;
  }

  /** The pipeline's outcome: the client's is another matter, until nothing more is to come. */
  settle(status: number, reason: number): void {
    if (this.#reason === 0) this.#reason = reason;
    if (this.#received.isEnded) this.#record(status);
  }

  #goOn(): void {
    if (this.#isOver) return;
    this.#isGoingOn = true;
    try {
      this.#next();
    } catch (error) {
      this.#reason = ERRORS.GW_INTERNAL.reason;
      this.#record(ERRORS.GW_INTERNAL.status);
      throw error;
    }
  }

  #respond({ status, headers }: Head, body: Uint8Array): void {
    if (this.#isOver) return;
    this.#sentSizeBytes = hasBody(this.#received.method, status) ? body.length : 0;
    this.#record(status);
    this.#received.respond(status, headers, body);
  }

  #begin({ status, headers, bodySizeBytes }: Head): void {
    this.#head = null;
    this.#isBegun = true;
    this.#sentStatus = status;
    this.#received.begin(status, headers, bodySizeBytes);
  }

  #finishStream(): void {
    this.#record(this.#sentStatus);
    this.#received.end(this.#responseTrailers);
  }

  /** Those that may be sent; null where they are too large, and the exchange fails. */
  #checkTrailers(trailers: HeaderList): HeaderList | null {
    const sizeBytes = trailersSizeBytes(trailers);
    if (sizeBytes <= TRAILERS_SIZE_BYTES_MAX) return passableTrailers(trailers);
    const detail = `${sizeBytes} bytes of trailers, the limit is ${TRAILERS_SIZE_BYTES_MAX}`;
    this.onFailure('GW_PLUGIN_BAD_MESSAGE', detail);
    return null;
  }

  #onClientGone(code: ErrorCode): void {
    if (this.#isOver) return;
    const { status, reason } = ERRORS[code];
    this.#reason = reason;
    this.#detach();
    this.#record(this.#isBegun ? this.#sentStatus : status);
  }

  /** Ends what the pipeline has under way: a call to an upstream. */
  #detach(): void {
    const { onAbort } = this;
    this.onAbort = null;
    const reason = this.#reason;
    onAbort?.();
    this.#reason = reason;
  }

  #record(status: number): void {
    if (this.#isOver) return;
    const visit = this.#visit;
    visit.filtered = null;
    visit.bytesOut = this.#sentSizeBytes;
    this.#recorder.record(visit, status, this.#reason, this.#clock.nowMs());
    this.#leave(status, this.#reason);
  }

  #leave(status: number, reason: number): void {
    this.#isOver = true;
    this.#stream.end({ status, reason, details: this.#visit.detail });
    this.#visit.generation.leave();
  }
}

function hasBody(method: string, status: number): boolean {
  return method !== 'HEAD' && status !== 204 && status !== 304;
}

function statusOf(headers: readonly string[]): number {
  const status = Number(headerValue(headers, ':status'));
  return Number.isInteger(status) && status >= 200 && status <= 599 ? status : 200;
}

/** A copy for the filters to change; nothing where there are none. */
function givenTrailers(trailers: readonly string[]): HeaderList | undefined {
  return trailers.length === 0 ? undefined : [...trailers];
}

/** Without pseudo headers. */
function ownHeaders(headers: readonly string[]): HeaderList {
  const own: HeaderList = [];
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!;
    if (!name.startsWith(':')) own.push(name, headers[index + 1]!);
  }
  return own;
}

/** Without pseudo headers, and without what the listener writes itself. */
function responseHeaders(headers: readonly string[]): HeaderList {
  const own = ownHeaders(headers);
  for (let index = own.length - 2; index >= 0; index -= 2) {
    if (isFramingHeader(own[index]!)) own.splice(index, 2);
  }
  return own;
}
