// Header lists: flat arrays [name, value, name, value, ...] with names in lower case and values as
// byte strings (byte-string.ts). An array of strings costs no allocation per header and keeps order
// and repetition, which an object loses.

export type HeaderList = string[];

/** The first value of a header, or undefined. `name` is in lower case. Cost: O(headers). */
export function headerValue(headers: readonly string[], name: string): string | undefined {
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index] === name) return headers[index + 1];
  }
  return undefined;
}

/** All values of a header joined by `, ` (RFC 9110 section 5.2), or undefined. */
export function joinedHeaderValue(headers: readonly string[], name: string): string | undefined {
  let joined: string | undefined;
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index] !== name) continue;
    joined = joined === undefined ? headers[index + 1]! : `${joined}, ${headers[index + 1]}`;
  }
  return joined;
}

/** Replaces every occurrence of a header by one at the end. */
export function setHeader(headers: HeaderList, name: string, value: string): void {
  removeHeader(headers, name);
  headers.push(name, value);
}

/** Removes every occurrence of a header. */
export function removeHeader(headers: HeaderList, name: string): void {
  let kept = 0;
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index] === name) continue;
    headers[kept] = headers[index]!;
    headers[kept + 1] = headers[index + 1]!;
    kept += 2;
  }
  headers.length = kept;
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// A value may hold visible characters, spaces and tabs, and obs-text; never CR, LF or NUL.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const FORBIDDEN_IN_VALUE = /[\x00-\x08\x0a-\x1f\x7f]/;

/** Whether a text is an HTTP token: a method or a header name. Source: RFC 9110 section 5.6.2. */
export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/** Whether a header value can be written without splitting a message: the byte string of a text is
 *  good when the text is, for UTF-8 makes no control character of another one.
 *  Source: RFC 9110 section 5.5. */
export function isHeaderValue(text: string): boolean {
  return !FORBIDDEN_IN_VALUE.test(text);
}

/** What frames a message or concerns one connection: written by the gateway, never by a route. */
const FRAMING_HEADERS = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Whether a header is not a route's to set, add or remove. `name`: in lower case. */
export function isFramingHeader(name: string): boolean {
  return FRAMING_HEADERS.has(name);
}
