// A stream: one client's connection to the database, and its requests in their order. It takes a
// connection when the first statement comes and keeps it until it is closed, or until the database
// has none left and the stream has nothing on it that its client would miss.

import type { Lsn, RowSink, RunOutcome, SqlConnection, SqlDescription, SqlStatement } from '../contract.ts';
import { isSqlError } from '../sql-error.ts';
import { HranaError, type HranaFault } from './hrana-error.ts';
import type { Run } from './run-requests.ts';
import type { Access, SessionDatabase } from './session-database.ts';
import type { SessionHost } from './session-host.ts';

/** Work of a stream. */
export interface Job {
  readonly run: Run;
  /** It has ended; what it has seen is not yet durable. */
  done(): void;
}

export class SqlStream {
  readonly access: Access;
  /** When its last request ended, by the clock. */
  idleSinceMs: number;
  readonly #host: SessionHost;
  readonly #database: SessionDatabase;
  readonly #jobs: Job[] = [];
  #connection: SqlConnection | null = null;
  /** Why no statement may run any more, though the client has not closed it. */
  #failure: HranaError | null = null;
  #isTransaction = false;
  #isClosed = false;
  #isWaiting = false;
  #isRunning = false;
  #seenLsn: Lsn = 0;

  constructor(host: SessionHost, access: Access) {
    this.#host = host;
    this.#database = host.database;
    this.access = access;
    this.idleSinceMs = host.clock.nowMs();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether it holds the writer of the database. */
  get isWriter(): boolean {
    return this.#connection?.isWriter ?? false;
  }

  get isIdle(): boolean {
    return this.#jobs.length === 0;
  }

  get isAutocommit(): boolean {
    return this.#connection?.isAutocommit ?? true;
  }

  /** What its replies depend on. */
  get seenLsn(): Lsn {
    return Math.max(this.#seenLsn, this.#connection?.seenLsn ?? 0);
  }

  // --- jobs, in order ---------------------------------------------------------------------------

  enqueue(job: Job): void {
    this.#jobs.push(job);
    if (!this.#isRunning && !this.#isWaiting) this.#runJobs();
  }

  /** The writer is free: what waited for it goes on. */
  resume(): void {
    this.#isWaiting = false;
    this.#runJobs();
  }

  /** What waited for the writer is told that it did so in vain. */
  refuse(fault: HranaError): void {
    this.#isWaiting = false;
    this.#runJobs(fault);
  }

  #runJobs(refusal: HranaError | null = null): void {
    this.#isRunning = true;
    let thrown = refusal;
    for (let job = this.#jobs[0]; job !== undefined; job = this.#jobs[0]) {
      const { done } = thrown === null ? job.run.next() : job.run.throw(thrown);
      thrown = null;
      if (!done) {
        thrown = this.#host.waitForWriter(this);
        if (thrown !== null) continue;
        this.#isWaiting = true;
        break;
      }
      this.#jobs.shift();
      this.idleSinceMs = this.#host.clock.nowMs();
      job.done();
    }
    this.#isRunning = false;
    this.#host.ranOn(this);
  }

  // --- statements -------------------------------------------------------------------------------

  run(statement: SqlStatement, sink: RowSink): RunOutcome {
    const connection = this.#ready();
    try {
      return connection.run(statement, sink);
    } catch (error) {
      throw this.#failed(error);
    } finally {
      this.#isTransaction = !connection.isAutocommit;
    }
  }

  runSequence(sql: string, startAt: number): void {
    const connection = this.#ready();
    try {
      connection.runSequence(sql, startAt);
    } catch (error) {
      throw this.#failed(error);
    } finally {
      this.#isTransaction = !connection.isAutocommit;
    }
  }

  describe(sql: string): SqlDescription {
    const connection = this.#ready();
    try {
      return connection.describe(sql);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  checkReplySize(sizeBytes: number): void {
    const most = this.#host.limits.replySizeBytesMax;
    if (sizeBytes <= most) return;
    throw new HranaError('RESPONSE_TOO_LARGE', `the reply has more than ${most} bytes`);
  }

  /** Gives its connection back where the client would miss nothing. */
  giveBack(): boolean {
    const connection = this.#connection;
    if (connection === null || !this.isIdle || connection.holdsState) return false;
    this.#drop();
    return true;
  }

  /** Rolls back; every further statement fails with `failure`, until the client closes it. */
  fail(failure: HranaError): void {
    this.#failure ??= failure;
    this.#drop();
  }

  close(): void {
    this.#isClosed = true;
    this.#drop();
  }

  /** The client is gone: nothing of it runs any more. */
  abandon(): void {
    for (const job of this.#jobs.splice(0)) job.run.return();
    this.#isWaiting = false;
    this.#host.left(this);
    this.close();
  }

  #drop(): void {
    const connection = this.#connection;
    if (connection === null) return;
    this.#seenLsn = Math.max(this.#seenLsn, connection.seenLsn);
    this.#connection = null;
    this.#isTransaction = false;
    connection.release();
  }

  #ready(): SqlConnection {
    if (this.#failure !== null) throw this.#failure;
    if (this.#isClosed) throw new HranaError('STREAM_CLOSED', 'the stream has been closed');
    this.#connection ??= this.#connect();
    this.#connection.deadlineMs = this.#host.clock.nowMs() + this.#host.limits.statementMsMax;
    return this.#connection;
  }

  #connect(): SqlConnection {
    try {
      return this.#database.connect(this.access);
    } catch (error) {
      if (!isSqlError(error) || error.code !== 'DB_LIMIT') throw error;
      if (!this.#host.freeConnection()) throw error;
      return this.#database.connect(this.access);
    }
  }

  #failed(error: unknown): unknown {
    if (!isSqlError(error) || error.code !== 'DB_LOST') return error;
    const fault: HranaFault = { message: error.message, code: error.sqlCode };
    if (this.#isTransaction) {
      this.#failure = Object.assign(new HranaError('INTERNAL', fault.message), {
        code: fault.code,
      });
    }
    this.#drop();
    return error;
  }
}
