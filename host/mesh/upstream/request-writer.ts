// Writes the heads of requests: one string each, to be sent as latin1. It refuses a head that is no
// byte string, for latin1 would make a carriage return of U+010D. All else was checked where it
// came in (the listener) or was changed (configuration).

import { BODY_SIZE_UNKNOWN, isByteString } from '../../core/index.ts';
import type { UpstreamRequest } from './contract.ts';

/** What ends a chunked body without trailers. */
export const LAST_CHUNK = '0\r\n\r\n';

/** The same with trailers, each a line. */
export function lastChunk(trailerLines: string): string {
  return trailerLines === '' ? LAST_CHUNK : `0\r\n${trailerLines}\r\n`;
}

/** The head of a request, a byte string; null where it would be none, and must not be sent.
 *  Cost: O(head), and for a list of headers about 0.2 us to check it. */
export function requestHead(request: UpstreamRequest): string | null {
  const { method, headers, bodySizeBytes } = request;
  let head = `${method} ${request.target} HTTP/1.1\r\n`;
  if (typeof headers === 'string') {
    if (!isByteString(request.target)) return null;
    return head + headers + framing(method, bodySizeBytes);
  }
  for (let index = 0; index < headers.length; index += 2) {
    head += `${headers[index]}: ${headers[index + 1]}\r\n`;
  }
  head += framing(method, bodySizeBytes);
  return isByteString(head) ? head : null;
}

/** The lines that say how long the body is, and the empty line. */
function framing(method: string, bodySizeBytes: number): string {
  if (bodySizeBytes === BODY_SIZE_UNKNOWN) return 'transfer-encoding: chunked\r\n\r\n';
  if (bodySizeBytes > 0 || mayHaveBody(method)) return `content-length: ${bodySizeBytes}\r\n\r\n`;
  return '\r\n';
}

/** Whether several requests with this method may be in flight on one connection: safe methods,
 *  which have no effect when they are sent again. Source: RFC 9112 section 9.3.2. */
export function isSafe(method: string): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS';
}

/** Whether sending the request twice has the effect of sending it once.
 *  Source: RFC 9110 section 9.2.2. */
export function isIdempotent(method: string): boolean {
  return isSafe(method) || method === 'PUT' || method === 'DELETE' || method === 'TRACE';
}

/** Whether an empty body has to be announced. Source: RFC 9110 section 8.6. */
function mayHaveBody(method: string): boolean {
  return method === 'POST' || method === 'PUT' || method === 'PATCH';
}
