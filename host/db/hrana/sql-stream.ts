// A stream: one client's connection to the database, and its requests in their order. It has a
// connection of SQLite for as long as its client would miss something on another one: in a
// transaction, with temporary tables. Else it takes one for a statement and gives it back, so that
// the statements of all clients meet on few connections, whose caches are warm.

import type { Lsn, RowSink, RunOutcome, SqlDescription, SqlStatement } from '../contract.ts';
import { type Connection, SessionCounters } from '../engine/index.ts';
import { isSqlError, SqlError } from '../sql-error.ts';
import { HranaError } from './hrana-error.ts';
import type { Job, JobState } from './jobs.ts';
import type { Access, SessionHost } from './session-database.ts';

export class SqlStream {
  readonly access: Access;
  /** When its last request ended, by the clock. */
  idleSinceMs: number;
  readonly #host: SessionHost;
  readonly #jobs: Job[] = [];
  #connection: Connection | null = null;
  readonly #counters = new SessionCounters();
  /** Why no statement may run any more, though the client has not closed it. */
  #failure: SqlError | null = null;
  #isTransaction = false;
  #isClosed = false;
  /** For the writer. */
  #isWaiting = false;
  /** Until another turn. */
  #isResting = false;
  #isRunning = false;
  /** Of connections that the present job has given back. */
  #seenLsn: Lsn = 0;
  /** Whether the present job has run a statement. */
  #hasRun = false;
  /** Set where the present job has seen what was then taken back. */
  #lost: SqlError | null = null;

  constructor(host: SessionHost, access: Access) {
    this.#host = host;
    this.access = access;
    this.idleSinceMs = host.clock.nowMs();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get isIdle(): boolean {
    return this.#jobs.length === 0;
  }

  get hasConnection(): boolean {
    return this.#connection !== null;
  }

  get isAutocommit(): boolean {
    return this.#connection?.isAutocommit ?? true;
  }

  /** Calls back when what the job that ends has seen is durable, or with why it never will be. */
  settle(done: (failure: Error | null) => void): void {
    const lost = this.#lost;
    this.#lost = null;
    if (lost !== null) done(lost);
    else if (!this.#hasRun) done(null);
    else this.#host.database.whenDurable(this.seenLsn, done);
  }

  /** The newest state that the present job has seen. */
  get seenLsn(): Lsn {
    return Math.max(this.#seenLsn, this.#connection?.seenLsn ?? 0);
  }

  /** The present job answers with what an earlier one has seen. */
  sees(lsn: Lsn): void {
    this.#hasRun = true;
    this.#seenLsn = Math.max(this.#seenLsn, lsn);
  }

  // --- jobs, in order ---------------------------------------------------------------------------

  enqueue(job: Job): void {
    this.#jobs.push(job);
    if (this.#isRunning || this.#isWaiting || this.#isResting) return;
    if (this.#host.turn.isOver) this.#rest();
    else this.#runJobs(null);
  }

  /** With null, or with why the first job's wait for the writer was in vain. */
  #runJobs(refusal: SqlError | null): void {
    const { turn, clock } = this.#host;
    this.#isRunning = true;
    let thrown = refusal;
    for (let job = this.#jobs[0]; job !== undefined; job = this.#jobs[0]) {
      const state = this.#resume(job, thrown);
      thrown = null;
      if (state === 'writer') {
        thrown = this.#waitForWriter();
        if (thrown !== null) continue;
        break;
      }
      if (state === 'ended') {
        this.#jobs.shift();
        this.idleSinceMs = clock.nowMs();
        turn.note(this.idleSinceMs);
        job.done();
        this.#afterJob();
      }
      if (turn.isOver && this.#jobs.length > 0) {
        this.#rest();
        break;
      }
    }
    this.#isRunning = false;
  }

  #resume(job: Job, error: SqlError | null): JobState {
    try {
      return job.resume(error);
    } catch (thrown) {
      // The gateway's own fault: who waits behind it must not wait for ever.
      this.#isRunning = false;
      this.abandon();
      throw thrown;
    }
  }

  #rest(): void {
    this.#isResting = true;
    this.#host.turn.rest(() => {
      this.#isResting = false;
      this.#runJobs(null);
    });
  }

  /** Whether what else waits for the thread comes before another statement. */
  isTurnOver(): boolean {
    const { turn, clock } = this.#host;
    turn.note(clock.nowMs());
    return turn.isOver;
  }

  #afterJob(): void {
    this.#hasRun = false;
    this.#seenLsn = 0;
    // A statement that has waited for the writer in vain has left its connection.
    const connection = this.#connection;
    if (connection !== null && !this.#isTransaction) this.#afterStatement(connection);
  }

  /** Not null: why it may not wait. */
  #waitForWriter(): SqlError | null {
    try {
      this.#host.database.whenWriterFree(this.#connection!, (error) => {
        this.#isWaiting = false;
        if (error !== null) this.#host.refused();
        this.#runJobs(error);
      });
    } catch (error) {
      if (!isSqlError(error)) throw error;
      this.#host.refused();
      return error;
    }
    this.#isWaiting = true;
    return null;
  }

  // --- statements -------------------------------------------------------------------------------

  run(statement: SqlStatement, sink: RowSink): RunOutcome {
    return this.#use((connection) => connection.run(statement, sink));
  }

  runSequence(sql: string, startAt: number): void {
    this.#use((connection) => connection.runSequence(sql, startAt));
  }

  describe(sql: string): SqlDescription {
    return this.#use((connection) => connection.describe(sql));
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

  /** Rolls back what is open; what it has answered stays. */
  close(): void {
    this.#isClosed = true;
    this.#drop();
    this.#host.left(this);
  }

  /** The client is gone: nothing of it runs any more. */
  abandon(): void {
    const jobs = this.#jobs.splice(0);
    this.close();
    for (const job of jobs) job.cancel();
  }

  #use<T>(call: (connection: Connection) => T): T {
    if (this.#failure !== null) throw this.#failure;
    if (this.#isClosed) throw new HranaError('STREAM_CLOSED', 'the stream has been closed');
    this.#connection ??= this.#connect();
    const connection = this.#connection;
    this.#hasRun = true;
    this.#host.begun();
    connection.deadlineMs = this.#host.clock.nowMs() + this.#host.limits.statementMsMax;
    connection.replySizeBytesMax = this.#host.limits.replySizeBytesMax;
    try {
      const result = call(connection);
      this.#afterStatement(connection);
      return result;
    } catch (error) {
      if (isSqlError(error)) this.#afterError(error, connection);
      throw error;
    }
  }

  #afterStatement(connection: Connection): void {
    if (connection.holdsState) this.#isTransaction = !connection.isAutocommit;
    else if (connection.isPersonal) this.#isTransaction = false;
    else this.#drop();
  }

  #connect(): Connection {
    const { database } = this.#host;
    try {
      return database.connect(this.access, this.#counters);
    } catch (error) {
      if (!isSqlError(error) || error.code !== 'DB_LIMIT') throw error;
      if (!this.#host.freeConnection()) throw error;
      return database.connect(this.access, this.#counters);
    }
  }

  /** A client that has lost its transaction must not go on as if it had one: every statement fails
   *  until it closes the stream. */
  #afterError(error: SqlError, connection: Connection): void {
    const isLost = error.code === 'DB_LOST';
    if (this.#isTransaction && (isLost || error.sqlCode === 'TRANSACTION_TIMEOUT')) {
      const { code, sqlCode, message } = error;
      this.#failure = new SqlError({ code, sqlCode, message });
    }
    if (isLost || this.#failure !== null) this.#drop();
    if (isLost) {
      // Numbers above the durable one will be given again, to other commits.
      if (this.#seenLsn > this.#host.database.durableLsn) this.#lost = error;
      this.#seenLsn = 0;
    } else if (this.#connection !== null && error.code !== 'DB_BUSY') {
      this.#afterStatement(connection);
    }
  }

  #drop(): void {
    const connection = this.#connection;
    if (connection === null) return;
    if (this.#isWaiting) this.#host.database.stopWaiting(connection);
    this.#isWaiting = false;
    this.#seenLsn = this.seenLsn;
    this.#connection = null;
    this.#isTransaction = false;
    connection.release();
  }
}
