// A database file as one connection sees it: pages of a pinned snapshot, writes staged until the
// commit. SQLite locks it as a file with a rollback journal, and gets the isolation of WAL mode:
//
//   lock SHARED    pins the newest state; readers never wait and never make anyone wait
//   lock RESERVED  becomes the writer; BUSY where there is one, BUSY_SNAPSHOT where the pinned
//                  state is not the newest any more
//   write          into staged pages (SQLite writes at the commit: cache_spill is off)
//   control SYNC   the commit: the sink takes it, then it is the newest state
//   unlock         drops what was staged and not committed, unpins

import { type CommitPage, type CommitSink, DB_PAGE_SIZE_BYTES, type Lsn } from '../contract.ts';
import type { SqlError } from '../sql-error.ts';
import { tooManyPages } from './faults.ts';
import type { Overlay, Snapshot } from './overlay.ts';
import type { PageVersion } from './page-memory.ts';
import {
  FCNTL_COMMIT_PHASETWO,
  FCNTL_SYNC,
  LOCK_NONE,
  LOCK_RESERVED,
  LOCK_SHARED,
  SQLITE_BUSY,
  SQLITE_BUSY_SNAPSHOT,
  SQLITE_FULL,
  SQLITE_IOERR_FSYNC,
  SQLITE_IOERR_READ,
  SQLITE_IOERR_SHORT_READ,
  SQLITE_IOERR_WRITE,
  SQLITE_NOTFOUND,
  SQLITE_OK,
  SQLITE_READONLY,
} from './sqlite-codes.ts';

/** What the files of one database share. */
export interface PageSpace {
  readonly overlay: Overlay;
  readonly sink: CommitSink | null;
  /** Why nobody may write now, or null. */
  readonly refuseWrites: () => SqlError | null;
  /** The file that holds the writer. */
  writer: PageFile | null;
  /** Who may become the writer next; null for anyone. */
  reservedFor: PageFile | null;
  readonly transactionPagesMax: number;
  /** Called when the writer has become free. It must not call back. */
  readonly onWriterFree: () => void;
}

// Places in page 1, big-endian. Source: database file format, section 1.3.
const CHANGE_COUNTER_OFFSET = 24;
const PAGE_COUNT_OFFSET = 28;
/** Up to this size a loop is faster than a view and a copy. */
const SHORT_READ_SIZE_BYTES = 32;

export class PageFile {
  readonly #space: PageSpace;
  readonly #snapshot: Snapshot = { lsn: 0, pageCount: 0 };
  readonly #staged = new Map<number, PageVersion>();
  readonly #partial = new Uint8Array(DB_PAGE_SIZE_BYTES);
  #lock = LOCK_NONE;
  /** A write or the commit failed: what follows until the unlock is SQLite's own rollback. */
  #isFailed = false;
  #fileError: unknown = null;
  /** Whether this connection may become the writer. */
  isWritable = true;
  /** The newest state that this file has shown. */
  seenLsn: Lsn = 0;

  constructor(space: PageSpace) {
    this.#space = space;
  }

  get isWriter(): boolean {
    return this.#space.writer === this;
  }

  /** Why the last call failed, once; null where SQLite's own code says it. */
  takeError(): unknown {
    const error = this.#fileError;
    this.#fileError = null;
    return error;
  }

  lock(level: number): number {
    if (this.#lock === LOCK_NONE) {
      this.#space.overlay.pin(this.#snapshot);
      this.#lock = LOCK_SHARED;
      this.seenLsn = this.#snapshot.lsn;
    }
    if (level <= LOCK_SHARED || level <= this.#lock) return SQLITE_OK;
    if (!this.isWriter) {
      const refusal = this.#space.refuseWrites();
      if (refusal !== null) {
        this.#fileError = refusal;
        return SQLITE_READONLY;
      }
      if (!this.isWritable) return SQLITE_READONLY;
      const { writer, reservedFor } = this.#space;
      if (writer !== null || (reservedFor !== null && reservedFor !== this)) return SQLITE_BUSY;
      if (this.#snapshot.lsn !== this.#space.overlay.lsn) return SQLITE_BUSY_SNAPSHOT;
      this.#space.writer = this;
    }
    this.#lock = level;
    return SQLITE_OK;
  }

  unlock(level: number): number {
    if (level < LOCK_RESERVED && this.isWriter) {
      this.#dropStaged();
      this.#isFailed = false;
      this.#space.writer = null;
      this.#space.onWriterFree();
    }
    if (level === LOCK_NONE && this.#lock !== LOCK_NONE) {
      this.#space.overlay.unpin(this.#snapshot);
    }
    if (level < this.#lock) this.#lock = level;
    return SQLITE_OK;
  }

  /** Copies bytes of the file; zeros beyond its end. SQLite reads whole pages, and parts of one:
   *  never across a page's edge. */
  read(into: Uint8Array, offset: number): number {
    const pageNumber = Math.floor(offset / DB_PAGE_SIZE_BYTES) + 1;
    const inner = offset % DB_PAGE_SIZE_BYTES;
    if (this.#lock === LOCK_NONE) this.#showNewest();
    const version =
      this.#staged.get(pageNumber) ?? this.#space.overlay.find(pageNumber, this.#snapshot.lsn);
    if (version && pageNumber <= this.#sizePages()) {
      copyPart(version.bytes, inner, into);
      return SQLITE_OK;
    }
    const target = into.length === DB_PAGE_SIZE_BYTES ? into : this.#partial;
    try {
      const isThere = this.#space.overlay.read(pageNumber, this.#snapshot, target);
      if (target !== into) copyPart(target, inner, into);
      return isThere || pageNumber <= this.#sizePages() ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
    } catch (error) {
      this.#fileError = error;
      return SQLITE_IOERR_READ;
    }
  }

  write(bytes: Uint8Array, offset: number): number {
    const pageNumber = Math.floor(offset / DB_PAGE_SIZE_BYTES) + 1;
    if (!this.isWriter || bytes.length !== DB_PAGE_SIZE_BYTES || offset % DB_PAGE_SIZE_BYTES) {
      return this.#fail(SQLITE_IOERR_WRITE);
    }
    let version = this.#staged.get(pageNumber);
    if (version === undefined) {
      // A rollback writes pages back that are staged already.
      const { transactionPagesMax } = this.#space;
      if (this.#staged.size >= transactionPagesMax) {
        this.#fileError = tooManyPages(transactionPagesMax);
        return this.#fail(SQLITE_FULL);
      }
      version = this.#space.overlay.memory.take(pageNumber);
      this.#staged.set(pageNumber, version);
    }
    version.bytes.set(bytes);
    return SQLITE_OK;
  }

  /** Nothing to do: the size of a commit stands in page 1. */
  truncate(): number {
    return this.isWriter ? SQLITE_OK : SQLITE_IOERR_WRITE;
  }

  sizeBytes(): number {
    if (this.#lock === LOCK_NONE) this.#showNewest();
    return this.#sizePages() * DB_PAGE_SIZE_BYTES;
  }

  control(operation: number): number {
    if (operation === FCNTL_SYNC) return this.#commit();
    return operation === FCNTL_COMMIT_PHASETWO ? SQLITE_OK : SQLITE_NOTFOUND;
  }

  close(): number {
    return this.unlock(LOCK_NONE);
  }

  /** Before its first lock SQLite reads the header of whatever there is. */
  #showNewest(): void {
    this.#snapshot.lsn = this.#space.overlay.lsn;
    this.#snapshot.pageCount = this.#space.overlay.pageCount;
  }

  #sizePages(): number {
    let pages = this.#snapshot.pageCount;
    if (this.#staged.size === 0) return pages;
    for (const pageNumber of this.#staged.keys()) pages = Math.max(pages, pageNumber);
    return pages;
  }

  #fail(code: number): number {
    this.#isFailed = true;
    return code;
  }

  #commit(): number {
    const header = this.#staged.get(1);
    if (header === undefined || this.#isFailed || !this.#isNextChange(header)) return SQLITE_OK;
    const pageCount = uint32At(header.bytes, PAGE_COUNT_OFFSET);
    for (const [pageNumber, version] of this.#staged) {
      if (pageNumber <= pageCount) continue;
      this.#space.overlay.memory.giveBack(version);
      this.#staged.delete(pageNumber);
    }
    const lsn = this.#snapshot.lsn + 1;
    try {
      this.#handOver(lsn, pageCount);
    } catch (error) {
      this.#fileError = error;
      return this.#fail(SQLITE_IOERR_FSYNC);
    }
    const { overlay } = this.#space;
    const former = { ...this.#snapshot };
    overlay.install(lsn, pageCount, this.#staged.values());
    this.#staged.clear();
    overlay.pin(this.#snapshot);
    overlay.unpin(former);
    this.seenLsn = lsn;
    return SQLITE_OK;
  }

  /** SQLite syncs at the end of a rollback too, where it has written the old pages back. Only a
   *  commit moves the change counter. */
  #isNextChange(header: PageVersion): boolean {
    if (this.#snapshot.pageCount === 0) return true;
    const former = this.#before(1)!;
    const isNext =
      uint32At(former.bytes, CHANGE_COUNTER_OFFSET) !==
      uint32At(header.bytes, CHANGE_COUNTER_OFFSET);
    this.#forget(former);
    return isNext;
  }

  #handOver(lsn: Lsn, pageCount: number): void {
    const { sink, refuseWrites } = this.#space;
    const refusal = refuseWrites();
    if (refusal !== null) throw refusal;
    if (sink === null) return;
    const befores: (PageVersion | null)[] = [];
    const pages: CommitPage[] = [];
    try {
      for (const [pageNumber, version] of this.#staged) {
        const before = this.#before(pageNumber);
        befores.push(before);
        pages.push({ pageNumber, before: before?.bytes ?? null, after: version.bytes });
      }
      sink.commit({ lsn, pageCount, pages });
    } finally {
      for (const before of befores) if (before !== null) this.#forget(before);
    }
  }

  /** A page as it was before this transaction; to be given to #forget. */
  #before(pageNumber: number): PageVersion | null {
    if (pageNumber > this.#snapshot.pageCount) return null;
    const { overlay } = this.#space;
    const version = overlay.find(pageNumber, this.#snapshot.lsn);
    if (version) return version;
    const copy = overlay.memory.take(0);
    overlay.read(pageNumber, this.#snapshot, copy.bytes);
    return copy;
  }

  /** Gives back what #before has copied: copies have page number 0. */
  #forget(before: PageVersion): void {
    if (before.pageNumber === 0) this.#space.overlay.memory.giveBack(before);
  }

  #dropStaged(): void {
    for (const version of this.#staged.values()) this.#space.overlay.memory.giveBack(version);
    this.#staged.clear();
  }
}

function copyPart(page: Uint8Array, inner: number, into: Uint8Array): void {
  const sizeBytes = into.length;
  if (sizeBytes > SHORT_READ_SIZE_BYTES) {
    into.set(sizeBytes === DB_PAGE_SIZE_BYTES ? page : page.subarray(inner, inner + sizeBytes));
    return;
  }
  for (let index = 0; index < sizeBytes; index++) into[index] = page[inner + index]!;
}

function uint32At(bytes: Uint8Array, offset: number): number {
  const high = (bytes[offset]! << 8) | bytes[offset + 1]!;
  const low = (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
  return high * 0x1_0000 + low;
}
