// One open connection to an upstream: the requests in flight on it, their responses in order, and
// its end. What can go wrong with one response ends the connection, for after a mistake in the
// framing nothing that follows can be trusted. It refuses to read what answers no request.
//
// Responses to requests that were given up are read and dropped while that is cheap.

import type { Socket } from 'node:net';
import {
  BODY_SIZE_UNKNOWN,
  type Clock,
  DRAIN_SIZE_BYTES_MAX,
  type ErrorCode,
  type HeaderList,
  type PreparedHead,
  type Progress,
  STREAM_BUFFER_SIZE_BYTES_MAX,
  type UploadBudget,
} from '../../core/index.ts';
import { BODY_GATHER_SIZE_BYTES_MAX, BodyGather } from './body-gather.ts';
import type { Call, CallCarrier } from './call.ts';
import type { ReadReceiver } from './connector.ts';
import type { FailureFacts } from './contract.ts';
import { Deadline, type DeadlineOwner, type Deadlines } from './deadlines.ts';
import type { KnownHeads } from './known-heads.ts';
import type { Opening } from './opening.ts';
import { lastChunk, requestHead } from './request-writer.ts';
import {
  EXPECT_BODYLESS,
  EXPECT_RESPONSE,
  ResponseParser,
  type ResponseSink,
} from './response-parser.ts';
import { SocketQueue } from './socket-queue.ts';

export interface ConnectionOwner {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly uploadBudget: UploadBudget;
  readonly progress: Progress;
  readonly knownHeads: KnownHeads;
  /** Requests in flight on one connection; 1 = no pipelining. */
  readonly pipeline: number;
  /** A connection has room again for requests. */
  onRoom(connection: Connection): void;
  /** Something waits to be written until the end of this turn of the event loop. */
  onStaged(connection: Connection): void;
  /** A connection is gone. Comes before its calls are told. */
  onLost(connection: Connection): void;
  /** A call that nothing was received for may be sent again. */
  onRepeat(call: Call): void;
}

/** Why a connection ends, for the calls in flight on it. */
interface Ending {
  readonly code: ErrorCode;
  readonly detail: string;
  /** Whom the code concerns; null for all. Others were only unlucky to share the connection. */
  readonly culprit: Call | null;
  /** Whether requests that were sent and not answered may be sent again. */
  readonly isRepeatable: boolean;
}

export class Connection implements ReadReceiver, ResponseSink, CallCarrier, DeadlineOwner {
  readonly inFlight: Call[] = [];
  /** The address it goes to. */
  readonly address: string;
  /** To be closed when it has no request in flight. */
  isRetiring = false;
  /** How long it may be idle. */
  readonly #keepAliveMs: number;
  readonly #owner: ConnectionOwner;
  readonly #parser: ResponseParser;
  readonly #deadline: Deadline;
  readonly #socket: Socket;
  readonly #queue: SocketQueue;
  #isClosed = false;
  /** Idle: when to close. */
  #dueMs = Infinity;
  #lastActivityMs: number;
  #lastWritableLength = 0;
  /** Requests in flight whose heads have been given to the socket. */
  #flushedCount = 0;
  #servedCount = 0;
  #drainedSizeBytes = 0;
  /** Heads of requests without a body, to be written together. */
  #staged = '';
  /** The head of a request with a body, to be written with its first bytes. */
  #stagedHead = '';
  /** Body bytes of this turn of the event loop, of the only request in flight. */
  readonly #gather = new BodyGather();
  #isStaged = false;

  constructor(owner: ConnectionOwner, opening: Opening, socket: Socket, keepAliveMs: number) {
    this.#owner = owner;
    this.#keepAliveMs = keepAliveMs;
    this.address = opening.address;
    this.#lastActivityMs = owner.clock.nowMs();
    this.#parser = new ResponseParser(this, owner.knownHeads);
    this.#deadline = new Deadline(this);
    this.#socket = socket;
    this.#queue = new SocketQueue(socket, owner.uploadBudget, () => this.#onDrain());
    opening.inlet.receiver = this;
    socket.on('error', (error) => this.#onReset(error.message));
    socket.on('end', () => this.#onEnd());
    socket.on('close', () => this.#onReset('connection closed'));
    socket.on('drain', () => this.#onDrain());
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether a call may be dispatched now. */
  hasRoomFor(call: Call): boolean {
    if (this.#isClosed || this.isRetiring) return false;
    const count = this.inFlight.length;
    if (count === 0) return true;
    return count < this.#owner.pipeline && call.isShareable && this.inFlight[0]!.isShareable;
  }

  /** Sends a call. The caller has made sure that there is room. False: its head cannot be sent,
   *  nothing was, and the call is still the caller's. */
  dispatch(call: Call, nowMs: number): boolean {
    const head = requestHead(call.request);
    if (head === null) return false;
    call.carrier = this;
    this.inFlight.push(call);
    this.#lastActivityMs = nowMs;
    if (call.hasBody) this.#dispatchBody(call, head);
    else {
      call.dueMs = nowMs + call.request.requestMs;
      this.#owner.deadlines.arm(this.#deadline, call.dueMs);
      if (this.#owner.pipeline > 1) {
        this.#staged += head;
        this.#stage();
      } else {
        this.#socket.write(head, 'latin1');
        this.#noteFlushed();
      }
    }
    return true;
  }

  /** Writes what was staged. */
  flush(): void {
    this.#isStaged = false;
    if (this.#isClosed) return;
    if (this.#gather.sizeBytes > 0) {
      this.#flushBody(this.inFlight[0]!, 'more');
      return;
    }
    const text = this.#staged === '' ? this.#stagedHead : this.#staged;
    if (text === '') return;
    this.#staged = '';
    this.#stagedHead = '';
    this.#socket.write(text, 'latin1');
    this.#noteFlushed();
  }

  /** Lets an idle connection live for a while after its last activity. */
  beIdle(): void {
    // The upstream's own promise bounds ours, less a second for the way.
    const { keepAliveSeconds } = this.#parser;
    const promisedMs = keepAliveSeconds < 0 ? Infinity : 1000 * keepAliveSeconds - 1000;
    if (promisedMs <= 0 && this.#servedCount > 0) {
      this.close();
      return;
    }
    this.#dueMs = this.#lastActivityMs + Math.min(this.#keepAliveMs, promisedMs);
    this.#owner.deadlines.arm(this.#deadline, this.#dueMs);
  }

  /** Closes a connection without requests in flight. */
  close(): void {
    this.#end({ code: 'GW_UPSTREAM_RESET', detail: '', culprit: null, isRepeatable: true });
  }

  // === CallCarrier

  writeBody(call: Call, chunk: Uint8Array): boolean {
    if (this.#isClosed) return true;
    const gather = this.#gather;
    if (gather.isFullFor(chunk.length)) this.#flushBody(call, 'more');
    if (this.#isClosed) return true;
    gather.add(chunk, this.#stagedHead.length);
    if (gather.sizeBytes < BODY_GATHER_SIZE_BYTES_MAX) this.#stage();
    else this.#flushBody(call, 'more');
    // What is gathered does not count: it leaves in this turn, and if it does not, it counts then.
    if (this.#isClosed || this.#queue.heldSizeBytes < STREAM_BUFFER_SIZE_BYTES_MAX) return true;
    call.owesDrain = true;
    return false;
  }

  endBody(call: Call): void {
    const { trailerLines } = call;
    if (this.#gather.sizeBytes > 0 && trailerLines === '') this.#flushBody(call, 'last');
    else {
      if (this.#gather.sizeBytes > 0) this.#flushBody(call, 'more');
      if (this.#isClosed) return;
      const isChunked = call.request.bodySizeBytes < 0;
      const text = this.#stagedHead + (isChunked ? lastChunk(trailerLines) : '');
      this.#stagedHead = '';
      if (text !== '') {
        this.#socket.write(text, 'latin1');
        this.#noteFlushed();
      }
    }
    if (this.#isClosed) return;
    this.#lastActivityMs = this.#owner.clock.nowMs();
    call.dueMs = this.#lastActivityMs + call.request.requestMs;
    this.#owner.deadlines.arm(this.#deadline, call.dueMs);
  }

  updateFlow(call: Call): void {
    if (this.inFlight[0] !== call) return;
    if (call.isPaused) {
      this.#socket.pause();
      return;
    }
    this.#socket.resume();
    this.#lastActivityMs = this.#owner.clock.nowMs();
    this.#owner.deadlines.arm(this.#deadline, this.#dueOf(call, 0));
  }

  abandon(call: Call): void {
    if (this.#stagedHead !== '') {
      // Nothing of it has been sent.
      this.#stagedHead = '';
      this.#gather.clear();
      this.inFlight.pop();
      this.#owner.onRoom(this);
      return;
    }
    const isFirst = this.inFlight[0] === call;
    const isSmall = this.#parser.remainingSizeBytes <= DRAIN_SIZE_BYTES_MAX;
    const isCheap = isFirst && call.isHeadReceived ? isSmall : this.inFlight.length > 1;
    const isStopped = isFirst && call.isPaused;
    if (isCheap && call.isRequestEnded && !isStopped) {
      if (isFirst) this.#drainedSizeBytes = 0;
      return;
    }
    this.abort(call, 'GW_CLIENT_CLOSED', 'the request was given up');
  }

  abort(call: Call, code: ErrorCode, detail: string): void {
    this.#end({ code, detail, culprit: call, isRepeatable: true });
  }

  // === ResponseSink

  onHead(
    status: number,
    headers: HeaderList,
    bodySizeBytes: number,
    kept: PreparedHead | null,
  ): void {
    const call = this.inFlight[0]!;
    call.isHeadReceived = true;
    call.arrivalMs = this.#lastActivityMs;
    this.#drainedSizeBytes = 0;
    const { handler } = call;
    if (handler === null) {
      if (this.#parser.isLargeBody) this.abort(call, 'GW_CLIENT_CLOSED', 'given up');
      return;
    }
    this.#owner.deadlines.arm(this.#deadline, this.#lastActivityMs + call.request.idleMs);
    if (call.isPaused) this.#socket.pause();
    handler.onHead(status, headers, bodySizeBytes, kept);
  }

  onBody(chunk: Uint8Array): void {
    const call = this.inFlight[0]!;
    if (call.handler !== null) {
      call.arrivalMs = this.#lastActivityMs;
      call.handler.onChunk(chunk);
      return;
    }
    this.#drainedSizeBytes += chunk.length;
    if (this.#drainedSizeBytes > DRAIN_SIZE_BYTES_MAX) {
      this.abort(call, 'GW_CLIENT_CLOSED', 'given up');
    }
  }

  onTrailers(trailers: readonly string[]): void {
    this.inFlight[0]!.handler?.onTrailers?.(trailers);
  }

  onComplete(leftoverSizeBytes: number): void {
    const call = this.inFlight.shift()!;
    call.arrivalMs = this.#lastActivityMs;
    this.#flushedCount -= 1;
    this.#servedCount += 1;
    const isUnasked = leftoverSizeBytes > 0 && this.#flushedCount === 0;
    const handler = call.settle();
    if (call.isPaused) this.#socket.resume();
    // A request that is not finished, and bytes that answer nothing, end the connection.
    if (this.#parser.shouldClose || !call.isRequestEnded || isUnasked) {
      this.#end({
        code: 'GW_UPSTREAM_RESET',
        detail: 'the upstream closed before answering',
        culprit: null,
        isRepeatable: true,
      });
    } else {
      if (this.#flushedCount > 0) {
        this.#expectNext();
        this.#owner.deadlines.arm(this.#deadline, this.#dueOf(this.inFlight[0]!, 0));
      }
      // What is given to the connection now is written after this read has been consumed.
      this.#owner.onRoom(this);
    }
    handler?.onEnd();
  }

  // === DeadlineOwner

  onDeadline(nowMs: number): number {
    if (this.inFlight.length === 0) {
      if (nowMs < this.#dueMs) return this.#dueMs;
      this.close();
      return Infinity;
    }
    this.#noteWriteProgress(nowMs);
    let nextMs = Infinity;
    // From the back, so that those who fail alone do so before the first ends them all.
    for (let index = this.inFlight.length - 1; index >= 0 && !this.#isClosed; index--) {
      const call = this.inFlight[index]!;
      if (this.#dueOf(call, index) <= nowMs) this.#onTimeout(call, index);
      else nextMs = Math.min(nextMs, this.#dueOf(call, index));
    }
    return this.#isClosed ? Infinity : nextMs;
  }

  // === inside

  #dispatchBody(call: Call, head: string): void {
    this.#stagedHead = head;
    this.#owner.deadlines.arm(this.#deadline, this.#lastActivityMs + call.request.idleMs);
    const held = call.takeHeld();
    let isFlowing = true;
    for (const chunk of held) isFlowing = this.writeBody(call, chunk);
    if (this.#isClosed) return;
    if (call.isRequestEnded) {
      this.endBody(call);
      return;
    }
    if (held.length === 0) {
      this.#stage();
      return;
    }
    // Before the caller hears of it: a call that is given up inside its dispatch must not look as
    // if nothing of it had been sent.
    if (this.#gather.sizeBytes > 0) this.#flushBody(call, 'more');
    if (!isFlowing || !call.owesDrain || this.#isClosed) return;
    call.owesDrain = false;
    call.handler?.onDrain();
  }

  /** Gives the socket what was gathered. Whoever brings the uploads of the worker above their bound
   *  is ended. */
  #flushBody(call: Call, part: 'more' | 'last'): void {
    const isChunked = call.request.bodySizeBytes === BODY_SIZE_UNKNOWN;
    const framing = { head: this.#stagedHead, isChunked, isLast: part === 'last' };
    this.#stagedHead = '';
    call.isBodySent = true;
    this.#lastActivityMs = this.#owner.clock.nowMs();
    this.#queue.write(this.#gather.take(framing));
    this.#noteFlushed();
    this.#lastWritableLength = this.#socket.writableLength;
    const { uploadBudget } = this.#owner;
    if (this.#queue.heldSizeBytes === 0 || !uploadBudget.isExceeded) return;
    this.abort(call, 'GW_OVERLOADED', uploadBudget.describe());
  }

  #stage(): void {
    if (this.#isStaged) return;
    this.#isStaged = true;
    this.#owner.onStaged(this);
  }

  #noteFlushed(): void {
    const isFirst = this.#flushedCount === 0;
    this.#flushedCount = this.inFlight.length;
    if (isFirst) this.#expectNext();
  }

  #expectNext(): void {
    const isHead = this.inFlight[0]!.request.method === 'HEAD';
    this.#parser.expect(isHead ? EXPECT_BODYLESS : EXPECT_RESPONSE);
  }

  onRead(bytes: Buffer, sizeBytes: number): void {
    if (this.#isClosed) return;
    this.#owner.progress.noteArrival();
    this.#lastActivityMs = this.#owner.clock.nowMs();
    if (this.#parser.execute(bytes, sizeBytes)) return;
    const { detail } = this.#parser;
    this.#end({ code: 'GW_UPSTREAM_BAD_RESPONSE', detail, culprit: null, isRepeatable: false });
  }

  #onEnd(): void {
    if (!this.#isClosed && this.#parser.finish()) return;
    this.#onReset('connection closed');
  }

  #onReset(detail: string): void {
    const text = `${this.address}: ${detail}`;
    this.#end({ code: 'GW_UPSTREAM_RESET', detail: text, culprit: null, isRepeatable: true });
  }

  #onDrain(): void {
    this.#lastActivityMs = this.#owner.clock.nowMs();
    this.#queue.count();
    const call = this.inFlight[0];
    if (call === undefined || !call.owesDrain) return;
    call.owesDrain = false;
    call.handler?.onDrain();
  }

  /** A call that waits behind others fails alone: the slow one before it may be well, and its
   *  client merely slow to read. Its response is dropped when it comes. */
  #onTimeout(call: Call, index: number): void {
    const { requestMs, idleMs } = call.request;
    const isIdle = call.isHeadReceived || !call.isRequestEnded;
    const code = isIdle ? 'GW_TIMEOUT_IDLE' : 'GW_TIMEOUT_REQUEST';
    const detail = isIdle ? `no byte for ${idleMs} ms` : `no response head within ${requestMs} ms`;
    if (index === 0) this.abort(call, code, detail);
    else call.fail(code, detail, this.#factsOf(call, index < this.#flushedCount));
  }

  #dueOf(call: Call, index: number): number {
    if (call.isHeadReceived || !call.isRequestEnded) {
      return call.isPaused ? Infinity : this.#lastActivityMs + call.request.idleMs;
    }
    if (call.handler !== null) return call.dueMs;
    return index === 0 ? this.#lastActivityMs + call.request.requestMs : Infinity;
  }

  #factsOf(call: Call, isFlushed: boolean): FailureFacts {
    return {
      sent: call.isBodySent ? 'body' : isFlushed ? 'head' : 'nothing',
      connection: this.#servedCount > 0 ? 'reused' : 'fresh',
    };
  }

  /** The kernel takes bytes without telling; what is left to write tells that it did. */
  #noteWriteProgress(nowMs: number): void {
    const { writableLength } = this.#socket;
    if (writableLength < this.#lastWritableLength) this.#lastActivityMs = nowMs;
    this.#lastWritableLength = writableLength;
  }

  #end(ending: Ending): void {
    if (this.#isClosed) return;
    const isInside = this.#parser.isInside;
    this.#isClosed = true;
    this.#parser.stop();
    this.#owner.deadlines.disarm(this.#deadline);
    this.#socket.destroy();
    this.#queue.release();
    this.#gather.clear();
    this.#owner.onLost(this);
    const calls = this.inFlight.splice(0);
    // From the back, as each that is repeated goes before those that wait.
    for (let index = calls.length - 1; index >= 0; index--) {
      const call = calls[index]!;
      call.carrier = null;
      const isTouched = call.isHeadReceived || (index === 0 && isInside);
      const isFlushed = index < this.#flushedCount;
      this.#settle(call, ending, { isTouched, isFlushed });
    }
  }

  #settle(
    call: Call,
    ending: Ending,
    state: { readonly isTouched: boolean; readonly isFlushed: boolean },
  ): void {
    const isCulprit = ending.culprit === call;
    const isUnsent = !state.isFlushed;
    const isUnseen = ending.isRepeatable && this.#servedCount > 0 && !state.isTouched;
    if (!isCulprit && (isUnsent || isUnseen) && call.isRepeatable) {
      if (call.handler !== null) this.#owner.onRepeat(call);
      return;
    }
    const isNamed = isCulprit || ending.culprit === null;
    const code = isNamed ? ending.code : 'GW_UPSTREAM_RESET';
    const isCut = code === 'GW_UPSTREAM_RESET' && call.isHeadReceived;
    const detail = isNamed ? ending.detail : `closed for another request: ${ending.detail}`;
    const facts = this.#factsOf(call, state.isFlushed);
    call.fail(isCut ? 'GW_UPSTREAM_CLOSED' : code, detail, facts);
  }
}
