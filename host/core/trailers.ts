// Trailers: fields behind a chunked body, or in the last frame of an HTTP/2 stream. They come when
// whoever reads a message has long acted on its head, so that nothing may stand in them that a
// head decides. It refuses to merge them into a head: a check that has passed would be void.

import { type HeaderList, isFramingHeader, isHeaderValue, isToken } from './headers.ts';

/** No trailers at all. */
export const NO_TRAILERS: readonly string[] = [];

/** What frames, routes, authenticates, conditions or describes a message, or says who sent it.
 *  Source: RFC 9110 section 6.5.1. */
const OF_HEADS = new Set([
  'accept-ranges',
  'age',
  'authorization',
  'cache-control',
  'cdn-loop',
  'content-encoding',
  'content-language',
  'content-location',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'expect',
  'expires',
  'forwarded',
  'host',
  'http2-settings',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'location',
  'max-forwards',
  'pragma',
  'proxy-authenticate',
  'proxy-authorization',
  'range',
  'retry-after',
  'set-cookie',
  'traceparent',
  'tracestate',
  'vary',
  'via',
  'www-authenticate',
  'x-real-ip',
  'x-sluice-reason',
]);

/** Those of a list that may be trailers. Cost: none for an empty list. */
export function passableTrailers(given: readonly string[]): HeaderList {
  const passed: HeaderList = [];
  for (let index = 0; index < given.length; index += 2) {
    const name = given[index]!.toLowerCase();
    const value = given[index + 1]!;
    if (mayBeTrailer(name) && isToken(name) && isHeaderValue(value)) passed.push(name, value);
  }
  return passed;
}

/** Servers that put names in variables take `_` for `-`. */
function mayBeTrailer(given: string): boolean {
  const name = given.replaceAll('_', '-');
  return !isFramingHeader(name) && !OF_HEADS.has(name) && !name.startsWith('x-forwarded-');
}

/** As lines of HTTP/1.1. */
export function trailerLines(trailers: readonly string[]): string {
  let lines = '';
  for (let index = 0; index < trailers.length; index += 2) {
    lines += `${trailers[index]}: ${trailers[index + 1]}\r\n`;
  }
  return lines;
}

export function trailersSizeBytes(trailers: readonly string[]): number {
  let sizeBytes = 0;
  for (const text of trailers) sizeBytes += text.length + 2;
  return sizeBytes;
}
