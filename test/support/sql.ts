// An engine over pages in memory, and statements with their rows as plain values.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { ManualClock } from '../../host/core/index.ts';
import type {
  CommitRecord,
  CommitSink,
  PageSource,
  RowSink,
  RunOutcome,
  SqlColumn,
  SqlConnection,
  SqlValue,
} from '../../host/db/contract.ts';
import { compileSqlite, Engine, type EngineOptions } from '../../host/db/engine/index.ts';
import { isSqlError, type SqlError } from '../../host/db/sql-error.ts';
import { codecModuleBytes } from './wasm.ts';

export function sqliteModuleBytes(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync('node_modules/@sqlite.org/sqlite-wasm/dist/sqlite3.wasm'));
}

/** As a command gets the modules that it runs. */
export function moduleBytes(name: 'codec.wasm' | 'sqlite3.wasm'): Uint8Array<ArrayBuffer> {
  return name === 'codec.wasm' ? codecModuleBytes() : sqliteModuleBytes();
}

export const sqliteModule = compileSqlite(sqliteModuleBytes());

export const EMPTY_SOURCE: PageSource = { lsn: 0, pageCount: 0, readPage: () => false };

/** An engine with a clock that stands still; `options` override. */
export function makeEngine(options: Partial<EngineOptions> = {}): Engine {
  return new Engine({
    module: sqliteModule,
    source: EMPTY_SOURCE,
    sink: null,
    clock: new ManualClock(),
    ...options,
  });
}

/** A value as SQLite gave it: integers as bigint, floats as number. */
export type Row = readonly SqlValue[];

export interface Result {
  readonly columns: readonly SqlColumn[];
  readonly rows: readonly Row[];
  readonly outcome: RunOutcome;
}

export type NamedValues = Readonly<Record<string, SqlValue>>;

/** Collects rows. */
export class Rows implements RowSink {
  size = 0;
  columnList: readonly SqlColumn[] = [];
  readonly rows: SqlValue[][] = [];
  #row: SqlValue[] = [];

  columns(columns: readonly SqlColumn[]): void {
    this.columnList = columns;
  }
  beginRow(): void {
    this.#row = [];
  }
  nullValue(): void {
    this.#row.push(null);
  }
  integer(value: number | bigint): void {
    this.#row.push(BigInt(value));
  }
  float(value: number): void {
    this.#row.push(value);
  }
  text(utf8: Uint8Array): void {
    this.#row.push(new TextDecoder().decode(utf8));
  }
  blob(bytes: Uint8Array): void {
    this.#row.push(bytes.slice());
  }
  endRow(): void {
    this.rows.push(this.#row);
  }
}

export function run(connection: SqlConnection, sql: string, ...args: SqlValue[]): Result {
  const sink = new Rows();
  const outcome = connection.run({ sql, args, namedArgs: [], wantRows: true }, sink);
  return { columns: sink.columnList, rows: sink.rows, outcome };
}

export function runNamed(connection: SqlConnection, sql: string, values: NamedValues): Result {
  const sink = new Rows();
  const namedArgs = Object.entries(values).map(([name, value]) => ({ name, value }));
  const outcome = connection.run({ sql, args: [], namedArgs, wantRows: true }, sink);
  return { columns: sink.columnList, rows: sink.rows, outcome };
}

export function rows(connection: SqlConnection, sql: string, ...args: SqlValue[]): readonly Row[] {
  return run(connection, sql, ...args).rows;
}

/** The SqlError that a call throws. */
export function fault(call: () => unknown): SqlError {
  try {
    call();
  } catch (error) {
    if (isSqlError(error)) return error;
    throw error;
  }
  assert.fail('nothing was thrown');
}

/** Fails unless SQLite finds the database whole. */
export function assertIntact(engine: Engine): void {
  const connection = engine.connect('read-only');
  assert.deepEqual(rows(connection, 'PRAGMA integrity_check'), [['ok']]);
  connection.release();
}

/** A sink that keeps the database as a file would be, and checks every `before`. */
export class FileImage implements CommitSink {
  pages: (Uint8Array | null)[] = [];
  readonly lsns: number[] = [];

  commit(record: CommitRecord): void {
    for (const { pageNumber, before, after } of record.pages) {
      const known = this.pages[pageNumber - 1] ?? null;
      assert.equal(before === null, known === null, `page ${pageNumber} was there before`);
      if (before !== null) assert.ok(Buffer.compare(before, known!) === 0, `page ${pageNumber}`);
      this.pages[pageNumber - 1] = after.slice();
    }
    this.pages.length = record.pageCount;
    for (let index = 0; index < record.pageCount; index++) {
      this.pages[index] ??= new Uint8Array(4096);
    }
    this.lsns.push(record.lsn);
  }

  bytes(): Uint8Array {
    return Buffer.concat(this.pages as Uint8Array[]);
  }
}
