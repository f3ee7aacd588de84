// The engine of one database: SQLite over pages that are versioned by LSN. It makes commits and
// shows them at once; making them durable, and holding replies until they are, is its owner's.

import { DB_PAGE_SIZE_BYTES, type FoldedPage, type Lsn } from '../contract.ts';
import { SqlError } from '../sql-error.ts';
import { Connection } from './connection.ts';
import { SessionCounters } from './counters.ts';
import type { Access, EngineLimits, EngineOptions } from './engine-options.ts';
import { ENGINE_LIMITS } from './limits.ts';
import { Overlay, type Snapshot } from './overlay.ts';
import type { PageSpace } from './page-file.ts';
import type { PageVersion } from './page-memory.ts';
import { Runtime } from './runtime.ts';

/** Compiles SQLite, once a process: the module can be posted to other threads.
 *  Shape: the bytes of sqlite3.wasm of @sqlite.org/sqlite-wasm. */
export function compileSqlite(wasm: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  return new WebAssembly.Module(wasm);
}

/** A page that a replayed commit leaves. */
export interface ReplayedPage {
  readonly pageNumber: number;
  readonly after: Uint8Array;
}

export interface ReplayedCommit {
  readonly lsn: Lsn;
  readonly pageCount: number;
  readonly pages: readonly ReplayedPage[];
}

export class Engine {
  readonly limits: EngineLimits;
  readonly #options: EngineOptions;
  readonly #overlay: Overlay;
  readonly #space: PageSpace;
  readonly #idle: Connection[] = [];
  readonly #open = new Set<Connection>();
  #runtime: Runtime;

  /** Errors: what the module's instantiation throws. Cost: some ms. */
  constructor(options: EngineOptions) {
    this.#options = options;
    this.limits = { ...ENGINE_LIMITS, ...options.limits };
    this.#overlay = new Overlay(options.source, this.limits.pageCacheSizeBytes);
    this.#space = {
      overlay: this.#overlay,
      sink: options.sink,
      refuseWrites: options.refuseWrites ?? (() => null),
      writer: null,
      reservedFor: null,
      transactionPagesMax: Math.floor(this.limits.transactionSizeBytesMax / DB_PAGE_SIZE_BYTES),
      onWriterFree: options.onWriterFree ?? (() => {}),
    };
    this.#runtime = this.#start();
  }

  /** The newest commit, durable or not. */
  get lsn(): Lsn {
    return this.#overlay.lsn;
  }

  get pageCount(): number {
    return this.#overlay.pageCount;
  }

  /** Bytes of page versions that the page source does not hold, old ones included. */
  get overlaySizeBytes(): number {
    return this.#overlay.memory.heldBytes;
  }

  get heapSizeBytes(): number {
    return this.#runtime.sqlite.heapSizeBytes;
  }

  get isWriterFree(): boolean {
    return this.#space.writer === null;
  }

  /** The connection that is writing. */
  get writer(): Connection | null {
    for (const connection of this.#open) if (connection.isWriter) return connection;
    return null;
  }

  get lentCount(): number {
    return this.#open.size - this.#idle.length;
  }

  /** Lends a connection to whoever these counters are of. Errors: DB_LIMIT where too many are
   *  lent; DB_STORAGE. */
  connect(access: Access, counters: SessionCounters = new SessionCounters()): Connection {
    if (this.#runtime.isBroken) this.restart();
    const connection = this.#idle.pop() ?? this.#openConnection();
    connection.lend(access, counters);
    return connection;
  }

  /** Nobody but `connection` may become the writer, until this is called with null. */
  reserveWriter(connection: Connection | null): void {
    this.#space.reservedFor = connection === null ? null : connection.file;
  }

  /** Ends reading transactions whose snapshot is older than `lsn`: the old versions they need take
   *  too much memory. Their next call throws `reason`. */
  abortReadersBefore(lsn: Lsn, reason: SqlError): void {
    for (const connection of this.#open) {
      if (!connection.isWriter && connection.seenLsn < lsn) connection.abort(reason);
    }
  }

  /** Copies a page of the newest state. False: there is no such page. */
  readPage(pageNumber: number, into: Uint8Array): boolean {
    const { lsn, pageCount } = this.#overlay;
    return this.#overlay.read(pageNumber, { lsn, pageCount }, into);
  }

  /** Takes a commit of the log: one that another engine, or this one before it was closed, has
   *  made. Nobody may be writing. Errors: RangeError where it is not the next one. */
  replay(commit: ReplayedCommit): void {
    if (this.#space.writer !== null) throw new TypeError('a replay while somebody writes');
    const versions: PageVersion[] = [];
    for (const { pageNumber, after } of commit.pages) {
      const version = this.#overlay.memory.take(pageNumber);
      version.bytes.set(after);
      versions.push(version);
    }
    this.#overlay.install(commit.lsn, commit.pageCount, versions);
  }

  /** Keeps the newest state readable until it is unpinned. */
  pin(): Snapshot {
    const snapshot = { lsn: 0, pageCount: 0 };
    this.#overlay.pin(snapshot);
    return snapshot;
  }

  /** Pins a state once more that is pinned already. */
  repin(snapshot: Snapshot): Snapshot {
    return this.#overlay.repin(snapshot);
  }

  unpin(snapshot: Snapshot): void {
    this.#overlay.unpin(snapshot);
  }

  /** The pages by which a pinned state differs from the page source. They may be read while
   *  commits go on. */
  changedPages(snapshot: Snapshot): Iterable<FoldedPage> {
    return this.#overlay.changedPages(snapshot);
  }

  /** The page source holds `snapshot` now, so that what is as old need not be held here.
   *  `releaseFormer`: nobody reads the source's former state any more. */
  advance(snapshot: Snapshot, releaseFormer: () => void): void {
    this.#overlay.advance(snapshot, releaseFormer);
  }

  /** Takes back every commit after a pinned state. All connections are closed: what they have seen
   *  may not have happened. */
  dropTo(snapshot: Snapshot): void {
    this.closeConnections();
    this.#overlay.dropTo(snapshot);
  }

  /** Closes every connection, also those that are lent: their next call throws DB_LOST. */
  closeConnections(): void {
    for (const connection of this.#open) connection.close();
    this.#open.clear();
    this.#idle.length = 0;
  }

  /** Begins anew after a trap: commits stay, connections and their transactions do not. */
  restart(): void {
    this.closeConnections();
    this.#runtime = this.#start();
  }

  close(): void {
    this.closeConnections();
  }

  #start(): Runtime {
    const { module, clock, cancel } = this.#options;
    const { limits } = this;
    return new Runtime({ module, clock, limits, space: this.#space, cancel: cancel ?? null });
  }

  #openConnection(): Connection {
    const most = this.limits.connectionsCountMax;
    if (this.#open.size >= most) {
      const message = `${most} connections to the database are in use, the limit`;
      throw new SqlError({ code: 'DB_LIMIT', sqlCode: 'SQLITE_BUSY', message });
    }
    const connection = new Connection(this.#runtime, (returned) => this.#takeBack(returned));
    this.#open.add(connection);
    return connection;
  }

  #takeBack(connection: Connection): void {
    if (!this.#open.has(connection)) return;
    const isLikeNew = connection.refresh();
    if (isLikeNew && this.#idle.length < this.limits.idleConnectionsCountMax) {
      this.#idle.push(connection);
      return;
    }
    this.#open.delete(connection);
    connection.close();
  }
}
