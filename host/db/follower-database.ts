// A database that follows another one's log and serves reads of it. Each group is durable here
// before anybody reads it here, and it says how old what it shows may be.

import type { Clock } from '../core/index.ts';
import { Checkpointer } from './checkpointer.ts';
import type { LogGroup, Lsn, PageStore } from './contract.ts';
import {
  type CommitCodec,
  DATABASE_LIMITS,
  type DatabaseEvent,
  type DatabaseLimits,
  type GroupReplay,
} from './database-options.ts';
import { type Connection, Engine, type EngineLimits, type Snapshot } from './engine/index.ts';
import { type FeedPosition, FollowerLog, type SegmentLog, type Xxh64 } from './log/index.ts';

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
}

export interface FollowerLag {
  readonly lsn: Lsn;
  /** The primary's last durable one, as it was last heard; null before that. */
  readonly primaryLsn: Lsn | null;
  /** What is read here was the primary's state at most this long ago, the way between the two not
   *  counted; null before it has caught up for the first time. Units: ms. */
  readonly lagMs: number | null;
}

export class FollowerDatabase {
  readonly #options: FollowerDatabaseOptions;
  readonly #engine: Engine;
  readonly #replay: GroupReplay;
  readonly #follower: FollowerLog;
  readonly #checkpointer: Checkpointer;
  #durable: Snapshot;
  #caughtUpAtMs: number | null = null;

  private constructor(options: FollowerDatabaseOptions) {
    const { module, clock, codec, pages, log, xxh64 } = options;
    this.#options = options;
    this.#engine = new Engine({
      module,
      source: pages,
      sink: null,
      clock,
      limits: options.engineLimits ?? {},
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
      limits: { ...DATABASE_LIMITS, ...options.limits },
      log: () => log,
      durable: () => this.#durable,
      report: options.report ?? (() => {}),
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

  /** Lends a connection that reads. What it reads is durable here. */
  connect(): Connection {
    return this.#engine.connect('read-only');
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
    await this.#checkpointer.close();
    this.#engine.close();
  }

  #take(group: LogGroup): void {
    this.#replay.group(group, this.#engine.lsn);
    const former = this.#durable;
    this.#durable = this.#engine.pin();
    this.#engine.unpin(former);
    this.#noteProgress();
    this.#checkpointer.look();
  }

  #noteProgress(): void {
    const { sender } = this.#follower;
    if (sender !== null && this.#engine.lsn >= sender.lastLsn) {
      this.#caughtUpAtMs = this.#options.clock.nowMs();
    }
  }
}
