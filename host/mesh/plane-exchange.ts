// An exchange as a plane behind a route sees it: the client's own, with the normalised path, whose
// answer carries what the route adds and is recorded exactly once, whoever ends it.

import {
  type BodyReader,
  type Clock,
  ERRORS,
  type ErrorCode,
  type Exchange,
  type HeaderList,
  headerValue,
  type PreparedHead,
  type WebSocketChannel,
  type WebSocketPeer,
} from '../core/index.ts';
import { applyHeaderOperations, type CompiledOperations } from './header-operations.ts';
import type { RouteRuntime } from './routes.ts';
import type { Recorder, Visit } from './visit.ts';

const SWITCHING_PROTOCOLS = 101;
/** The plane cut the connection on purpose: part of an answer that cannot be finished. */
const REASON_INTERNAL = 400;

export class PlaneExchange implements Exchange {
  readonly path: string;
  onDrain: (() => void) | null = null;
  onAbort: ((refusal?: ErrorCode) => void) | null = null;
  readonly #exchange: Exchange;
  readonly #visit: Visit;
  readonly #operations: CompiledOperations | null;
  readonly #extra: readonly string[];
  readonly #recorder: Recorder;
  readonly #clock: Clock;
  #status = 0;
  #isRecorded = false;
  #isSwitched = false;

  /** `extra`: headers behind the answer's own, what rate limits tell. */
  constructor(
    visit: Visit,
    route: RouteRuntime,
    path: string,
    extra: readonly string[],
    recorder: Recorder,
    clock: Clock,
  ) {
    this.path = path;
    this.#exchange = visit.exchange;
    this.#visit = visit;
    this.#operations = route.responseOperations;
    this.#extra = extra;
    this.#recorder = recorder;
    this.#clock = clock;
  }

  /** Watches the client; to be called when the plane has not answered in the call that asked. */
  watch(): void {
    if (this.#isSwitched) return;
    const exchange = this.#exchange;
    exchange.onDrain = () => this.onDrain?.();
    exchange.onAbort = (refusal) => {
      const { status, reason } = ERRORS[refusal ?? 'GW_CLIENT_CLOSED'];
      this.#record(this.#status === 0 ? status : this.#status, reason);
      this.onAbort?.(refusal);
    };
  }

  /** The plane threw: the listener answers 500 and logs. */
  recordFault(): void {
    this.#record(500, REASON_INTERNAL);
  }

  get isRecorded(): boolean {
    return this.#isRecorded;
  }

  get method(): string {
    return this.#exchange.method;
  }

  get query(): string {
    return this.#exchange.query;
  }

  get authority(): string {
    return this.#exchange.authority;
  }

  get scheme(): Exchange['scheme'] {
    return this.#exchange.scheme;
  }

  get httpVersion(): Exchange['httpVersion'] {
    return this.#exchange.httpVersion;
  }

  get headers(): HeaderList {
    return this.#exchange.headers;
  }

  get isAscii(): boolean {
    return this.#exchange.isAscii;
  }

  get trailers(): readonly string[] {
    return this.#exchange.trailers;
  }

  get remoteAddress(): string {
    return this.#exchange.remoteAddress;
  }

  get localPort(): number {
    return this.#exchange.localPort;
  }

  get bodySizeBytes(): number {
    return this.#exchange.bodySizeBytes;
  }

  get isWebSocketUpgrade(): boolean {
    return this.#exchange.isWebSocketUpgrade;
  }

  get isEnded(): boolean {
    return this.#exchange.isEnded;
  }

  readBody(reader: BodyReader): void {
    this.#exchange.readBody({
      onChunk: (chunk, isLast) => {
        this.#visit.bytesIn += chunk.length;
        reader.onChunk(chunk, isLast);
      },
    });
  }

  pauseBody(): void {
    this.#exchange.pauseBody();
  }

  resumeBody(): void {
    this.#exchange.resumeBody();
  }

  respond(status: number, headers: HeaderList, body: Uint8Array | string): void {
    if (this.isEnded) return;
    if (hasBody(this.method, status)) {
      this.#visit.bytesOut = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
    }
    this.#record(status, reasonOf(status, headers));
    this.#exchange.respond(status, this.#decorated(headers), body);
  }

  respondPrepared(head: PreparedHead, body: Uint8Array): void {
    const { status, headers } = head;
    if (this.#operations !== null || this.#extra.length > 0) {
      this.respond(status, [...headers], body);
      return;
    }
    if (this.isEnded) return;
    if (hasBody(this.method, status)) this.#visit.bytesOut = body.length;
    this.#record(status, reasonOf(status, headers));
    this.#exchange.respondPrepared(head, body);
  }

  begin(status: number, headers: HeaderList, bodySizeBytes: number): void {
    this.#status = status;
    this.#exchange.begin(status, this.#decorated(headers), bodySizeBytes);
  }

  write(chunk: Uint8Array): boolean {
    this.#visit.bytesOut += chunk.length;
    return this.#exchange.write(chunk);
  }

  end(): void {
    if (!this.isEnded) this.#record(this.#status, 0);
    this.#exchange.end();
  }

  abort(): void {
    this.#record(this.#status === 0 ? 500 : this.#status, REASON_INTERNAL);
    this.#exchange.abort();
  }

  acceptWebSocket(protocol: string, peer: WebSocketPeer): WebSocketChannel | null {
    const counted = new CountedPeer(this.#visit, peer, () => this.#record(SWITCHING_PROTOCOLS, 0));
    // From now on the peer is told when the client leaves.
    this.#exchange.onAbort = null;
    const channel = this.#exchange.acceptWebSocket(protocol, counted);
    if (channel === null) {
      const { status, reason } = ERRORS.GW_CLIENT_CLOSED;
      this.#record(status, reason);
      return null;
    }
    this.#isSwitched = true;
    return new CountedChannel(this.#visit, channel);
  }

  #decorated(headers: HeaderList): HeaderList {
    const extra = this.#extra;
    applyHeaderOperations(headers, this.#operations);
    for (let index = 0; index < extra.length; index++) headers.push(extra[index]!);
    return headers;
  }

  #record(status: number, reason: number): void {
    if (this.#isRecorded) return;
    this.#isRecorded = true;
    this.#recorder.record(this.#visit, status, reason, this.#clock.nowMs());
  }
}

/** Counts what a WebSocket's client sends; records the visit when it is closed. */
class CountedPeer implements WebSocketPeer {
  readonly #visit: Visit;
  readonly #peer: WebSocketPeer;
  readonly #onClosed: () => void;

  constructor(visit: Visit, peer: WebSocketPeer, onClosed: () => void) {
    this.#visit = visit;
    this.#peer = peer;
    this.#onClosed = onClosed;
  }

  onMessage(data: Uint8Array, kind: 'text' | 'binary'): void {
    this.#visit.bytesIn += data.length;
    this.#peer.onMessage(data, kind);
  }

  onDrain(): void {
    this.#peer.onDrain();
  }

  onClose(code: number, reason: string): void {
    this.#onClosed();
    this.#peer.onClose(code, reason);
  }
}

/** Counts what is sent to a WebSocket's client. */
class CountedChannel implements WebSocketChannel {
  readonly #visit: Visit;
  readonly #channel: WebSocketChannel;

  constructor(visit: Visit, channel: WebSocketChannel) {
    this.#visit = visit;
    this.#channel = channel;
  }

  send(data: Uint8Array, kind: 'text' | 'binary'): boolean {
    this.#visit.bytesOut += data.length;
    return this.#channel.send(data, kind);
  }

  batch(sends: () => void): void {
    this.#channel.batch(sends);
  }

  close(code: number, reason: string): void {
    this.#channel.close(code, reason);
  }
}

function hasBody(method: string, status: number): boolean {
  return method !== 'HEAD' && status !== 204 && status !== 304;
}

/** The reason that a problem carries. */
function reasonOf(status: number, headers: readonly string[]): number {
  if (status < 400) return 0;
  return Number(headerValue(headers, 'x-sluice-reason') ?? 0);
}
