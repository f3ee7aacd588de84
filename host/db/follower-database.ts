// A database that follows another one's log and serves reads of it. Each group is durable here
// before anybody reads it here, and it says how old what it shows may be.

import type { Clock } from '../core/index.ts';
import { abortOldReaders, Checkpointer } from './checkpointer.ts';
import type { LogGroup, Lsn, PageStore } from './contract.ts';
import type { DatabaseStats, ServedDatabase } from './database.ts';
import {
  type CommitCodec,
  DATABASE_LIMITS,
  type DatabaseEvent,
  type DatabaseLimits,
  type GroupReplay,
} from './database-options.ts';
import type { DurableCallback } from './durability-gate.ts';
import {
  type Access,
  type Connection,
  Engine,
  type EngineLimits,
  type SessionCounters,
  type Snapshot,
} from './engine/index.ts';
import { type FeedPosition, FollowerLog, type SegmentLog, type Xxh64 } from './log/index.ts';
import type { SqlError } from './sql-error.ts';

export interface FollowerDatabaseOptions {
  /** `compileSqlite`, once a process. */
  readonly module: WebAssembly.Module;
  readonly clock: Clock;
  readonly codec: CommitCodec;
  readonly xxh64: Xxh64;
  /** Both are its owner's, who closes them after the follower. */
  readonly pages: PageStore;
  readonly log: SegmentLog;
  readonly engineLimits?: Partial<EngineLimits>;
  readonly limits?: Partial<DatabaseLimits>;
  readonly report?: (event: DatabaseEvent) => void;
  /** What somebody is told who tries to write. */
  readonly refuseWrites?: () => SqlError | null;
  /** Up to where the log may be trimmed that is folded up to an LSN; without it, up to there. */
  readonly trimLsn?: (foldedLsn: Lsn) => Lsn;
}

export interface FollowerLag {
  readonly lsn: Lsn;
  /** The primary's last durable one, as it was last heard; null before that. */
  readonly primaryLsn: Lsn | null;
  /** What is read here was the primary's state at most this long ago, the way between the two not
   *  counted; null before it has caught up for the first time. Units: ms. */
  readonly lagMs: number | null;
}

export class FollowerDatabase implements ServedDatabase {
  readonly #options: FollowerDatabaseOptions;
  readonly #engine: Engine;
  readonly #replay: GroupReplay;
  readonly #follower: FollowerLog;
  readonly #checkpointer: Checkpointer;
  readonly limits: DatabaseLimits;
  #groupsCount = 0;
  #isClosed = false;
  #durable: Snapshot;
  #caughtUpAtMs: number | null = null;

  private constructor(options: FollowerDatabaseOptions) {
    const { module, clock, codec, pages, log, xxh64 } = options;
    this.#options = options;
    this.limits = { ...DATABASE_LIMITS, ...options.limits };
    this.#engine = new Engine({
      module,
      source: pages,
      sink: null,
      clock,
      limits: options.engineLimits ?? {},
      ...(options.refuseWrites === undefined ? {} : { refuseWrites: options.refuseWrites }),
    });
    this.#replay = codec.newReplay(this.#engine);
    this.#durable = this.#engine.pin();
    this.#follower = new FollowerLog({
      log,
      xxh64,
      onGroup: (group) => this.#take(group),
      onBeat: () => this.#noteProgress(),
    });
    this.#checkpointer = new Checkpointer({
      engine: this.#engine,
      pages,
      clock,
      limits: this.limits,
      log: () => log,
      durable: () => this.#durable,
      report: (event) => this.#report(event),
      ...(options.trimLsn === undefined ? {} : { trimLsn: options.trimLsn }),
    });
  }

  /** Opens a follower on what its own log and pages have. Errors: those of both. */
  static async open(options: FollowerDatabaseOptions): Promise<FollowerDatabase> {
    const follower = new FollowerDatabase(options);
    try {
      const { log, pages } = options;
      if (log.nextLsn > pages.lsn + 1) {
        for await (const group of log.read(pages.lsn + 1)) follower.#take(group);
      }
    } catch (error) {
      await follower.close();
      throw error;
    }
    return follower;
  }

  /** What to ask the primary's feed for. */
  get position(): FeedPosition {
    return this.#follower.position;
  }

  get lag(): FollowerLag {
    const lagMs =
      this.#caughtUpAtMs === null ? null : this.#options.clock.nowMs() - this.#caughtUpAtMs;
    return { lsn: this.#engine.lsn, primaryLsn: this.#follower.sender?.lastLsn ?? null, lagMs };
  }

  /** Follows one feed to its end. Errors: those of FollowerLog.follow, and DB_LOG_CORRUPT and
   *  DB_DELTA_CORRUPT where a group does not fit the pages: then this copy is of no use. */
  follow(feed: AsyncIterable<Uint8Array>): Promise<void> {
    return this.#follower.follow(feed);
  }

  /** Lends a connection that reads, whatever is asked for. What it reads is durable here. */
  connect(_access: Access = 'read-only', counters?: SessionCounters): Connection {
    return this.#engine.connect('read-only', counters);
  }

  whenDurable(_lsn: Lsn, done: DurableCallback): void {
    done(null);
  }

  /** Nobody writes here. */
  whenWriterFree(): void {}

  stopWaiting(): void {}

  get durableLsn(): Lsn {
    return this.#engine.lsn;
  }

  get log(): SegmentLog {
    return this.#options.log;
  }

  /** More than a checkpoint has to keep up with: whoever feeds it waits for one. */
  get isBehindFolding(): boolean {
    return this.#engine.overlaySizeBytes > this.limits.overlaySizeBytesMax / 2;
  }

  get stats(): DatabaseStats {
    const { lsn } = this.#engine;
    return {
      state: this.#isClosed ? 'closed' : 'open',
      lsn,
      durableLsn: lsn,
      foldedLsn: this.#options.pages.lsn,
      pageCount: this.#engine.pageCount,
      groupsCount: this.#groupsCount,
      checkpointsCount: this.#checkpointer.count,
      overlaySizeBytes: this.#engine.overlaySizeBytes,
      heapSizeBytes: this.#engine.heapSizeBytes,
      connectionsCount: this.#engine.lentCount,
      writersWaitingCount: 0,
      repliesWaitingCount: 0,
    };
  }

  /** Folds what is there and trims the log. Errors: of the page store and of the log. */
  checkpoint(): Promise<void> {
    return this.#checkpointer.run();
  }

  /** Fences the former primary, durably, and closes the follower: a Database goes on from the same
   *  pages and log. Returns the new epoch. Errors: DB_LOG_FULL, DB_LOG_FAILED. */
  async promote(): Promise<number> {
    const epoch = await this.#follower.promote();
    await this.close();
    return epoch;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#checkpointer.close();
    this.#engine.close();
  }

  #take(group: LogGroup): void {
    this.#replay.group(group, this.#engine.lsn);
    this.#groupsCount += 1;
    const former = this.#durable;
    this.#durable = this.#engine.pin();
    this.#engine.unpin(former);
    this.#noteProgress();
    this.#checkpointer.look();
  }

  #report(event: DatabaseEvent): void {
    if (event.kind === 'checkpoint') abortOldReaders(this.#engine, event.lsn, this.limits);
    this.#options.report?.(event);
  }

  #noteProgress(): void {
    const { sender } = this.#follower;
    if (sender !== null && this.#engine.lsn >= sender.lastLsn) {
      this.#caughtUpAtMs = this.#options.clock.nowMs();
    }
  }
}
