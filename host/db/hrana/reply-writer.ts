// What a reply is made of, for both encodings: the parts come in the order in which they happen,
// and the rows of an open result go through the RowSink straight into bytes.

import type { RowSink, RunOutcome, SqlDescription } from '../contract.ts';
import type { HranaFault } from './hrana-error.ts';
import { JsonCursorWriter, JsonWriter } from './json-writer.ts';
import { ProtobufCursorWriter, ProtobufWriter } from './protobuf-writer.ts';
import type { Encoding, RequestType } from './requests.ts';

/** Encoded entries of a cursor, one behind the other. */
export interface CursorEntries {
  readonly bytes: Uint8Array;
  /** Where each ends. */
  readonly ends: readonly number[];
}

export interface ReplyWriter extends RowSink {
  readonly size: number;
  /** Undoes everything that was written since size was `mark`. */
  rewind(mark: number): void;
  /** The bytes; the writer is done. */
  take(): Uint8Array;

  beginPipeline(): void;
  beginPipelineOk(type: RequestType): void;
  endPipelineOk(): void;
  pipelineError(fault: HranaFault): void;
  endPipeline(baton: string | null): void;

  helloOk(): void;
  helloError(fault: HranaFault): void;
  beginSocketOk(requestId: number, type: RequestType): void;
  endSocketOk(): void;
  socketError(requestId: number, fault: HranaFault): void;

  /** The whole answer of version 1 over HTTP. */
  beginPlain(): void;
  endPlain(): void;
  /** The whole answer to a request that is refused as a whole. */
  plainError(fault: HranaFault): void;

  beginResult(): void;
  endResult(outcome: RunOutcome): void;
  beginBatch(): void;
  /** The result of a step is written between the two. */
  beginStep(step: number): void;
  endStep(): void;
  skipStep(): void;
  endBatch(errors: readonly (HranaFault | null)[]): void;
  description(description: SqlDescription): void;
  autocommit(isAutocommit: boolean): void;
  cursorEntries(entries: CursorEntries, from: number, to: number, isDone: boolean): void;
}

/** Writes the entries of a cursor: a RowSink whose columns() begins a step. */
export interface CursorWriter extends RowSink {
  readonly size: number;
  /** Which step's columns come next. */
  step: number;
  /** The answer over HTTP begins with it. */
  head(baton: string | null): void;
  stepEnd(outcome: RunOutcome): void;
  stepError(step: number, fault: HranaFault): void;
  error(fault: HranaFault): void;
  entries(): CursorEntries;
  /** The answer over HTTP: the head, then all entries. */
  take(): Uint8Array;
}

/** Writers of JSON that have been given back, each with its buffer. */
const idle: JsonWriter[] = [];
const IDLE_COUNT_MAX = 256;

export function replyWriter(encoding: Encoding): ReplyWriter {
  return encoding === 'json' ? (idle.pop() ?? new JsonWriter()) : new ProtobufWriter();
}

/** Gives a writer back: nobody uses it or the bytes that it gave any more. */
export function recycle(writer: ReplyWriter): void {
  if (!(writer instanceof JsonWriter) || idle.length >= IDLE_COUNT_MAX) return;
  if (writer.reset()) idle.push(writer);
}

export function cursorWriter(encoding: Encoding): CursorWriter {
  return encoding === 'json' ? new JsonCursorWriter() : new ProtobufCursorWriter();
}
