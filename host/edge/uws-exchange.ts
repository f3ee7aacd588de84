// One request and its response on uWS, and the only owner of its native response: every access goes
// through here, so that none comes after the socket is gone, where uWS throws. A request whose
// framing uWS's parser cannot be trusted with (any Transfer-Encoding, anything refused) is tainted:
// it is never answered in the tick that brought its bytes, and its answer closes the connection.

import {
  BODY_DISCARD_SIZE_BYTES_MAX,
  BODY_SIZE_UNKNOWN,
  type BodyReader,
  type ErrorCode,
  type Exchange,
  GatewayError,
  type HeaderList,
  headerValue,
  NO_TRAILERS,
  type PreparedHead,
  problemResponse,
  RESPOND_COPY_SIZE_BYTES_MAX,
  type WebSocketChannel,
  type WebSocketPeer,
} from '../core/index.ts';
import { addressText } from './peer-address.ts';
import { listHolds, type RequestFacts } from './request-checks.ts';
import {
  appendToHead,
  type CheckedHead,
  checkHead,
  isBodiless,
  preparedHead,
  stableBody,
} from './response-checks.ts';
import { type BodyOwner, UwsBody } from './uws-body.ts';
import type { UwsHost, UwsResponse } from './uws-native.ts';
import { keepHead, type StreamOwner, UwsStream, writeHead } from './uws-stream.ts';
import { upgradeToWebSocket } from './uws-websocket.ts';

type Phase = 'open' | 'streaming' | 'ended';

const EMPTY = new Uint8Array(0);

export class UwsExchange implements Exchange, BodyOwner, StreamOwner {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly authority: string;
  readonly httpVersion = '1.1';
  readonly headers: HeaderList;
  readonly isAscii: boolean;
  readonly bodySizeBytes: number;
  readonly isWebSocketUpgrade: boolean;
  onDrain: (() => void) | null = null;
  onAbort: ((refusal?: ErrorCode) => void) | null = null;
  /** While the handler runs, uWS has the socket corked. */
  isInHandler = true;
  #res: UwsResponse | null;
  readonly #host: UwsHost;
  readonly #isTainted: boolean;
  /** uWS's upgrade context; null for an ordinary request. */
  readonly #context: unknown;
  #phase: Phase = 'open';
  #body: UwsBody | null = null;
  #stream: UwsStream | null = null;
  #isHeld = false;
  #remoteAddress: string | null = null;

  constructor(
    res: UwsResponse,
    host: UwsHost,
    request: { readonly method: string; readonly headers: HeaderList; readonly context: unknown },
    facts: RequestFacts,
  ) {
    this.#res = res;
    this.#host = host;
    this.method = request.method;
    this.path = facts.path;
    this.query = facts.query;
    this.authority = facts.authority;
    this.headers = request.headers;
    this.isAscii = facts.isAscii;
    this.bodySizeBytes = facts.bodySizeBytes;
    this.isWebSocketUpgrade = facts.isWebSocketUpgrade && request.context !== null;
    this.#context = request.context;
    this.#isTainted = facts.hasTransferEncoding || facts.refusal !== null;
    host.active++;
    if (this.#isTainted) this.#hold();
    if (this.bodySizeBytes !== 0) this.#takeBody(res);
  }

  get scheme(): Exchange['scheme'] {
    return this.#host.scheme;
  }

  /** uWS reads over them. */
  get trailers(): readonly string[] {
    return NO_TRAILERS;
  }

  get localPort(): number {
    return this.#host.port;
  }

  get isEnded(): boolean {
    return this.#phase === 'ended';
  }

  get remoteAddress(): string {
    if (this.#remoteAddress !== null) return this.#remoteAddress;
    if (this.#res === null) return '';
    const { address } = this.#host.peers;
    this.#remoteAddress = address === '' ? addressText(this.#res.getRemoteAddress()) : address;
    return this.#remoteAddress;
  }

  /** Whether the native response still waits for its end: then it needs an abort handler. */
  get isPending(): boolean {
    return this.#res !== null;
  }

  readBody(reader: BodyReader): void {
    if (this.#phase === 'ended') return;
    if (this.#body !== null) this.#body.read(reader);
    else this.#guard(() => reader.onChunk(EMPTY, true));
  }

  pauseBody(): void {
    this.#body?.pause();
  }

  resumeBody(): void {
    this.#body?.resume();
  }

  respond(status: number, headers: readonly string[], body: Uint8Array | string): void {
    if (this.#phase !== 'open' || this.#res === null) return;
    try {
      this.#respond(this.#res, status, headers, body);
    } catch (error) {
      this.#failNatively(error);
    }
  }

  #respond(
    res: UwsResponse,
    status: number,
    headers: readonly string[],
    body: Uint8Array | string,
  ): void {
    const head = checkHead(status, headers);
    if (head.problem !== '') {
      this.#failHead(head.problem);
      return;
    }
    this.#phase = 'ended';
    if (isBodiless(this.method, status)) {
      const sizeBytes = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
      this.#respondBodiless(status, head, sizeBytes === 0 && status === 304 ? -1 : sizeBytes);
      return;
    }
    this.#body?.mute();
    if (this.#isTainted || body.length > RESPOND_COPY_SIZE_BYTES_MAX) {
      const bytes = stableBody(body);
      this.#startStream(res, status, head, bytes.length);
      this.#stream?.writeStable(bytes);
      this.#stream?.end();
      return;
    }
    const isClosing = this.#mustClose();
    this.#finishBody();
    if (this.isInHandler) {
      writeHead(res, status, head, '');
      res.end(body, isClosing);
    } else {
      res.cork(() => {
        writeHead(res, status, head, '');
        res.end(body, isClosing);
      });
    }
    this.#settle();
  }

  respondPrepared(prepared: PreparedHead, body: Uint8Array): void {
    const res = this.#res;
    const { status, headers } = prepared;
    prepared.listenerHead ??= preparedHead(status, headers);
    const head = prepared.listenerHead;
    const isPlain =
      this.#body === null &&
      !this.#isTainted &&
      head.byteLength > 0 &&
      body.length <= RESPOND_COPY_SIZE_BYTES_MAX &&
      !isBodiless(this.method, status);
    if (!isPlain || res === null) {
      this.respond(status, headers, body);
      return;
    }
    if (this.#phase !== 'open') return;
    this.#phase = 'ended';
    const isClosing = this.#mustClose();
    try {
      if (this.isInHandler) {
        res.writeStatus(head);
        res.end(body, isClosing);
      } else {
        res.cork(() => {
          res.writeStatus(head);
          res.end(body, isClosing);
        });
      }
      this.#settle();
    } catch (error) {
      this.#failNatively(error);
    }
  }

  begin(status: number, headers: HeaderList, bodySizeBytes: number): void {
    if (this.#phase !== 'open' || this.#res === null) return;
    const head = checkHead(status, headers);
    if (head.problem !== '') {
      this.#failHead(head.problem);
      // The plane goes on streaming to nobody, unless it is told.
      this.#tellAbort('GW_INTERNAL');
      return;
    }
    try {
      if (isBodiless(this.method, status)) {
        this.#phase = 'ended';
        this.#respondBodiless(status, head, bodySizeBytes);
        return;
      }
      this.#phase = 'streaming';
      this.#startStream(this.#res, status, head, bodySizeBytes);
      queueMicrotask(() => this.#stream?.flushHead());
    } catch (error) {
      this.#failNatively(error);
    }
  }

  write(chunk: Uint8Array): boolean {
    if (this.#phase !== 'streaming' || this.#stream === null) return true;
    return this.#stream.write(chunk);
  }

  end(): void {
    if (this.#phase !== 'streaming') return;
    this.#phase = 'ended';
    this.#body?.mute();
    this.#stream?.end();
  }

  abort(): void {
    if (this.#phase !== 'ended') this.#cut();
  }

  acceptWebSocket(protocol: string, peer: WebSocketPeer): WebSocketChannel | null {
    const res = this.#res;
    if (res === null || this.#phase !== 'open') return null;
    if (!this.isWebSocketUpgrade) {
      this.fail('GW_PROTOCOL_UPGRADE', 'the request asks for no WebSocket');
      return null;
    }
    this.#phase = 'ended';
    this.#settle();
    const { headers } = this;
    return upgradeToWebSocket(res, this.#host, peer, { protocol, headers, context: this.#context });
  }

  /** Answers with a problem; cuts the connection if a response has begun. */
  fail(code: ErrorCode, detail: string): void {
    if (this.#phase !== 'open') {
      this.abort();
      return;
    }
    const { status, headers, body } = problemResponse(code, detail);
    this.respond(status, headers, body);
  }

  /** A callback of the plane threw. */
  failInternally(error: unknown): void {
    this.#host.onError(error);
    if (this.#phase !== 'ended') this.fail('GW_INTERNAL', '');
  }

  /** The native response is gone: the client left, or a limit of uWS cut it. */
  onNativeAbort(): void {
    const hasEnded = this.#phase === 'ended';
    this.#phase = 'ended';
    this.#settle();
    if (!hasEnded) this.#tellAbort();
  }

  onBodyError(error: unknown): void {
    this.failInternally(error);
  }

  onBodyCut(): void {
    const hasEnded = this.#phase === 'ended';
    this.#cut();
    if (!hasEnded) this.#tellAbort();
  }

  /** The plane gives up first; then the client is told why, where it can be. */
  onBodyOverflow(detail: string): void {
    this.#tellAbort('GW_OVERLOADED');
    this.fail('GW_OVERLOADED', detail);
  }

  onStreamDrain(): void {
    if (this.#phase === 'streaming' && this.onDrain !== null) this.#guard(this.onDrain);
  }

  onStreamLast(): void {
    this.#finishBody();
  }

  onStreamFinish(): void {
    this.#phase = 'ended';
    this.#settle();
  }

  onStreamBroken(): void {
    this.#host.onError(new GatewayError('GW_INTERNAL', 'a body is not of its announced size'));
    this.#cut();
  }

  onStreamFull(): void {
    this.#body?.onOutputFull();
  }

  onStreamRoom(): void {
    this.#body?.onOutputRoom();
  }

  onStreamError(error: unknown): void {
    this.#failNatively(error);
  }

  onBodyNativeError(error: unknown): void {
    this.#failNatively(error);
  }

  /** uWS threw, and what it has made of the response is not known: the connection is cut. Planes
   *  call from timers and sockets of their own, where an exception would end the process. */
  #failNatively(error: unknown): void {
    this.#host.onError(error);
    const hasEnded = this.#phase === 'ended';
    this.#cut();
    if (!hasEnded) this.#tellAbort('GW_INTERNAL');
  }

  #cut(): void {
    this.#phase = 'ended';
    const res = this.#res;
    try {
      this.#settle();
      res?.close();
    } catch (error) {
      this.#host.onError(error);
    }
  }

  /** Tells the plane, which is told once. */
  #tellAbort(refusal?: ErrorCode): void {
    const { onAbort } = this;
    this.onAbort = null;
    if (onAbort !== null) this.#guard(() => onAbort(refusal));
  }

  #startStream(res: UwsResponse, status: number, head: CheckedHead, bodySizeBytes: number): void {
    this.#stream = new UwsStream(
      { res, host: this.#host },
      this,
      keepHead(status, head, bodySizeBytes),
      { isClosing: this.#mustClose() || this.#isLastByClient(), isHeld: this.#isHeld },
    );
  }

  /** A closing response without a body ends its own head and closes the socket: uWS's
   *  endWithoutBody() cannot. The date, which uWS would have added, is added here. */
  #respondBodiless(status: number, head: CheckedHead, sizeBytes: number): void {
    const res = this.#res;
    if (res === null) return;
    this.#body?.mute();
    if (status !== 204 && sizeBytes !== BODY_SIZE_UNKNOWN) {
      appendToHead(head, 'content-length', String(sizeBytes));
    }
    if (!this.#mustClose()) {
      this.#finishBody();
      res.cork(() => {
        writeHead(res, status, head, '');
        res.endWithoutBody();
      });
      this.#settle();
      return;
    }
    appendToHead(head, 'date', new Date(this.#host.clock.wallMs()).toUTCString());
    const kept = keepHead(status, head, sizeBytes);
    const send = () => {
      if (this.#res === null) return;
      try {
        res.cork(() => writeHead(res, status, kept, 'close\r\n'));
      } catch (error) {
        this.#host.onError(error);
      }
      this.#cut();
    };
    // Never in a tick that uWS has corked: what it holds would be lost with the socket.
    setImmediate(send);
  }

  #failHead(problem: string): void {
    this.#host.onError(new GatewayError('GW_INTERNAL', problem));
    this.fail('GW_INTERNAL', '');
  }

  /** Whether the connection cannot serve another request after this response. */
  #mustClose(): boolean {
    if (this.#isTainted || this.#host.isDraining) return true;
    const body = this.#body;
    if (body === null || body.isComplete) return false;
    return this.bodySizeBytes - body.receivedSizeBytes > BODY_DISCARD_SIZE_BYTES_MAX;
  }

  /** With its writable handler set, uWS forgets to close after a stream for such a client. */
  #isLastByClient(): boolean {
    return listHolds(headerValue(this.headers, 'connection') ?? '', 'close');
  }

  #takeBody(res: UwsResponse): void {
    const body = new UwsBody(res, this, this.#host.uploadBudget);
    this.#body = body;
    this.#host.uploads.add(body);
    res.onData((chunk, isLast) => {
      this.#host.progress.noteArrival();
      if (this.#isTainted) this.#hold();
      if (isLast) this.#host.uploads.delete(body);
      body.accept(new Uint8Array(chunk), isLast);
    });
  }

  /** The response is about to end, after which the native response cannot be resumed. */
  #finishBody(): void {
    if (this.#body !== null && !this.#body.isComplete) this.#body.discard();
  }

  /** Nothing is sent before uWS's parser has left this tick's bytes. A microtask is too early: it
   *  runs between two requests of one segment. */
  #hold(): void {
    if (this.#isHeld) return;
    this.#isHeld = true;
    this.#stream?.hold();
    setImmediate(() => {
      this.#isHeld = false;
      if (this.#res !== null) this.#stream?.release();
    });
  }

  #guard(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.failInternally(error);
    }
  }

  /** The native response is not ours any more. */
  #settle(): void {
    if (this.#res === null) return;
    this.#res = null;
    this.#host.active--;
    this.#stream?.drop();
    if (this.#body === null) return;
    this.#host.uploads.delete(this.#body);
    this.#body.release();
  }
}
