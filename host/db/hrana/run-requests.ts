// Requests as they run on a stream: generators that stop where the writer is busy, or the turn is
// over, and go on when they are resumed. What is thrown into one while it waits becomes the
// statement's error.

import type { RowSink, RunOutcome } from '../contract.ts';
import { isSqlError } from '../sql-error.ts';
import { faultOf, HranaError, type HranaFault } from './hrana-error.ts';
import type { CursorWriter, ReplyWriter } from './reply-writer.ts';
import type { Batch, Condition, Stmt, StreamRequest } from './requests.ts';
import type { SqlStore } from './sql-store.ts';
import type { SqlStream } from './sql-stream.ts';

/** What a run stops for: the writer is busy, or others are to have the thread. */
export type Pause = 'writer' | 'turn';

export type Run<T = void> = Generator<Pause, T, void>;

/** Writes what stands between the beginning and the end of an answer. Errors: HranaError, SqlError;
 *  what has been written is then to be undone. */
export function* runRequest(
  stream: SqlStream,
  texts: SqlStore,
  request: StreamRequest,
  writer: ReplyWriter,
): Run {
  switch (request.type) {
    case 'execute':
      yield* runStatement(stream, texts, request.stmt, writer);
      return;
    case 'batch':
      yield* runBatch(stream, texts, request.batch, writer);
      return;
    case 'sequence':
      yield* runSequence(stream, texts.resolve(request.sql));
      return;
    case 'describe': {
      const sql = texts.resolve(request.sql);
      writer.description(stream.describe(sql));
      return;
    }
    case 'store_sql':
      texts.store(request.sqlId, request.sql);
      return;
    case 'close_sql':
      texts.close(request.sqlId);
      return;
    case 'get_autocommit':
      writer.autocommit(stream.isAutocommit);
      return;
    case 'close':
      stream.close();
      return;
  }
}

function* runStatement(stream: SqlStream, texts: SqlStore, stmt: Stmt, writer: ReplyWriter): Run {
  const mark = writer.size;
  try {
    writer.beginResult();
    writer.endResult(yield* run(stream, texts, stmt, writer));
  } catch (error) {
    writer.rewind(mark);
    throw error;
  }
  stream.checkReplySize(writer.size);
}

/** Runs one statement, again when it has waited for the writer. */
function* run(stream: SqlStream, texts: SqlStore, stmt: Stmt, sink: RowSink): Run<RunOutcome> {
  const { args, namedArgs, wantRows } = stmt;
  const statement = { sql: texts.resolve(stmt), args, namedArgs, wantRows };
  if (stream.isTurnOver()) yield 'turn';
  for (;;) {
    try {
      return stream.run(statement, sink);
    } catch (error) {
      if (!isBusy(error)) throw error;
    }
    yield 'writer';
  }
}

function* runSequence(stream: SqlStream, sql: string): Run {
  let startAt = 0;
  if (stream.isTurnOver()) yield 'turn';
  for (;;) {
    try {
      stream.runSequence(sql, startAt);
      return;
    } catch (error) {
      if (!isSqlError(error) || !isBusy(error)) throw error;
      startAt = error.resumeAt;
    }
    yield 'writer';
  }
}

function* runBatch(stream: SqlStream, texts: SqlStore, batch: Batch, writer: ReplyWriter): Run {
  const steps = new StepOutcomes(batch);
  writer.beginBatch();
  for (const [index, step] of batch.steps.entries()) {
    const mark = writer.size;
    if (!steps.isDue(step.condition, stream)) {
      writer.skipStep();
      continue;
    }
    try {
      writer.beginStep(index);
      yield* runStatement(stream, texts, step.stmt, writer);
      writer.endStep();
      steps.succeed(index);
    } catch (error) {
      writer.rewind(mark);
      writer.skipStep();
      steps.fail(index, faultOf(error));
    }
  }
  writer.endBatch(steps.errors);
}

/** A batch whose result is the entries of a cursor. */
export function* runCursor(
  stream: SqlStream,
  texts: SqlStore,
  batch: Batch,
  writer: CursorWriter,
): Run {
  const steps = new StepOutcomes(batch);
  for (const [index, step] of batch.steps.entries()) {
    if (!steps.isDue(step.condition, stream)) continue;
    const mark = writer.size;
    writer.step = index;
    try {
      const outcome = yield* run(stream, texts, step.stmt, writer);
      // A statement whose rows nobody wants has told no columns.
      if (writer.size === mark) writer.columns([]);
      writer.stepEnd(outcome);
      steps.succeed(index);
      stream.checkReplySize(writer.size);
    } catch (error) {
      const fault = faultOf(error);
      if (fault.code === 'RESPONSE_TOO_LARGE') {
        writer.error(fault);
        return;
      }
      writer.stepError(index, fault);
      steps.fail(index, fault);
    }
  }
}

/** What has become of the steps of a batch so far. */
class StepOutcomes {
  readonly errors: (HranaFault | null)[];
  readonly #states: Uint8Array;

  constructor({ steps }: Batch) {
    this.errors = steps.map(() => null);
    this.#states = new Uint8Array(steps.length);
  }

  succeed(step: number): void {
    this.#states[step] = OK;
  }

  fail(step: number, fault: HranaFault): void {
    this.#states[step] = FAILED;
    this.errors[step] = fault;
  }

  isDue(condition: Condition | null, stream: SqlStream): boolean {
    return condition === null || this.#isTrue(condition, stream);
  }

  /** A step that does not exist, or has not run, is neither. */
  #isTrue(condition: Condition, stream: SqlStream): boolean {
    switch (condition.kind) {
      case 'ok':
        return this.#states[condition.step] === OK;
      case 'error':
        return this.#states[condition.step] === FAILED;
      case 'not':
        return !this.#isTrue(condition.cond, stream);
      case 'and':
        return condition.conds.every((cond) => this.#isTrue(cond, stream));
      case 'or':
        return condition.conds.some((cond) => this.#isTrue(cond, stream));
      case 'is_autocommit':
        return stream.isAutocommit;
    }
  }
}

const OK = 1;
const FAILED = 2;

export function isBusy(error: unknown): boolean {
  return isSqlError(error) && error.code === 'DB_BUSY';
}

/** The requests of a pipeline, one after the other, each with its own answer. */
export function* runPipeline(
  stream: SqlStream,
  texts: SqlStore,
  requests: readonly StreamRequest[],
  writer: ReplyWriter,
): Run {
  writer.beginPipeline();
  for (const request of requests) {
    const mark = writer.size;
    try {
      if (stream.isClosed) throw new HranaError('STREAM_CLOSED', 'the stream has been closed');
      writer.beginPipelineOk(request.type);
      yield* runRequest(stream, texts, request, writer);
      writer.endPipelineOk();
    } catch (error) {
      const fault = faultOf(error);
      writer.rewind(mark);
      writer.pipelineError(fault);
    }
  }
}
