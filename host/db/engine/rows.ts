// Hands rows over as they are stepped, value by value, and counts their size.

import type { RowSink } from '../contract.ts';
import { TYPE_BLOB, TYPE_FLOAT, TYPE_INTEGER, TYPE_TEXT } from './sqlite-codes.ts';
import type { SqliteInstance } from './sqlite-instance.ts';

/** Integers and floats, and what a value costs beside its bytes. */
const VALUE_SIZE_BYTES = 8;

/** Passes the present row on. Its size, for the limit of a result. Units: bytes. */
export function passRow(
  sqlite: SqliteInstance,
  statement: number,
  columnCount: number,
  sink: RowSink,
): number {
  let sizeBytes = columnCount * VALUE_SIZE_BYTES;
  sink.beginRow();
  for (let column = 0; column < columnCount; column++) {
    sizeBytes += passValue(sqlite, statement, column, sink);
  }
  sink.endRow();
  return sizeBytes;
}

function passValue(
  sqlite: SqliteInstance,
  statement: number,
  column: number,
  sink: RowSink,
): number {
  const { exports } = sqlite;
  switch (exports.sqlite3_column_type(statement, column)) {
    case TYPE_INTEGER: {
      // As a float first: exact where it is a safe integer, and no BigInt.
      const value = exports.sqlite3_column_double(statement, column);
      if (Number.isSafeInteger(value)) sink.integer(value);
      else sink.integer(exports.sqlite3_column_int64(statement, column));
      return 0;
    }
    case TYPE_FLOAT:
      sink.float(exports.sqlite3_column_double(statement, column));
      return 0;
    case TYPE_TEXT: {
      const at = exports.sqlite3_column_text(statement, column);
      const sizeBytes = exports.sqlite3_column_bytes(statement, column);
      // In bounds: SQLite's own value, of the size that it says.
      sink.text(sqlite.u8.subarray(at, at + sizeBytes));
      return sizeBytes;
    }
    case TYPE_BLOB: {
      const at = exports.sqlite3_column_blob(statement, column);
      const sizeBytes = exports.sqlite3_column_bytes(statement, column);
      // In bounds: as above.
      sink.blob(sqlite.u8.subarray(at, at + sizeBytes));
      return sizeBytes;
    }
    default:
      sink.nullValue();
      return 0;
  }
}
