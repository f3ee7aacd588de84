// Hrana over a WebSocket: one connection with its streams, stored texts and cursors. Requests of
// one stream run in order, those of different streams as they come; what violates the protocol
// closes the connection. Source: Hrana 3 specification, "Hrana over WebSocket".

import type { Answers } from './execute-job.ts';
import { faultOf, HranaError, type HranaFault, isHranaError } from './hrana-error.ts';
import { decodeSocketJson } from './json-decode.ts';
import * as limits from './limits.ts';
import { decodeSocketProtobuf } from './protobuf-decode.ts';
import { type ReplyWriter, recycle, replyWriter } from './reply-writer.ts';
import type { Encoding, SocketMessage, SocketRequest } from './requests.ts';
import type { Access } from './session-database.ts';
import type { Sessions } from './sessions.ts';
import { SocketRequests } from './socket-requests.ts';

export type SocketVersion = 1 | 2 | 3;

export interface SocketSessionOptions {
  readonly version: SocketVersion;
  readonly encoding: Encoding;
  /** What the token of a hello allows. Errors: HranaError AUTH_*. */
  readonly authenticate: (jwt: string | null) => Access | Promise<Access>;
  /** `message` is valid during the call. */
  readonly send: (message: Uint8Array) => void;
  /** Closes the connection, behind what was sent. */
  readonly end: (code: number, reason: string) => void;
}

const PROTOCOL_VIOLATION = 1002;
const NORMAL = 1000;
const WRONG_KIND = 1003;
const TRY_LATER = 1013;

/** Requests that came with version 2, and with 3. */
const SINCE_2 = new Set<SocketRequest['type']>(['sequence', 'describe', 'store_sql', 'close_sql']);
const SINCE_3 = new Set<SocketRequest['type']>([
  'open_cursor',
  'fetch_cursor',
  'close_cursor',
  'get_autocommit',
]);

export class SocketSession {
  readonly #options: SocketSessionOptions;
  readonly #requests: SocketRequests;
  readonly #onClosed: () => void;
  #access: Access | null = null;
  /** Messages that wait: for a token to be checked, or for the client to read. */
  #held: Uint8Array[] = [];
  #heldSizeBytes = 0;
  #isChecking = false;
  #isPaused = false;
  #isClosed = false;
  #openCount = 0;
  /** Of long messages that are not answered. */
  #openSizeBytes = 0;
  readonly #answers: Answers;

  constructor(sessions: Sessions, options: SocketSessionOptions, onClosed: () => void) {
    this.#options = options;
    this.#onClosed = onClosed;
    this.#answers = this.#answersOf(0);
    this.#requests = new SocketRequests(sessions, options.encoding);
  }

  /** Takes a message of the client; the bytes are the session's. */
  message(bytes: Uint8Array, kind: 'text' | 'binary'): void {
    if (this.#isClosed) return;
    if ((kind === 'text') !== (this.#options.encoding === 'json')) {
      this.#end(WRONG_KIND, `expected messages of ${this.#options.encoding}, found ${kind}`);
      return;
    }
    if (!this.#isChecking && !this.#isPaused) {
      this.#take(bytes);
      return;
    }
    if (this.#held.length >= limits.SOCKET_REQUESTS_COUNT_MAX) {
      this.#end(TRY_LATER, `${this.#held.length} messages wait, the limit`);
      return;
    }
    this.#heldSizeBytes += bytes.length;
    if (this.#heldSizeBytes > limits.SOCKET_WAITING_SIZE_BYTES_MAX) {
      this.#end(TRY_LATER, `messages of ${this.#heldSizeBytes} bytes wait, above the limit`);
      return;
    }
    this.#held.push(bytes);
  }

  /** The client reads too slowly: what comes has to wait. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#takeHeld();
  }

  /** The connection is gone: all its streams are rolled back and closed. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#held = [];
    this.#requests.close();
    this.#onClosed();
  }

  /** Ends the connection because its database closes: the client connects again. */
  leave(): void {
    this.#end(TRY_LATER, 'the database closes');
  }

  #takeHeld(): void {
    while (this.#held.length > 0 && !this.#isChecking && !this.#isPaused) {
      const bytes = this.#held.shift()!;
      this.#heldSizeBytes -= bytes.length;
      this.#take(bytes);
    }
  }

  #take(bytes: Uint8Array): void {
    let message: SocketMessage;
    try {
      message = this.#decode(bytes);
    } catch (error) {
      if (!isHranaError(error)) throw error;
      this.#end(PROTOCOL_VIOLATION, error.message);
      return;
    }
    if (message.type === 'hello') this.#hello(message.jwt);
    else if (this.#access === null) this.#end(PROTOCOL_VIOLATION, 'expected a hello first');
    else this.#request(message.requestId, message.request, this.#access, bytes.length);
  }

  #decode(bytes: Uint8Array): SocketMessage {
    return this.#options.encoding === 'json'
      ? decodeSocketJson(bytes)
      : decodeSocketProtobuf(bytes);
  }

  #hello(jwt: string | null): void {
    if (this.#access !== null && this.#options.version === 1) {
      this.#end(PROTOCOL_VIOLATION, 'version 1 has one hello');
      return;
    }
    let allowed: Access | Promise<Access>;
    try {
      allowed = this.#options.authenticate(jwt);
    } catch (error) {
      this.#refuseHello(faultOf(error));
      return;
    }
    if (typeof allowed === 'string') {
      this.#welcome(allowed);
      return;
    }
    this.#isChecking = true;
    allowed.then(
      (access) => {
        this.#isChecking = false;
        if (this.#isClosed) return;
        this.#welcome(access);
        this.#takeHeld();
      },
      (error) => {
        if (!this.#isClosed) this.#refuseHello(faultOf(error));
      },
    );
  }

  #welcome(access: Access): void {
    this.#access = access;
    const writer = replyWriter(this.#options.encoding);
    writer.helloOk();
    this.#options.send(writer.take());
  }

  #refuseHello(fault: HranaFault): void {
    const writer = replyWriter(this.#options.encoding);
    writer.helloError(fault);
    this.#options.send(writer.take());
    this.#end(NORMAL, 'the hello was refused');
  }

  #request(requestId: number, request: SocketRequest, access: Access, sizeBytes: number): void {
    this.#openCount += 1;
    const isLarge = sizeBytes > limits.SOCKET_LARGE_SIZE_BYTES;
    const answers = isLarge ? this.#answersOf(sizeBytes) : this.#answers;
    if (isLarge) this.#openSizeBytes += sizeBytes;
    try {
      if (this.#openSizeBytes > limits.SOCKET_WAITING_SIZE_BYTES_MAX) {
        const most = limits.SOCKET_WAITING_SIZE_BYTES_MAX;
        throw new HranaError('BLOCKED', `requests of more than ${most} bytes wait, the limit`);
      }
      if (this.#openCount > limits.SOCKET_REQUESTS_COUNT_MAX) {
        const most = limits.SOCKET_REQUESTS_COUNT_MAX;
        throw new HranaError('BLOCKED', `${most} requests of the connection wait, the limit`);
      }
      const { version } = this.#options;
      const needed = SINCE_3.has(request.type) ? 3 : SINCE_2.has(request.type) ? 2 : 1;
      if (version < needed) {
        const message = `${request.type} came with version ${needed}, this is version ${version}`;
        throw new HranaError('PROTOCOL_ERROR', message);
      }
      this.#requests.take(requestId, request, access, answers);
    } catch (error) {
      answers.fail(requestId, faultOf(error));
    }
  }

  /** Where the answer to a long request of that many bytes goes; 0 for a short one. */
  #answersOf(sizeBytes: number): Answers {
    return {
      encoding: this.#options.encoding,
      reply: (writer) => {
        this.#openSizeBytes -= sizeBytes;
        this.#reply(writer);
      },
      fail: (requestId, fault) => {
        this.#openSizeBytes -= sizeBytes;
        this.#fail(requestId, fault);
      },
    };
  }

  #reply(writer: ReplyWriter): void {
    this.#openCount -= 1;
    if (!this.#isClosed) this.#options.send(writer.take());
    recycle(writer);
  }

  #fail(requestId: number, fault: HranaFault): void {
    const writer = replyWriter(this.#options.encoding);
    writer.socketError(requestId, fault);
    this.#reply(writer);
  }

  #end(code: number, reason: string): void {
    this.#options.end(code, reason);
    this.close();
  }
}
