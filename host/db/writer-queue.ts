// Who waits for the one writer, in the order in which they came. The one that is next has the
// writer reserved, so that nobody who comes later can take it away. A transaction that holds it
// longer than its limit loses it, but only when somebody waits.

import type { Clock } from '../core/index.ts';
import type { DatabaseLimits } from './database-options.ts';
import type { Connection, Engine } from './engine/index.ts';
import { SqlError } from './sql-error.ts';

/** Called once: with null when the writer is reserved for the connection, which then runs its
 *  statement before it returns; with an error when it will not be. */
export type WriterCallback = (error: SqlError | null) => void;

interface Waiter {
  readonly connection: Connection;
  readonly done: WriterCallback;
  readonly untilMs: number;
}

export class WriterQueue {
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #limits: DatabaseLimits;
  #waiters: Waiter[] = [];
  #isGranting = false;
  #isGrantDue = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(engine: Engine, clock: Clock, limits: DatabaseLimits) {
    this.#engine = engine;
    this.#clock = clock;
    this.#limits = limits;
  }

  get waitingCount(): number {
    return this.#waiters.length;
  }

  /** Waits after a DB_BUSY. Errors, by throwing: TRANSACTION_BUSY where too many wait already. By
   *  the callback: SQLITE_BUSY after `writerWaitMsMax` or at `deadlineMs`, DB_LOST. */
  wait(connection: Connection, done: WriterCallback): void {
    const most = this.#limits.writersWaitingCountMax;
    if (this.#waiters.length >= most) {
      const message = `${most} statements wait to write, the limit`;
      throw new SqlError({ code: 'DB_LIMIT', sqlCode: 'TRANSACTION_BUSY', message });
    }
    const longestMs = this.#clock.nowMs() + this.#limits.writerWaitMsMax;
    const { deadlineMs } = connection;
    const untilMs = deadlineMs === 0 ? longestMs : Math.min(longestMs, deadlineMs);
    this.#waiters.push({ connection, done, untilMs });
    if (this.#engine.isWriterFree) this.onWriterFree();
    else this.#schedule();
  }

  /** A connection that is given up waits no more; its callback is not called. */
  forget(connection: Connection): void {
    this.#waiters = this.#waiters.filter((waiter) => waiter.connection !== connection);
    if (this.#isGranting) return;
    this.#engine.reserveWriter(null);
    if (this.#engine.isWriterFree) this.onWriterFree();
  }

  /** Called inside the statement that freed the writer: the next one has its turn after it. */
  onWriterFree(): void {
    const next = this.#waiters[0];
    if (next === undefined || this.#isGranting) return;
    this.#engine.reserveWriter(next.connection);
    if (this.#isGrantDue) return;
    this.#isGrantDue = true;
    queueMicrotask(() => this.#grant());
  }

  /** Nobody will get the writer. */
  fail(error: SqlError): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    this.#engine.reserveWriter(null);
    this.#stopTimer();
    for (const { done } of waiters) done(error);
  }

  #grant(): void {
    this.#isGrantDue = false;
    this.#isGranting = true;
    try {
      while (this.#waiters.length > 0 && this.#engine.isWriterFree) {
        const { connection, done } = this.#waiters.shift()!;
        this.#engine.reserveWriter(connection);
        done(null);
      }
    } finally {
      this.#isGranting = false;
      this.#engine.reserveWriter(null);
      this.#schedule();
    }
  }

  #schedule(): void {
    this.#stopTimer();
    if (this.#waiters.length === 0) return;
    const nowMs = this.#clock.nowMs();
    let nextMs = Math.min(...this.#waiters.map(({ untilMs }) => untilMs));
    const since = this.#engine.writer?.writerSinceMs ?? 0;
    if (since !== 0) nextMs = Math.min(nextMs, since + this.#limits.transactionMs);
    this.#timer = setTimeout(() => this.#look(), Math.max(1, nextMs - nowMs));
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Sends away who has waited too long, and takes the writer from who has kept it too long. */
  #look(): void {
    const nowMs = this.#clock.nowMs();
    const late = this.#waiters.filter(({ untilMs }) => untilMs <= nowMs);
    this.#waiters = this.#waiters.filter(({ untilMs }) => untilMs > nowMs);
    for (const { done } of late) {
      const message = 'database is locked: the wait for the writer was too long';
      done(new SqlError({ code: 'DB_LIMIT', sqlCode: 'SQLITE_BUSY', message }));
    }
    const holder = this.#engine.writer;
    const isLate =
      holder !== null &&
      holder.writerSinceMs !== 0 &&
      nowMs - holder.writerSinceMs >= this.#limits.transactionMs;
    if (isLate && this.#waiters.length > 0) holder.abort(transactionTimeout(this.#limits));
    this.#schedule();
  }
}

function transactionTimeout({ transactionMs }: DatabaseLimits): SqlError {
  const message = `the transaction kept others waiting for more than ${transactionMs} ms`;
  return new SqlError({ code: 'DB_LIMIT', sqlCode: 'TRANSACTION_TIMEOUT', message });
}
