// Folds what is durable into the page store and trims the log behind it, beside the commits: they
// go on meanwhile, and the engine keeps what it folds until the store has it.

import type { Clock } from '../core/index.ts';
import type { LogStore, Lsn, PageStore } from './contract.ts';
import type { DatabaseEvent, DatabaseLimits } from './database-options.ts';
import type { Engine, Snapshot } from './engine/index.ts';

export interface CheckpointerOptions {
  readonly engine: Engine;
  readonly pages: PageStore;
  readonly clock: Clock;
  readonly limits: DatabaseLimits;
  /** The log that is to be trimmed; null while there is none. */
  readonly log: () => LogStore | null;
  /** The newest durable state, pinned by its owner. */
  readonly durable: () => Snapshot;
  readonly report: (event: DatabaseEvent) => void;
}

export class Checkpointer {
  readonly #options: CheckpointerOptions;
  #running: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #foldedAtMs: number;
  #failedSizeBytes = 0;
  /** After the last trim. */
  #logSizeBytes = 0;
  count = 0;

  constructor(options: CheckpointerOptions) {
    this.#options = options;
    this.#foldedAtMs = options.clock.nowMs();
  }

  /** Looks whether it is time. Called for each durable group. Cost: some comparisons. */
  look(): void {
    if (this.#running !== null) return;
    const { engine, limits } = this.#options;
    const sizeBytes = engine.overlaySizeBytes - this.#failedSizeBytes;
    if (sizeBytes >= limits.foldSizeBytes || this.#isLogOver()) void this.#runQuietly();
    else if (this.#timer === null) this.#wait();
  }

  /** Hot rows change few pages and make a long log. One that stays over its bound, for a segment is
   *  as large as its largest group, is looked at again when it has grown. */
  #isLogOver(): boolean {
    const { log, limits } = this.#options;
    const sizeBytes = log()?.sizeBytes ?? 0;
    if (sizeBytes <= limits.logSizeBytesMax) return false;
    return sizeBytes - this.#logSizeBytes >= limits.logSizeBytesMax / 8;
  }

  /** Folds the newest durable state, after a fold that is under way. Errors: of the page store and
   *  of the log. */
  async run(): Promise<void> {
    while (this.#running !== null) await this.#running.catch(() => {});
    this.#running = this.#fold();
    try {
      await this.#running;
    } finally {
      this.#running = null;
      this.#foldedAtMs = this.#options.clock.nowMs();
    }
  }

  async close(): Promise<void> {
    this.#stopTimer();
    while (this.#running !== null) await this.#running.catch(() => {});
  }

  async #runQuietly(): Promise<void> {
    try {
      await this.run();
      this.#failedSizeBytes = 0;
    } catch (error) {
      // Not at once again: after as many changes more, or when the time has come.
      this.#failedSizeBytes = this.#options.engine.overlaySizeBytes;
      this.#options.report({ kind: 'checkpoint-failed', error });
    }
  }

  async #fold(): Promise<void> {
    this.#stopTimer();
    const { engine, pages, log, durable, limits, report } = this.#options;
    const formerLsn = pages.lsn;
    if (durable().lsn > formerLsn) {
      const snapshot = engine.repin(durable());
      const former = pages.pin(formerLsn);
      try {
        await pages.fold(snapshot.lsn, snapshot.pageCount, engine.changedPages(snapshot));
      } catch (error) {
        former.release();
        engine.unpin(snapshot);
        throw error;
      }
      engine.advance(snapshot, () => former.release());
      engine.unpin(snapshot);
      this.count++;
      report({ kind: 'checkpoint', lsn: snapshot.lsn });
    }
    const foldedLsn: Lsn = pages.lsn;
    const bound = { sizeBytesMax: limits.logSizeBytesMax, toLsn: foldedLsn };
    await log()?.trim(Math.min(pages.retainedLsn ?? foldedLsn, foldedLsn), bound);
    this.#logSizeBytes = log()?.sizeBytes ?? 0;
  }

  #wait(): void {
    const { clock, limits } = this.#options;
    const pauseMs = this.#foldedAtMs + limits.foldIntervalMs - clock.nowMs();
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        if (this.#running === null) void this.#runQuietly();
      },
      Math.max(1, pauseMs),
    );
    this.#timer.unref();
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
