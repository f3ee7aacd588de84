// Writes requests as bytes: a head as one string that is safe to send as latin1, and body bytes
// framed and copied. It refuses nothing: method, target and headers were checked where they came in
// (the listener) and where they were changed (configuration, filters).

import { BODY_SIZE_UNKNOWN } from '../../core/index.ts';
import type { UpstreamRequest } from './contract.ts';

/** What ends a chunked body. */
export const LAST_CHUNK = '0\r\n\r\n';

/** The head of a request. Every character of it is one byte: a head that is not ASCII holds the
 *  bytes of its UTF-8 form. Cost: O(head). */
export function requestHead(request: UpstreamRequest): string {
  const { method, headers, bodySizeBytes } = request;
  let head = `${method} ${request.target} HTTP/1.1\r\n`;
  for (let index = 0; index < headers.length; index += 2) {
    head += `${headers[index]}: ${headers[index + 1]}\r\n`;
  }
  if (bodySizeBytes === BODY_SIZE_UNKNOWN) head += 'transfer-encoding: chunked\r\n\r\n';
  else if (bodySizeBytes > 0 || mayHaveBody(method)) {
    head += `content-length: ${bodySizeBytes}\r\n\r\n`;
  } else head += '\r\n';
  return request.isAscii ? head : Buffer.from(head, 'utf8').toString('latin1');
}

/** Joins a head that still waits (or `''`) and body bytes in one buffer of our own, framed as a
 *  chunk where the body is chunked. `chunk` is copied. */
export function bodyBytes(head: string, chunk: Uint8Array, request: UpstreamRequest): Buffer {
  const isChunked = request.bodySizeBytes === BODY_SIZE_UNKNOWN;
  const before = isChunked ? `${head}${chunk.length.toString(16)}\r\n` : head;
  const sizeBytes = before.length + chunk.length + (isChunked ? 2 : 0);
  const bytes = Buffer.allocUnsafe(sizeBytes);
  bytes.write(before, 0, 'latin1');
  bytes.set(chunk, before.length);
  if (isChunked) bytes.write('\r\n', sizeBytes - 2, 'latin1');
  return bytes;
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
