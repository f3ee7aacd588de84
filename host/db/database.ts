// One database: an engine whose commits go to a log in groups and from there to a page store.
// Whoever answers a client holds the reply until the state it shows is durable; when the log fails,
// what was not durable never happened, and everybody is told so.
//
//   opening ──► open ──log failed──► reopening ──► open
//                 └────── close() ──────┴──► closed
//
// While it is reopening, what is durable is read as before, and nobody becomes the writer.

import { GatewayError, isGatewayError } from '../core/index.ts';
import { abortOldReaders, Checkpointer } from './checkpointer.ts';
import type { LogStore, Lsn } from './contract.ts';
import {
  DATABASE_LIMITS,
  type DatabaseEvent,
  type DatabaseLimits,
  type DatabaseOptions,
  REOPEN_MS_MAX,
  REOPEN_MS_MIN,
} from './database-options.ts';
import { DurabilityGate, type DurableCallback } from './durability-gate.ts';
import {
  type Access,
  type Connection,
  Engine,
  type SessionCounters,
  type Snapshot,
} from './engine/index.ts';
import { GroupCommit } from './group-commit.ts';
import { SqlError } from './sql-error.ts';
import { type WriterCallback, WriterQueue } from './writer-queue.ts';

export type DatabaseState = 'open' | 'reopening' | 'closed';

export interface DatabaseStats {
  readonly state: DatabaseState;
  readonly lsn: Lsn;
  readonly durableLsn: Lsn;
  readonly foldedLsn: Lsn;
  readonly pageCount: number;
  readonly groupsCount: number;
  readonly checkpointsCount: number;
  readonly overlaySizeBytes: number;
  readonly heapSizeBytes: number;
  readonly connectionsCount: number;
  readonly writersWaitingCount: number;
  readonly repliesWaitingCount: number;
}

/** A database as sessions and operators use it, whether it takes writes or follows another one. */
export type ServedDatabase = Pick<
  Database,
  | 'connect'
  | 'durableLsn'
  | 'whenDurable'
  | 'whenWriterFree'
  | 'stopWaiting'
  | 'checkpoint'
  | 'log'
  | 'stats'
  | 'close'
>;

export class Database {
  readonly limits: DatabaseLimits;
  readonly #options: DatabaseOptions;
  readonly #engine: Engine;
  readonly #commits: GroupCommit;
  readonly #gate: DurabilityGate;
  readonly #writers: WriterQueue;
  readonly #checkpointer: Checkpointer;
  #log: LogStore | null = null;
  #durable: Snapshot;
  #state: DatabaseState = 'reopening';
  /** Why it is not open; empty where it is. */
  #fault = '';
  #reopening: Promise<void> | null = null;
  #wakeReopening: (() => void) | null = null;

  private constructor(options: DatabaseOptions) {
    const { clock, codec, pages } = options;
    this.#options = options;
    this.limits = { ...DATABASE_LIMITS, ...options.limits };
    this.#commits = new GroupCommit({
      clock,
      overlaySizeBytesMax: this.limits.overlaySizeBytesMax,
      encoders: [codec.newEncoder(), codec.newEncoder()],
      onDurable: (snapshot) => this.#becameDurable(snapshot),
      onFailed: (error) => this.#logFailed(error),
    });
    this.#engine = new Engine({
      module: options.module,
      source: pages,
      sink: this.#commits,
      clock,
      limits: options.engineLimits ?? {},
      cancel: options.cancel ?? null,
      refuseWrites: () => this.#refusalOfWrites(),
      onWriterFree: () => this.#writers.onWriterFree(),
    });
    this.#durable = this.#engine.pin();
    this.#gate = new DurabilityGate(this.#engine.lsn);
    this.#writers = new WriterQueue(this.#engine, clock, this.limits);
    this.#checkpointer = new Checkpointer({
      engine: this.#engine,
      pages,
      clock,
      limits: this.limits,
      log: () => this.#log,
      durable: () => this.#durable,
      report: (event) => this.#report(event),
      ...(options.trimLsn === undefined ? {} : { trimLsn: options.trimLsn }),
    });
  }

  /** Opens a database: the page store's state, and the log's commits after it. Errors: those of the
   *  log and of the page store. Cost: O(commits since the last checkpoint). */
  static async open(options: DatabaseOptions): Promise<Database> {
    const database = new Database(options);
    try {
      await database.#openLog();
    } catch (error) {
      database.#engine.close();
      throw error;
    }
    return database;
  }

  /** Lends a connection; one that is lent while the log is opened again reads what is durable, and
   *  its writes throw DB_LOST. Errors: SqlError: DB_LOST where the database is closed, DB_LIMIT
   *  where too many are lent. */
  connect(access: Access, counters?: SessionCounters): Connection {
    if (this.#state === 'closed') throw lost('the database is closed');
    return this.#engine.connect(access, counters);
  }

  /** Calls back when a state is durable: before that, no reply may leave that depends on it. At
   *  once where it is. With an error when it never will be: the reply is then that error. */
  whenDurable(lsn: Lsn, done: DurableCallback): void {
    this.#gate.wait(lsn, done);
  }

  get isWriterFree(): boolean {
    return this.#engine.isWriterFree;
  }

  get durableLsn(): Lsn {
    return this.#gate.durableLsn;
  }

  /** Waits for the writer after a DB_BUSY; see WriterQueue. Errors: TRANSACTION_BUSY, thrown at
   *  once where too many wait. */
  whenWriterFree(connection: Connection, done: WriterCallback): void {
    this.#writers.wait(connection, done);
  }

  /** The connection does not wait for the writer any more, because its client has gone. */
  stopWaiting(connection: Connection): void {
    this.#writers.forget(connection);
  }

  /** Folds what is durable and trims the log. Errors: of the page store and of the log. */
  async checkpoint(): Promise<void> {
    await this.#checkpointer.run();
  }

  /** The log, to read what is durable: not to be written. Errors: SqlError DB_LOST while the
   *  database is not open. */
  get log(): LogStore {
    if (this.#log === null) throw lost(`the database is ${this.#state}`);
    return this.#log;
  }

  get stats(): DatabaseStats {
    return {
      state: this.#state,
      lsn: this.#engine.lsn,
      durableLsn: this.#gate.durableLsn,
      foldedLsn: this.#options.pages.lsn,
      pageCount: this.#engine.pageCount,
      groupsCount: this.#commits.groupsCount,
      checkpointsCount: this.#checkpointer.count,
      overlaySizeBytes: this.#engine.overlaySizeBytes,
      heapSizeBytes: this.#engine.heapSizeBytes,
      connectionsCount: this.#engine.lentCount,
      writersWaitingCount: this.#writers.waitingCount,
      repliesWaitingCount: this.#gate.waitingCount,
    };
  }

  /** Makes what is committed durable, folds it and closes everything. Lent connections are lost.
   *  Errors: of the page store and of the log; it is closed all the same. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    const wasOpen = this.#state === 'open';
    this.#state = 'closed';
    this.#wakeReopening?.();
    this.#writers.fail(lost('the database closes'));
    this.#engine.closeConnections();
    await this.#commits.quiet();
    this.#commits.stop(lost('the database is closed'));
    this.#gate.fail(lost('the database is closed'));
    await this.#reopening;
    try {
      await this.#checkpointer.close();
      if (wasOpen && this.#log !== null) await this.#checkpointer.run();
    } finally {
      const log = this.#log;
      this.#log = null;
      this.#engine.close();
      await log?.close();
      const { pages, closePages } = this.#options;
      await (closePages === undefined ? pages.close() : closePages());
    }
  }

  #becameDurable(snapshot: Snapshot): void {
    const former = this.#durable;
    this.#durable = snapshot;
    this.#engine.unpin(former);
    this.#gate.advance(snapshot.lsn);
    this.#checkpointer.look();
  }

  /** Everything that is not durable is taken back: nobody has been told of it. */
  #logFailed(error: unknown): void {
    if (this.#state !== 'open') return;
    this.#state = 'reopening';
    const failed = this.#log;
    this.#log = null;
    this.#report({ kind: 'log-failed', durableLsn: this.#durable.lsn, error });
    this.#fault = `, for its log has failed${codeOf(error)}`;
    const unknown = 'what was not acknowledged may be there or not';
    const refusal = lost(`the log has failed${codeOf(error)}: ${unknown}`, error);
    this.#commits.stop(refusal);
    this.#engine.dropTo(this.#durable);
    this.#writers.fail(refusal);
    this.#gate.fail(refusal);
    this.#reopening = this.#reopen(failed).finally(() => {
      this.#reopening = null;
    });
  }

  async #reopen(failed: LogStore | null): Promise<void> {
    await failed?.close().catch(() => {});
    for (let pauseMs = REOPEN_MS_MIN; this.#state === 'reopening'; ) {
      try {
        await this.#openLog();
        this.#fault = '';
        this.#report({ kind: 'log-reopened', durableLsn: this.#durable.lsn });
      } catch (error) {
        this.#fault = `, for its log cannot be opened${codeOf(error)}`;
        this.#report({ kind: 'reopen-failed', error });
        await this.#pause(pauseMs);
        pauseMs = Math.min(2 * pauseMs, REOPEN_MS_MAX);
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wakeReopening = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wakeReopening = null;
  }

  /** Takes from the log what the engine does not have, and begins to write to it. The log may hold
   *  more than was known to be durable: a group whose sync was not answered. */
  async #openLog(): Promise<void> {
    const log = await this.#options.openLog(this.#durable.lsn);
    try {
      const replay = this.#options.codec.newReplay(this.#engine);
      if (log.nextLsn <= this.#durable.lsn) throw endsEarly(log, this.#durable.lsn);
      if (log.nextLsn > this.#durable.lsn + 1) {
        for await (const group of log.read(this.#durable.lsn + 1)) {
          replay.group(group, this.#engine.lsn);
          this.#replayed();
          await this.#foldWhileReplaying();
        }
      }
    } catch (error) {
      await log.close().catch(() => {});
      throw error;
    }
    if (this.#state === 'closed') return log.close();
    this.#log = log;
    this.#commits.start(this.#engine, log);
    this.#state = 'open';
    this.#gate.advance(this.#engine.lsn);
    this.#checkpointer.look();
  }

  #replayed(): void {
    const former = this.#durable;
    this.#durable = this.#engine.pin();
    this.#engine.unpin(former);
  }

  /** A long log does not have to fit the memory. */
  async #foldWhileReplaying(): Promise<void> {
    if (this.#engine.overlaySizeBytes >= this.limits.foldSizeBytes) await this.#checkpointer.run();
  }

  /** A writer that began before the log is open would not have what is replayed from it. */
  #refusalOfWrites(): SqlError | null {
    if (this.#state === 'open') return this.#options.refuseWrites?.() ?? null;
    return lost(`the database takes no writes now${this.#fault}`);
  }

  #report(event: DatabaseEvent): void {
    if (event.kind === 'checkpoint') abortOldReaders(this.#engine, event.lsn, this.limits);
    this.#options.report?.(event);
  }
}

function lost(message: string, cause?: unknown): SqlError {
  return new SqlError({ code: 'DB_LOST', sqlCode: 'SQLITE_IOERR', message, cause });
}

/** Clients get the code, and the log of the gateway the path. */
function codeOf(error: unknown): string {
  return isGatewayError(error) ? ` (${error.code})` : '';
}

function endsEarly(log: LogStore, durableLsn: Lsn): GatewayError {
  const detail = `the log's next commit is ${log.nextLsn}, ${durableLsn} is durable`;
  return new GatewayError('GW_INTERNAL', detail);
}
