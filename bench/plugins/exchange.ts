// The exchange that the filters of the benchmark see: a browser's request without a body, an answer
// of 4 KiB in two chunks, and ends of the chain that only count.

import {
  type ErrorCode,
  type FilterChain,
  type FilterFacts,
  type FilterSink,
  type HeaderList,
  headerValue,
} from '../../host/core/index.ts';

const BODY_SIZE_BYTES = 4_096;
const CHUNK = new Uint8Array(BODY_SIZE_BYTES / 2).fill(0x61);
const REQUEST: HeaderList = [
  ...[':method', 'GET', ':path', '/shop/items?page=2', ':authority', 'shop.example.com'],
  ...[':scheme', 'https', 'accept', 'text/html,application/xhtml+xml', 'accept-language', 'en-GB'],
  ...['user-agent', 'Mozilla/5.0 (X11; Linux x86_64; rv:139.0) Gecko/20100101 Firefox/139.0'],
  ...['accept-encoding', 'gzip, br, zstd', 'cookie', 'session=0123456789abcdef0123456789abcdef'],
  ...['x-forwarded-for', '203.0.113.7', 'x-forwarded-proto', 'https'],
];
const RESPONSE: HeaderList = [
  ...[':status', '200', 'content-type', 'text/html; charset=utf-8', 'server', 'origin'],
  ...['date', 'Thu, 26 Nov 2026 00:00:00 GMT', 'content-length', String(BODY_SIZE_BYTES)],
];

const FACTS: FilterFacts = {
  routeName: 'all',
  scheme: 'https',
  httpVersion: '1.1',
  peerAddress: '203.0.113.7',
  peerPort: 50_000,
  localAddress: '192.0.2.1',
  localPort: 443,
  startWallMs: 0,
  serviceName: 'shop',
  endpointAddress: '192.0.2.2:80',
  traceparent: '',
  requestBodySizeBytes: 0,
  responseBodySizeBytes: BODY_SIZE_BYTES,
  durationMs: 1,
};

/** What came out at the far ends of a chain. */
export class CountingSink implements FilterSink {
  bodySizeBytes = 0;
  lastByte = 0;
  requestHead: HeaderList = [];
  responseHead: HeaderList = [];

  onRequestHeaders(headers: HeaderList): void {
    this.requestHead = headers;
  }

  onRequestBody(): boolean {
    return true;
  }

  onRequestDrain(): void {}

  onResponseHeaders(headers: HeaderList): void {
    this.responseHead = headers;
  }

  onResponseBody(chunk: Uint8Array): boolean {
    this.bodySizeBytes += chunk.length;
    if (chunk.length > 0) this.lastByte = chunk[chunk.length - 1]!;
    return true;
  }

  onResponseDrain(): void {}

  onLocalResponse(): void {
    throw new Error('a filter of the benchmark answered');
  }

  onFailure(code: ErrorCode, detail: string): void {
    throw new Error(`${code}: ${detail}`);
  }

  onClose(detail: string): void {
    throw new Error(detail);
  }
}

/** One exchange through a chain. `tenant`: a header that says whose it is; `''` for none. */
export function exchange(chain: FilterChain, sink: CountingSink, tenant: string): void {
  const stream = chain.open(FACTS, sink);
  const request = [...REQUEST];
  if (tenant !== '') request.push('x-tenant', tenant);
  stream.requestHeaders(request, true);
  stream.responseHeaders([...RESPONSE], false);
  // Where no filter looks at the body, the gateway passes it by.
  if (stream.wantsResponseBody) {
    stream.responseBody(CHUNK, false);
    stream.responseBody(CHUNK, true);
  }
  stream.end({ status: 200, reason: 0, details: '' });
}

/** What an exchange leaves behind, as one line: alike for filters that do the same. */
export function effectOf(chain: FilterChain): string {
  const sink = new CountingSink();
  exchange(chain, sink, '');
  const client = headerValue(sink.requestHead, 'x-client');
  const server = headerValue(sink.responseHead, 'x-served-by');
  return `x-client ${client}, x-served-by ${server}, ${sink.bodySizeBytes} bytes ${sink.lastByte}`;
}
