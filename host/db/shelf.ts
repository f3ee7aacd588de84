// The open databases of one thread: opened when they are first asked for, kept open while they are
// used and for a while after, closed for others when there are too many or they take too much
// memory. Making and deleting them is the catalog's.

import type { Clock } from '../core/index.ts';
import type { PageCodec } from '../kernels/index.ts';
import type { DatabaseCatalog } from './catalog/index.ts';
import { deltaCodec } from './commit-codec.ts';
import { Database } from './database.ts';
import type { DatabaseEvent, DatabaseLimits } from './database-options.ts';
import type { EngineLimits } from './engine/index.ts';
import { SqlError } from './sql-error.ts';

export interface ShelfLimits {
  /** Databases open at once: each has a Wasm instance, files and a map of its page store. */
  readonly openCountMax: number;
  /** What they take together: Wasm memory and changed pages. */
  readonly memorySizeBytesMax: number;
  /** How long a database that nobody uses stays open. */
  readonly idleMs: number;
}

export const SHELF_LIMITS: ShelfLimits = {
  openCountMax: 256,
  memorySizeBytesMax: 2_147_483_648,
  idleMs: 60_000,
};

export interface ShelfOptions {
  readonly catalog: DatabaseCatalog;
  /** `compileSqlite`. */
  readonly sqliteModule: WebAssembly.Module;
  readonly pageCodec: PageCodec;
  readonly clock: Clock;
  readonly limits?: Partial<ShelfLimits>;
  readonly databaseLimits?: Partial<DatabaseLimits>;
  readonly engineLimits?: Partial<EngineLimits>;
  readonly cancel?: Int32Array | null;
  readonly report?: (name: string, event: DatabaseEvent) => void;
}

/** A database in use: it stays open until it is released. */
export interface DatabaseLease {
  readonly database: Database;
  /** Once. */
  release(): void;
}

interface Entry {
  readonly name: string;
  readonly opening: Promise<Database>;
  database: Database | null;
  closing: Promise<void> | null;
  usersCount: number;
  usedAtMs: number;
}

export class DatabaseShelf {
  readonly limits: ShelfLimits;
  readonly #options: ShelfOptions;
  readonly #entries = new Map<string, Entry>();
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(options: ShelfOptions) {
    this.#options = options;
    this.limits = { ...SHELF_LIMITS, ...options.limits };
  }

  get openCount(): number {
    return this.#entries.size;
  }

  /** Names of the open databases, with their statistics. */
  get open(): readonly { readonly name: string; readonly database: Database }[] {
    return [...this.#entries.values()].flatMap(({ name, database }) =>
      database === null ? [] : [{ name, database }],
    );
  }

  /** Takes a database that is open; null where it is not. Cost: a look-up. */
  takeOpen(name: string): DatabaseLease | null {
    const entry = this.#entries.get(name);
    if (entry === undefined || entry.database === null || entry.closing !== null) return null;
    return this.#lease(entry, entry.database);
  }

  /** Takes a database, and opens it where it is not open. Errors: DB_NAME, DB_NOT_FOUND, those of
   *  the log and of the page store; SqlError DB_LIMIT where too many others are in use. */
  async take(name: string): Promise<DatabaseLease> {
    for (;;) {
      this.#assertOpen();
      const entry = this.#entries.get(name) ?? this.#begin(name);
      if (entry.closing !== null) {
        await entry.closing;
        continue;
      }
      // Counted before it is open, so that nobody closes it meanwhile.
      entry.usersCount++;
      try {
        const database = await entry.opening;
        return this.#lease(entry, database);
      } finally {
        entry.usersCount--;
      }
    }
  }

  /** Closes a database that nobody uses, so that it can be deleted. False: it is in use. */
  async giveUp(name: string): Promise<boolean> {
    const entry = this.#entries.get(name);
    if (entry === undefined) return true;
    if (entry.closing === null && !isIdle(entry)) return false;
    await this.#close(entry);
    return true;
  }

  /** Closes everything. Errors: of each database, as an AggregateError; all are closed. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const entries = [...this.#entries.values()];
    await Promise.allSettled(entries.map(({ opening }) => opening));
    const ends = await Promise.allSettled(entries.map((entry) => this.#close(entry)));
    const errors = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []));
    if (errors.length > 0) throw new AggregateError(errors, 'databases did not close well');
  }

  #begin(name: string): Entry {
    this.#makeRoom();
    const entry: Entry = {
      name,
      opening: this.#open(name),
      database: null,
      closing: null,
      usersCount: 0,
      usedAtMs: this.#options.clock.nowMs(),
    };
    this.#entries.set(name, entry);
    entry.opening.then(
      (database) => {
        entry.database = database;
        this.#watch();
      },
      () => this.#entries.delete(name),
    );
    return entry;
  }

  async #open(name: string): Promise<Database> {
    const { catalog, sqliteModule, pageCodec, clock, report } = this.#options;
    // One that was closed to make room must be gone from the memory first.
    await Promise.allSettled([...this.#entries.values()].map(({ closing }) => closing));
    const pages = await catalog.openPages(name);
    try {
      return await Database.open({
        module: sqliteModule,
        clock,
        codec: deltaCodec(pageCodec),
        pages: pages.store,
        closePages: () => pages.close(),
        openLog: () => catalog.openLog(name, pages.store),
        engineLimits: this.#options.engineLimits ?? {},
        limits: this.#options.databaseLimits ?? {},
        cancel: this.#options.cancel ?? null,
        report: (event) => report?.(name, event),
      });
    } catch (error) {
      await pages.close();
      throw error;
    }
  }

  #lease(entry: Entry, database: Database): DatabaseLease {
    entry.usersCount++;
    let isHeld = true;
    const release = (): void => {
      if (!isHeld) return;
      isHeld = false;
      entry.usersCount--;
      entry.usedAtMs = this.#options.clock.nowMs();
    };
    return { database, release };
  }

  /** Errors: DB_LIMIT where nothing can be closed. */
  #makeRoom(): void {
    const counted = [...this.#entries.values()].filter(({ closing }) => closing === null);
    let sizeBytes = 0;
    for (const { database } of counted) sizeBytes += memoryOf(database);
    let count = counted.length;
    const isFull = (): boolean =>
      count >= this.limits.openCountMax || sizeBytes >= this.limits.memorySizeBytesMax;
    const idle = counted.filter(isIdle).sort((one, other) => one.usedAtMs - other.usedAtMs);
    for (const entry of idle) {
      if (!isFull()) return;
      count--;
      sizeBytes -= memoryOf(entry.database);
      this.#closeQuietly(entry);
    }
    if (isFull()) throw tooManyInUse(count, sizeBytes);
  }

  /** Closes in turn what has been idle for long. */
  #watch(): void {
    if (this.#timer !== null || this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      const beforeMs = this.#options.clock.nowMs() - this.limits.idleMs;
      for (const entry of this.#entries.values()) {
        if (isIdle(entry) && entry.usedAtMs <= beforeMs) this.#closeQuietly(entry);
      }
      if (this.#entries.size > 0) this.#watch();
    }, this.limits.idleMs);
    this.#timer.unref();
  }

  #closeQuietly(entry: Entry): void {
    this.#close(entry).catch((error) => {
      this.#options.report?.(entry.name, { kind: 'close-failed', error });
    });
  }

  #close(entry: Entry): Promise<void> {
    entry.closing ??= (async () => {
      try {
        await entry.database?.close();
      } finally {
        if (this.#entries.get(entry.name) === entry) this.#entries.delete(entry.name);
      }
    })();
    return entry.closing;
  }

  #assertOpen(): void {
    if (!this.#isClosed) return;
    const message = 'the databases are being closed';
    throw new SqlError({ code: 'DB_LOST', sqlCode: 'SQLITE_IOERR', message });
  }
}

function isIdle(entry: Entry): boolean {
  return entry.database !== null && entry.usersCount === 0 && entry.closing === null;
}

function memoryOf(database: Database | null): number {
  if (database === null) return 0;
  const { heapSizeBytes, overlaySizeBytes } = database.stats;
  return heapSizeBytes + overlaySizeBytes;
}

function tooManyInUse(count: number, sizeBytes: number): SqlError {
  const message = `${count} databases with ${sizeBytes} bytes are in use, and none can be closed`;
  return new SqlError({ code: 'DB_LIMIT', sqlCode: 'SQLITE_BUSY', message });
}
