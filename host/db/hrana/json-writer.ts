// Replies in Hrana's JSON. Commas follow from the byte before: after `[` comes none.
// Source: Hrana 3 specification.

import type { RunOutcome, SqlColumn, SqlDescription } from '../contract.ts';
import { ByteWriter } from './byte-writer.ts';
import type { HranaFault } from './hrana-error.ts';
import type { CursorEntries, ReplyWriter } from './reply-writer.ts';
import type { RequestType } from './requests.ts';

const OPEN_LIST = 0x5b;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const COMMA = 0x2c;
const QUOTE = 0x22;
/** A writer whose buffer has grown larger is not used again. */
const KEPT_SIZE_BYTES_MAX = 16_384;

const RESPONSE_OK = Buffer.from('{"type":"response_ok","request_id":');
const RESPONSE = Buffer.from(',"response":{"type":"');
const INTEGER = Buffer.from('{"type":"integer","value":"');
const TEXT = Buffer.from('{"type":"text","value":');
const VALUE_END = Buffer.from('"}');
const ROWS = Buffer.from(',"rows":[');
const AFFECTED = Buffer.from('],"affected_row_count":');
const ROWID = Buffer.from(',"last_insert_rowid":"');
const ROWS_READ = Buffer.from('","rows_read":');
const ROWS_WRITTEN = Buffer.from(',"rows_written":');

/** Of statements that are kept: their columns are the same object each time. */
const columnBytes = new WeakMap<readonly SqlColumn[], Uint8Array>();

/** What is common to results and cursors. */
export class JsonRows {
  readonly out = new ByteWriter();

  get size(): number {
    return this.out.size;
  }

  nullValue(): void {
    this.comma();
    this.out.ascii('{"type":"null"}');
  }

  integer(value: number | bigint): void {
    this.comma();
    this.out.short(INTEGER);
    if (typeof value === 'number') this.out.integer(value);
    else this.out.ascii(String(value));
    this.out.short(VALUE_END);
  }

  float(value: number): void {
    this.comma();
    this.out.ascii(`{"type":"float","value":${jsonFloat(value)}}`);
  }

  text(utf8: Uint8Array): void {
    this.comma();
    this.out.short(TEXT);
    this.out.jsonUtf8(utf8);
    this.out.byte(CLOSE_OBJECT);
  }

  blob(bytes: Uint8Array): void {
    this.comma();
    this.out.ascii('{"type":"blob","base64":"');
    this.out.base64(bytes);
    this.out.ascii('"}');
  }

  comma(): void {
    const { bytes, size } = this.out;
    if (bytes[size - 1] !== OPEN_LIST) this.out.byte(COMMA);
  }

  columnList(columns: readonly SqlColumn[]): void {
    const known = columnBytes.get(columns);
    if (known !== undefined) {
      this.out.raw(known);
      return;
    }
    const start = this.out.size;
    this.#writeColumns(columns);
    columnBytes.set(columns, new Uint8Array(this.out.bytes.subarray(start, this.out.size)));
  }

  #writeColumns(columns: readonly SqlColumn[]): void {
    this.out.ascii('"cols":[');
    for (const { name, declaredType } of columns) {
      this.comma();
      this.out.ascii('{"name":');
      this.textOrNull(name);
      this.out.ascii(',"decltype":');
      this.textOrNull(declaredType);
      this.out.ascii('}');
    }
    this.out.ascii(']');
  }

  textOrNull(text: string | null): void {
    if (text === null) this.out.ascii('null');
    else this.out.jsonText(text);
  }

  fault({ message, code }: HranaFault): void {
    this.out.ascii('{"message":');
    this.out.jsonText(message);
    this.out.ascii(',"code":');
    this.out.jsonText(code);
    this.out.ascii('}');
  }

  take(): Uint8Array {
    return this.out.bytes.subarray(0, this.out.size);
  }
}

/** JSON has no infinity, but a number that is read as one. SQLite knows no NaN. */
function jsonFloat(value: number): string {
  if (Object.is(value, -0)) return '-0.0';
  if (Number.isFinite(value)) return String(value);
  return value > 0 ? '1e999' : '-1e999';
}

export class JsonWriter extends JsonRows implements ReplyWriter {
  rewind(mark: number): void {
    this.out.size = mark;
  }

  /** Empties it. False: it is too large to be kept. */
  reset(): boolean {
    this.out.size = 0;
    return this.out.bytes.length <= KEPT_SIZE_BYTES_MAX;
  }

  beginPipeline(): void {
    this.out.ascii('{"results":[');
  }

  beginPipelineOk(type: RequestType): void {
    this.comma();
    this.out.ascii(`{"type":"ok","response":{"type":"${type}"`);
  }

  endPipelineOk(): void {
    this.out.ascii('}}');
  }

  pipelineError(fault: HranaFault): void {
    this.comma();
    this.out.ascii('{"type":"error","error":');
    this.fault(fault);
    this.out.ascii('}');
  }

  endPipeline(baton: string | null): void {
    this.out.ascii('],"baton":');
    this.textOrNull(baton);
    this.out.ascii(',"base_url":null}');
  }

  helloOk(): void {
    this.out.ascii('{"type":"hello_ok"}');
  }

  helloError(fault: HranaFault): void {
    this.out.ascii('{"type":"hello_error","error":');
    this.fault(fault);
    this.out.ascii('}');
  }

  beginSocketOk(requestId: number, type: RequestType): void {
    this.out.short(RESPONSE_OK);
    this.out.integer(requestId);
    this.out.short(RESPONSE);
    this.out.ascii(type);
    this.out.byte(QUOTE);
  }

  endSocketOk(): void {
    this.out.ascii('}}');
  }

  socketError(requestId: number, fault: HranaFault): void {
    this.out.ascii(`{"type":"response_error","request_id":${requestId},"error":`);
    this.fault(fault);
    this.out.ascii('}');
  }

  beginPlain(): void {
    this.out.ascii('{');
  }

  endPlain(): void {
    this.out.ascii('}');
  }

  plainError(fault: HranaFault): void {
    this.fault(fault);
  }

  beginResult(): void {
    this.#field('result');
    this.out.ascii('{');
  }

  columns(columns: readonly SqlColumn[]): void {
    this.columnList(columns);
    this.out.short(ROWS);
  }

  beginRow(): void {
    this.comma();
    this.out.ascii('[');
  }

  endRow(): void {
    this.out.ascii(']');
  }

  endResult(outcome: RunOutcome): void {
    const { bytes, size } = this.out;
    // A statement whose rows nobody wants has told no columns.
    if (bytes[size - 1] === OPEN_OBJECT) this.out.ascii('"cols":[],"rows":[');
    this.out.short(AFFECTED);
    this.out.integer(outcome.affectedRowCount);
    this.out.short(ROWID);
    if (outcome.lastInsertRowid === 0n) this.out.integer(0);
    else this.out.ascii(String(outcome.lastInsertRowid));
    this.out.short(ROWS_READ);
    this.out.integer(outcome.rowsRead);
    this.out.short(ROWS_WRITTEN);
    this.out.integer(outcome.rowsWritten);
    this.out.byte(CLOSE_OBJECT);
  }

  beginBatch(): void {
    this.#field('result');
    this.out.ascii('{"step_results":[');
  }

  beginStep(): void {
    this.comma();
  }

  endStep(): void {}

  skipStep(): void {
    this.comma();
    this.out.ascii('null');
  }

  endBatch(errors: readonly (HranaFault | null)[]): void {
    this.out.ascii('],"step_errors":[');
    for (const error of errors) {
      this.comma();
      if (error === null) this.out.ascii('null');
      else this.fault(error);
    }
    this.out.ascii(']}');
  }

  description(description: SqlDescription): void {
    this.out.ascii(',"result":{"params":[');
    for (const { name } of description.parameters) {
      this.comma();
      this.out.ascii('{"name":');
      this.textOrNull(name);
      this.out.ascii('}');
    }
    this.out.ascii('],');
    this.columnList(description.columns);
    const { isExplain, isReadonly } = description;
    this.out.ascii(`,"is_explain":${isExplain},"is_readonly":${isReadonly}}`);
  }

  autocommit(isAutocommit: boolean): void {
    this.out.ascii(`,"is_autocommit":${isAutocommit}`);
  }

  cursorEntries(entries: CursorEntries, from: number, to: number, isDone: boolean): void {
    this.out.ascii(',"entries":[');
    for (let index = from; index < to; index++) {
      this.comma();
      // Without the newline that ends each.
      this.out.raw(entries.bytes.subarray(startOf(entries, index), entries.ends[index]! - 1));
    }
    this.out.ascii(`],"done":${isDone}`);
  }

  /** A result is a field of a response, or the element of a list. */
  #field(name: string): void {
    const { bytes, size } = this.out;
    const last = bytes[size - 1];
    if (last === QUOTE) this.out.ascii(`,"${name}":`);
    else if (last === OPEN_OBJECT) this.out.ascii(`"${name}":`);
  }
}

function startOf(entries: CursorEntries, index: number): number {
  return index === 0 ? 0 : entries.ends[index - 1]!;
}

/** The entries of a cursor: a line of JSON each. */
export class JsonCursorWriter extends JsonRows {
  step = 0;
  readonly #ends: number[] = [];
  #headSize = 0;

  head(baton: string | null): void {
    this.out.ascii('{"baton":');
    this.textOrNull(baton);
    this.out.ascii(',"base_url":null}\n');
    this.#headSize = this.out.size;
  }

  columns(columns: readonly SqlColumn[]): void {
    this.out.ascii(`{"type":"step_begin","step":${this.step},`);
    this.columnList(columns);
    this.#end();
  }

  beginRow(): void {
    this.out.ascii('{"type":"row","row":[');
  }

  endRow(): void {
    this.out.ascii(']');
    this.#end();
  }

  stepEnd({ affectedRowCount, lastInsertRowid }: RunOutcome): void {
    this.out.ascii(
      `{"type":"step_end","affected_row_count":${affectedRowCount},` +
        `"last_insert_rowid":"${lastInsertRowid}"`,
    );
    this.#end();
  }

  stepError(step: number, fault: HranaFault): void {
    this.#dropUnfinished();
    this.out.ascii(`{"type":"step_error","step":${step},"error":`);
    this.fault(fault);
    this.#end();
  }

  error(fault: HranaFault): void {
    this.#dropUnfinished();
    this.out.ascii('{"type":"error","error":');
    this.fault(fault);
    this.#end();
  }

  /** Of a row that grew too large. */
  #dropUnfinished(): void {
    this.out.size = this.#ends.at(-1) ?? this.#headSize;
  }

  entries(): CursorEntries {
    return { bytes: this.take(), ends: this.#ends };
  }

  #end(): void {
    this.out.ascii('}\n');
    this.#ends.push(this.out.size);
  }
}
