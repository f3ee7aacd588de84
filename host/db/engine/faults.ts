// SqlErrors, made in one place so that codes and wording stay the same.

import { SqlError } from '../sql-error.ts';
import {
  extendedName,
  primaryName,
  SQLITE_AUTH,
  SQLITE_BUSY,
  SQLITE_BUSY_SNAPSHOT,
  SQLITE_FULL,
  SQLITE_INTERRUPT,
  SQLITE_NOMEM,
  SQLITE_TOOBIG,
} from './sqlite-codes.ts';

/** Why a statement was stopped from here. */
export type StopReason = 'deadline' | 'cancelled' | 'transaction-size' | 'result-size';

export interface FailedCall {
  /** The extended result code. */
  readonly resultCode: number;
  readonly message: string;
  readonly stop: StopReason | null;
  /** What the page file threw meanwhile. */
  readonly fileError: unknown;
  /** What the authorizer refused meanwhile. */
  readonly refused: string | null;
}

/** What SQLite answers at limits that are set by the plane. */
const LIMIT_CODES = new Set([SQLITE_NOMEM, SQLITE_FULL, SQLITE_TOOBIG]);

/** What a failed call into SQLite means. */
export function failedCall(call: FailedCall): SqlError {
  const { resultCode, message } = call;
  if (resultCode === SQLITE_INTERRUPT && call.stop !== null) return stopped(call.stop);
  const names = { sqlCode: primaryName(resultCode), extendedCode: extendedName(resultCode) };
  if (call.fileError instanceof SqlError) return call.fileError;
  if (call.fileError !== null) {
    const why = call.fileError instanceof Error ? call.fileError.message : message;
    return new SqlError({ ...names, code: 'DB_STORAGE', message: why, cause: call.fileError });
  }
  if (resultCode === SQLITE_BUSY_SNAPSHOT) {
    const why = 'database is locked: a newer commit was made after this transaction began';
    return new SqlError({ ...names, code: 'DB_STALE', message: why });
  }
  if (resultCode === SQLITE_BUSY) return new SqlError({ ...names, code: 'DB_BUSY', message });
  if (LIMIT_CODES.has(resultCode & 0xff)) return limit(names.sqlCode, message);
  if (resultCode === SQLITE_AUTH || call.refused !== null) {
    return refusal(call.refused ?? message);
  }
  return new SqlError({ ...names, code: 'DB_SQL', message });
}

export function refusal(what: string): SqlError {
  const message = `not authorized: ${what}`;
  return new SqlError({ code: 'DB_REFUSED', sqlCode: 'SQLITE_AUTH', message });
}

function stopped(reason: StopReason): SqlError {
  switch (reason) {
    case 'deadline':
      return new SqlError({
        code: 'DB_DEADLINE',
        sqlCode: 'SQLITE_INTERRUPT',
        message: 'the statement ran into its deadline',
      });
    case 'cancelled':
      return new SqlError({
        code: 'DB_CANCELLED',
        sqlCode: 'SQLITE_INTERRUPT',
        message: 'the statement was cancelled',
      });
    case 'transaction-size':
      return limit('SQLITE_FULL', 'the transaction changes more than the limit allows');
    case 'result-size':
      return limit('RESPONSE_TOO_LARGE', 'the result is larger than the limit allows');
  }
}

export function limit(sqlCode: string, message: string): SqlError {
  return new SqlError({ code: 'DB_LIMIT', sqlCode, message });
}

/** Seen while a commit writes its pages, as that of a VACUUM does, which rewrites all of them. */
export function tooManyPages(most: number): SqlError {
  const what = `the transaction changes more than ${most} pages, the limit`;
  const way = 'a VACUUM of a larger database is a backup that sqlite3 vacuums and a new one of it';
  return limit('SQLITE_FULL', `${what}; ${way}`);
}

export function outOfMemory(): SqlError {
  return limit('SQLITE_NOMEM', 'out of memory');
}

export function badArguments(message: string): SqlError {
  return new SqlError({ code: 'DB_ARGS', sqlCode: 'ARGS_INVALID', message });
}

export function mixedArguments(): SqlError {
  const message = 'a statement takes either positional or named arguments';
  return new SqlError({ code: 'DB_ARGS', sqlCode: 'ARGS_BOTH_POSITIONAL_AND_NAMED', message });
}

export function noStatement(): SqlError {
  const message = 'the text holds no statement';
  return new SqlError({ code: 'DB_STATEMENT', sqlCode: 'SQL_NO_STATEMENT', message });
}

export function manyStatements(): SqlError {
  const message = 'the text holds more than one statement';
  return new SqlError({ code: 'DB_STATEMENT', sqlCode: 'SQL_MANY_STATEMENTS', message });
}

export function unknownLetter(): SqlError {
  const message = 'unrecognized token: a NUL character';
  return new SqlError({ code: 'DB_SQL', sqlCode: 'SQLITE_ERROR', message });
}

/** The instance threw: a trap, or a stack that ran over. What it holds cannot be trusted. */
export function brokenEngine(cause: unknown): SqlError {
  const message = 'the database engine broke down and starts again';
  return new SqlError({ code: 'DB_LOST', sqlCode: 'SQLITE_INTERNAL', message, cause });
}

/** The connection was closed under its user. */
export function lostConnection(): SqlError {
  const message = 'the connection to the database was lost, and its transaction with it';
  return new SqlError({ code: 'DB_LOST', sqlCode: 'SQLITE_IOERR', message });
}
