// Commits become durable in groups: one collects while the other is being synced, so that a sync
// is shared by whoever committed during the one before it.
//
//   commit ─► collecting ──seal──► syncing ──log.append──► durable
//                 ▲                   │
//                 └────── cleared ◄───┘        the two encoders take turns

import type { Clock } from '../core/index.ts';
import type { CommitRecord, CommitSink, LogStore } from './contract.ts';
import type { GroupEncoder } from './database-options.ts';
import type { Engine, Snapshot } from './engine/index.ts';
import { SqlError } from './sql-error.ts';

export interface GroupCommitOptions {
  readonly clock: Clock;
  /** Above, commits are refused: the page store has not caught up. */
  readonly overlaySizeBytesMax: number;
  readonly encoders: readonly [GroupEncoder, GroupEncoder];
  /** The state that has just become durable; pinned, and the receiver's from now on. */
  readonly onDurable: (snapshot: Snapshot) => void;
  readonly onFailed: (error: unknown) => void;
}

export class GroupCommit implements CommitSink {
  readonly #options: GroupCommitOptions;
  #collecting: GroupEncoder;
  #resting: GroupEncoder;
  #engine: Engine | null = null;
  #log: LogStore | null = null;
  #isSyncing = false;
  #isSealDue = false;
  #refusal: SqlError | null = null;
  /** Called when the last sync has ended. */
  #onQuiet: (() => void) | null = null;
  groupsCount = 0;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
    [this.#collecting, this.#resting] = options.encoders;
  }

  /** Begins to take the engine's commits for a log that stands at the engine's LSN. */
  start(engine: Engine, log: LogStore): void {
    this.#engine = engine;
    this.#log = log;
    this.#refusal = null;
    for (const encoder of this.#options.encoders) encoder.clear();
  }

  /** Takes no commits any more, with this error; a sync that is under way goes on, unheard. */
  stop(refusal: SqlError): void {
    this.#refusal = refusal;
    this.#log = null;
  }

  commit(record: CommitRecord): void {
    if (this.#refusal !== null) throw this.#refusal;
    if (this.#log === null) throw notStarted();
    if (this.#collecting.isFull) throw behind('log');
    if (this.#engine!.overlaySizeBytes > this.#options.overlaySizeBytesMax) {
      throw behind('page store');
    }
    this.#collecting.add(record);
    if (this.#isSyncing || this.#isSealDue) return;
    this.#isSealDue = true;
    // What else arrived in this turn of the event loop shares the sync.
    setImmediate(() => this.#seal());
  }

  /** Resolves when no sync is under way and nothing is collected. */
  async quiet(): Promise<void> {
    if (!this.#isSyncing && !this.#isSealDue) return;
    await new Promise<void>((resolve) => {
      this.#onQuiet = resolve;
    });
  }

  #seal(): void {
    this.#isSealDue = false;
    const log = this.#log;
    const encoded = log === null ? null : this.#collecting.encoded();
    if (log === null || encoded === null) {
      this.#onQuiet?.();
      return;
    }
    const syncing = this.#collecting;
    this.#collecting = this.#resting;
    this.#resting = syncing;
    this.#isSyncing = true;
    this.groupsCount++;
    const snapshot = this.#engine!.pin();
    const group = {
      ...encoded,
      epoch: log.epoch,
      sealedAtMs: Math.floor(this.#options.clock.wallMs()),
    };
    log.append(encoded.firstLsn, group).then(
      () => this.#synced(log, snapshot),
      (error) => this.#failed(log, snapshot, error),
    );
  }

  #synced(log: LogStore, snapshot: Snapshot): void {
    this.#isSyncing = false;
    // Stopped meanwhile: whoever stopped it looks into the log for what is durable.
    if (log !== this.#log) {
      this.#leave(snapshot);
      return;
    }
    this.#resting.clear();
    this.#options.onDurable(snapshot);
    if (!this.#isSealDue) this.#seal();
  }

  #failed(log: LogStore, snapshot: Snapshot, error: unknown): void {
    this.#isSyncing = false;
    const isCurrent = log === this.#log;
    this.#leave(snapshot);
    if (isCurrent) this.#options.onFailed(error);
  }

  #leave(snapshot: Snapshot): void {
    this.#engine!.unpin(snapshot);
    this.#onQuiet?.();
  }
}

function behind(what: string): SqlError {
  const message = `the ${what} has not caught up with the commits before this one`;
  return new SqlError({ code: 'DB_LIMIT', sqlCode: 'SQLITE_BUSY', message });
}

function notStarted(): SqlError {
  const message = 'the database is not open';
  return new SqlError({ code: 'DB_LOST', sqlCode: 'SQLITE_IOERR', message });
}
