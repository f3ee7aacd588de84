// All sessions of one database: streams over HTTP by their batons, and connections of WebSockets.
// Nothing here blocks but the statements themselves.

import type { Clock } from '../../core/index.ts';
import { Batons } from './batons.ts';
import { HranaError } from './hrana-error.ts';
import { type HttpReply, type HttpRequest, HttpSessions } from './http-sessions.ts';
import { type SessionLimits, STREAM_IDLE_MS_MIN } from './limits.ts';
import type { Access, SessionDatabase, SessionHost } from './session-database.ts';
import { SocketSession, type SocketSessionOptions } from './socket-session.ts';
import { SqlStream } from './sql-stream.ts';
import { Turn } from './turn.ts';

export interface SessionsOptions {
  readonly database: SessionDatabase;
  readonly clock: Clock;
  readonly limits: SessionLimits;
  /** Of the thread; without it, the sessions have one of their own. */
  readonly turn?: Turn;
  /** A statement begins. */
  readonly onStatement?: () => void;
}

export class Sessions implements SessionHost {
  readonly database: SessionDatabase;
  readonly clock: Clock;
  readonly limits: SessionLimits;
  readonly turn: Turn;
  /** Statements that were told that they cannot write now. */
  refusedCount = 0;
  readonly #onStatement: (() => void) | null;
  readonly #http: HttpSessions;
  readonly #streams = new Set<SqlStream>();
  readonly #sockets = new Set<SocketSession>();
  #isClosed = false;

  constructor({ database, clock, limits, turn, onStatement }: SessionsOptions) {
    this.database = database;
    this.clock = clock;
    this.limits = limits;
    this.turn = turn ?? new Turn();
    this.#onStatement = onStatement ?? null;
    this.#http = new HttpSessions(this, new Batons());
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  get socketCount(): number {
    return this.#sockets.size;
  }

  /** Answers a request over HTTP, once, unless everything is closed before. */
  request(request: HttpRequest, reply: (answer: HttpReply) => void): void {
    this.#http.take(request, reply);
  }

  openSocket(options: SocketSessionOptions): SocketSession {
    const socket = new SocketSession(this, options, () => this.#sockets.delete(socket));
    this.#sockets.add(socket);
    return socket;
  }

  /** Closes streams that have been idle for too long; to be called about once a second. */
  sweep(): void {
    this.#http.expire(this.limits.idleMsMax);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Everything that is open is rolled back, and what was not answered will not be. */
  close(): void {
    this.#isClosed = true;
    for (const socket of [...this.#sockets]) socket.leave();
    for (const stream of [...this.#streams]) stream.abandon();
  }

  /** Errors: STREAM_LIMIT. */
  openStream(access: Access): SqlStream {
    const most = this.limits.streamsCountMax;
    if (this.#streams.size >= most && !this.#http.expireOne(STREAM_IDLE_MS_MIN)) {
      const message = `${most} streams of the database are open, the limit`;
      throw new HranaError('STREAM_LIMIT', message);
    }
    const stream = new SqlStream(this, access);
    this.#streams.add(stream);
    return stream;
  }

  left(stream: SqlStream): void {
    this.#streams.delete(stream);
  }

  freeConnection(): boolean {
    for (const stream of this.#streams) {
      if (stream.giveBack()) return true;
    }
    return this.#http.expireOne(STREAM_IDLE_MS_MIN, 'connected');
  }

  refused(): void {
    this.refusedCount += 1;
  }

  begun(): void {
    this.#onStatement?.();
  }
}
