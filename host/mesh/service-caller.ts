// Calls that filters make to configured services, over the same balancers as requests. An answer of
// HTTP is gathered whole, within a bound; whatever goes wrong is no answer at all. gRPC has pools
// of its own, for it is spoken in HTTP/2.

import {
  BODY_SIZE_UNKNOWN,
  type Clock,
  type ErrorCode,
  type GrpcCall,
  type GrpcHandler,
  type GrpcRequest,
  type HeaderList,
  headerValue,
  isFramingHeader,
  passableTrailers,
  type ServiceCaller,
  type ServiceReply,
  type ServiceRequest,
} from '../core/index.ts';
import { type GrpcEndpoint, OutgoingGrpcCall } from './grpc/grpc-call.ts';
import type { ServiceRuntime } from './services.ts';
import type { UpstreamCall, UpstreamHandler } from './upstream/contract.ts';
import { Deadlines } from './upstream/deadlines.ts';

/** A service by its name, in the newest configuration. */
export type ServiceLookup = (name: string) => ServiceRuntime | undefined;

export class MeshServiceCaller implements ServiceCaller {
  readonly #lookup: ServiceLookup;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;

  constructor(lookup: ServiceLookup, clock: Clock) {
    this.#lookup = lookup;
    this.#clock = clock;
    this.#deadlines = new Deadlines(clock);
  }

  knows(service: string): boolean {
    return this.#lookup(service) !== undefined;
  }

  call(
    request: ServiceRequest,
    replySizeBytesMax: number,
    onReply: (reply: ServiceReply | null) => void,
  ): () => void {
    const gather = new ReplyGather(replySizeBytesMax, onReply);
    // Never within the call that asked: the guest is still running there.
    const begin = setImmediate(() => this.#send(request, gather));
    return () => {
      clearImmediate(begin);
      gather.cancel();
    };
  }

  grpc(request: GrpcRequest, handler: GrpcHandler): GrpcCall {
    return new OutgoingGrpcCall(request, handler, {
      clock: this.#clock,
      deadlines: this.#deadlines,
      endpoint: () => this.#grpcEndpoint(request),
    });
  }

  #grpcEndpoint(request: GrpcRequest): GrpcEndpoint | null {
    const service = this.#lookup(request.service);
    const state = service?.balancer.pick(0, null);
    if (service === undefined || state === undefined || state === null) return null;
    const { protocol, authority } = state.config;
    const pool = service.endpoints[state.index]!.http2Pool;
    return { pool, scheme: protocol, authority, connectMs: service.config.timeouts.connectMs };
  }

  #send(request: ServiceRequest, gather: ReplyGather): void {
    const service = this.#lookup(request.service);
    const state = service?.balancer.pick(0, null);
    if (service === undefined || state === undefined || state === null) {
      gather.settle(null);
      return;
    }
    const endpoint = service.endpoints[state.index]!;
    const { timeouts } = service.config;
    const bound = request.timeoutMs === 0 ? timeouts.requestMs : request.timeoutMs;
    const { headers, body, trailers } = request;
    const isChunked = trailers.length > 0;
    const call = endpoint.pool.send(
      {
        method: headerValue(headers, ':method')!,
        target: headerValue(headers, ':path')!,
        headers: wireHeaders(headers),
        bodySizeBytes: isChunked ? BODY_SIZE_UNKNOWN : body.length,
        connectMs: Math.min(bound, timeouts.connectMs),
        requestMs: Math.min(bound, timeouts.requestMs),
        idleMs: Math.min(bound, timeouts.idleMs),
      },
      gather,
    );
    gather.attach(call);
    if (body.length === 0 && !isChunked) return;
    call.write(body);
    call.end(passableTrailers(trailers));
  }
}

/** With `host` for `:authority`, and without what the client writes itself. */
function wireHeaders(headers: readonly string[]): HeaderList {
  const wire: HeaderList = ['host', headerValue(headers, ':authority')!];
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!;
    if (name.startsWith(':') || name === 'host' || isFramingHeader(name)) continue;
    wire.push(name, headers[index + 1]!);
  }
  return wire;
}

class ReplyGather implements UpstreamHandler {
  readonly #sizeBytesMax: number;
  readonly #chunks: Uint8Array[] = [];
  #onReply: ((reply: ServiceReply | null) => void) | null;
  #call: UpstreamCall | null = null;
  #headers: HeaderList = [];
  #trailers: HeaderList = [];
  #sizeBytes = 0;

  constructor(sizeBytesMax: number, onReply: (reply: ServiceReply | null) => void) {
    this.#sizeBytesMax = sizeBytesMax;
    this.#onReply = onReply;
  }

  attach(call: UpstreamCall): void {
    this.#call = call;
  }

  cancel(): void {
    this.#onReply = null;
    this.#call?.cancel();
  }

  settle(reply: ServiceReply | null): void {
    const onReply = this.#onReply;
    this.#onReply = null;
    onReply?.(reply);
  }

  onHead(status: number, headers: HeaderList, _bodySizeBytes: number): void {
    this.#headers = [':status', String(status), ...headers];
  }

  onChunk(chunk: Uint8Array): void {
    this.#sizeBytes += chunk.length;
    if (this.#sizeBytes > this.#sizeBytesMax) {
      this.#call?.cancel();
      this.settle(null);
      return;
    }
    this.#chunks.push(Uint8Array.from(chunk));
  }

  onTrailers(trailers: readonly string[]): void {
    this.#trailers = [...trailers];
  }

  onEnd(): void {
    const body = Buffer.concat(this.#chunks);
    this.settle({ headers: this.#headers, body, trailers: this.#trailers });
  }

  onError(_code: ErrorCode): void {
    this.settle(null);
  }

  /** The body was given whole. */
  onDrain(): void {}
}
