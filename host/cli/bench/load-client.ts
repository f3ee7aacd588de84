// One keep-alive connection of the load generator: one request in flight, the same bytes every
// time. `node:http` and undici would cost more processor time than the gateway under test and hide
// short or doubled answers; this says exactly what went wrong and then reconnects.

import { connect, type Socket } from 'node:net';
import type { HeaderList } from '../../core/index.ts';
import { RECONNECT_DELAY_MS, REQUEST_TIMEOUT_MS } from './limits.ts';
import type { BenchTarget } from './options.ts';
import { BadResponse, ResponseParser, type ResponseSummary } from './response-parser.ts';

/** What can go wrong with a request or a connection. */
export type LoadError = 'connect' | 'closed' | 'short-answer' | 'bad-answer' | 'timeout';

export interface LoadClientEvents {
  /** The connection can take a request. */
  onFree(client: LoadClient): void;
  /** The request that was in flight is answered; `onFree` follows when the connection lives on. */
  onAnswer(client: LoadClient, summary: ResponseSummary): void;
  /** Something failed; `wasInFlight` says whether a request was lost with it. */
  onError(client: LoadClient, failure: LoadFailure): void;
}

export interface LoadFailure {
  readonly kind: LoadError;
  readonly detail: string;
  readonly wasInFlight: boolean;
}

export interface LoadRequest {
  readonly target: BenchTarget;
  readonly method: string;
  readonly headers: HeaderList;
  readonly body: Uint8Array;
}

/** The request's bytes, made once for the whole run. */
export function requestBytes(request: LoadRequest): Buffer {
  let head = `${request.method} ${request.target.path} HTTP/1.1\r\n`;
  head += `host: ${request.target.authority}\r\n`;
  for (let index = 0; index < request.headers.length; index += 2) {
    head += `${request.headers[index]}: ${request.headers[index + 1]}\r\n`;
  }
  const needsLength = request.body.length > 0 || /^(POST|PUT|PATCH)$/.test(request.method);
  if (needsLength) head += `content-length: ${request.body.length}\r\n`;
  return Buffer.concat([Buffer.from(`${head}\r\n`, 'latin1'), request.body]);
}

/** Every connection reads into one buffer: a read is consumed before the next one begins. */
const readBuffer = Buffer.allocUnsafe(65_536);

/** Connects at once and again after every failure, until `stop`. */
export class LoadClient {
  /** For the caller: when the request in flight was due and sent. Units: ms of its clock. */
  dueMs = 0;
  sentMs = 0;
  readonly #target: BenchTarget;
  readonly #method: string;
  readonly #bytes: Buffer;
  readonly #events: LoadClientEvents;
  readonly #parser: () => ResponseParser;
  #current: ResponseParser;
  #socket: Socket | null = null;
  #reconnect: NodeJS.Timeout | null = null;
  #isBusy = false;
  #isStopped = false;
  #mustReconnect = false;

  constructor(request: LoadRequest, bytes: Buffer, events: LoadClientEvents) {
    this.#target = request.target;
    this.#method = request.method;
    this.#bytes = bytes;
    this.#events = events;
    this.#parser = () => new ResponseParser((summary) => this.#answered(summary));
    this.#current = this.#parser();
    this.#open();
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Sends the request. Only when `onFree` was called and nothing was sent since. */
  send(): void {
    this.#isBusy = true;
    this.#current.expect(this.#method);
    this.#socket!.write(this.#bytes);
  }

  /** Gives the request in flight up when it was sent too long ago. Units: ms of `sentMs`' clock. */
  checkTimeout(nowMs: number): void {
    if (!this.#isBusy || nowMs - this.sentMs < REQUEST_TIMEOUT_MS) return;
    this.#fail('timeout', `no answer within ${REQUEST_TIMEOUT_MS} ms`);
  }

  /** Closes for good; a request in flight is forgotten without an event. */
  stop(): void {
    this.#isStopped = true;
    if (this.#reconnect !== null) clearTimeout(this.#reconnect);
    this.#socket?.destroy();
    this.#socket = null;
  }

  #open(): void {
    this.#reconnect = null;
    this.#current = this.#parser();
    this.#mustReconnect = false;
    const socket = connect({
      host: this.#target.hostname,
      port: this.#target.port,
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (sizeBytes) => {
          this.#received(socket, sizeBytes);
          return true;
        },
      },
    });
    this.#socket = socket;
    let hasConnected = false;
    socket.on('connect', () => {
      hasConnected = true;
      if (this.#socket === socket) this.#events.onFree(this);
    });
    socket.on('error', (error: Error) => {
      if (this.#socket === socket) this.#fail(hasConnected ? 'closed' : 'connect', error.message);
    });
    socket.on('close', () => {
      if (this.#socket === socket) this.#closed();
    });
  }

  #received(socket: Socket, sizeBytes: number): void {
    if (this.#socket !== socket) return;
    try {
      this.#current.feed(readBuffer.subarray(0, sizeBytes));
    } catch (error) {
      if (!(error instanceof BadResponse)) throw error;
      this.#fail('bad-answer', error.message);
    }
  }

  #answered(summary: ResponseSummary): void {
    this.#isBusy = false;
    this.#mustReconnect = !summary.isReusable;
    this.#events.onAnswer(this, summary);
    if (this.#isStopped || this.#isBusy) return;
    if (this.#mustReconnect) this.#restart(0);
    else this.#events.onFree(this);
  }

  #closed(): void {
    if (this.#current.close()) return;
    if (this.#isBusy && this.#current.isInside) {
      this.#fail('short-answer', 'closed in the middle of an answer');
    } else if (this.#isBusy) {
      this.#fail('closed', 'closed before an answer');
    } else {
      this.#fail('closed', 'closed while idle');
    }
  }

  #fail(kind: LoadError, detail: string): void {
    const wasInFlight = this.#isBusy;
    this.#isBusy = false;
    this.#restart(RECONNECT_DELAY_MS);
    this.#events.onError(this, { kind, detail, wasInFlight });
  }

  #restart(delayMs: number): void {
    this.#socket?.destroy();
    this.#socket = null;
    if (this.#isStopped) return;
    this.#reconnect = setTimeout(() => this.#open(), delayMs);
  }
}
