// What a client is told of a failure, in its own protocol: a message and a stable code. Codes of
// SQLite and of the engine pass through; those of the protocol are here. docs/databases.md lists
// them. Check `name`, never `instanceof`.

import { isSqlError } from '../sql-error.ts';

/** The codes that the protocol itself answers with. */
export type HranaCode =
  /** The message is no Hrana: the connection is closed, the request refused as a whole. */
  | 'PROTOCOL_ERROR'
  | 'PROTOCOL_LIMIT'
  | 'AUTH_JWT_INVALID'
  | 'AUTH_JWT_EXPIRED'
  | 'AUTH_REQUIRED'
  | 'AUTH_FORBIDDEN'
  | 'BATON_INVALID'
  | 'BATON_REPLAYED'
  | 'STREAM_EXPIRED'
  | 'STREAM_CLOSED'
  | 'STREAM_NOT_FOUND'
  | 'STREAM_EXISTS'
  | 'STREAM_LIMIT'
  | 'CURSOR_NOT_FOUND'
  | 'CURSOR_EXISTS'
  | 'SQL_NOT_FOUND'
  | 'SQL_EXISTS'
  | 'SQL_STORE_LIMIT'
  | 'TRANSACTION_TIMEOUT'
  | 'TRANSACTION_BUSY'
  | 'RESPONSE_TOO_LARGE'
  | 'DATABASE_NOT_FOUND'
  | 'DATABASE_NAME_INVALID'
  | 'DATABASE_UNAVAILABLE'
  | 'BLOCKED'
  | 'INTERNAL';

/** As it goes to the client. */
export interface HranaFault {
  readonly message: string;
  readonly code: string;
}

export class HranaError extends Error implements HranaFault {
  override readonly name = 'HranaError';
  readonly code: string;

  constructor(code: HranaCode, message: string) {
    super(message);
    this.code = code;
  }
}

export function isHranaError(value: unknown): value is HranaError {
  return value instanceof Error && value.name === 'HranaError';
}

/** What a client is told of anything that was thrown. An error that is neither the protocol's nor
 *  the engine's is thrown on: it is ours. */
export function faultOf(error: unknown): HranaFault {
  if (isHranaError(error)) return error;
  if (!isSqlError(error)) throw error;
  const isSqlite = error.sqlCode.startsWith('SQLITE_');
  const message = isSqlite ? `SQLite error: ${error.message}` : error.message;
  return { message, code: error.sqlCode };
}

/** The message is not what the protocol allows. */
export function malformed(message: string): HranaError {
  return new HranaError('PROTOCOL_ERROR', message);
}

/** A bound of the protocol is passed. */
export function overLimit(what: string, found: number, most: number): HranaError {
  return new HranaError('PROTOCOL_LIMIT', `${what}: found ${found}, the limit is ${most}`);
}
