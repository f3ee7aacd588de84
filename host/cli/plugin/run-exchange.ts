// One exchange through a filter: the client's side and the upstream's side are both played here.

import {
  type FilterChain,
  type FilterFacts,
  type FilterSink,
  type FilterStream,
  type HeaderList,
  type LocalAnswer,
  passableTrailers,
} from '../../core/index.ts';
import { type Exchange, flatHeaders } from './case-schema.ts';

/** What came out at either end. */
export class Outcome {
  /** Null while nothing has reached the upstream. */
  upstreamHeaders: HeaderList | null = null;
  readonly upstreamBody: Uint8Array[] = [];
  upstreamTrailers: HeaderList = [];
  isUpstreamWhole = false;
  /** Null while the client has no answer. */
  status: number | null = null;
  headers: HeaderList = [];
  readonly body: Uint8Array[] = [];
  trailers: HeaderList = [];
  details = '';
  /** Code of what went wrong; `''` for nothing. */
  failure = '';
}

class Ends implements FilterSink {
  readonly outcome = new Outcome();

  onRequestHeaders(headers: HeaderList, isLast: boolean): void {
    this.outcome.upstreamHeaders = headers;
    this.outcome.isUpstreamWhole = isLast;
  }

  onRequestBody(chunk: Uint8Array, isLast: boolean, trailers: HeaderList = []): boolean {
    this.outcome.upstreamTrailers = passableTrailers(trailers);
    this.outcome.upstreamBody.push(chunk.slice());
    this.outcome.isUpstreamWhole = isLast;
    return true;
  }

  onRequestDrain(): void {}

  onResponseHeaders(headers: HeaderList, _isLast: boolean): void {
    this.#answer(headers);
  }

  onResponseBody(chunk: Uint8Array, _isLast: boolean, trailers: HeaderList = []): boolean {
    this.outcome.trailers = passableTrailers(trailers);
    this.outcome.body.push(chunk.slice());
    return true;
  }

  onResponseDrain(): void {}

  onLocalResponse({ status, headers, body, details }: LocalAnswer): void {
    this.outcome.status = status;
    this.outcome.headers = headers;
    this.outcome.body.push(body.slice());
    this.outcome.details = details;
  }

  onFailure(code: string, detail: string): void {
    this.outcome.failure = code;
    this.outcome.details = detail;
  }

  onClose(detail: string): void {
    this.outcome.failure = 'closed';
    this.outcome.details = detail;
  }

  #answer(headers: HeaderList): void {
    const at = headers.indexOf(':status');
    this.outcome.status = Number(headers[at + 1]);
    this.outcome.headers = headers.filter((_, index) => index !== at && index !== at + 1);
  }
}

/** How an exchange is run. */
export interface ExchangeRun {
  readonly chain: FilterChain;
  /** When. */
  readonly wallMs: number;
  /** Lets services answer; called wherever a filter may have asked one. */
  readonly deliver: () => void;
}

/** Runs an exchange from the client's request to the end of the answer. */
export function runExchange(exchange: Exchange, { chain, wallMs, deliver }: ExchangeRun): Outcome {
  const ends = new Ends();
  const { outcome } = ends;
  const stream = chain.open(factsOf(exchange, wallMs), ends);
  const { request } = exchange;
  const { method, path, authority } = request;
  const pseudo = [':method', method, ':path', path, ':authority', authority, ':scheme', 'http'];
  const headers = [...pseudo, ...flatHeaders(request.headers)];
  const isOver = (): boolean => outcome.status !== null || outcome.failure !== '';
  stream.requestHeaders(headers, hasNoBody(request));
  deliver();
  send(request, (chunk, isLast, trailers) => {
    if (!isOver()) stream.requestBody(chunk, isLast, trailers);
    deliver();
  });
  if (!isOver() && outcome.isUpstreamWhole) respond(stream, exchange, deliver);
  stream.end({ status: outcome.status ?? 0, reason: 0, details: outcome.details });
  deliver();
  return outcome;
}

function respond(stream: FilterStream, { upstream }: Exchange, deliver: () => void): void {
  const { status, headers } = upstream;
  stream.responseHeaders([':status', String(status), ...flatHeaders(headers)], hasNoBody(upstream));
  deliver();
  send(upstream, (chunk, isLast, trailers) => {
    stream.responseBody(chunk, isLast, trailers);
    deliver();
  });
}

/** What one side says behind its head. */
type Message = Pick<Exchange['request'], 'body' | 'trailers'>;

function hasNoBody({ body, trailers }: Message): boolean {
  return body.length === 0 && trailers.length === 0;
}

function send(
  message: Message,
  give: (chunk: Uint8Array, isLast: boolean, trailers?: HeaderList) => void,
): void {
  if (hasNoBody(message)) return;
  const trailers = passableTrailers(flatHeaders(message.trailers));
  const chunks = message.body.length === 0 ? [new Uint8Array(0)] : message.body;
  for (const [index, chunk] of chunks.entries()) {
    const isLast = index === chunks.length - 1;
    if (isLast && trailers.length > 0) give(chunk, true, trailers);
    else give(chunk, isLast);
  }
}

function factsOf({ client, route, request }: Exchange, wallMs: number): FilterFacts {
  return {
    routeName: route,
    scheme: 'http',
    httpVersion: '1.1',
    peerAddress: client.address,
    peerPort: client.port,
    localAddress: '127.0.0.1',
    localPort: 8080,
    startWallMs: wallMs,
    serviceName: 'upstream',
    endpointAddress: '127.0.0.1:9001',
    traceparent: '',
    requestBodySizeBytes: request.body.reduce((sum, { length }) => sum + length, 0),
    responseBodySizeBytes: 0,
    durationMs: 0,
  };
}
