// The databases that are open in a db worker, each with its sessions: opened when the first request
// comes, closed when another one needs the place.

import { type Clock, GatewayError, isGatewayError } from '../../core/index.ts';
import { PageCodec } from '../../kernels/index.ts';
import { DatabaseCatalog } from '../catalog/index.ts';
import { deltaCodec } from '../commit-codec.ts';
import type { Lsn } from '../contract.ts';
import { Database } from '../database.ts';
import type { DatabaseEvent, DatabaseLimits } from '../database-options.ts';
import type { EngineLimits } from '../engine/index.ts';
import { type Access, HranaError, type SessionLimits, Sessions } from '../hrana/index.ts';
import type { LmdbPageStore } from '../page-store/index.ts';

export interface ShelfOptions {
  readonly folder: string;
  /** `compileSqlite`, and codec.wasm. */
  readonly sqlite: WebAssembly.Module;
  readonly codec: WebAssembly.Module;
  readonly clock: Clock;
  /** A database that is not there is made by the first who may write. */
  readonly creates: 'on-first-use' | 'never';
  readonly sessionLimits: SessionLimits;
  readonly databaseLimits: Partial<DatabaseLimits>;
  readonly engineLimits: Partial<EngineLimits>;
  readonly storeSizeBytesMax: number;
  readonly retentionMs: number;
  readonly stateSpacingMs?: number;
  readonly report: (name: string, event: DatabaseEvent) => void;
  /** A statement begins, in whichever database. */
  readonly onStatement?: () => void;
}

export interface OpenedDatabase {
  readonly name: string;
  readonly database: Database;
  readonly store: LmdbPageStore;
  readonly sessions: Sessions;
  /** The commits that it had when it was opened. */
  readonly startLsn: Lsn;
}

/** What databases have counted since they were opened. */
export interface DatabaseCounts {
  commitsCount: number;
  groupsCount: number;
  refusalsCount: number;
}

interface Place {
  readonly opening: Promise<OpenedDatabase>;
  opened: OpenedDatabase | null;
  /** Commands that work with it: it stays open for them. */
  usesCount: number;
  close: () => Promise<void>;
}

/** Databases that one worker has open: each has a Wasm heap of 8 MiB and more. */
const OPEN_COUNT_MAX = 64;

export class DatabaseShelf {
  readonly #options: ShelfOptions;
  readonly #catalog: DatabaseCatalog;
  readonly #places = new Map<string, Place>();
  /** Those that are being closed: they cannot be opened before they are. */
  readonly #closing = new Map<string, Promise<void>>();
  /** Of databases that are closed again. */
  readonly #past: DatabaseCounts = { commitsCount: 0, groupsCount: 0, refusalsCount: 0 };
  #isClosed = false;

  private constructor(options: ShelfOptions, catalog: DatabaseCatalog) {
    this.#options = options;
    this.#catalog = catalog;
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
      const made: Place = { opening, opened: null, usesCount: 0, close: async () => {} };
      place = made;
      this.#places.set(name, made);
      opening.then(
        (opened) => {
          made.opened = opened;
        },
        () => this.#places.delete(name),
      );
    }
    return place.opening;
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
    while (this.#places.has(name) || this.#closing.has(name)) {
      const usesCount = this.#places.get(name)?.usesCount ?? 0;
      if (usesCount > 0) {
        throw new GatewayError('DB_STORE_LOCKED', `${name} is in use by ${usesCount} commands`);
      }
      if (this.#places.has(name)) this.#close(name);
      await this.#closing.get(name);
    }
    if (this.#isClosed) throw new GatewayError('DB_UNAVAILABLE', 'the gateway is shutting down');
    const done = job();
    const held = done.then(
      () => {},
      () => {},
    );
    this.#closing.set(
      name,
      held.finally(() => this.#closing.delete(name)),
    );
    return done;
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
      if (!isMissing) throw unavailable(name, error);
      if (this.#options.creates === 'never' || access === 'read-only') {
        throw new HranaError('DATABASE_NOT_FOUND', `there is no database ${name}`);
      }
    }
    try {
      await this.#catalog.create(name).catch((error: unknown) => {
        // A command was faster.
        if (!isGatewayError(error) || error.code !== 'DB_EXISTS') throw error;
      });
      return await this.#openThere(name);
    } catch (error) {
      throw unavailable(name, error);
    }
  }

  async #openThere(name: string): Promise<OpenedDatabase> {
    const options = this.#options;
    const { store, close } = await this.#catalog.openPages(name);
    let database: Database;
    try {
      database = await Database.open({
        module: options.sqlite,
        clock: options.clock,
        codec: deltaCodec(new PageCodec(options.codec)),
        pages: store,
        closePages: close,
        openLog: () => this.#catalog.openLog(name, store),
        engineLimits: options.engineLimits,
        limits: options.databaseLimits,
        report: (event) => options.report(name, event),
      });
    } catch (error) {
      await close();
      throw error;
    }
    const { clock, sessionLimits: limits, onStatement } = options;
    const sessions = new Sessions({
      database,
      clock,
      limits,
      ...(onStatement === undefined ? {} : { onStatement }),
    });
    const opened = { name, database, store, sessions, startLsn: database.stats.lsn };
    this.#places.get(name)!.close = async () => {
      opened.sessions.close();
      await database.close();
    };
    return opened;
  }

  #makeRoom(): void {
    if (this.#places.size < OPEN_COUNT_MAX) return;
    for (const { name, sessions, database } of this.opened()) {
      if (this.#places.get(name)!.usesCount > 0) continue;
      if (sessions.streamCount > 0 || sessions.socketCount > 0) continue;
      if (database.stats.repliesWaitingCount > 0) continue;
      this.#close(name);
      return;
    }
    const message = `${OPEN_COUNT_MAX} databases are in use by the worker, the limit`;
    throw new HranaError('DATABASE_UNAVAILABLE', message);
  }

  #close(name: string): void {
    const place = this.#places.get(name)!;
    this.#places.delete(name);
    if (place.opened !== null) addCounts(this.#past, place.opened);
    const closing = place.opening
      .then(
        () => place.close(),
        () => {},
      )
      .finally(() => this.#closing.delete(name));
    this.#closing.set(name, closing);
  }
}

function addCounts(sum: DatabaseCounts, { database, sessions, startLsn }: OpenedDatabase): void {
  const { lsn, groupsCount } = database.stats;
  sum.commitsCount += lsn - startLsn;
  sum.groupsCount += groupsCount;
  sum.refusalsCount += sessions.refusedCount;
}

function unavailable(name: string, error: unknown): HranaError {
  if (!isGatewayError(error)) throw error;
  const { code, detail } = error;
  const cause = new HranaError('DATABASE_UNAVAILABLE', `the database ${name}: ${code}: ${detail}`);
  return cause;
}
