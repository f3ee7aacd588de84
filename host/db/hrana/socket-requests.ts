// The requests of one WebSocket connection: which stream each belongs to, and its answer when what
// it has seen is durable.

import type { Lsn } from '../contract.ts';
import { type Answers, ExecuteJob } from './execute-job.ts';
import { faultOf, HranaError, type HranaFault } from './hrana-error.ts';
import { RunJob } from './jobs.ts';
import * as limits from './limits.ts';
import {
  type CursorEntries,
  type CursorWriter,
  cursorWriter,
  type ReplyWriter,
  replyWriter,
} from './reply-writer.ts';
import type { Batch, Encoding, SocketRequest, SqlRef, Stmt, StreamRequest } from './requests.ts';
import { type Run, runCursor, runRequest } from './run-requests.ts';
import type { Access } from './session-database.ts';
import type { Sessions } from './sessions.ts';
import { SqlStore } from './sql-store.ts';
import type { SqlStream } from './sql-stream.ts';

/** Of the answer to a request. */
interface Receiver {
  readonly requestId: number;
  readonly answers: Answers;
}

interface Cursor {
  readonly stream: SqlStream;
  readonly writer: CursorWriter;
  entries: CursorEntries;
  nextIndex: number;
  /** What the entries show. */
  seenLsn: Lsn;
}

const NO_ENTRIES: CursorEntries = { bytes: new Uint8Array(0), ends: [] };

export class SocketRequests {
  readonly #sessions: Sessions;
  readonly #encoding: Encoding;
  readonly #texts = new SqlStore(limits.SOCKET_SQL_COUNT_MAX);
  /** Null: it could not be opened, and its id is taken until it is closed. */
  readonly #streams = new Map<number, SqlStream | null>();
  readonly #cursors = new Map<number, Cursor>();

  constructor(sessions: Sessions, encoding: Encoding) {
    this.#sessions = sessions;
    this.#encoding = encoding;
  }

  /** Errors: HranaError, which is the answer. */
  take(requestId: number, request: SocketRequest, access: Access, answers: Answers): void {
    const to: Receiver = { requestId, answers };
    switch (request.type) {
      case 'execute':
        this.#execute(to, this.#stream(request.streamId), request.stmt);
        return;
      case 'open_stream':
        this.#openStream(request.streamId, access);
        this.#ok(to, request.type);
        return;
      case 'close_stream':
        this.#closeStream(to, request.streamId);
        return;
      case 'store_sql':
        this.#texts.store(request.sqlId, request.sql);
        this.#ok(to, request.type);
        return;
      case 'close_sql':
        this.#texts.close(request.sqlId);
        this.#ok(to, request.type);
        return;
      case 'open_cursor':
        this.#openCursor(to, request);
        return;
      case 'fetch_cursor':
        this.#fetchCursor(to, request.cursorId, request.maxCount);
        return;
      case 'close_cursor':
        this.#closeCursor(to, request.cursorId);
        return;
      default:
        this.#run(to, this.#stream(request.streamId), this.#streamRequest(request));
    }
  }

  close(): void {
    for (const stream of this.#streams.values()) stream?.abandon();
    this.#streams.clear();
    this.#cursors.clear();
  }

  #openStream(streamId: number, access: Access): void {
    if (this.#streams.has(streamId)) {
      throw new HranaError('STREAM_EXISTS', `the stream ${streamId} is open already`);
    }
    if (this.#streams.size >= limits.SOCKET_STREAMS_COUNT_MAX) {
      const message = `${this.#streams.size} streams of the connection are open, the limit`;
      throw new HranaError('STREAM_LIMIT', message);
    }
    this.#streams.set(streamId, null);
    this.#streams.set(streamId, this.#sessions.openStream(access));
  }

  #closeStream(to: Receiver, streamId: number): void {
    const stream = this.#streams.get(streamId);
    this.#streams.delete(streamId);
    if (stream === undefined || stream === null) this.#ok(to, 'close_stream');
    else this.#answer(to, stream, 'close_stream', () => runOnce(() => stream.close()));
  }

  #execute(to: Receiver, stream: SqlStream, stmt: Stmt): void {
    const { args, namedArgs, wantRows } = stmt;
    const statement = { sql: this.#texts.resolve(stmt), args, namedArgs, wantRows };
    stream.enqueue(new ExecuteJob(to.answers, to.requestId, stream, statement));
  }

  #run(to: Receiver, stream: SqlStream, request: StreamRequest): void {
    this.#answer(to, stream, request.type, (writer) =>
      runRequest(stream, this.#texts, request, writer),
    );
  }

  #openCursor(to: Receiver, request: SocketRequest & { type: 'open_cursor' }): void {
    const { streamId, cursorId } = request;
    if (this.#cursors.has(cursorId)) {
      throw new HranaError('CURSOR_EXISTS', `the cursor ${cursorId} is open already`);
    }
    if (this.#cursors.size >= limits.SOCKET_CURSORS_COUNT_MAX) {
      const message = `${this.#cursors.size} cursors of the connection are open, the limit`;
      throw new HranaError('STREAM_LIMIT', message);
    }
    let held = 0;
    for (const { writer } of this.#cursors.values()) held += writer.size;
    const most = this.#sessions.limits.replySizeBytesMax;
    if (held > most) {
      const message = `open cursors hold ${held} bytes, the limit is ${most}`;
      throw new HranaError('RESPONSE_TOO_LARGE', message);
    }
    const stream = this.#stream(streamId);
    const batch = this.#batch(request.batch);
    const writer = cursorWriter(this.#encoding);
    const cursor: Cursor = { stream, writer, entries: NO_ENTRIES, nextIndex: 0, seenLsn: 0 };
    this.#cursors.set(cursorId, cursor);
    const texts = this.#texts;
    const makeRun = function* (): Run {
      yield* runCursor(stream, texts, batch, writer);
      cursor.entries = writer.entries();
      cursor.seenLsn = stream.seenLsn;
    };
    // What was lost must not be fetched.
    const onLost = () => this.#cursors.delete(cursorId);
    this.#answer(to, stream, request.type, makeRun, onLost);
  }

  /** In the order of its stream, so that it comes after the cursor has been filled. */
  #fetchCursor(to: Receiver, cursorId: number, maxCount: number): void {
    const cursor = this.#cursor(cursorId);
    this.#answer(to, cursor.stream, 'fetch_cursor', (writer) =>
      runOnce(() => {
        const { entries, nextIndex } = cursor;
        cursor.stream.sees(cursor.seenLsn);
        const count = Math.min(maxCount, limits.CURSOR_FETCH_COUNT_MAX);
        const to = Math.min(nextIndex + count, entries.ends.length);
        cursor.nextIndex = to;
        writer.cursorEntries(entries, nextIndex, to, to === entries.ends.length);
      }),
    );
  }

  #closeCursor(to: Receiver, cursorId: number): void {
    const { stream } = this.#cursor(cursorId);
    this.#cursors.delete(cursorId);
    this.#answer(to, stream, 'close_cursor', () => runOnce(() => {}));
  }

  /** Runs on a stream, in order, and answers when what it has seen is durable. */
  #answer(
    to: Receiver,
    stream: SqlStream,
    type: SocketRequest['type'] | StreamRequest['type'],
    makeRun: (writer: ReplyWriter) => Run,
    onLost: () => void = () => {},
  ): void {
    const writer = replyWriter(this.#encoding);
    let fault: HranaFault | null = null;
    const run = function* (): Run {
      try {
        writer.beginSocketOk(to.requestId, type);
        yield* makeRun(writer);
        writer.endSocketOk();
      } catch (error) {
        fault = faultOf(error);
      }
    };
    const done = () => {
      stream.settle((failure) => {
        if (failure !== null) onLost();
        const told = failure === null ? fault : faultOf(failure);
        if (told === null) to.answers.reply(writer);
        else to.answers.fail(to.requestId, told);
      });
    };
    stream.enqueue(new RunJob(run(), done));
  }

  #ok(to: Receiver, type: SocketRequest['type']): void {
    const writer = replyWriter(this.#encoding);
    writer.beginSocketOk(to.requestId, type);
    writer.endSocketOk();
    to.answers.reply(writer);
  }

  #stream(streamId: number): SqlStream {
    const stream = this.#streams.get(streamId);
    if (stream !== undefined && stream !== null) return stream;
    throw new HranaError('STREAM_NOT_FOUND', `the stream ${streamId} is not open`);
  }

  #cursor(cursorId: number): Cursor {
    const cursor = this.#cursors.get(cursorId);
    if (cursor !== undefined) return cursor;
    throw new HranaError('CURSOR_NOT_FOUND', `the cursor ${cursorId} is not open`);
  }

  // --- stored texts, looked up when a request comes: it may run when they are gone ---------------

  #streamRequest(
    request: SocketRequest & {
      type: 'batch' | 'sequence' | 'describe' | 'get_autocommit';
    },
  ): StreamRequest {
    switch (request.type) {
      case 'batch':
        return { type: request.type, batch: this.#batch(request.batch) };
      case 'sequence':
      case 'describe':
        return { type: request.type, sql: this.#sql(request.sql) };
      case 'get_autocommit':
        return { type: request.type };
    }
  }

  #batch({ steps }: Batch): Batch {
    return {
      steps: steps.map(({ condition, stmt }) => ({ condition, stmt: this.#stmt(stmt) })),
    };
  }

  #stmt(stmt: Stmt): Stmt {
    return stmt.sql !== null ? stmt : { ...stmt, ...this.#sql(stmt) };
  }

  #sql(ref: SqlRef): SqlRef {
    return { sql: this.#texts.resolve(ref), sqlId: null };
  }
}

// biome-ignore lint/correctness/useYield: it has nothing to wait for
function* runOnce(act: () => void): Run {
  act();
}
