// All sessions of one database: streams over HTTP by their batons, connections of WebSockets, and
// the queue for the writer. Nothing here blocks but the statements themselves.

import type { Clock } from '../../core/index.ts';
import { Batons } from './batons.ts';
import { HranaError } from './hrana-error.ts';
import { type HttpReply, type HttpRequest, HttpSessions } from './http-sessions.ts';
import { type SessionLimits, STREAM_IDLE_MS_MIN } from './limits.ts';
import type { SessionDatabase } from './session-database.ts';
import type { SessionHost } from './session-host.ts';
import { SocketSession, type SocketSessionOptions } from './socket-session.ts';
import type { SqlStream } from './sql-stream.ts';
import { WriterQueue } from './writer-queue.ts';

export interface SessionsOptions {
  readonly database: SessionDatabase;
  readonly clock: Clock;
  readonly limits: SessionLimits;
}

export class Sessions implements SessionHost {
  readonly database: SessionDatabase;
  readonly clock: Clock;
  readonly limits: SessionLimits;
  readonly queue: WriterQueue;
  readonly #http: HttpSessions;
  readonly #streams = new Set<SqlStream>();
  readonly #sockets = new Set<SocketSession>();

  constructor({ database, clock, limits }: SessionsOptions) {
    this.database = database;
    this.clock = clock;
    this.limits = limits;
    const isWriterFree = () => database.isWriterFree;
    this.queue = new WriterQueue({ clock, limits, isWriterFree });
    this.#http = new HttpSessions(this, new Batons());
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  get socketCount(): number {
    return this.#sockets.size;
  }

  /** Answers a request over HTTP, once. */
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

  /** Everything is rolled back and nobody is answered any more. */
  close(): void {
    this.queue.close();
    for (const socket of [...this.#sockets]) socket.close();
    for (const stream of [...this.#streams]) stream.abandon();
  }

  // --- for the streams --------------------------------------------------------------------------

  /** Errors: STREAM_LIMIT. */
  admit(stream: SqlStream): void {
    const most = this.limits.streamsCountMax;
    if (this.#streams.size >= most && !this.#http.expireOne(STREAM_IDLE_MS_MIN)) {
      const message = `${most} streams of the database are open, the limit`;
      throw new HranaError('STREAM_LIMIT', message);
    }
    this.#streams.add(stream);
  }

  waitForWriter(stream: SqlStream): HranaError | null {
    return this.queue.add(stream);
  }

  ranOn(stream: SqlStream): void {
    if (stream.isClosed) this.#streams.delete(stream);
    this.queue.ran(stream);
  }

  left(stream: SqlStream): void {
    this.#streams.delete(stream);
    this.queue.remove(stream);
  }

  freeConnection(): boolean {
    for (const stream of this.#streams) {
      if (stream.giveBack()) return true;
    }
    return false;
  }
}
