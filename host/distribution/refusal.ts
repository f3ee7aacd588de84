// Answers that are no content: problems, and small JSON. None may be kept by a cache.

import {
  type ErrorCode,
  type Exchange,
  type GatewayError,
  isGatewayError,
  prepareProblem,
} from '../core/index.ts';

const NOT_STORED = ['cache-control', 'no-store'];

/** Answers with a problem. `more`: further headers. */
export function refuse(
  exchange: Exchange,
  code: ErrorCode,
  detail: string,
  more: readonly string[] = [],
): void {
  const { status, headers, body } = prepareProblem(code, detail);
  exchange.respond(status, headers.concat(NOT_STORED, more), body);
}

/** Answers with what an error says; what it says of the inside is not told to a client. */
export function refuseFor(exchange: Exchange, error: unknown): void {
  if (!isGatewayError(error)) refuse(exchange, 'GW_INTERNAL', '');
  else if (error.code === 'GW_DIST_CORRUPT') refuse(exchange, error.code, '');
  else refuse(exchange, error.code, error.detail);
}

export function respondJson(exchange: Exchange, value: unknown): void {
  const headers = ['content-type', 'application/json', 'x-content-type-options', 'nosniff'];
  exchange.respond(200, headers.concat(NOT_STORED), JSON.stringify(value));
}

/** Whether an error is this one. */
export function hasCode(error: unknown, code: ErrorCode): error is GatewayError {
  return isGatewayError(error) && error.code === code;
}
