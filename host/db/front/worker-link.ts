// An io worker's end of the way to one db worker: what is asked, what is outstanding, and what
// becomes of it when the db worker dies. Bounded: when it is full, the answer is no, at once.

import type { MessagePort } from 'node:worker_threads';
import type { HttpReply } from '../hrana/index.ts';
import {
  BatchedPort,
  CREDIT_UNIT_BYTES,
  FRAME_CLOSED,
  FRAME_CREDIT,
  FRAME_END,
  FRAME_MESSAGE,
  FRAME_OPEN,
  FRAME_REPLICATION,
  FRAME_REPLY,
  FRAME_REQUEST,
  FRAME_SEND,
  FRAME_TAKEN,
  type Frame,
  type OpenFlags,
  openFlags,
  type RequestFlags,
  readReplyFlags,
  requestFlags,
} from '../link/index.ts';

export interface RemoteReply extends HttpReply {
  readonly encoding: 'json' | 'protobuf';
}

/** What a WebSocket hears of its database. */
export interface SocketEar {
  send(message: Uint8Array): void;
  end(code: number, reason: string): void;
}

/** Requests over HTTP that are not answered, of one io worker with one db worker. */
const REQUESTS_COUNT_MAX = 4_096;
/** Their bodies together. */
const REQUESTS_SIZE_BYTES_MAX = 134_217_728;
const SOCKETS_COUNT_MAX = 16_384;
/** Messages of one WebSocket that the db worker has not taken yet: while a statement runs, it takes
 *  none, and uWS cannot pause a client. Four of the largest. */
const SOCKET_SENT_SIZE_BYTES_MAX = 67_108_864;
const TRY_LATER = 1013;

interface Waiting {
  readonly sizeBytes: number;
  /** Null: the db worker is gone. */
  readonly done: (reply: RemoteReply | null) => void;
}

interface OpenSocket {
  readonly ear: SocketEar;
  untakenSizeBytes: number;
}

export class WorkerLink {
  readonly #port: BatchedPort;
  readonly #requests = new Map<number, Waiting>();
  readonly #sockets = new Map<number, OpenSocket>();
  #lastId = 0;
  #waitingSizeBytes = 0;
  #isOpen = true;

  constructor(port: MessagePort) {
    this.#port = new BatchedPort(
      port,
      (frame) => this.#take(frame),
      () => this.#lost(),
    );
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get outstandingCount(): number {
    return this.#requests.size;
  }

  /** False: there is no room for it, and it will not be answered. */
  request(
    flags: RequestFlags,
    database: string,
    body: Uint8Array,
    done: (reply: RemoteReply | null) => void,
  ): boolean {
    if (!this.#isOpen || this.#requests.size >= REQUESTS_COUNT_MAX) return false;
    if (this.#waitingSizeBytes + body.length > REQUESTS_SIZE_BYTES_MAX) return false;
    this.#ask(FRAME_REQUEST, requestFlags(flags), { database, body, done });
    return true;
  }

  /** A follower's question, by its place in REPLICATION_ACTIONS. False: there is no room for it. */
  replication(
    action: number,
    database: string,
    body: Uint8Array,
    done: (reply: RemoteReply | null) => void,
  ): boolean {
    if (!this.#isOpen || this.#requests.size >= REQUESTS_COUNT_MAX) return false;
    this.#ask(FRAME_REPLICATION, action, { database, body, done });
    return true;
  }

  #ask(
    kind: number,
    flags: number,
    ask: {
      readonly database: string;
      readonly body: Uint8Array;
      readonly done: (reply: RemoteReply | null) => void;
    },
  ): void {
    const { database, body, done } = ask;
    const id = this.#nextId();
    this.#requests.set(id, { sizeBytes: body.length, done });
    this.#waitingSizeBytes += body.length;
    const name = Buffer.from(database, 'latin1');
    this.#port.send({ kind, flags, extra: name.length, id }, name, body);
  }

  /** The id of the connection; 0 where there is no room for it. */
  open(flags: OpenFlags, database: string, ear: SocketEar): number {
    if (!this.#isOpen || this.#sockets.size >= SOCKETS_COUNT_MAX) return 0;
    const id = this.#nextId();
    this.#sockets.set(id, { ear, untakenSizeBytes: 0 });
    const name = Buffer.from(database, 'latin1');
    this.#port.send({ kind: FRAME_OPEN, flags: openFlags(flags), extra: name.length, id }, name);
    return id;
  }

  message(id: number, bytes: Uint8Array, kind: 'text' | 'binary'): void {
    const socket = this.#sockets.get(id);
    if (socket === undefined) return;
    socket.untakenSizeBytes += bytes.length;
    if (socket.untakenSizeBytes > SOCKET_SENT_SIZE_BYTES_MAX) {
      this.closed(id);
      socket.ear.end(TRY_LATER, `more than ${SOCKET_SENT_SIZE_BYTES_MAX} bytes wait, the limit`);
      return;
    }
    const flags = kind === 'binary' ? 1 : 0;
    this.#port.send({ kind: FRAME_MESSAGE, flags, extra: 0, id }, bytes);
  }

  /** The client has read that many units, of CREDIT_UNIT_BYTES each. */
  credit(id: number, units: number): void {
    this.#port.send({ kind: FRAME_CREDIT, flags: 0, extra: units, id });
  }

  closed(id: number): void {
    if (this.#sockets.delete(id)) {
      this.#port.send({ kind: FRAME_CLOSED, flags: 0, extra: 0, id });
    }
  }

  close(): void {
    this.#port.close();
    this.#lost();
  }

  #take({ kind, flags, extra, id, payload }: Frame): void {
    switch (kind) {
      case FRAME_REPLY: {
        const waiting = this.#requests.get(id);
        this.#requests.delete(id);
        if (waiting === undefined) return;
        this.#waitingSizeBytes -= waiting.sizeBytes;
        waiting.done({ status: extra, body: payload, ...readReplyFlags(flags) });
        return;
      }
      case FRAME_SEND:
        this.#sockets.get(id)?.ear.send(payload);
        return;
      case FRAME_TAKEN: {
        const socket = this.#sockets.get(id);
        if (socket !== undefined) socket.untakenSizeBytes -= extra * CREDIT_UNIT_BYTES;
        return;
      }
      case FRAME_END: {
        const socket = this.#sockets.get(id);
        this.#sockets.delete(id);
        socket?.ear.end(extra, Buffer.from(payload).toString('utf8'));
        return;
      }
    }
  }

  #lost(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    const requests = [...this.#requests.values()];
    const sockets = [...this.#sockets.values()];
    this.#requests.clear();
    this.#sockets.clear();
    for (const { done } of requests) done(null);
    for (const { ear } of sockets) ear.end(TRY_LATER, 'the database worker has ended');
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId + 1) >>> 0;
    while (
      this.#lastId === 0 ||
      this.#requests.has(this.#lastId) ||
      this.#sockets.has(this.#lastId)
    );
    return this.#lastId;
  }
}
