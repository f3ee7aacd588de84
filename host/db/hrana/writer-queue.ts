// Who waits for the writer of a database, first come, first served, and for how long. A transaction
// has its time counted only while somebody waits for it: alone, it may take as long as it likes.

import type { Clock } from '../../core/index.ts';
import { HranaError } from './hrana-error.ts';
import { QUEUE_WAIT_TRANSACTIONS, type SessionLimits } from './limits.ts';
import type { SqlStream } from './sql-stream.ts';

export interface WriterQueueOptions {
  readonly clock: Clock;
  readonly limits: SessionLimits;
  readonly isWriterFree: () => boolean;
}

export class WriterQueue {
  readonly #options: WriterQueueOptions;
  /** In order, each with when it came. */
  readonly #waiting = new Map<SqlStream, number>();
  #holder: SqlStream | null = null;
  /** Since when the holder is waited for. */
  #pressedSinceMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #isSettling = false;
  refusedCount = 0;
  timeoutCount = 0;

  constructor(options: WriterQueueOptions) {
    this.#options = options;
  }

  get length(): number {
    return this.#waiting.size;
  }

  /** Not null: why it may not wait. */
  add(stream: SqlStream): HranaError | null {
    const most = this.#options.limits.queueCountMax;
    if (this.#waiting.size >= most) {
      this.refusedCount += 1;
      const message = `${most} requests wait for the database's writer, the limit`;
      return new HranaError('TRANSACTION_BUSY', message);
    }
    const nowMs = this.#options.clock.nowMs();
    if (this.#waiting.size === 0) this.#pressedSinceMs = nowMs;
    this.#waiting.set(stream, nowMs);
    this.#watch(nowMs);
    return null;
  }

  remove(stream: SqlStream): void {
    this.#waiting.delete(stream);
    if (this.#holder === stream) this.#holder = null;
  }

  /** A stream has run: it may hold the writer now, or have given it up. */
  ran(stream: SqlStream): void {
    if (stream.isWriter && this.#holder !== stream) {
      this.#holder = stream;
      this.#pressedSinceMs = this.#options.clock.nowMs();
    } else if (!stream.isWriter && this.#holder === stream) this.#holder = null;
    this.#settle();
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#waiting.clear();
  }

  /** Lets those that wait run, until one of them keeps the writer. */
  #settle(): void {
    if (this.#isSettling) return;
    this.#isSettling = true;
    try {
      while (this.#waiting.size > 0 && this.#options.isWriterFree()) {
        const [stream] = this.#waiting.keys();
        this.#waiting.delete(stream!);
        stream!.resume();
      }
    } finally {
      this.#isSettling = false;
    }
    if (this.#waiting.size > 0) this.#watch(this.#options.clock.nowMs());
  }

  #watch(nowMs: number): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        this.#look();
      },
      Math.max(1, Math.min(this.#transactionEndMs(), this.#waitEndMs()) - nowMs),
    );
    this.#timer.unref();
  }

  #transactionEndMs(): number {
    if (this.#holder === null) return Number.POSITIVE_INFINITY;
    return this.#pressedSinceMs + this.#options.limits.transactionMsMax;
  }

  #waitEndMs(): number {
    const [sinceMs] = this.#waiting.values();
    if (sinceMs === undefined) return Number.POSITIVE_INFINITY;
    return sinceMs + this.#options.limits.transactionMsMax * QUEUE_WAIT_TRANSACTIONS;
  }

  #look(): void {
    if (this.#waiting.size === 0) return;
    const nowMs = this.#options.clock.nowMs();
    const holder = this.#holder;
    if (holder !== null && nowMs >= this.#transactionEndMs()) {
      this.#holder = null;
      this.timeoutCount += 1;
      const { transactionMsMax } = this.#options.limits;
      const message = `others waited for the transaction for ${transactionMsMax} ms, the limit`;
      holder.fail(new HranaError('TRANSACTION_TIMEOUT', message));
    }
    this.#settle();
    while (this.#waiting.size > 0 && nowMs >= this.#waitEndMs()) {
      const [stream] = this.#waiting.keys();
      this.#waiting.delete(stream!);
      this.refusedCount += 1;
      stream!.refuse(new HranaError('TRANSACTION_BUSY', 'the writer did not become free in time'));
    }
    if (this.#waiting.size > 0) this.#watch(nowMs);
  }
}
