// Hands rows over as they are stepped, value by value, and counts their size.

import type { RowSink } from '../contract.ts';
import { TYPE_BLOB, TYPE_FLOAT, TYPE_INTEGER, TYPE_TEXT } from './sqlite-codes.ts';
import type { SqliteInstance } from './sqlite-instance.ts';

/** Integers and floats, and what a value costs beside its bytes. */
const VALUE_SIZE_BYTES = 8;

/** Room for rows. Units: bytes. */
export interface RowRoom {
  /** For values. */
  left: number;
  /** For what the sink makes of them, and had before. */
  readonly sinkMax: number;
}

/** Passes the present row on, and takes its size off the room. False: it did not fit, and what the
 *  sink has of it is to be undone; a row of one argument a thousand times takes SQLite no memory,
 *  so that each value is looked at before it is passed. */
export function passRow(
  sqlite: SqliteInstance,
  statement: number,
  columnCount: number,
  sink: RowSink,
  room: RowRoom,
): boolean {
  room.left -= columnCount * VALUE_SIZE_BYTES;
  sink.beginRow();
  for (let column = 0; column < columnCount; column++) {
    passValue(sqlite, statement, column, sink, room);
    if (room.left < 0 || sink.size > room.sinkMax) return false;
  }
  sink.endRow();
  return true;
}

function passValue(
  sqlite: SqliteInstance,
  statement: number,
  column: number,
  sink: RowSink,
  room: RowRoom,
): void {
  const { exports } = sqlite;
  switch (exports.sqlite3_column_type(statement, column)) {
    case TYPE_INTEGER: {
      // As a float first: exact where it is a safe integer, and no BigInt.
      const value = exports.sqlite3_column_double(statement, column);
      if (Number.isSafeInteger(value)) sink.integer(value);
      else sink.integer(exports.sqlite3_column_int64(statement, column));
      return;
    }
    case TYPE_FLOAT:
      sink.float(exports.sqlite3_column_double(statement, column));
      return;
    case TYPE_TEXT: {
      const at = exports.sqlite3_column_text(statement, column);
      const sizeBytes = exports.sqlite3_column_bytes(statement, column);
      room.left -= sizeBytes;
      // In bounds: SQLite's own value, of the size that it says.
      if (room.left >= 0) sink.text(sqlite.u8.subarray(at, at + sizeBytes));
      return;
    }
    case TYPE_BLOB: {
      const at = exports.sqlite3_column_blob(statement, column);
      const sizeBytes = exports.sqlite3_column_bytes(statement, column);
      room.left -= sizeBytes;
      // In bounds: as above.
      if (room.left >= 0) sink.blob(sqlite.u8.subarray(at, at + sizeBytes));
      return;
    }
    default:
      sink.nullValue();
  }
}
