// Node's fetch takes brotli on https alone, as browsers do, whose reason is old proxies on the way.
// It decodes it from anywhere, and what a loader brings is mostly text.

/** Both that Node 20 decodes; its fetch knows no zstd. */
const ACCEPT_ENCODING = 'br, gzip';

export function nodeFetch(...[input, init]: Parameters<typeof fetch>): Promise<Response> {
  const headers = { ...init?.headers, 'accept-encoding': ACCEPT_ENCODING };
  return globalThis.fetch(input, { ...init, headers });
}
