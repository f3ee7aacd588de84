// What errors of the file layer mean to the log.

import { type ErrorCode, GatewayError, isGatewayError } from '../../core/index.ts';

/** What a file system says when it has no room for more. */
const NO_ROOM_CODES: readonly unknown[] = ['ENOSPC', 'EDQUOT', 'EFBIG'];

/** An error of the disk as the log reports it; one of our own stays what it is. */
export function diskError(cause: unknown, doing: string): GatewayError {
  if (isGatewayError(cause)) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  const isFull = NO_ROOM_CODES.includes(code);
  return logError(isFull ? 'DB_LOG_FULL' : 'DB_LOG_FAILED', `${doing}: ${message}`, cause);
}

/** A place where the log is not what was written. */
export function corruptError(path: string, offset: number, why: string): GatewayError {
  return logError('DB_LOG_CORRUPT', `${path} at byte ${offset}: ${why}`);
}

export function logError(code: ErrorCode, detail: string, cause?: unknown): GatewayError {
  return new GatewayError(code, detail, cause);
}

/** Whether an error says that a file is not there. */
export function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | null)?.code === 'ENOENT';
}
