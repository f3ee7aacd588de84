// One gRPC call on an HTTP/2 stream. Messages wait here while there is no stream yet, and in the
// stream while the service reads slowly, both within one bound. Whatever the service sends is
// untrusted: its answer ends the call with a status, never with an exception, and in no turn of the
// event loop does it hand on more than some messages.

import { type ClientHttp2Stream, constants } from 'node:http2';
import {
  type Clock,
  type ErrorCode,
  GRPC_MESSAGES_PER_TURN_MAX,
  GRPC_STATUS,
  type GrpcCall,
  type GrpcHandler,
  type GrpcRequest,
  type HeaderList,
  headerValue,
} from '../../core/index.ts';
import { Deadline, type DeadlineOwner, type Deadlines } from '../upstream/deadlines.ts';
import type { Http2Pool, StreamReceiver } from '../upstream/http2-pool.ts';
import { grpcHead } from './grpc-head.ts';
import { statusOfHttp, statusOfNoStream, statusOfReset, statusOfTrailers } from './grpc-status.ts';
import { framedMessage, GRPC_PREFIX_SIZE_BYTES, GrpcMessageDecoder } from './message-decoder.ts';

const FLAG_END_STREAM = constants.NGHTTP2_FLAG_END_STREAM;

/** Where a call goes. */
export interface GrpcEndpoint {
  readonly pool: Http2Pool;
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  /** Units: ms. */
  readonly connectMs: number;
}

export interface GrpcCallDeps {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** Chosen when the call is sent. Null where there is no such service, or none of its endpoints
   *  may be used. */
  readonly endpoint: () => GrpcEndpoint | null;
}

export class OutgoingGrpcCall implements GrpcCall, DeadlineOwner, StreamReceiver {
  readonly #request: GrpcRequest;
  readonly #deps: GrpcCallDeps;
  readonly #decoder: GrpcMessageDecoder;
  readonly #deadline = new Deadline(this);
  readonly #dueMs: number;
  /** Null after the end. */
  #handler: GrpcHandler | null;
  #stream: ClientHttp2Stream | null = null;
  /** What was given before there was a stream; kept until the service has said something, for it
   *  may refuse the stream. */
  #queue: Buffer[] = [];
  #queueSizeBytes = 0;
  /** All that was sent is in the queue, and was sent but once. */
  #isRepeatable = true;
  #isEnded = false;
  #trailers: HeaderList | null = null;
  #hasRead = false;
  #giveUpOpening: (() => void) | null = null;

  constructor(request: GrpcRequest, handler: GrpcHandler, deps: GrpcCallDeps) {
    this.#request = request;
    this.#handler = handler;
    this.#deps = deps;
    this.#decoder = new GrpcMessageDecoder(request.messageSizeBytesMax);
    this.#dueMs = request.timeoutMs === 0 ? Infinity : deps.clock.nowMs() + request.timeoutMs;
    if (this.#dueMs !== Infinity) deps.deadlines.arm(this.#deadline, this.#dueMs);
    // Never within the call that asked: the filter is still running there.
    setImmediate(() => this.#begin());
  }

  get waitingSizeBytes(): number {
    return Math.max(this.#queueSizeBytes, this.#stream?.writableLength ?? 0);
  }

  send(message: Uint8Array): boolean {
    if (this.#handler === null || this.#isEnded) return true;
    const sizeBytes = GRPC_PREFIX_SIZE_BYTES + message.length;
    const waiting = this.#stream === null ? this.#queueSizeBytes : this.#stream.writableLength;
    if (waiting + sizeBytes > this.#request.queueSizeBytesMax) return false;
    const framed = framedMessage(message);
    if (this.#stream !== null) {
      this.#isRepeatable = false;
      this.#stream.write(framed);
    } else {
      this.#queue.push(framed);
      this.#queueSizeBytes += sizeBytes;
    }
    return true;
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#stream?.end();
  }

  cancel(): void {
    this.#handler = null;
    this.#leave();
  }

  onDeadline(nowMs: number): number {
    if (nowMs < this.#dueMs) return this.#dueMs;
    this.#close(GRPC_STATUS.deadlineExceeded, `no answer within ${this.#request.timeoutMs} ms`);
    return Infinity;
  }

  // === StreamReceiver

  onStream(stream: ClientHttp2Stream): void {
    this.#giveUpOpening = null;
    this.#stream = stream;
    const { session } = stream;
    for (const framed of this.#queue) stream.write(framed);
    if (this.#isEnded) stream.end();
    stream.on('response', (headers, flags, rawHeaders?: unknown) => {
      const isAll = (flags & FLAG_END_STREAM) !== 0;
      this.#onHead(Number(headers[':status']), rawHeaders as HeaderList, isAll);
    });
    stream.on('data', (chunk: Buffer) => {
      this.#decoder.give(chunk);
      this.#takeMessages();
    });
    stream.on('trailers', (_headers: unknown, _flags: number, rawHeaders?: unknown) => {
      this.#trailers = [...(rawHeaders as HeaderList)];
    });
    stream.on('end', () => {
      this.#hasRead = true;
      // Trailers are told in a turn of their own.
      setImmediate(() => this.#finish());
    });
    stream.on('error', () => {});
    stream.once('close', () => {
      // In a turn behind the end's.
      setImmediate(() => setImmediate(() => this.#onCut(stream, session?.destroyed !== false)));
    });
  }

  onNoStream(code: ErrorCode, detail: string): void {
    this.#giveUpOpening = null;
    const { status, message } = statusOfNoStream(code, detail);
    this.#close(status, message);
  }

  #begin(): void {
    if (this.#handler === null) return;
    const endpoint = this.#deps.endpoint();
    if (endpoint === null) {
      this.#close(GRPC_STATUS.unavailable, 'GW_UPSTREAM_NO_HEALTHY: no endpoint to call');
      return;
    }
    const { pool, scheme, authority, connectMs } = endpoint;
    const head = grpcHead(this.#request, scheme, authority);
    this.#giveUpOpening = pool.open(head, connectMs, this);
  }

  #onHead(httpStatus: number, headers: HeaderList, isAll: boolean): void {
    if (this.#handler === null) return;
    this.#isRepeatable = false;
    this.#dropQueue();
    if (isAll) {
      this.#trailers = [...headers];
      return;
    }
    const type = headerValue(headers, 'content-type') ?? '';
    const isGrpc = /^application\/grpc(?:$|[+;])/.test(type);
    if (httpStatus !== 200 || !isGrpc) {
      const told = statusOfTrailers(headers);
      if (told !== null) this.#close(told.status, told.message);
      else if (httpStatus !== 200) this.#fail(statusOfHttp(httpStatus));
      else this.#close(GRPC_STATUS.unknown, `an answer of the type "${type.slice(0, 64)}"`);
      return;
    }
    this.#handler.onInitialMetadata([...headers]);
  }

  /** Hands messages on: some in a turn, the rest in the next. */
  #takeMessages(): void {
    for (let count = 0; count < GRPC_MESSAGES_PER_TURN_MAX; count++) {
      if (this.#handler === null) return;
      const next = this.#decoder.next();
      if (next === null) break;
      if (!(next instanceof Uint8Array)) {
        this.#fail(next);
        return;
      }
      this.#handler.onMessage(next);
    }
    if (this.#decoder.isEmpty) {
      this.#stream?.resume();
      return;
    }
    this.#stream?.pause();
    setImmediate(() => this.#takeMessages());
  }

  /** The service has said everything, or its stream was cut, which ends what is read too. */
  #finish(): void {
    const stream = this.#stream;
    if (this.#handler === null || stream === null) return;
    const isCut = stream.rstCode !== constants.NGHTTP2_NO_ERROR || stream.session?.destroyed;
    if (this.#trailers === null && isCut) return;
    if (this.#decoder.isInside) {
      this.#close(GRPC_STATUS.internal, 'the answer ends inside a message');
      return;
    }
    const trailers = this.#trailers;
    if (trailers === null) {
      this.#close(GRPC_STATUS.unknown, 'the answer ends without a status');
      return;
    }
    const { status, message } = statusOfTrailers(trailers) ?? noStatusIn(trailers);
    this.#handler.onTrailingMetadata(trailers);
    this.#close(status, message);
  }

  /** The stream is gone before all was said. */
  #onCut(stream: ClientHttp2Stream, isConnectionLost: boolean): void {
    if (this.#handler === null || this.#stream !== stream) return;
    const isRefused = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
    if (isRefused && this.#isRepeatable) {
      // A connection that was about to end has not looked at it.
      this.#isRepeatable = false;
      this.#hasRead = false;
      this.#stream = null;
      this.#begin();
    } else if (isConnectionLost && !isRefused) {
      this.#close(GRPC_STATUS.unavailable, 'GW_UPSTREAM_RESET: the connection was lost');
    } else this.#fail(statusOfReset(stream.rstCode));
  }

  #fail({ status, message }: { readonly status: number; readonly message: string }): void {
    this.#close(status, message);
  }

  /** Ends the call; the handler is told, once. */
  #close(status: number, message: string): void {
    const handler = this.#handler;
    if (handler === null) return;
    this.#handler = null;
    this.#leave();
    handler.onClose(status, message);
  }

  #dropQueue(): void {
    this.#queue = [];
    this.#queueSizeBytes = 0;
  }

  #leave(): void {
    this.#deps.deadlines.disarm(this.#deadline);
    this.#giveUpOpening?.();
    this.#giveUpOpening = null;
    this.#dropQueue();
    const stream = this.#stream;
    this.#stream = null;
    if (stream === null || stream.destroyed) return;
    if (!this.#hasRead || !stream.writableFinished) stream.close(constants.NGHTTP2_CANCEL);
    // A stream with bytes that nobody reads is never over.
    stream.resume();
  }
}

function noStatusIn(trailers: HeaderList): { status: number; message: string } {
  const httpStatus = Number(headerValue(trailers, ':status') ?? 200);
  if (httpStatus !== 200) return statusOfHttp(httpStatus);
  return { status: GRPC_STATUS.unknown, message: 'the answer ends without a status' };
}
