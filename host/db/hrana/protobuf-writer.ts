// Replies in Hrana's protobuf. A message inside another is written behind one byte of length, and
// moved where its length takes more: results are written once and only long ones are moved.
// Field numbers: Hrana 3 specification, "Protobuf schema".

import { isUtf8 } from 'node:buffer';
import type { RunOutcome, SqlColumn, SqlDescription } from '../contract.ts';
import { ByteWriter } from './byte-writer.ts';
import type { HranaFault } from './hrana-error.ts';
import { BYTES, FIXED64, VARINT } from './protobuf-reader.ts';
import type { CursorEntries, ReplyWriter } from './reply-writer.ts';
import type { RequestType } from './requests.ts';

const VARINT_SIZE_BYTES_MAX = 10;
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const double = new DataView(new ArrayBuffer(8));

/** What is common to results and cursors. */
export class ProtobufRows {
  readonly out = new ByteWriter();
  /** Where the content of each open message begins. */
  readonly #open: number[] = [];

  get size(): number {
    return this.out.size;
  }

  nullValue(): void {
    this.begin(1);
    this.empty(1);
    this.end();
  }

  integer(value: number | bigint): void {
    this.begin(1);
    this.sint64(2, value);
    this.end();
  }

  float(value: number): void {
    this.begin(1);
    this.#key(3, FIXED64);
    double.setFloat64(0, value, true);
    for (let index = 0; index < 8; index++) this.out.byte(double.getUint8(index));
    this.end();
  }

  /** U+FFFD stands for what is no UTF-8: readers of protobuf refuse a whole message for it. */
  text(utf8: Uint8Array): void {
    this.begin(1);
    if (isUtf8(utf8)) this.bytes(4, utf8);
    else this.string(4, decoder.decode(utf8));
    this.end();
  }

  blob(bytes: Uint8Array): void {
    this.begin(1);
    this.bytes(5, bytes);
    this.end();
  }

  columnList(field: number, columns: readonly SqlColumn[]): void {
    for (const { name, declaredType } of columns) {
      this.begin(field);
      if (name !== null) this.string(1, name);
      if (declaredType !== null) this.string(2, declaredType);
      this.end();
    }
  }

  outcome(field: number, { affectedRowCount, lastInsertRowid }: RunOutcome): void {
    this.uint(field, affectedRowCount);
    this.sint64(field + 1, lastInsertRowid);
  }

  fault(field: number, fault: HranaFault): void {
    this.begin(field);
    this.faultFields(fault);
    this.end();
  }

  faultFields({ message, code }: HranaFault): void {
    this.string(1, message);
    this.string(2, code);
  }

  take(): Uint8Array {
    return this.out.bytes.subarray(0, this.out.size);
  }

  rewind(mark: number): void {
    this.out.size = mark;
    while (this.#open.length > 0 && this.#open.at(-1)! > mark) this.#open.pop();
  }

  begin(field: number): void {
    this.#key(field, BYTES);
    this.beginContent();
  }

  /** A length and what it measures, without a key. */
  beginContent(): void {
    this.out.byte(0);
    this.#open.push(this.out.size);
  }

  end(): void {
    const { out } = this;
    const start = this.#open.pop()!;
    const length = out.size - start;
    if (length < 0x80) {
      out.bytes[start - 1] = length;
      return;
    }
    const extra = varintSize(length) - 1;
    out.reserve(extra);
    out.bytes.copyWithin(start + extra, start, out.size);
    const { size } = out;
    out.size = start - 1;
    this.varint(length);
    out.size = size + extra;
  }

  empty(field: number): void {
    this.#key(field, BYTES);
    this.out.byte(0);
  }

  bytes(field: number, bytes: Uint8Array): void {
    this.#key(field, BYTES);
    this.varint(bytes.length);
    this.out.raw(bytes);
  }

  string(field: number, text: string): void {
    this.bytes(field, Buffer.from(text, 'utf8'));
  }

  uint(field: number, value: number): void {
    this.#key(field, VARINT);
    this.varint(value);
  }

  int32(field: number, value: number): void {
    this.#key(field, VARINT);
    if (value >= 0) this.varint(value);
    else this.#varintBig(BigInt.asUintN(64, BigInt(value)));
  }

  sint64(field: number, value: number | bigint): void {
    this.#key(field, VARINT);
    // Doubled it is still exact.
    if (typeof value === 'number' && Math.abs(value) < 2 ** 51) {
      this.varint(value >= 0 ? value * 2 : -value * 2 - 1);
      return;
    }
    const integer = BigInt(value);
    this.#varintBig(BigInt.asUintN(64, (integer << 1n) ^ (integer >> 63n)));
  }

  /** Of a safe integer that is not negative. */
  varint(value: number): void {
    this.out.reserve(VARINT_SIZE_BYTES_MAX);
    let rest = value;
    while (rest >= 0x80) {
      this.out.byte((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.out.byte(rest);
  }

  #varintBig(value: bigint): void {
    let rest = value;
    while (rest >= 0x80n) {
      this.out.byte(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    this.out.byte(Number(rest));
  }

  #key(field: number, wireType: number): void {
    this.out.byte((field << 3) | wireType);
  }
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

/** Fields of StreamResponse, and of ResponseOkMsg. */
const STREAM_FIELDS: Readonly<Partial<Record<RequestType, number>>> = {
  close: 1,
  execute: 2,
  batch: 3,
  sequence: 4,
  describe: 5,
  store_sql: 6,
  close_sql: 7,
  get_autocommit: 8,
};
const SOCKET_FIELDS: Readonly<Partial<Record<RequestType, number>>> = {
  open_stream: 2,
  close_stream: 3,
  execute: 4,
  batch: 5,
  open_cursor: 6,
  close_cursor: 7,
  fetch_cursor: 8,
  sequence: 9,
  describe: 10,
  store_sql: 11,
  close_sql: 12,
  get_autocommit: 13,
};

export class ProtobufWriter extends ProtobufRows implements ReplyWriter {
  /** The field that the next result is: 1 of a response, 2 of a step's entry. */
  #resultField = 1;

  beginPipeline(): void {}

  beginPipelineOk(type: RequestType): void {
    this.#resultField = 1;
    this.begin(3);
    this.begin(1);
    this.begin(STREAM_FIELDS[type]!);
  }

  endPipelineOk(): void {
    this.end();
    this.end();
    this.end();
  }

  pipelineError(fault: HranaFault): void {
    this.begin(3);
    this.fault(2, fault);
    this.end();
  }

  endPipeline(baton: string | null): void {
    if (baton !== null) this.string(1, baton);
  }

  helloOk(): void {
    this.empty(1);
  }

  helloError(fault: HranaFault): void {
    this.begin(2);
    this.fault(1, fault);
    this.end();
  }

  beginSocketOk(requestId: number, type: RequestType): void {
    this.#resultField = 1;
    this.begin(3);
    this.int32(1, requestId);
    this.begin(SOCKET_FIELDS[type]!);
  }

  endSocketOk(): void {
    this.end();
    this.end();
  }

  socketError(requestId: number, fault: HranaFault): void {
    this.begin(4);
    this.int32(1, requestId);
    this.fault(2, fault);
    this.end();
  }

  /** Version 1 has no protobuf; version 3 has the same message as a field of its responses. */
  beginPlain(): void {}

  endPlain(): void {}

  plainError(fault: HranaFault): void {
    this.faultFields(fault);
  }

  beginResult(): void {
    this.begin(this.#resultField);
  }

  columns(columns: readonly SqlColumn[]): void {
    this.columnList(1, columns);
  }

  beginRow(): void {
    this.begin(2);
  }

  endRow(): void {
    this.end();
  }

  endResult(outcome: RunOutcome): void {
    this.outcome(3, outcome);
    this.end();
  }

  beginBatch(): void {
    this.begin(1);
    this.#resultField = 2;
  }

  beginStep(step: number): void {
    this.begin(1);
    this.uint(1, step);
  }

  endStep(): void {
    this.end();
  }

  skipStep(): void {}

  endBatch(errors: readonly (HranaFault | null)[]): void {
    for (const [step, error] of errors.entries()) {
      if (error === null) continue;
      this.begin(2);
      this.uint(1, step);
      this.fault(2, error);
      this.end();
    }
    this.end();
    this.#resultField = 1;
  }

  description(description: SqlDescription): void {
    this.begin(1);
    for (const { name } of description.parameters) {
      this.begin(1);
      if (name !== null) this.string(1, name);
      this.end();
    }
    this.columnList(2, description.columns);
    this.uint(3, description.isExplain ? 1 : 0);
    this.uint(4, description.isReadonly ? 1 : 0);
    this.end();
  }

  autocommit(isAutocommit: boolean): void {
    this.uint(1, isAutocommit ? 1 : 0);
  }

  cursorEntries(entries: CursorEntries, from: number, to: number, isDone: boolean): void {
    // Each entry stands there with its length before it: as a field, but for the key.
    for (let index = from; index < to; index++) {
      const start = index === 0 ? 0 : entries.ends[index - 1]!;
      this.out.byte((1 << 3) | BYTES);
      this.out.raw(entries.bytes.subarray(start, entries.ends[index]!));
    }
    this.uint(2, isDone ? 1 : 0);
  }
}

/** The entries of a cursor, each behind its length. */
export class ProtobufCursorWriter extends ProtobufRows {
  step = 0;
  readonly #ends: number[] = [];
  #headSize = 0;

  head(baton: string | null): void {
    this.beginContent();
    if (baton !== null) this.string(1, baton);
    this.end();
    this.#headSize = this.out.size;
  }

  columns(columns: readonly SqlColumn[]): void {
    this.beginContent();
    this.begin(1);
    this.uint(1, this.step);
    this.columnList(2, columns);
    this.end();
    this.#end();
  }

  beginRow(): void {
    this.beginContent();
    this.begin(4);
  }

  endRow(): void {
    this.end();
    this.#end();
  }

  stepEnd(outcome: RunOutcome): void {
    this.beginContent();
    this.begin(2);
    this.outcome(1, outcome);
    this.end();
    this.#end();
  }

  stepError(step: number, fault: HranaFault): void {
    this.#dropUnfinished();
    this.beginContent();
    this.begin(3);
    this.uint(1, step);
    this.fault(2, fault);
    this.end();
    this.#end();
  }

  error(fault: HranaFault): void {
    this.#dropUnfinished();
    this.beginContent();
    this.fault(5, fault);
    this.#end();
  }

  /** Of a row that grew too large. */
  #dropUnfinished(): void {
    this.rewind(this.#ends.at(-1) ?? this.#headSize);
  }

  entries(): CursorEntries {
    return { bytes: this.take(), ends: this.#ends };
  }

  #end(): void {
    this.end();
    this.#ends.push(this.out.size);
  }
}
