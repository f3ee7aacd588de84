// How the mesh hands an exchange to the filters of its route, and takes back what they made of it.
// The mesh pushes what comes in at one end of the chain, the chain pushes what leaves it at the
// other end into a sink; in between a filter may hold, change, replace or answer. Whatever waits is
// bounded by the chain, and back-pressure passes through it, so that neither end knows how many
// filters there are. Every call is synchronous and may call back before it returns.
//
//   client ── requestHeaders/Body ─► filter 0 … filter n-1 ─► sink.onRequest… ── upstream
//   client ◄─ sink.onResponse… ◄── filter 0 … filter n-1 ◄── responseHeaders/Body ── upstream

import type { ErrorCode } from './errors.ts';
import type { GrpcCall, GrpcHandler, GrpcRequest } from './grpc.ts';
import type { HeaderList } from './headers.ts';

/** What filters may ask about an exchange. Read while the stream lives; the mesh keeps it true. */
export interface FilterFacts {
  readonly routeName: string;
  readonly scheme: 'http' | 'https';
  readonly httpVersion: '1.1' | '2.0';
  /** Of the connection's peer; its port is 0 where the listener does not tell. */
  readonly peerAddress: string;
  readonly peerPort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Units: ms since the Unix epoch. */
  readonly startWallMs: number;
  /** The service that was chosen, and its endpoint as `host:port`; `''` before. */
  readonly serviceName: string;
  readonly endpointAddress: string;
  /** `''` for none. */
  readonly traceparent: string;
  readonly requestBodySizeBytes: number;
  readonly responseBodySizeBytes: number;
  /** Units: ms since the start. */
  readonly durationMs: number;
}

/** The far ends of a chain, as the mesh implements them. After onLocalResponse, onFailure or
 *  onClose nothing of the request leaves any more; a response may then only come from them. */
export interface FilterSink {
  /** The request's head has passed every filter. `headers` holds `:method`, `:path`, `:authority`
   *  and `:scheme` first, and is the sink's from now on. */
  onRequestHeaders(headers: HeaderList, isLast: boolean): void;
  /** Body bytes that passed, valid only during the call. False: hold until requestDrained().
   *  `trailers`: what passed behind the last bytes; absent where nothing had come. */
  onRequestBody(chunk: Uint8Array, isLast: boolean, trailers?: HeaderList): boolean;
  /** More of the request's body may come, after requestBody() returned false. */
  onRequestDrain(): void;
  /** The response's head has passed every filter; `:status` stands first. */
  onResponseHeaders(headers: HeaderList, isLast: boolean): void;
  onResponseBody(chunk: Uint8Array, isLast: boolean, trailers?: HeaderList): boolean;
  onResponseDrain(): void;
  /** A filter answers, and the answer has passed the filters before it. Whatever the upstream said
   *  or will say is void. Comes at most once, and only before onResponseHeaders. */
  onLocalResponse(answer: LocalAnswer): void;
  /** The chain cannot go on. Before onResponseHeaders the client is told; after it, cut. */
  onFailure(code: ErrorCode, detail: string): void;
  /** A filter closes the exchange without an answer. */
  onClose(detail: string): void;
}

export interface LocalAnswer {
  readonly status: number;
  /** Without `:status`. */
  readonly headers: HeaderList;
  readonly body: Uint8Array;
  /** What the filter says about it, for the log. */
  readonly details: string;
}

/** One exchange on its way through the filters of its route. Calls after end() are ignored. */
export interface FilterStream {
  /** Whether a filter looks at the bodies. Where none does, the mesh passes them by, but never
   *  before the head of the same direction has left the chain. */
  readonly wantsRequestBody: boolean;
  readonly wantsResponseBody: boolean;
  /** `headers`: with pseudo headers first; the stream's from now on. `isLast`: no body follows. */
  requestHeaders(headers: HeaderList, isLast: boolean): void;
  /** False: give no more until sink.onRequestDrain(). What was given is kept in any case.
   *  `trailers`: what follows the last bytes, the stream's from now on; never empty. */
  requestBody(chunk: Uint8Array, isLast: boolean, trailers?: HeaderList): boolean;
  /** After sink.onRequestBody() returned false. */
  requestDrained(): void;
  /** `headers`: with `:status` first. Errors: ignored after a local answer. */
  responseHeaders(headers: HeaderList, isLast: boolean): void;
  responseBody(chunk: Uint8Array, isLast: boolean, trailers?: HeaderList): boolean;
  responseDrained(): void;
  /** The exchange is over, in whatever way: filters log it and are done. Comes exactly once.
   *  `reason`: 0 when nothing went wrong. */
  end(outcome: FilterOutcome): void;
}

export interface FilterOutcome {
  readonly status: number;
  readonly reason: number;
  /** What a filter or the gateway said about the answer; `''` for nothing. */
  readonly details: string;
}

/** The filters of one route, ready to run. */
export interface FilterChain {
  open(facts: FilterFacts, sink: FilterSink): FilterStream;
}

export interface FilterPlane {
  /** The chain of a route's plugins, in the order in which a request meets them. What is installed
   *  later under the same names is taken by the streams that open later. */
  chain(plugins: readonly string[]): FilterChain;
}

/** A request that a filter makes of its own accord, to a configured service. */
export interface ServiceRequest {
  readonly service: string;
  /** With `:method`, `:path` and `:authority`. */
  readonly headers: HeaderList;
  readonly body: Uint8Array;
  readonly trailers: HeaderList;
  /** 0 for none beside the service's own. */
  readonly timeoutMs: number;
}

export interface ServiceReply {
  /** With `:status` first. */
  readonly headers: HeaderList;
  readonly body: Uint8Array;
  readonly trailers: HeaderList;
}

export interface ServiceCaller {
  /** Whether there is a service of this name. */
  knows(service: string): boolean;
  /** Calls back exactly once, never before it returns: with null when there was no whole answer of
   *  at most `replySizeBytesMax` in time. Returns what gives the call up: no callback then. */
  call(
    request: ServiceRequest,
    replySizeBytesMax: number,
    onReply: (reply: ServiceReply | null) => void,
  ): () => void;
  /** Begins a gRPC call. Errors: through the handler. */
  grpc(request: GrpcRequest, handler: GrpcHandler): GrpcCall;
}
