// Reads the key of a rate limit or of a consistent hash out of a request. A key that the request
// does not carry, or carries in a form that no server would read alike, is null: absent.

import type { KeySource } from '../config/index.ts';
import { type Exchange, headerValue } from '../core/index.ts';
import type { ClientAddress } from './client-address.ts';

/** A cookie longer than this is absent; browsers cap name and value together at 4,096 bytes. */
const COOKIE_VALUE_SIZE_CHARS_MAX = 4_096;

/** Reads a key. `values`: the route's path parameters in order. Cost: O(headers) for header and
 *  cookie, else O(1). */
export type KeyReader = (exchange: Exchange, values: readonly string[]) => string | null;

export interface KeyContext {
  readonly routeName: string;
  /** Names of the route's path parameters, in order. */
  readonly parameterNames: readonly string[];
  readonly clientAddress: ClientAddress;
}

/** Makes a reader ready for one route. A path parameter that the route does not capture is always
 *  absent: a service's `hashOn` may serve routes with and without it. */
export function compileKeySource(source: KeySource, context: KeyContext): KeyReader {
  const { name } = source;
  switch (source.kind) {
    case 'client.ip':
      return (exchange) => presentOrNull(context.clientAddress.of(exchange));
    case 'header':
      return (exchange) => presentOrNull(headerValue(exchange.headers, name));
    case 'cookie':
      return (exchange) => cookieValue(exchange.headers, name);
    case 'path': {
      const index = context.parameterNames.indexOf(name);
      return index === -1 ? () => null : (_, values) => pathKey(values[index]);
    }
    case 'route':
      return () => context.routeName;
  }
}

/** The value of a cookie, without its quotes if it has them; null when there is none, when it is
 *  empty or too long, or when it holds what a cookie may not hold. The first of a name counts.
 *  Source: RFC 6265 section 4.1.1. Cost: O(headers), one slice. */
export function cookieValue(headers: readonly string[], name: string): string | null {
  for (let index = 0; index < headers.length; index += 2) {
    const header = headers[index]!;
    if (header.length !== 6 || header !== 'cookie') continue;
    const list = headers[index + 1]!;
    const start = findCookie(list, name);
    if (start === -1) continue;
    const semicolon = list.indexOf(';', start);
    return cleanCookie(list, start, semicolon === -1 ? list.length : semicolon);
  }
  return null;
}

/** Where the value of a cookie begins in a Cookie header, or -1. */
function findCookie(list: string, name: string): number {
  let found = list.indexOf(name);
  while (found !== -1) {
    const after = found + name.length;
    if (list.charCodeAt(after) === 61 && isPairStart(list, found)) return after + 1;
    // The next place is behind a semicolon: names never hold one, so none is missed.
    const semicolon = list.indexOf(';', found);
    if (semicolon === -1) return -1;
    found = list.indexOf(name, semicolon + 1);
  }
  return -1;
}

/** Whether nothing but blanks stands between `index` and the semicolon or the start before it. */
function isPairStart(list: string, index: number): boolean {
  let before = index - 1;
  while (before >= 0 && isBlank(list.charCodeAt(before))) before--;
  return before < 0 || list.charCodeAt(before) === 59;
}

function cleanCookie(list: string, from: number, to: number): string | null {
  let start = from;
  let end = to;
  while (end > start && isBlank(list.charCodeAt(end - 1))) end--;
  const isQuoted = end - start >= 2 && list.charCodeAt(start) === 34;
  if (isQuoted) {
    if (list.charCodeAt(end - 1) !== 34) return null;
    start++;
    end--;
  }
  if (end === start || end - start > COOKIE_VALUE_SIZE_CHARS_MAX) return null;
  for (let index = start; index < end; index++) {
    if (!isCookieOctet(list.charCodeAt(index))) return null;
  }
  return list.slice(start, end);
}

/** Printable ASCII without blank, quote, comma, semicolon and backslash. */
function isCookieOctet(code: number): boolean {
  return code > 32 && code < 127 && code !== 34 && code !== 44 && code !== 59 && code !== 92;
}

/** A parameter as a key: `%2f` and `%2F` are one. */
function pathKey(value: string | undefined): string | null {
  if (value === undefined || value === '') return null;
  if (value.indexOf('%') === -1) return value;
  return value.replace(/%[0-9a-f]{2}/gi, (escaped) => escaped.toUpperCase());
}

function presentOrNull(value: string | undefined): string | null {
  return value === undefined || value === '' ? null : value;
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}
