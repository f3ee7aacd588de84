// Path and host rewrites, and the targets of redirects. A template is text, cut once and its
// literals made byte strings; what clients sent goes into it as raw segments, byte strings too.
// What comes out is checked again, because a parameter must never break out of its place: not out
// of the path, not into another host, not into another header.

import { type Exchange, toByteString } from '../core/index.ts';
import { isPrefixPath, type PathCapture, parameterNames } from './path-parameters.ts';

/** Text, or the place of a path parameter. */
type Part = string | { readonly parameter: number; readonly place: Place };
type Place = 'authority' | 'path' | 'query';

/** Renders a template; null when a parameter does not fit its place (the request is malformed). */
export type TemplateRenderer = (capture: PathCapture, query: string) => string | null;

/** Makes the path of a rewrite ready. Null where the path stays as it is (`''`). The query stays
 *  the request's own and is not part of the result.
 *  Shape: `/v2/{id}/*` on route `/api/{id}/*`. A last `/*` is the rest of a prefix route. */
export function compilePathRewrite(template: string, routePath: string): TemplateRenderer | null {
  if (template === '') return null;
  const { parts, hasRest } = cutTemplate(template, routePath, toByteString);
  return (capture) => {
    let path = '';
    for (const part of parts) {
      path += typeof part === 'string' ? part : (capture.values[part.parameter] ?? '');
    }
    if (hasRest) path += capture.rest;
    if (path === '') path = '/';
    return isPath(path) ? path : null;
  };
}

/** Makes the target of a redirect ready. Bytes beyond ASCII, the template's and the client's, are
 *  percent-encoded one by one. The query of the request is kept, unless the template has
 *  one of its own. A template that begins with a parameter is a path: `/` is put before it.
 *  Shape: `https://www.example.com/{x}/*`, or `/new/{x}?from={y}`. */
export function compileRedirect(template: string, routePath: string): TemplateRenderer {
  const rooted = template.startsWith('{') ? `/${template}` : template;
  const { parts, hasRest } = cutTemplate(rooted, routePath, (text) =>
    toByteString(text).replace(/[\x80-\xff]/g, encodeByte),
  );
  const isRelative = rooted.startsWith('/');
  const hasQuery = rooted.includes('?');
  return (capture, query) => {
    let location = '';
    for (const part of parts) {
      const text = typeof part === 'string' ? part : fitted(part, capture);
      if (text === null) return null;
      location += text;
    }
    if (hasRest) location += encodePath(capture.rest);
    if (location === '') location = '/';
    // `//host` and `/\host` would be another host to a browser.
    if (isRelative) location = location.replace(/^[/\\]+/, '/');
    if (query !== '' && !hasQuery) location = appendQuery(location, encodeQuery(query));
    return isLocation(location) ? location : null;
  };
}

/** The Host header for the upstream: as configured, the endpoint's own for `{upstream}`, or the
 *  client's. */
export function upstreamHost(
  rewriteHost: string,
  exchange: Exchange,
  endpoint: { readonly authority: string },
): string {
  if (rewriteHost === '') return exchange.authority;
  return rewriteHost === '{upstream}' ? endpoint.authority : rewriteHost;
}

function cutTemplate(
  template: string,
  routePath: string,
  readyLiteral: (text: string) => string,
): { readonly parts: readonly Part[]; readonly hasRest: boolean } {
  const hasRest = isPrefixPath(routePath) && template.endsWith('/*');
  const text = hasRest ? template.slice(0, -2) : template;
  const names = parameterNames(routePath);
  const parts: Part[] = [];
  let before = '';
  for (const piece of text.split(/(\{[^{}]*\})/)) {
    const parameter = piece.startsWith('{') ? names.indexOf(piece.slice(1, -1)) : -1;
    if (piece === '') continue;
    parts.push(parameter === -1 ? readyLiteral(piece) : { parameter, place: placeAfter(before) });
    before += piece;
  }
  return { parts, hasRest };
}

/** In which part of a URL the text that follows `before` stands. */
function placeAfter(before: string): Place {
  if (/[?#]/.test(before)) return 'query';
  return /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/]*$/.test(before) ? 'authority' : 'path';
}

function fitted(part: Exclude<Part, string>, capture: PathCapture): string | null {
  const value = capture.values[part.parameter] ?? '';
  if (part.place === 'path') return encodePath(value);
  if (part.place === 'query') return encodeQuery(value).replace(/[&=+;]/g, encodeByte);
  // In a host name only what may stand in one label: no dot, no port, no user.
  return /^[A-Za-z0-9-]{1,63}$/.test(value) ? value : null;
}

/** Whether a path can stand in a request line: begins with `/`, holds no blank, control, `?` or
 *  `#`, and no dot segment. */
function isPath(path: string): boolean {
  if (path.charCodeAt(0) !== 47) return false;
  for (let index = 0; index < path.length; index++) {
    const code = path.charCodeAt(index);
    if (code <= 32 || code === 127 || code === 63 || code === 35) return false;
  }
  return path.indexOf('/.') === -1 || !/\/\.{1,2}(?:\/|$)/.test(path);
}

function isLocation(location: string): boolean {
  return /^[\x21-\x7e]+$/.test(location);
}

function appendQuery(location: string, query: string): string {
  const hash = location.indexOf('#');
  if (hash === -1) return `${location}?${query}`;
  return `${location.slice(0, hash)}?${query}${location.slice(hash)}`;
}

/** Keeps what may stand in a path and the escapes that are there; encodes the other bytes. What is
 *  no byte stays, for isLocation() to refuse. */
function encodePath(bytes: string): string {
  return bytes.replace(/[^A-Za-z0-9\-._~!$&'()*+,;=:@/%\u0100-\uffff]/g, encodeByte);
}

function encodeQuery(bytes: string): string {
  return bytes.replace(/[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%\u0100-\uffff]/g, encodeByte);
}

/** Percent-encodes one character of a byte string. */
function encodeByte(byte: string): string {
  return `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}
