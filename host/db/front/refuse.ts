// Refusals of the io worker itself, in the form that clients of Hrana read.

import { ERRORS, type ErrorCode, type Exchange } from '../../core/index.ts';
import type { HranaFault } from '../hrana/index.ts';

export const JSON_TYPE = ['content-type', 'application/json'];

/** Clients of Hrana read `message` and `code` of a JSON body. */
export function refuse(exchange: Exchange, error: ErrorCode, fault: HranaFault): void {
  const { status, reason } = ERRORS[error];
  const body = JSON.stringify({ message: fault.message, code: fault.code });
  exchange.respond(status, [...JSON_TYPE, 'x-sluice-reason', String(reason)], body);
}
