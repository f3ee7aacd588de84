// The answer to a request that the gateway refuses itself: application/problem+json with one
// numeric reason in body and header. It never carries what a client sent unless the caller put it
// in `detail`, which is JSON-escaped here and belongs in no header.

import { ERRORS, type ErrorCode } from './errors.ts';
import type { PreparedHead } from './exchange.ts';
import type { HeaderList } from './headers.ts';

export interface ProblemResponse {
  readonly status: number;
  /** Fresh for each call, so that a caller may add to it. */
  readonly headers: HeaderList;
  readonly body: string;
}

/** A problem that is made once and sent many times. */
export interface PreparedProblem extends PreparedHead {
  readonly body: Uint8Array;
  readonly reason: number;
}

const encoder = new TextEncoder();

/** Makes the response for an error that a client sees.
 *  Shape: `{"type":"about:blank","title":...,"status":...,"detail":...,"reason":...,"code":...}`;
 *  `detail` is left out when empty.
 *  Errors: a code without a status, which concerns no client, is answered as GW_INTERNAL.
 *  Source: RFC 9457 section 3. Cost: 1 to 2 us. */
export function prepareProblem(code: ErrorCode, detail: string): PreparedProblem {
  const { reason, ...response } = makeProblem(code, detail);
  return { ...response, reason, body: encoder.encode(response.body), listenerHead: null };
}

/** The same problem with further headers behind its own. */
export function problemWith(problem: PreparedProblem, headers: readonly string[]): PreparedProblem {
  return { ...problem, headers: [...problem.headers, ...headers], listenerHead: null };
}

/** The response for an error that happens rarely enough to be made on the spot; as
 *  prepareProblem(). */
export function problemResponse(code: ErrorCode, detail: string): ProblemResponse {
  const { status, headers, body } = makeProblem(code, detail);
  return { status, headers, body };
}

function makeProblem(code: ErrorCode, detail: string): ProblemResponse & { reason: number } {
  const shown = ERRORS[code].status === 0 ? 'GW_INTERNAL' : code;
  const { reason, status, title } = ERRORS[shown];
  const known = { type: 'about:blank', title, status };
  const told = shown === code && detail !== '' ? { detail } : {};
  return {
    status,
    reason,
    headers: ['content-type', 'application/problem+json', 'x-sluice-reason', String(reason)],
    body: JSON.stringify({ ...known, ...told, reason, code: shown }),
  };
}
