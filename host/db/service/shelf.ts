// The databases that are open in a db worker, each with its sessions: opened when the first request
// comes, closed when another one needs the place.

import { type Clock, GatewayError, isGatewayError } from '../../core/index.ts';
import { PageCodec } from '../../kernels/index.ts';
import { DatabaseCatalog } from '../catalog/index.ts';
import { deltaCodec } from '../commit-codec.ts';
import type { Lsn } from '../contract.ts';
import { Database, type ServedDatabase } from '../database.ts';
import type { DatabaseEvent, DatabaseLimits } from '../database-options.ts';
import type { EngineLimits } from '../engine/index.ts';
import { FollowerDatabase } from '../follower-database.ts';
import { type Access, HranaError, type SessionLimits, Sessions, Turn } from '../hrana/index.ts';
import { LogTail, type SegmentLog, type Xxh64 } from '../log/index.ts';
import type { LmdbPageStore } from '../page-store/index.ts';
import { LogHolds, type ReplicatedDatabase, type Standing } from '../replication/index.ts';
import { openLogInTerm } from './open-database.ts';

export interface ShelfOptions {
  readonly folder: string;
  /** `compileSqlite`, and codec.wasm. */
  readonly sqlite: WebAssembly.Module;
  readonly codec: WebAssembly.Module;
  readonly clock: Clock;
  /** A database that is not there is made by the first who may write. */
  readonly creates: 'on-first-use' | 'never';
  /** Databases of the folder above which none is made on first use. */
  readonly createdCountMax?: number;
  readonly sessionLimits: SessionLimits;
  readonly databaseLimits: Partial<DatabaseLimits>;
  readonly engineLimits: Partial<EngineLimits>;
  /** Databases that are open at once: each has a Wasm heap of 8 MiB and more. */
  readonly openCountMax: number;
  readonly storeSizeBytesMax: number;
  readonly retentionMs: number;
  /** Where databases have copies at other gateways. */
  readonly replication?: ReplicationOptions;
  readonly stateSpacingMs?: number;
  readonly report: (name: string, event: DatabaseEvent) => void;
  /** A statement begins, in whichever database. */
  readonly onStatement?: () => void;
}

export interface ReplicationOptions {
  readonly standing: Standing;
  /** What gateways that follow each other know. */
  readonly token: string;
  /** How much log is kept for followers, and for how long. */
  readonly keepSizeBytesMax: number;
  readonly keepMsMax: number;
}

export interface OpenedDatabase extends ReplicatedDatabase {
  readonly name: string;
  readonly database: ServedDatabase;
  /** The same, where it follows another gateway's. */
  readonly follower: FollowerDatabase | null;
  readonly sessions: Sessions;
  /** The commits that it had when it was opened. */
  readonly startLsn: Lsn;
  /** Ends its sessions, and makes what is committed durable. */
  close(): Promise<void>;
}

/** What databases have counted since they were opened. */
export interface DatabaseCounts {
  commitsCount: number;
  groupsCount: number;
  refusalsCount: number;
}

/** What a database is opened of. */
interface Parts {
  readonly name: string;
  readonly store: LmdbPageStore;
  /** The one that was opened last. */
  log: SegmentLog | null;
  holds: LogHolds | null;
}

interface Place {
  readonly opening: Promise<OpenedDatabase>;
  opened: OpenedDatabase | null;
  /** Commands that work with it: it stays open for them. */
  usesCount: number;
}

/** Databases that cannot be opened and are remembered for it. */
const FAULTS_COUNT_MAX = 1_024;
/** Of a request whose database is closed as soon as it is open. */
const ATTEMPTS_COUNT_MAX = 8;
/** Databases of the folder above which none is made on first use: each takes some 800 KB of disk,
 *  and names are free. */
const CREATED_COUNT_MAX = 4_096;

export class DatabaseShelf {
  readonly #options: ShelfOptions;
  readonly #catalog: DatabaseCatalog;
  readonly #codec: PageCodec;
  readonly #xxh64: Xxh64;
  readonly #turn: Turn;
  readonly #places = new Map<string, Place>();
  /** Those that are being closed: they cannot be opened before they are. */
  readonly #closing = new Map<string, Promise<void>>();
  /** Codes by which databases could not be opened, as the gateway's log has been told. */
  readonly #faults = new Map<string, string>();
  /** Of databases that are closed again. */
  readonly #past: DatabaseCounts = { commitsCount: 0, groupsCount: 0, refusalsCount: 0 };
  #isClosed = false;

  private constructor(options: ShelfOptions, catalog: DatabaseCatalog) {
    this.#options = options;
    this.#catalog = catalog;
    this.#codec = new PageCodec(options.codec);
    this.#turn = new Turn();
    this.#xxh64 = (bytes, seed) => this.#codec.xxh64(bytes, seed);
  }

  get xxh64(): Xxh64 {
    return this.#xxh64;
  }

  static async open(options: ShelfOptions): Promise<DatabaseShelf> {
    const { folder, clock, retentionMs, stateSpacingMs = 0 } = options;
    const catalog = await DatabaseCatalog.open({
      folder,
      codecModule: options.codec,
      clock,
      sizeBytesMax: options.storeSizeBytesMax,
      retentionMs,
      stateSpacingMs,
      lock: 'held',
    });
    return new DatabaseShelf(options, catalog);
  }

  *opened(): Generator<OpenedDatabase> {
    for (const { opened } of this.#places.values()) if (opened !== null) yield opened;
  }

  /** Of all databases since the shelf was opened. */
  counts(): DatabaseCounts {
    const sum = { ...this.#past };
    for (const opened of this.opened()) addCounts(sum, opened);
    return sum;
  }

  /** A database that is open; null where take() has to be waited for. */
  find(name: string): OpenedDatabase | null {
    return this.#places.get(name)?.opened ?? null;
  }

  /** Opens a database. Errors: HranaError DATABASE_NOT_FOUND, DATABASE_UNAVAILABLE. */
  async take(name: string, access: Access): Promise<OpenedDatabase> {
    if (this.#isClosed)
      throw new HranaError('DATABASE_UNAVAILABLE', 'the gateway is shutting down');
    let place = this.#places.get(name);
    if (place === undefined) {
      this.#makeRoom();
      const opening = this.#open(name, access);
      const made: Place = { opening, opened: null, usesCount: 0 };
      place = made;
      this.#places.set(name, made);
      opening.then(
        (opened) => {
          made.opened = opened;
          this.#faults.delete(name);
        },
        () => {
          // Where it was closed meanwhile, the place may be another one's by now.
          if (this.#places.get(name) === made) this.#places.delete(name);
        },
      );
    }
    return place.opening;
  }

  /** Opens a database for a request, again where a command has closed it meanwhile. Errors: as for
   *  take. */
  async takeOpen(name: string, access: Access): Promise<OpenedDatabase> {
    for (let attempt = 0; attempt < ATTEMPTS_COUNT_MAX; attempt++) {
      const opened = await this.take(name, access);
      if (!opened.sessions.isClosed) return opened;
    }
    throw new HranaError('DATABASE_UNAVAILABLE', `the database ${name} is being closed`);
  }

  get catalog(): DatabaseCatalog {
    return this.#catalog;
  }

  /** Whether a database is open, or being opened. */
  isTaken(name: string): boolean {
    return this.#places.has(name);
  }

  /** Runs a job with a database, which stays open for as long. Errors: as for take, and those of
   *  the job. */
  async use<T>(name: string, job: (opened: OpenedDatabase) => Promise<T>): Promise<T> {
    const opened = await this.take(name, 'read-only');
    const place = this.#places.get(name);
    if (place?.opened !== opened) throw new HranaError('DATABASE_UNAVAILABLE', `${name} closes`);
    place.usesCount += 1;
    try {
      return await job(opened);
    } finally {
      place.usesCount -= 1;
    }
  }

  /** Runs a job while the database is not open: it is closed for it, and who wants it waits.
   *  Errors: DB_STORE_LOCKED while a command works with it, and those of the job. */
  async alone<T>(name: string, job: () => Promise<T>): Promise<T> {
    const usesCount = this.#places.get(name)?.usesCount ?? 0;
    if (usesCount > 0) {
      throw new GatewayError('DB_STORE_LOCKED', `${name} is in use by ${usesCount} commands`);
    }
    if (this.#places.has(name)) this.#close(name);
    // Whoever comes from now on waits for the job: else they would open it while this one waits.
    const before = this.#closing.get(name) ?? Promise.resolve();
    const done = before.then(() => {
      if (this.#isClosed) throw new GatewayError('DB_UNAVAILABLE', 'the gateway is shutting down');
      return job();
    });
    const held = done.then(
      () => {},
      () => {},
    );
    this.#closesUntil(name, held);
    return done;
  }

  /** Closes what is open, and those who use it have to open it again: the gateway's standing has
   *  changed. */
  async closeAll(): Promise<void> {
    for (const name of [...this.#places.keys()]) this.#close(name);
    await Promise.all(this.#closing.values());
  }

  sweep(): void {
    for (const { sessions } of this.opened()) sessions.sweep();
  }

  /** Closes every database: what is committed is made durable, what is open is rolled back. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const name of [...this.#places.keys()]) this.#close(name);
    await Promise.all(this.#closing.values());
    await this.#catalog.close();
  }

  async #open(name: string, access: Access): Promise<OpenedDatabase> {
    await this.#closing.get(name);
    try {
      return await this.#openThere(name);
    } catch (error) {
      const isMissing = isGatewayError(error) && error.code === 'DB_NOT_FOUND';
      if (!isMissing) throw this.#unavailable(name, error);
      const standing = this.#options.replication?.standing;
      if (standing !== undefined && standing.role !== 'primary') {
        const message = `there is no database ${name} here: ${standing.explanation}`;
        throw new HranaError('DATABASE_NOT_FOUND', message);
      }
      const isNever = this.#options.creates === 'never';
      if (isNever || access === 'read-only') {
        const way = isNever ? ': `sluice db create` makes one, or db.create lets clients' : '';
        throw new HranaError('DATABASE_NOT_FOUND', `there is no database ${name}${way}`);
      }
    }
    await this.#assertRoom(name);
    try {
      await this.#catalog.create(name).catch((error: unknown) => {
        // A command was faster.
        if (!isGatewayError(error) || error.code !== 'DB_EXISTS') throw error;
      });
      return await this.#openThere(name);
    } catch (error) {
      throw this.#unavailable(name, error);
    }
  }

  /** Whoever may write may make databases, by names that nobody has thought of. */
  async #assertRoom(name: string): Promise<void> {
    const { length } = await this.#catalog.list();
    const most = this.#options.createdCountMax ?? CREATED_COUNT_MAX;
    if (length < most) return;
    const message = `${name} is not made: there are ${length} databases, the limit on first use`;
    throw new HranaError('DATABASE_UNAVAILABLE', message);
  }

  async #openThere(name: string): Promise<OpenedDatabase> {
    const { clock, sessionLimits: limits, onStatement, replication } = this.#options;
    const { store, close } = await this.#catalog.openPages(name);
    const parts: Parts = { name, store, log: null, holds: null };
    let follower: FollowerDatabase | null = null;
    let database: ServedDatabase;
    try {
      if (replication?.standing.role === 'follower') follower = await this.#openFollower(parts);
      database = follower ?? (await this.#openPrimary(parts, close));
    } catch (error) {
      await close();
      throw error;
    }
    const sessions = new Sessions({
      database,
      clock,
      limits,
      turn: this.#turn,
      ...(onStatement === undefined ? {} : { onStatement }),
    });
    const closeBoth = async () => {
      sessions.close();
      await database.close();
      if (follower === null) return;
      await follower.log.close();
      await close();
    };
    return {
      name,
      database,
      follower,
      store,
      holds: parts.holds!,
      tail: () => this.#tailOf(parts),
      checkpoint: () => database.checkpoint(),
      sessions,
      startLsn: database.stats.lsn,
      close: closeBoth,
    };
  }

  /** Clients get the code, the gateway's log the whole: once for each code, until it opens. */
  #unavailable(name: string, error: unknown): HranaError {
    if (!isGatewayError(error)) throw error;
    const { code } = error;
    if (this.#faults.get(name) !== code) {
      if (this.#faults.size >= FAULTS_COUNT_MAX) this.#faults.clear();
      this.#faults.set(name, code);
      this.#options.report(name, { kind: 'open-failed', error });
    }
    const fault = new HranaError('DATABASE_UNAVAILABLE', `the database ${name}: ${code}`);
    fault.cause = error;
    return fault;
  }

  #openPrimary(parts: Parts, closePages: () => Promise<void>): Promise<Database> {
    const options = this.#options;
    return Database.open({
      module: options.sqlite,
      clock: options.clock,
      codec: deltaCodec(this.#codec),
      pages: parts.store,
      closePages,
      openLog: () => this.#openLog(parts),
      ...this.#bounds(parts),
    });
  }

  async #openFollower(parts: Parts): Promise<FollowerDatabase> {
    const { sqlite: module, clock } = this.#options;
    const log = await this.#openLog(parts);
    try {
      return await FollowerDatabase.open({
        module,
        clock,
        codec: deltaCodec(this.#codec),
        xxh64: this.#xxh64,
        pages: parts.store,
        log,
        ...this.#bounds(parts),
      });
    } catch (error) {
      await log.close();
      throw error;
    }
  }

  /** What all databases are told. */
  #bounds(parts: Parts) {
    const { engineLimits, databaseLimits: limits, report, replication } = this.#options;
    return {
      engineLimits,
      limits,
      refuseWrites: replication?.standing.refusal ?? (() => null),
      trimLsn: (foldedLsn: Lsn) => trimLsn(parts, foldedLsn),
      report: (event: DatabaseEvent) => report(parts.name, event),
    };
  }

  async #openLog(parts: Parts): Promise<SegmentLog> {
    const { clock, replication } = this.#options;
    const { name, store } = parts;
    const standing = replication?.standing ?? null;
    const log = await openLogInTerm(this.#catalog, { name, store, standing });
    const { keepSizeBytesMax = 0, keepMsMax = 0 } = replication ?? {};
    const limits = { sizeBytesMax: keepSizeBytesMax, ageMsMax: keepMsMax };
    parts.holds ??= new LogHolds(clock, limits, log.firstLsn);
    parts.log = log;
    return log;
  }

  #tailOf({ name, log }: Parts): LogTail {
    if (log?.isOpen !== true) throw new GatewayError('DB_UNAVAILABLE', `the log of ${name} closes`);
    return new LogTail({ log, xxh64: this.#xxh64, clock: this.#options.clock });
  }

  #makeRoom(): void {
    const { openCountMax } = this.#options;
    if (this.#places.size < openCountMax) return;
    for (const { name, sessions, database } of this.opened()) {
      if (this.#places.get(name)!.usesCount > 0) continue;
      if (sessions.streamCount > 0 || sessions.socketCount > 0) continue;
      if (database.stats.repliesWaitingCount > 0) continue;
      this.#close(name);
      return;
    }
    const message = `${openCountMax} databases are in use by the worker, as db.limits.open allows`;
    throw new HranaError('DATABASE_UNAVAILABLE', message);
  }

  #close(name: string): void {
    const place = this.#places.get(name)!;
    this.#places.delete(name);
    if (place.opened !== null) addCounts(this.#past, place.opened);
    const closing = place.opening.then(
      (opened) => opened.close(),
      () => {},
    );
    this.#closesUntil(name, closing);
  }

  /** Whoever wants the database waits for this, and for what closed it before: an opening has. */
  #closesUntil(name: string, done: Promise<void>): void {
    const closing = done.finally(() => {
      if (this.#closing.get(name) === closing) this.#closing.delete(name);
    });
    this.#closing.set(name, closing);
  }
}

function trimLsn({ log, holds }: Parts, foldedLsn: Lsn): Lsn {
  if (log === null || holds === null) return foldedLsn;
  return holds.trimLsn(foldedLsn, log.sizeBytes);
}

function addCounts(sum: DatabaseCounts, { database, sessions, startLsn }: OpenedDatabase): void {
  const { lsn, groupsCount } = database.stats;
  sum.commitsCount += lsn - startLsn;
  sum.groupsCount += groupsCount;
  sum.refusalsCount += sessions.refusedCount;
}
