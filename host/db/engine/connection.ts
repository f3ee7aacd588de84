// One connection of SQLite, as it is lent to a session: runs one statement at a time to its end.

import type {
  Lsn,
  RowSink,
  RunOutcome,
  SqlConnection,
  SqlDescription,
  SqlStatement,
} from '../contract.ts';
import type { SqlError } from '../sql-error.ts';
import { ArgumentArea } from './arguments.ts';
import { Authorizer } from './authorizer.ts';
import { ConnectionCounters, type SessionCounters } from './counters.ts';
import type { Access } from './engine-options.ts';
import {
  failedCall,
  limit,
  lostConnection,
  manyStatements,
  noStatement,
  type StopReason,
  unknownLetter,
} from './faults.ts';
import { CACHED_SQL_LENGTH_MAX, NESTING_WORDS_COUNT_MAX } from './limits.ts';
import { openDatabase } from './open-database.ts';
import { PageFile } from './page-file.ts';
import { PreparedStatement, PreparedStatements, type StatementFacts } from './prepared.ts';
import { passRow } from './rows.ts';
import type { Runtime } from './runtime.ts';
import {
  DBSTATUS_CACHE_USED,
  PREPARE_PERSISTENT,
  SQLITE_DONE,
  SQLITE_OK,
  SQLITE_ROW,
  STMTSTATUS_FULLSCAN_STEP,
} from './sqlite-codes.ts';
import { isBlankSql, isReadonlyBegin, nestingWordsCount } from './statement-text.ts';

export class Connection implements SqlConnection {
  readonly authorizer: Authorizer;
  readonly counters: ConnectionCounters;
  readonly #runtime: Runtime;
  readonly file: PageFile;
  readonly #db: number;
  readonly #arguments: ArgumentArea;
  readonly #prepared: PreparedStatements;
  readonly #giveBack: (connection: Connection) => void;
  #access: Access = 'read-write';
  #isLent = false;
  #isPersonal = false;
  #isClosed = false;
  #isReadonlyTransaction = false;
  #stop: StopReason | null = null;
  #aborted: SqlError | null = null;
  /** Since when an open transaction holds the writer; 0 where none does. Units: ms, nowMs(). */
  writerSinceMs = 0;
  deadlineMs = 0;
  /** A statement stops when its sink holds more. */
  replySizeBytesMax = Number.POSITIVE_INFINITY;
  /** What another thread stores to stop this connection's statement; 0 for nothing. */
  ticket = 0;

  /** Errors: SqlError. Cost: some 200 µs. */
  constructor(runtime: Runtime, giveBack: (connection: Connection) => void) {
    this.#runtime = runtime;
    this.#giveBack = giveBack;
    this.file = new PageFile(runtime.space);
    this.authorizer = new Authorizer(runtime.sqlite);
    this.#arguments = new ArgumentArea(runtime.sqlite, runtime.limits.valueSizeBytesMax);
    try {
      this.#db = openDatabase(runtime, this.file);
    } catch (error) {
      this.#arguments.free();
      throw error;
    }
    this.counters = new ConnectionCounters(runtime.sqlite.exports, this.#db);
    this.#prepared = new PreparedStatements(runtime.limits.statementsCountMax, (statement) => {
      runtime.sqlite.exports.sqlite3_finalize(statement.pointer);
    });
  }

  get isAutocommit(): boolean {
    if (this.#isClosed || this.#runtime.isBroken) return true;
    return this.#runtime.sqlite.exports.sqlite3_get_autocommit(this.#db) !== 0;
  }

  get seenLsn(): Lsn {
    return this.file.seenLsn;
  }

  get isWriter(): boolean {
    return this.file.isWriter;
  }

  /** Whether a client would miss anything if its next statement ran on another connection: a
   *  transaction, a temporary table, a pragma's setting. */
  get holdsState(): boolean {
    return this.authorizer.isTainted || !this.isAutocommit;
  }

  get isPersonal(): boolean {
    return this.#isPersonal;
  }

  lend(access: Access, counters: SessionCounters): void {
    this.counters.passTo(counters);
    this.#isLent = true;
    this.#isPersonal = false;
    this.#access = access;
    this.file.isWritable = access === 'read-write';
    this.file.seenLsn = 0;
    this.deadlineMs = 0;
    this.replySizeBytesMax = Number.POSITIVE_INFINITY;
    this.ticket = 0;
    this.writerSinceMs = 0;
    this.#aborted = null;
  }

  run(statement: SqlStatement, sink: RowSink | null): RunOutcome {
    this.#enter();
    const prepared = this.#take(statement.sql);
    try {
      this.#arguments.bind(prepared, statement);
      return this.#execute(prepared, statement.wantRows ? sink : null);
    } finally {
      this.#settle(prepared);
    }
  }

  runSequence(sql: string, startAt = 0): void {
    this.#enter();
    this.#checkSql(sql);
    const { sqlite } = this.#runtime;
    const text = sql.slice(startAt);
    const pointer = sqlite.keepCString(text);
    const end = pointer + Buffer.byteLength(text);
    let at = pointer;
    try {
      while (at < end) at = this.#runNext(at, end);
    } catch (error) {
      const done = decoder.decode(sqlite.u8.subarray(pointer, at));
      (error as SqlError).resumeAt = startAt + done.length;
      throw error;
    } finally {
      if (!this.#runtime.isBroken) sqlite.exports.free(pointer);
    }
  }

  describe(sql: string): SqlDescription {
    this.#enter();
    this.authorizer.isDescribing = true;
    try {
      const prepared = this.#take(sql);
      const description = {
        parameters: prepared.parameterNames().map((name) => ({ name })),
        columns: prepared.columns(),
        isExplain: prepared.isExplain,
        isReadonly: prepared.isReadonly,
      };
      this.#settle(prepared);
      return description;
    } finally {
      this.authorizer.isDescribing = false;
    }
  }

  /** Rolls back from outside; the next call on it throws `reason`, once. */
  abort(reason: SqlError): void {
    if (this.#isClosed || this.#runtime.isBroken || this.isAutocommit) return;
    this.#enterUnchecked();
    this.#runtime.exec(this.#db, this.#runtime.rollback);
    this.writerSinceMs = 0;
    this.#aborted = reason;
  }

  release(): void {
    if (this.#isClosed) return;
    if (!this.#isLent) throw new TypeError('the connection has been released before');
    this.#isLent = false;
    this.#giveBack(this);
  }

  /** Makes the connection like a new one. False where it must be closed instead. */
  refresh(): boolean {
    if (this.#runtime.isBroken) return false;
    if (!this.isAutocommit) {
      this.#enterUnchecked();
      if (this.#runtime.exec(this.#db, this.#runtime.rollback) !== SQLITE_OK) return false;
    }
    this.#isReadonlyTransaction = false;
    return !this.authorizer.isTainted && !this.isWriter;
  }

  /** Closes it, lent or not, and rolls back what it was writing. Its user's next call throws. */
  close(): void {
    this.#isClosed = true;
    if (!this.#runtime.isBroken) {
      this.#prepared.clear();
      this.#arguments.free();
      this.#runtime.sqlite.exports.sqlite3_close_v2(this.#db);
    }
    this.file.close();
  }

  /** Whether the statement that runs must stop. Called by SQLite every PROGRESS_STEPS. */
  shouldStop(): boolean {
    const { cancel, clock } = this.#runtime;
    if (cancel !== null && this.ticket !== 0 && Atomics.load(cancel, 0) === this.ticket) {
      this.#stop = 'cancelled';
    } else if (this.deadlineMs !== 0 && clock.nowMs() >= this.deadlineMs) {
      this.#stop = 'deadline';
    } else if (this.isWriter && this.#isTransactionTooLarge()) {
      this.#stop = 'transaction-size';
    }
    return this.#stop !== null;
  }

  #enter(): void {
    if (this.#isClosed) throw lostConnection();
    if (!this.#isLent) throw new TypeError('the connection has been released');
    this.#runtime.assertWhole();
    this.#enterUnchecked();
    const aborted = this.#aborted;
    this.#aborted = null;
    if (aborted !== null) throw aborted;
  }

  #enterUnchecked(): void {
    this.#runtime.current = this;
    if (!this.isWriter) this.writerSinceMs = 0;
    this.#stop = null;
    this.authorizer.reset();
    this.file.takeError();
  }

  #execute(prepared: PreparedStatement, sink: RowSink | null): RunOutcome {
    const { exports } = this.#runtime.sqlite;
    const db = this.#db;
    const changesBefore = exports.sqlite3_total_changes(db);
    if (prepared.isPersonal) this.#isPersonal = true;
    let rowsReturned: number;
    try {
      rowsReturned = this.#stepAll(prepared, sink);
    } finally {
      if (prepared.setsChanges) this.counters.hasChanged = true;
    }
    // A pragma's table asks for it while it runs.
    if (this.authorizer.sawPersonal) this.#isPersonal = true;
    if (prepared.beginsReadonly) this.#beginReadonly();
    this.#watchTransaction();
    const rowsWritten = exports.sqlite3_total_changes(db) - changesBefore;
    const scanned = exports.sqlite3_stmt_status(prepared.pointer, STMTSTATUS_FULLSCAN_STEP, 1);
    return {
      // What SQLite calls changes() stays as it was where a statement changes nothing.
      affectedRowCount: rowsWritten === 0 ? 0 : exports.sqlite3_changes(db),
      lastInsertRowid: exports.sqlite3_last_insert_rowid(db),
      rowsRead: Math.max(rowsReturned, scanned),
      rowsWritten,
    };
  }

  /** The number of rows. Errors: SqlError. */
  #stepAll(prepared: PreparedStatement, sink: RowSink | null): number {
    const { sqlite, limits } = this.#runtime;
    const { pointer } = prepared;
    let rowsCount = 0;
    const room = { left: limits.resultSizeBytesMax, sinkMax: this.replySizeBytesMax };
    let code = this.#step(pointer);
    const columns = prepared.columns();
    if (code === SQLITE_ROW || code === SQLITE_DONE) sink?.columns(columns);
    while (code === SQLITE_ROW) {
      rowsCount++;
      const isPassed = sink === null || passRow(sqlite, pointer, columns.length, sink, room);
      if (!isPassed && this.#stop === null) {
        // Not a reset: that would commit what a statement with RETURNING has changed.
        this.#stop = 'result-size';
        sqlite.exports.sqlite3_interrupt(this.#db);
      }
      code = this.#step(pointer);
    }
    if (code !== SQLITE_DONE) throw this.#failure(code);
    return rowsCount;
  }

  #step(pointer: number): number {
    this.authorizer.isRunning = true;
    const code = this.#runtime.step(pointer);
    this.authorizer.isRunning = false;
    return code;
  }

  /** Runs the statement at `at` of a sequence; where the next one begins. */
  #runNext(at: number, end: number): number {
    const { sqlite } = this.#runtime;
    this.#stop = null;
    this.authorizer.reset();
    const code = this.#runtime.prepare(this.#db, at, end - at, 0);
    if (code !== SQLITE_OK) throw this.#failure(code);
    const pointer = this.#runtime.word(0);
    const tail = this.#runtime.word(1);
    if (pointer === 0) return tail;
    const beginsReadonly =
      this.authorizer.sawTransaction &&
      isReadonlyBegin(decoder.decode(sqlite.u8.subarray(at, tail)));
    const facts = this.#facts('', beginsReadonly);
    const prepared = new PreparedStatement(sqlite, pointer, { ...facts, isKept: false });
    try {
      this.#execute(prepared, null);
    } finally {
      this.#settle(prepared);
    }
    return tail;
  }

  /** A prepared statement, out of the cache or new; to be given to #settle. */
  #take(sql: string): PreparedStatement {
    const kept = this.#prepared.find(sql);
    if (kept !== undefined) return kept;
    this.#checkSql(sql);
    const { sqlite } = this.#runtime;
    const pointer = sqlite.keepCString(sql);
    try {
      return this.#prepareOne(sql, pointer, pointer + Buffer.byteLength(sql));
    } finally {
      if (!this.#runtime.isBroken) sqlite.exports.free(pointer);
    }
  }

  #prepareOne(sql: string, start: number, end: number): PreparedStatement {
    const { sqlite } = this.#runtime;
    let tail = start;
    let pointer = 0;
    while (pointer === 0) {
      if (tail >= end) throw noStatement();
      const code = this.#runtime.prepare(this.#db, tail, end - tail, PREPARE_PERSISTENT);
      if (code !== SQLITE_OK) throw this.#failure(code);
      pointer = this.#runtime.word(0);
      tail = this.#runtime.word(1);
    }
    if (!isBlankSql(sqlite.u8.subarray(tail, end))) {
      sqlite.exports.sqlite3_finalize(pointer);
      throw manyStatements();
    }
    const isKept = !this.authorizer.sawPragma && sql.length <= CACHED_SQL_LENGTH_MAX;
    const beginsReadonly = this.authorizer.sawTransaction && isReadonlyBegin(sql);
    const facts = this.#facts(sql, beginsReadonly);
    const prepared = new PreparedStatement(sqlite, pointer, { ...facts, isKept });
    if (isKept) this.#prepared.add(prepared);
    return prepared;
  }

  #facts(sql: string, beginsReadonly: boolean): Omit<StatementFacts, 'isKept'> {
    const { sawPersonal, sawRowChange, sawSchemaChange } = this.authorizer;
    const changesRows = sawRowChange && !sawSchemaChange;
    return { sql, beginsReadonly, isPersonal: sawPersonal, changesRows };
  }

  /** After a statement, however it ended. */
  #settle(prepared: PreparedStatement): void {
    const runtime = this.#runtime;
    this.authorizer.isRunning = false;
    if (runtime.isBroken) return;
    runtime.reset(prepared.pointer);
    this.#arguments.reset(prepared);
    if (!prepared.isKept) runtime.sqlite.exports.sqlite3_finalize(prepared.pointer);
    if (this.#isReadonlyTransaction && this.isAutocommit) this.#endReadonly();
  }

  #checkSql(sql: string): void {
    const most = this.#runtime.limits.sqlSizeBytesMax;
    if (sql.length > most) {
      const message = `the statement has ${sql.length} characters, the limit is ${most}`;
      throw limit('SQLITE_TOOBIG', message);
    }
    // SQLite ends a text there, and never gets behind it.
    if (sql.includes('\0')) throw unknownLetter();
    const words = nestingWordsCount(sql, NESTING_WORDS_COUNT_MAX);
    if (words > NESTING_WORDS_COUNT_MAX) {
      const message = `the statement has ${words} SELECT and COLLATE`;
      throw limit('SQLITE_TOOBIG', `${message}, the limit is ${NESTING_WORDS_COUNT_MAX}`);
    }
  }

  #beginReadonly(): void {
    this.#isReadonlyTransaction = true;
    this.file.isWritable = false;
  }

  #endReadonly(): void {
    this.#isReadonlyTransaction = false;
    this.file.isWritable = this.#access === 'read-write';
  }

  /** Dirty pages stay in SQLite's cache until the commit. */
  #isTransactionTooLarge(): boolean {
    const { sqlite, scratch, limits } = this.#runtime;
    sqlite.exports.sqlite3_db_status(this.#db, DBSTATUS_CACHE_USED, scratch, scratch + 4, 0);
    return this.#runtime.word(0) > limits.transactionSizeBytesMax + 2 * limits.cacheSizeBytes;
  }

  /** After a statement: an open transaction that writes must not outgrow its limit. */
  #watchTransaction(): void {
    if (!this.isWriter) return;
    if (this.writerSinceMs === 0) this.writerSinceMs = this.#runtime.clock.nowMs();
    if (!this.#isTransactionTooLarge()) return;
    this.#runtime.exec(this.#db, this.#runtime.rollback);
    const most = this.#runtime.limits.transactionSizeBytesMax;
    throw limit('SQLITE_FULL', `the transaction changes more than ${most} bytes of pages`);
  }

  #failure(resultCode: number): SqlError {
    const { sqlite } = this.#runtime;
    const message = sqlite.cString(sqlite.exports.sqlite3_errmsg(this.#db));
    const fileError = this.file.takeError();
    const { refused } = this.authorizer;
    return failedCall({ resultCode, message, stop: this.#stop, fileError, refused });
  }
}

const decoder = new TextDecoder();
