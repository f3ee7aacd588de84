// What the parts of the database plane are to each other: the engine makes commits, the log makes
// them durable, the page store keeps what the log no longer needs to, and a session answers
// clients. Each part is made and tested against this file alone.
//
//     session ──run()──► engine ──CommitRecord──► group ──append()──► log ──(durable)──► replies
//                          ▲                        │
//                          └──────PageSource────────┴──fold()──► page store

/** Source: database file format, section 1.3.2; 4 KiB measured as the fastest for commits. */
export const DB_PAGE_SIZE_BYTES = 4_096;

/** A log sequence number: the count of commits since the database was made. 0: an empty database.
 *  A safe integer. */
export type Lsn = number;

/** A page of a commit. `before` is null for a page that did not exist. Both are valid only during
 *  the call that hands them over, and exactly DB_PAGE_SIZE_BYTES long. */
export interface CommitPage {
  /** From 1, as in the file format. */
  readonly pageNumber: number;
  readonly before: Uint8Array | null;
  readonly after: Uint8Array;
}

/** One commit, as the engine hands it over at SQLITE_FCNTL_COMMIT_PHASETWO. */
export interface CommitRecord {
  readonly lsn: Lsn;
  /** Pages of the database after the commit; pages above it are gone. */
  readonly pageCount: number;
  readonly pages: readonly CommitPage[];
}

/** Takes commits, in order of their LSN. A throw makes the statement fail and roll back. */
export interface CommitSink {
  commit(record: CommitRecord): void;
}

/** Where the engine reads pages that it does not hold itself. Synchronous. */
export interface PageSource {
  /** The state that the source holds in full; what is newer, the engine holds itself. */
  readonly lsn: Lsn;
  readonly pageCount: number;
  /** Copies the page as it was at `atLsn` (<= lsn, and pinned) into `into`. False: no such page.
   *  Errors: DB_PAGE_CORRUPT where its checksum is wrong; never wrong bytes. */
  readPage(pageNumber: number, atLsn: Lsn, into: Uint8Array): boolean;
}

/** A group of commits as it stands in the log. */
export interface LogGroup {
  readonly epoch: number;
  readonly firstLsn: Lsn;
  readonly lastLsn: Lsn;
  /** When the group was sealed; for restores to a time. */
  readonly sealedAtMs: number;
  /** Encoded commits: page deltas. Shape: host/db/log. */
  readonly payload: Uint8Array;
}

/** Where commits become durable. One segment folder here; a cluster later. */
export interface LogStore {
  readonly epoch: number;
  /** LSN of the next commit to append. */
  readonly nextLsn: Lsn;
  /** Oldest LSN that can still be read. */
  readonly firstLsn: Lsn;
  /** Resolves when the group is durable. Errors: DB_LOG_FENCED where `expectedLsn` is not the next
   *  one or a newer epoch has begun, DB_LOG_FAILED where the disk refused: nothing after it may be
   *  acknowledged until the log has been opened again. */
  append(expectedLsn: Lsn, group: LogGroup): Promise<void>;
  /** Groups from the one that holds `fromLsn`, checked, in order, durable ones only. Errors:
   *  DB_LOG_CORRUPT with file and place, DB_LOG_TRIMMED where `fromLsn` is gone. */
  read(fromLsn: Lsn): AsyncIterable<LogGroup>;
  /** Frees segments that hold nothing newer than `toLsn`; and further ones, as far as its bound
   *  allows, while the log is larger than that. */
  trim(toLsn: Lsn, bound?: LogBound): Promise<void>;
  /** What its segments take; absent where nobody counts. Units: bytes. */
  readonly sizeBytes?: number;
  close(): Promise<void>;
}

export interface LogBound {
  readonly sizeBytesMax: number;
  /** Nothing newer is freed. */
  readonly toLsn: Lsn;
}

/** Pages folded out of the log. */
export interface PageStore extends PageSource {
  /** Makes `lsn` the state of the store, atomically and durably. */
  fold(lsn: Lsn, pageCount: number, pages: Iterable<FoldedPage>): Promise<void>;
  /** Keeps the state at `atLsn` readable until it is released. */
  pin(atLsn: Lsn): PagePin;
  /** The oldest state that is kept so that the log can lead on from it; absent where none but the
   *  newest is. */
  readonly retainedLsn?: Lsn;
  close(): Promise<void>;
}

export interface FoldedPage {
  readonly pageNumber: number;
  readonly bytes: Uint8Array;
}

export interface PagePin {
  readonly lsn: Lsn;
  readonly pageCount: number;
  release(): void;
}

/** A value bound to a parameter. A bigint is an SQLite integer, a number is a float. */
export type SqlValue = null | bigint | number | string | Uint8Array;

export interface SqlStatement {
  readonly sql: string;
  readonly args: readonly SqlValue[];
  /** Names with or without `:`, `@`, `$`. */
  readonly namedArgs: readonly { readonly name: string; readonly value: SqlValue }[];
  readonly wantRows: boolean;
}

export interface SqlColumn {
  readonly name: string | null;
  readonly declaredType: string | null;
}

/** Takes rows as they are stepped. Bytes are valid only during the call. */
export interface RowSink {
  /** Bytes that it holds, for the limit of a reply; 0 where none holds. */
  readonly size: number;
  columns(columns: readonly SqlColumn[]): void;
  beginRow(): void;
  nullValue(): void;
  /** A number where it is exact, else a bigint. */
  integer(value: number | bigint): void;
  float(value: number): void;
  /** UTF-8, unchecked: SQLite stores what it is given. */
  text(utf8: Uint8Array): void;
  blob(bytes: Uint8Array): void;
  endRow(): void;
}

export interface RunOutcome {
  readonly affectedRowCount: number;
  readonly lastInsertRowid: bigint;
  readonly rowsRead: number;
  readonly rowsWritten: number;
}

export interface SqlDescription {
  readonly parameters: readonly { readonly name: string | null }[];
  readonly columns: readonly SqlColumn[];
  readonly isExplain: boolean;
  readonly isReadonly: boolean;
}

/** One SQLite connection, lent by the pool of its database. Synchronous; on the owner's thread.
 *  Errors are SqlErrors (sql-error.ts). After each of them `isAutocommit` says whether the
 *  transaction is still open: some errors roll it back. */
export interface SqlConnection {
  /** Runs exactly one statement to its end. Errors: DB_BUSY where another connection holds the
   *  writer (nothing happened: it may be run again when the writer is free), DB_STALE where the
   *  transaction's snapshot is too old to write (roll back first), DB_LOST where the connection is
   *  gone, and the others of SqlErrorCode. */
  run(statement: SqlStatement, sink: RowSink | null): RunOutcome;
  /** Runs every statement of a text; rows are discarded. Errors: as for run, with `resumeAt` set
   *  to where the statement that failed begins. What came before it has happened: after DB_BUSY,
   *  call again with that as `startAt`. */
  runSequence(sql: string, startAt?: number): void;
  /** Errors: DB_REFUSED for a pragma that would act by being described. */
  describe(sql: string): SqlDescription;
  readonly isAutocommit: boolean;
  /** Whether a client would miss anything if its next statement ran on another connection: an
   *  open transaction, temporary tables, a pragma's setting. Where not, a stream that waits for
   *  its client can give its connection back. */
  readonly holdsState: boolean;
  /** Whether its user has asked for what is kept for a connection, as `PRAGMA data_version`: the
   *  next answer compares with this one only where it comes from here. */
  readonly isPersonal: boolean;
  /** The newest state that anything answered on this connection depends on: a reply may leave when
   *  that is durable. */
  readonly seenLsn: Lsn;
  /** Whether it holds the writer. */
  readonly isWriter: boolean;
  /** Statements stop at this time of the clock's nowMs() with DB_DEADLINE; 0 for none. A writing
   *  statement that is stopped takes its transaction with it. */
  deadlineMs: number;
  /** A statement stops when its sink holds more, and what it has changed is rolled back. */
  replySizeBytesMax: number;
  /** Another thread stops the statement that runs, with DB_CANCELLED, by storing this number in the
   *  engine's cancel word; 0 for none. */
  ticket: number;
  /** Rolls back, forgets and returns to the pool. */
  release(): void;
}

/** What SQLite or the plane says of a statement. */
export interface SqlFault {
  /** As clients of Hrana know them: `SQLITE_CONSTRAINT`, `SQLITE_BUSY`, `SQL_NO_STATEMENT`… */
  readonly sqlCode: string;
  /** The extended result code's name, or ''. */
  readonly extendedCode: string;
  readonly message: string;
}
