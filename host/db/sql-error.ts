// What a statement can fail with. Check `code`, never `instanceof`. These are answers of a database
// to its client, in the client's own protocol; failures of the plane itself are GatewayErrors.

import type { SqlFault } from './contract.ts';

export type SqlErrorCode =
  /** SQLite refused the statement: syntax, constraint, type. */
  | 'DB_SQL'
  /** Another connection is writing. Nothing happened; run it again when the writer is free. */
  | 'DB_BUSY'
  /** The snapshot is older than the newest commit, so this transaction cannot write any more. */
  | 'DB_STALE'
  | 'DB_DEADLINE'
  | 'DB_CANCELLED'
  /** A limit of the plane: its message names the limit. */
  | 'DB_LIMIT'
  /** Something that reaches outside the database or breaks it. */
  | 'DB_REFUSED'
  /** The arguments do not fit the parameters. */
  | 'DB_ARGS'
  /** Not exactly one statement. */
  | 'DB_STATEMENT'
  /** Pages could not be read, or the commit could not be taken. `cause` says why. */
  | 'DB_STORAGE'
  /** The connection is gone, with its transaction: the engine broke, or commits were taken back
   *  because the log has failed. */
  | 'DB_LOST';

export interface SqlErrorParts {
  readonly code: SqlErrorCode;
  readonly sqlCode: string;
  readonly extendedCode?: string;
  readonly message: string;
  readonly cause?: unknown;
}

export class SqlError extends Error implements SqlFault {
  override readonly name = 'SqlError';
  readonly code: SqlErrorCode;
  readonly sqlCode: string;
  readonly extendedCode: string;
  /** In a sequence: where the statement that failed begins, in UTF-16 units. */
  resumeAt = 0;

  constructor(parts: SqlErrorParts) {
    super(parts.message, parts.cause === undefined ? undefined : { cause: parts.cause });
    this.code = parts.code;
    this.sqlCode = parts.sqlCode;
    this.extendedCode = parts.extendedCode ?? '';
  }
}

export function isSqlError(value: unknown): value is SqlError {
  return value instanceof Error && value.name === 'SqlError';
}
