// An Exchange that was never on a wire, for tests of what reads requests and writes responses.

import type { Exchange, HeaderList, PreparedHead } from '../../host/core/index.ts';

export interface RecordedExchange extends Exchange {
  readonly sent: { status: number; headers: HeaderList; body: string } | null;
}

/** A GET from 192.0.2.1 to example.com, changed by `fields`. */
export function exchangeOf(fields: Partial<Exchange> = {}): RecordedExchange {
  const exchange = {
    method: 'GET',
    path: '/',
    query: '',
    authority: 'example.com',
    scheme: 'http' as const,
    httpVersion: '1.1' as const,
    headers: [] as HeaderList,
    isAscii: true,
    remoteAddress: '192.0.2.1',
    localPort: 8080,
    bodySizeBytes: 0,
    trailers: [],
    isWebSocketUpgrade: false,
    sent: null as RecordedExchange['sent'],
    onDrain: null,
    onAbort: null,
    get isEnded() {
      return this.sent !== null;
    },
    readBody() {},
    pauseBody() {},
    resumeBody() {},
    respond(status: number, headers: HeaderList, body: Uint8Array | string) {
      const text = typeof body === 'string' ? body : new TextDecoder().decode(body);
      exchange.sent = { status, headers, body: text };
    },
    respondPrepared({ status, headers }: PreparedHead, body: Uint8Array) {
      exchange.sent = { status, headers: [...headers], body: new TextDecoder().decode(body) };
    },
    begin() {},
    write: () => true,
    end() {},
    abort() {},
    acceptWebSocket: () => null,
  };
  return Object.defineProperties(exchange, Object.getOwnPropertyDescriptors(fields));
}
