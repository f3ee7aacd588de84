// One request and its response on node:http and node:http2, whose compatibility classes behave
// alike. Node keeps the socket safe by itself; this class adds the contract: what was promised as
// size is kept, what a plane does late is ignored, and an error of a plane, or one that node throws
// at what it is given, ends one exchange only.

import type { ServerResponse } from 'node:http';
import { constants, type Http2ServerResponse } from 'node:http2';
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
  passableTrailers,
  problemResponse,
  type WebSocketChannel,
  type WebSocketPeer,
} from '../core/index.ts';
import { http2Head } from './http2-head.ts';
import { NodeBody } from './node-body.ts';
import type { NodeHost } from './node-host.ts';
import { isHttp2, type NodeRequest, type NodeResponse } from './node-native.ts';
import { NodeOutput } from './node-output.ts';
import { unmapAddress } from './peer-address.ts';
import type { RequestFacts } from './request-checks.ts';
import { checkHead, isBodiless, isDropped, stableBody } from './response-checks.ts';

/** Makes the WebSocket; null when the client has left. */
export type NodeUpgrade = (protocol: string, peer: WebSocketPeer) => WebSocketChannel | null;

export class NodeExchange implements Exchange {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly authority: string;
  readonly httpVersion: Exchange['httpVersion'];
  readonly headers: HeaderList;
  readonly isAscii: boolean;
  readonly bodySizeBytes: number;
  readonly isWebSocketUpgrade: boolean;
  readonly remoteAddress: string;
  onDrain: (() => void) | null = null;
  onAbort: ((refusal?: ErrorCode) => void) | null = null;
  readonly #req: NodeRequest;
  readonly #res: NodeResponse;
  readonly #host: NodeHost;
  readonly #upgrade: NodeUpgrade | null;
  readonly #body: NodeBody | null;
  readonly #output: NodeOutput;
  #phase: 'open' | 'streaming' | 'ended' = 'open';
  #isSettled = false;
  #leftSizeBytes = BODY_SIZE_UNKNOWN;
  #isHeadSent = false;
  #isLast = false;
  #hasFailedNatively = false;

  constructor(
    native: { readonly req: NodeRequest; readonly res: NodeResponse },
    host: NodeHost,
    request: {
      readonly headers: HeaderList;
      readonly upgrade: NodeUpgrade | null;
      readonly isContinueExpected: boolean;
    },
    facts: RequestFacts,
  ) {
    const { req, res } = native;
    this.#req = req;
    this.#res = res;
    this.#host = host;
    this.#upgrade = facts.isWebSocketUpgrade ? request.upgrade : null;
    this.method = req.method ?? '';
    this.path = facts.path;
    this.query = facts.query;
    this.authority = facts.authority;
    this.httpVersion = isHttp2(req) ? '2.0' : '1.1';
    this.headers = request.headers;
    this.isAscii = facts.isAscii;
    this.bodySizeBytes = facts.bodySizeBytes;
    this.isWebSocketUpgrade = this.#upgrade !== null;
    this.remoteAddress = unmapAddress(req.socket?.remoteAddress ?? '');
    host.active++;
    this.#output = new NodeOutput(res, () => this.#cut());
    res.once('close', () => this.#onClose());
    res.on('error', () => this.#onClose());
    const onContinue = request.isContinueExpected
      ? () => this.#native(() => res.writeContinue())
      : null;
    this.#body =
      facts.bodySizeBytes === 0
        ? null
        : new NodeBody(req, host, {
            onContinue,
            onError: (error) => this.failInternally(error),
            onMalformed: (detail) => this.failBody(detail),
            onCut: () => this.#cut(),
          });
  }

  get scheme(): Exchange['scheme'] {
    return this.#host.scheme;
  }

  get trailers(): readonly string[] {
    return passableTrailers(this.#req.rawTrailers);
  }

  get localPort(): number {
    return this.#host.port;
  }

  /** Whether the parser still is in this request: an error belongs to its body. */
  get isReceiving(): boolean {
    return !this.#req.complete;
  }

  get isEnded(): boolean {
    return this.#phase === 'ended';
  }

  readBody(reader: BodyReader): void {
    if (this.#phase === 'ended') return;
    if (this.#body !== null) this.#body.read(reader);
    else this.#guard(() => reader.onChunk(new Uint8Array(0), true));
  }

  pauseBody(): void {
    this.#body?.pause();
  }

  resumeBody(): void {
    this.#body?.resume();
  }

  respond(status: number, headers: HeaderList, body: Uint8Array | string): void {
    if (this.#phase !== 'open') return;
    // A string is made bytes, or node would encode the head with it as UTF-8.
    const bytes = stableBody(body);
    const isEmpty304 = status === 304 && bytes.length === 0;
    if (!this.#writeHead(status, headers, isEmpty304 ? BODY_SIZE_UNKNOWN : bytes.length)) return;
    this.#phase = 'ended';
    this.#finishBody();
    this.#endNative(isBodiless(this.method, status) ? undefined : bytes);
  }

  respondPrepared({ status, headers }: PreparedHead, body: Uint8Array): void {
    this.respond(status, [...headers], body);
  }

  begin(status: number, headers: HeaderList, bodySizeBytes: number): void {
    if (this.#phase !== 'open') return;
    if (!this.#writeHead(status, headers, bodySizeBytes)) {
      // The plane goes on streaming to nobody, unless it is told.
      this.#tellAbort('GW_INTERNAL');
      return;
    }
    if (isBodiless(this.method, status)) {
      this.#phase = 'ended';
      this.#finishBody();
      this.#endNative();
      return;
    }
    this.#phase = 'streaming';
    this.#leftSizeBytes = bodySizeBytes;
    this.#res.on('drain', () => {
      if (this.#phase === 'streaming' && this.onDrain !== null) this.#guard(this.onDrain);
    });
    queueMicrotask(() => this.#flushHead());
  }

  write(chunk: Uint8Array): boolean {
    if (this.#phase !== 'streaming' || chunk.length === 0) return true;
    this.#isHeadSent = true;
    if (this.#leftSizeBytes !== BODY_SIZE_UNKNOWN) {
      if (chunk.length > this.#leftSizeBytes) {
        this.#break();
        return true;
      }
      this.#leftSizeBytes -= chunk.length;
    }
    this.#output.givenSizeBytes += chunk.length;
    let isAccepted = true;
    this.#native(() => {
      isAccepted = (this.#res as ServerResponse).write(new Uint8Array(chunk));
    });
    return isAccepted;
  }

  end(trailers: readonly string[] = NO_TRAILERS): void {
    if (this.#phase !== 'streaming') return;
    if (this.#leftSizeBytes > 0) {
      this.#break();
      return;
    }
    if (trailers.length > 0 && this.#takesTrailers()) {
      this.#native(() => this.#res.addTrailers(trailersOf(trailers)));
    }
    this.#phase = 'ended';
    this.#finishBody();
    this.#endNative();
  }

  abort(): void {
    if (this.#phase === 'ended') return;
    this.#phase = 'ended';
    this.#destroy();
  }

  acceptWebSocket(protocol: string, peer: WebSocketPeer): WebSocketChannel | null {
    if (this.#phase !== 'open') return null;
    if (this.#upgrade === null) {
      this.fail('GW_PROTOCOL_UPGRADE', 'the request asks for no WebSocket');
      return null;
    }
    this.#phase = 'ended';
    this.#settle();
    return this.#upgrade(protocol, peer);
  }

  /** Answers a request that no plane may see, and closes: its framing is not to be trusted. */
  refuse(code: ErrorCode, detail: string): void {
    this.#isLast = true;
    this.fail(code, detail);
  }

  /** The connection serves no other request, whatever the plane answers. */
  closeAfter(): void {
    this.#isLast = true;
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

  /** The parser found the body malformed: answered if nothing was, and the plane told. */
  failBody(detail: string): void {
    if (this.#phase === 'ended') return;
    this.fail('GW_PROTOCOL_MALFORMED', detail);
    this.#tellAbort();
  }

  #writeHead(status: number, headers: HeaderList, bodySizeBytes: number): boolean {
    const { problem } = checkHead(status, headers);
    if (problem !== '') {
      this.#host.onError(new GatewayError('GW_INTERNAL', problem));
      this.fail('GW_INTERNAL', '');
      return false;
    }
    const lines: string[] = [];
    const isHttp1 = this.httpVersion === '1.1';
    for (let index = 0; index < headers.length; index += 2) {
      const name = headers[index]!;
      if (isDropped(name)) continue;
      lines.push(name, headers[index + 1]!);
    }
    if (bodySizeBytes !== BODY_SIZE_UNKNOWN && status !== 204) {
      lines.push('content-length', String(bodySizeBytes));
    }
    if (isHttp1 && this.#mustClose()) {
      lines.push('connection', 'close');
      this.#host.closing.add(this.#req.socket);
    }
    this.#host.uploads.add(this.#output);
    // Node takes flat lists for HTTP/1.1 only.
    const head = isHttp1 ? lines : http2Head(lines);
    return this.#native(() => this.#res.writeHead(status, head as never));
  }

  /** HTTP/2 has a place for them; in HTTP/1.1 it is a chunked body, for a client that says so.
   *  Source: RFC 9110 section 6.5.1. */
  #takesTrailers(): boolean {
    if (this.httpVersion === '2.0') return true;
    const te = headerValue(this.headers, 'te') ?? '';
    return this.#leftSizeBytes === BODY_SIZE_UNKNOWN && /(?:^|,)\s*trailers\s*(?:,|$)/i.test(te);
  }

  #endNative(bytes?: Uint8Array): void {
    this.#native(() => (bytes === undefined ? this.#res.end() : this.#res.end(bytes)));
  }

  /** Calls node; false when it threw. Planes call from timers and sockets of their own, where an
   *  exception would end the process. */
  #native(call: () => void): boolean {
    try {
      call();
      return true;
    } catch (error) {
      this.#failNatively(error);
      return false;
    }
  }

  /** Node threw: 500 where no head has left, else the connection or the stream is cut. */
  #failNatively(error: unknown): void {
    this.#host.onError(error);
    if (this.#hasFailedNatively || this.#res.headersSent) {
      this.#cut();
      return;
    }
    this.#hasFailedNatively = true;
    this.#native(() => {
      for (const name of this.#res.getHeaderNames()) this.#res.removeHeader(name);
      this.#phase = 'open';
      this.fail('GW_INTERNAL', '');
    });
  }

  #flushHead(): void {
    if (this.#isHeadSent || this.#phase !== 'streaming') return;
    this.#isHeadSent = true;
    this.#native(() => (this.#res as ServerResponse).flushHeaders());
  }

  #mustClose(): boolean {
    if (this.#host.isDraining || this.#isLast) return true;
    const body = this.#body;
    if (body === null || body.isComplete) return false;
    if (this.bodySizeBytes === BODY_SIZE_UNKNOWN) return true;
    return this.bodySizeBytes - body.receivedSizeBytes > BODY_DISCARD_SIZE_BYTES_MAX;
  }

  #finishBody(): void {
    this.#body?.discard();
  }

  #break(): void {
    this.#host.onError(new GatewayError('GW_INTERNAL', 'a body is not of its announced size'));
    this.abort();
  }

  #cut(): void {
    const hasEnded = this.#phase === 'ended';
    this.#phase = 'ended';
    this.#destroy();
    if (!hasEnded) this.#tellAbort();
  }

  /** Tells the plane, which is told once. */
  #tellAbort(refusal?: ErrorCode): void {
    const { onAbort } = this;
    this.onAbort = null;
    if (onAbort !== null) this.#guard(() => onAbort(refusal));
  }

  #destroy(): void {
    this.#settle();
    try {
      if (this.httpVersion === '2.0') {
        (this.#res as Http2ServerResponse).stream?.close(constants.NGHTTP2_INTERNAL_ERROR);
      } else {
        this.#req.socket?.destroy();
      }
    } catch (error) {
      this.#host.onError(error);
    }
  }

  #onClose(): void {
    this.#host.uploads.delete(this.#output);
    const hasEnded = this.#phase === 'ended';
    this.#phase = 'ended';
    this.#settle();
    if (!hasEnded) this.#tellAbort();
  }

  #guard(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.failInternally(error);
    }
  }

  #settle(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#host.active--;
    this.#body?.stop();
  }
}

/** In a form that both of node's classes take: repeated names are joined. */
function trailersOf(trailers: readonly string[]): Record<string, string> {
  const byName: Record<string, string> = Object.create(null);
  for (let index = 0; index < trailers.length; index += 2) {
    const name = trailers[index]!;
    const before = byName[name];
    const value = trailers[index + 1]!;
    byName[name] = before === undefined ? value : `${before}, ${value}`;
  }
  return byName;
}
