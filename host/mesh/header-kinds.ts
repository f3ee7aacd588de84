// What a proxy does with each request header it knows. Names are told apart by length first:
// comparing a name with each known one would cost more than the rest of the pass.

export const HEADER_PASS = 0;
/** About one hop, or written anew by the upstream client: never passed on. */
export const HEADER_DROP = 1;
export const HEADER_CONNECTION = 2;
export const HEADER_TRACEPARENT = 3;
export const HEADER_TRACESTATE = 4;
export const HEADER_FORWARDED = 5;
export const HEADER_FORWARDED_FOR = 6;
export const HEADER_FORWARDED_HOST = 7;
export const HEADER_FORWARDED_PROTO = 8;
/** Claims about the client that only a trusted proxy may make. */
export const HEADER_CLAIM = 9;
/** Passed as one: HTTP/2 clients send it in pieces, which HTTP/1.1 does not know. */
export const HEADER_COOKIE = 10;
/** The hops so far, which nobody may take away. */
export const HEADER_LOOP = 11;

/** The kind of a request header. `name`: in lower case. Cost: about 5 ns, no allocation.
 *  Source: RFC 9110 section 7.6.1; the `x-forwarded` family as Traefik treats it. */
export function headerKind(name: string): number {
  switch (name.length) {
    case 2:
      return name === 'te' ? HEADER_DROP : HEADER_PASS;
    case 4:
      return name === 'host' ? HEADER_DROP : HEADER_PASS;
    case 6:
      if (name === 'cookie') return HEADER_COOKIE;
      return name === 'expect' ? HEADER_DROP : HEADER_PASS;
    case 7:
      return name === 'upgrade' || name === 'trailer' ? HEADER_DROP : HEADER_PASS;
    case 8:
      return name === 'cdn-loop' ? HEADER_LOOP : HEADER_PASS;
    case 9:
      if (name === 'forwarded') return HEADER_FORWARDED;
      return isRealIp(name) ? HEADER_CLAIM : HEADER_PASS;
    case 10:
      if (name === 'connection') return HEADER_CONNECTION;
      if (name === 'tracestate') return HEADER_TRACESTATE;
      return name === 'keep-alive' ? HEADER_DROP : HEADER_PASS;
    case 11:
      if (name === 'traceparent') return HEADER_TRACEPARENT;
      return isForwardedFamily(name) ? HEADER_CLAIM : HEADER_PASS;
    case 14:
      if (name === 'content-length' || name === 'http2-settings') return HEADER_DROP;
      return isForwardedFamily(name) ? HEADER_CLAIM : HEADER_PASS;
    case 15:
      if (name === 'x-forwarded-for') return HEADER_FORWARDED_FOR;
      return isForwardedFamily(name) ? HEADER_CLAIM : HEADER_PASS;
    case 16:
      if (name === 'proxy-connection') return HEADER_DROP;
      if (name === 'x-forwarded-host') return HEADER_FORWARDED_HOST;
      return isForwardedFamily(name) ? HEADER_CLAIM : HEADER_PASS;
    case 17:
      if (name === 'transfer-encoding') return HEADER_DROP;
      if (name === 'x-forwarded-proto') return HEADER_FORWARDED_PROTO;
      return isForwardedFamily(name) ? HEADER_CLAIM : HEADER_PASS;
    default:
      return name.length > 11 && isForwardedFamily(name) ? HEADER_CLAIM : HEADER_PASS;
  }
}

/** Underscores count as dashes: upstreams that map names to variables cannot tell them apart. */
function isForwardedFamily(name: string): boolean {
  return name.charCodeAt(0) === 120 && isSeparator(name, 1) && name.startsWith('forwarded', 2);
}

/** `x-real-ip` in each of its four spellings. */
function isRealIp(name: string): boolean {
  return (
    name.charCodeAt(0) === 120 &&
    isSeparator(name, 1) &&
    name.startsWith('real', 2) &&
    isSeparator(name, 6) &&
    name.endsWith('ip')
  );
}

function isSeparator(name: string, index: number): boolean {
  const code = name.charCodeAt(index);
  return code === 45 || code === 95;
}

/** What a request's Connection header may not take away: a client could else strip what the
 *  proxies before this one, or the gateway itself, have vouched for. */
const PROTECTED = new Set([
  'accept-encoding',
  'authorization',
  'cache-control',
  'content-encoding',
  'content-type',
  'host',
  'origin',
  'range',
  'x-real-ip',
  'x-request-id',
]);

/** Removes in place what a request's Connection header lists. Source: RFC 9110 section 7.6.1. */
export function removeListed(headers: string[], connection: string): void {
  const listed = new Set<string>();
  for (const option of connection.toLowerCase().split(',')) {
    const name = option.trim();
    const isProtected = PROTECTED.has(name) || headerKind(name) !== HEADER_PASS;
    if (!isProtected) listed.add(name);
  }
  let kept = 0;
  for (let index = 0; index < headers.length; index += 2) {
    if (listed.has(headers[index]!)) continue;
    headers[kept] = headers[index]!;
    headers[kept + 1] = headers[index + 1]!;
    kept += 2;
  }
  headers.length = kept;
}
