// The benchmark's filters in plain TypeScript, in the same place of the pipeline and with the same
// effect: what is left when the sandbox is taken away.

import {
  type FilterChain,
  type FilterFacts,
  type FilterSink,
  type FilterStream,
  type HeaderList,
  headerValue,
  removeHeader,
} from '../../host/core/index.ts';
import type { FilterName } from './modules.ts';

class PlainStream implements FilterStream {
  readonly wantsRequestBody: boolean = false;
  readonly wantsResponseBody: boolean = false;
  protected readonly sink: FilterSink;

  constructor(sink: FilterSink) {
    this.sink = sink;
  }

  requestHeaders(headers: HeaderList, isLast: boolean): void {
    this.sink.onRequestHeaders(headers, isLast);
  }

  requestBody(chunk: Uint8Array, isLast: boolean): boolean {
    return this.sink.onRequestBody(chunk, isLast);
  }

  requestDrained(): void {}

  responseHeaders(headers: HeaderList, isLast: boolean): void {
    this.sink.onResponseHeaders(headers, isLast);
  }

  responseBody(chunk: Uint8Array, isLast: boolean): boolean {
    return this.sink.onResponseBody(chunk, isLast);
  }

  responseDrained(): void {}
  end(): void {}
}

class PlainHeader extends PlainStream {
  override requestHeaders(headers: HeaderList, isLast: boolean): void {
    const agent = headerValue(headers, 'user-agent') ?? '';
    removeHeader(headers, 'x-client');
    headers.push('x-client', agent.startsWith('Mozilla/') ? 'browser' : 'other');
    super.requestHeaders(headers, isLast);
  }

  override responseHeaders(headers: HeaderList, isLast: boolean): void {
    headers.push('x-served-by', 'sluice');
    super.responseHeaders(headers, isLast);
  }
}

class PlainBody extends PlainStream {
  override readonly wantsResponseBody = true;
  #held: Uint8Array[] = [];

  override responseBody(chunk: Uint8Array, isLast: boolean): boolean {
    // A chunk is its owner's again when the call returns.
    this.#held.push(new Uint8Array(chunk));
    if (!isLast) return true;
    const body = this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held);
    for (let index = 0; index < body.length; index++) {
      const code = body[index]!;
      if (code >= 0x61 && code <= 0x7a) body[index] = code - 0x20;
    }
    return super.responseBody(body, true);
  }
}

const STREAMS = { noop: PlainStream, header: PlainHeader, body: PlainBody } as const;

export function plainChain(name: FilterName): FilterChain {
  const Stream = STREAMS[name];
  return { open: (_facts: FilterFacts, sink: FilterSink) => new Stream(sink) };
}
