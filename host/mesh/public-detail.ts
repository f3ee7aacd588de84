// What of a failure's detail the client may read. Where the upstream is (its address, its name, the
// resolver's words about it) is the operator's business: the access log has it in full.

import type { ErrorCode } from '../core/index.ts';

/** Codes whose detail names the upstream's address. */
const INTERNAL_DETAILS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'GW_TIMEOUT_CONNECT',
  'GW_UPSTREAM_CLOSED',
  'GW_UPSTREAM_CONNECT',
  'GW_UPSTREAM_DNS',
  'GW_UPSTREAM_RESET',
  'GW_UPSTREAM_TLS',
]);

/** The detail for the client; `''` for none. */
export function publicDetail(code: ErrorCode, detail: string): string {
  return INTERNAL_DETAILS.has(code) ? '' : detail;
}
