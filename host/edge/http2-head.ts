// A response head in the form that node's HTTP/2 takes: an object, repeated names in one array.
// Node throws at names that belong to a connection and at repeated ones that it knows as single,
// both of which an upstream may send over HTTP/1.1.

/** Source: RFC 9113 section 8.2.2; `te` is for requests only. */
const OF_CONNECTION = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

/** The names that node sends once and no more. Source: what node 20.20 refuses as an array. */
const SINGLE = new Set([
  'access-control-allow-credentials',
  'access-control-max-age',
  'access-control-request-method',
  'age',
  'authorization',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-md5',
  'content-range',
  'content-type',
  'date',
  'dnt',
  'etag',
  'expires',
  'from',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'range',
  'referer',
  'retry-after',
  'tk',
  'upgrade-insecure-requests',
  'user-agent',
  'x-content-type-options',
]);

/** Turns a flat list, of names in lower case, into what node can send: a single-valued header is
 *  sent as it came first, as node's own HTTP/1.1 client reads it. */
export function http2Head(lines: readonly string[]): Record<string, string | string[]> {
  const byName: Record<string, string | string[]> = Object.create(null);
  for (let index = 0; index < lines.length; index += 2) {
    const name = lines[index]!;
    if (OF_CONNECTION.has(name)) continue;
    const earlier = byName[name];
    const value = lines[index + 1]!;
    if (earlier === undefined) byName[name] = value;
    else if (Array.isArray(earlier)) earlier.push(value);
    else if (!SINGLE.has(name)) byName[name] = [earlier, value];
  }
  return byName;
}
