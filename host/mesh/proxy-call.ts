// One request on its way to an upstream and back: the only object that sees both sides. It streams
// the response with back-pressure, holds a small one back until it is whole so that it leaves in
// one write, and makes sure that exactly one outcome is recorded.

import {
  type BodyReader,
  type Clock,
  ERRORS,
  type ErrorCode,
  type HeaderList,
  NO_TRAILERS,
  type PreparedHead,
  problemResponse,
  RESPOND_COPY_SIZE_BYTES_MAX,
} from '../core/index.ts';
import { applyHeaderOperations } from './header-operations.ts';
import { publicDetail } from './public-detail.ts';
import type { RouteRuntime } from './routes.ts';
import type { EndpointRuntime, ServiceRuntime } from './services.ts';
import type { UpstreamCall, UpstreamHandler, UpstreamRequest } from './upstream/contract.ts';
import type { Recorder, Visit } from './visit.ts';

const NO_BYTES = new Uint8Array(0);

/** A client that left early says nothing about the endpoint, and neither does a full worker, or one
 *  that is told to end. */
const NO_FAULT_OF_ENDPOINT: ReadonlySet<number> = new Set([
  ERRORS.GW_CLIENT_CLOSED.reason,
  ERRORS.GW_OVERLOADED.reason,
  ERRORS.GW_DRAINING.reason,
]);

/** `held`: the head has come, and waits for the first bytes of a body of known size. */
type State = 'waiting' | 'held' | 'streaming' | 'ended';

export class ProxyCall implements UpstreamHandler {
  readonly #visit: Visit;
  readonly #route: RouteRuntime;
  readonly #service: ServiceRuntime;
  readonly #endpoint: EndpointRuntime;
  /** Headers that every answer of this exchange carries: a rate limit's. */
  readonly #extra: readonly string[];
  readonly #recorder: Recorder;
  readonly #clock: Clock;
  #call: UpstreamCall | null = null;
  #state: State = 'waiting';
  #status = 0;
  #heldHeaders: HeaderList = [];
  /** The held head as others had it before; null where it is of this exchange alone. */
  #heldPrepared: PreparedHead | null = null;
  #heldSizeBytes = 0;
  #trailers: readonly string[] = NO_TRAILERS;

  constructor(
    visit: Visit,
    route: RouteRuntime,
    service: ServiceRuntime,
    endpoint: EndpointRuntime,
    extra: readonly string[],
    recorder: Recorder,
    clock: Clock,
  ) {
    this.#visit = visit;
    this.#route = route;
    this.#service = service;
    this.#endpoint = endpoint;
    this.#extra = extra;
    this.#recorder = recorder;
    this.#clock = clock;
  }

  /** Units: `nowMs` of the clock. */
  start(request: UpstreamRequest, nowMs: number): void {
    const { exchange } = this.#visit;
    this.#recorder.enter(this.#visit);
    exchange.onAbort = (refusal) => this.#onAbort(refusal ?? this.#recorder.abortCode);
    const call = this.#endpoint.pool.send(request, this, nowMs);
    // The pool may have refused at once; the outcome is then recorded already.
    if (this.#state === 'ended') return;
    this.#call = call;
    if (request.bodySizeBytes === 0) return;
    const sizeBytesMax = this.#route.config.requestBodySizeBytesMax;
    exchange.readBody(new RequestBody(this.#visit, call, sizeBytesMax, this));
  }

  onHead(
    status: number,
    given: HeaderList,
    bodySizeBytes: number,
    kept: PreparedHead | null,
  ): void {
    const { exchange } = this.#visit;
    const { responseOperations } = this.#route;
    const isAsGiven = responseOperations === null && this.#extra.length === 0;
    const isHeld = bodySizeBytes >= 0 && exchange.method !== 'HEAD' && status !== 304;
    const isShared = kept !== null && isAsGiven && isHeld;
    const headers = kept === null || isShared ? given : given.slice();
    if (!isAsGiven) {
      applyHeaderOperations(headers, responseOperations);
      for (const text of this.#extra) headers.push(text);
    }
    this.#status = status;
    if (isHeld) {
      this.#state = 'held';
      this.#heldHeaders = headers;
      this.#heldPrepared = isShared ? kept : null;
      this.#heldSizeBytes = bodySizeBytes;
      return;
    }
    this.#state = 'streaming';
    exchange.begin(status, headers, bodySizeBytes);
  }

  onChunk(chunk: Uint8Array): void {
    const { exchange } = this.#visit;
    this.#visit.bytesOut += chunk.length;
    if (this.#state === 'held') {
      this.#state = 'streaming';
      // The chunk is the connection's read buffer, so it may only be given away to be copied.
      if (chunk.length === this.#heldSizeBytes && chunk.length <= RESPOND_COPY_SIZE_BYTES_MAX) {
        // onEnd follows and finds the exchange answered.
        this.#respondHeld(chunk);
        return;
      }
      const headers = this.#heldPrepared === null ? this.#heldHeaders : this.#heldHeaders.slice();
      exchange.begin(this.#status, headers, this.#heldSizeBytes);
    }
    if (!exchange.write(chunk)) this.#holdUpstream();
  }

  onTrailers(trailers: readonly string[]): void {
    this.#trailers = trailers;
  }

  onEnd(): void {
    if (this.#state === 'ended') return;
    const { exchange } = this.#visit;
    if (this.#state === 'held') {
      this.#respondHeld(NO_BYTES);
      return;
    }
    this.#finish(this.#status, 0, this.#call!.arrivalMs);
    exchange.end(this.#trailers);
  }

  onError(code: ErrorCode, detail: string): void {
    if (this.#state === 'ended') return;
    const { exchange } = this.#visit;
    const { reason } = ERRORS[code];
    this.#visit.detail = detail;
    if (this.#state === 'streaming') {
      // The status has left already; a cut connection is the only honest end.
      this.#finish(this.#status, reason, this.#clock.nowMs());
      exchange.abort();
      return;
    }
    const problem = problemResponse(code, publicDetail(code, detail));
    for (const text of this.#extra) problem.headers.push(text);
    this.#visit.answered(Buffer.byteLength(problem.body));
    this.#finish(problem.status, reason, this.#clock.nowMs());
    exchange.respond(problem.status, problem.headers, problem.body);
  }

  onDrain(): void {
    this.#visit.exchange.resumeBody();
  }

  /** Ends the exchange for a fault that is found on this side of the upstream. */
  giveUp(code: ErrorCode, detail: string): void {
    if (this.#state === 'ended') return;
    this.#call?.cancel();
    this.onError(code, detail);
  }

  /** Answers with the held head and the whole body. */
  #respondHeld(body: Uint8Array): void {
    const { exchange } = this.#visit;
    const prepared = this.#heldPrepared;
    this.#finish(this.#status, 0, this.#call!.arrivalMs);
    if (prepared !== null) exchange.respondPrepared(prepared, body);
    else exchange.respond(this.#status, this.#heldHeaders, body);
  }

  #holdUpstream(): void {
    const { exchange } = this.#visit;
    const call = this.#call;
    if (call === null || exchange.isEnded) return;
    call.pause();
    exchange.onDrain = () => {
      exchange.onDrain = null;
      call.resume();
    };
  }

  #onAbort(code: ErrorCode): void {
    if (this.#state === 'ended') return;
    this.#call?.cancel();
    const { status, reason } = ERRORS[code];
    const known = this.#state === 'streaming' ? this.#status : status;
    this.#finish(known, reason, this.#clock.nowMs());
  }

  /** Records the outcome. It comes before the last bytes leave, so that whoever has an answer finds
   *  it in the metrics. */
  #finish(status: number, reason: number, nowMs: number): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    const { state } = this.#endpoint;
    if (reason === 0 || !NO_FAULT_OF_ENDPOINT.has(reason)) {
      const outcome = status >= 500 || reason !== 0 ? 'failed' : 'answered';
      this.#service.balancer.onDone?.(state, nowMs - this.#visit.startMs, nowMs, outcome);
    }
    this.#recorder.record(this.#visit, status, reason, nowMs);
  }
}

/** The request body's way from the client to the upstream. */
class RequestBody implements BodyReader {
  readonly #visit: Visit;
  readonly #call: UpstreamCall;
  readonly #sizeBytesMax: number;
  readonly #owner: ProxyCall;

  constructor(visit: Visit, call: UpstreamCall, sizeBytesMax: number, owner: ProxyCall) {
    this.#visit = visit;
    this.#call = call;
    this.#sizeBytesMax = sizeBytesMax;
    this.#owner = owner;
  }

  onChunk(chunk: Uint8Array, isLast: boolean): void {
    const visit = this.#visit;
    visit.bytesIn += chunk.length;
    if (visit.bytesIn > this.#sizeBytesMax) {
      const detail = `more than ${this.#sizeBytesMax} bytes, the limit of this route`;
      this.#owner.giveUp('GW_PROTOCOL_BODY_TOO_LARGE', detail);
      return;
    }
    const mayContinue = chunk.length === 0 || this.#call.write(chunk);
    // Without filters nobody has looked at them, and no upstream waits for them.
    if (isLast) this.#call.end(visit.filtered?.trailers);
    else if (!mayContinue) visit.exchange.pauseBody();
  }
}
