// gRPC calls and streams that a guest has in flight. Callbacks name the root context, as for HTTP
// calls. A call is told its answer, or why there is none, and never both: SDKs forget a call with
// its first word. What a stream of the exchange began ends with that stream, as in Envoy.
//
//   call:    initial metadata · trailing metadata · receive, or close with a status
//   stream:  initial metadata · receive … receive · trailing metadata · close with a status

import {
  GRPC_STATUS,
  type GrpcCall,
  type GrpcHandler,
  type GrpcRequest,
  type HeaderList,
} from '../core/index.ts';
import { MAP_GRPC_INITIAL, MAP_GRPC_TRAILING } from './abi/values.ts';
import type { GuestContext, StreamContext } from './contexts.ts';
import {
  GRPC_MESSAGE_SIZE_BYTES_MAX,
  GRPC_QUEUE_SIZE_BYTES_MAX,
  GRPC_WAITING_SIZE_BYTES_MAX,
} from './limits.ts';
import type { Vm } from './vm.ts';

export type GrpcKind = 'call' | 'stream';

/** What a guest asks for. */
export type GrpcAsked = Omit<GrpcRequest, 'messageSizeBytesMax' | 'queueSizeBytesMax'>;

interface InFlight {
  readonly kind: GrpcKind;
  readonly owner: GuestContext;
  readonly call: GrpcCall;
  hasEnded: boolean;
}

export class GrpcCalls {
  readonly #vm: Vm;
  readonly #inFlight = new Map<number, InFlight>();
  #nextId = 1;

  constructor(vm: Vm) {
    this.#vm = vm;
  }

  get count(): number {
    return this.#inFlight.size;
  }

  /** Whether a message may be given: what waits of all calls stays within a bound. */
  hasRoomFor(sizeBytes: number): boolean {
    let waiting = sizeBytes;
    for (const { call } of this.#inFlight.values()) waiting += call.waitingSizeBytes;
    return waiting <= GRPC_WAITING_SIZE_BYTES_MAX;
  }

  /** `call`, `stream`, or null for what is not in flight. */
  kindOf(id: number): GrpcKind | null {
    return this.#inFlight.get(id)?.kind ?? null;
  }

  /** Sends one message and waits for one. Returns the id by which the guest will know it. */
  call(asked: GrpcAsked, message: Uint8Array): number {
    const id = this.#begin('call', asked, (given) => new UnaryAnswer(this, given));
    const { call } = this.#inFlight.get(id)!;
    call.send(message);
    call.end();
    return id;
  }

  stream(asked: GrpcAsked): number {
    return this.#begin('stream', asked, (given) => new StreamAnswer(this, given));
  }

  /** Sends a message of a stream. `ended`: it had said that nothing more would come. */
  send(id: number, message: Uint8Array): 'ok' | 'full' | 'ended' {
    const known = this.#inFlight.get(id)!;
    if (known.hasEnded) return 'ended';
    return this.hasRoomFor(message.length) && known.call.send(message) ? 'ok' : 'full';
  }

  /** Nothing more is sent; what the service still says is told. */
  end(id: number): void {
    const known = this.#inFlight.get(id);
    if (known === undefined) return;
    known.hasEnded = true;
    known.call.end();
  }

  /** Gives it up: no callback comes. False for what is not in flight. */
  cancel(id: number): boolean {
    this.#inFlight.get(id)?.call.cancel();
    return this.#inFlight.delete(id);
  }

  /** A stream of the exchange is over, and with it what it began. */
  endOf(context: StreamContext): void {
    for (const [id, { owner }] of this.#inFlight) {
      if (owner === context) this.cancel(id);
    }
  }

  close(): void {
    for (const { call } of this.#inFlight.values()) call.cancel();
    this.#inFlight.clear();
  }

  // === what came, for the guest

  tellMetadata(id: number, map: number, metadata: HeaderList): void {
    const { root } = this.#vm;
    const name =
      map === MAP_GRPC_INITIAL
        ? 'proxy_on_grpc_receive_initial_metadata'
        : 'proxy_on_grpc_receive_trailing_metadata';
    root.callMaps[map - MAP_GRPC_INITIAL] = metadata;
    this.#vm.callRoot(name, [root.id, id, metadata.length / 2]);
    root.callMaps[map - MAP_GRPC_INITIAL] = null;
  }

  tellMessage(id: number, message: Uint8Array): void {
    const { root } = this.#vm;
    root.grpcMessage = message;
    this.#vm.callRoot('proxy_on_grpc_receive', [root.id, id, message.length]);
    root.grpcMessage = null;
  }

  tellClose(id: number, status: number, message: string): void {
    const { root } = this.#vm;
    root.grpcStatus = status;
    root.grpcStatusMessage = message;
    this.#vm.callRoot('proxy_on_grpc_close', [root.id, id, status]);
  }

  /** The guest hears no more of it. */
  forget(id: number): void {
    this.#inFlight.delete(id);
  }

  /** A stream may live while all numbers are used once. */
  #freeId(): number {
    let id = this.#nextId;
    while (this.#inFlight.has(id)) id = following(id);
    this.#nextId = following(id);
    return id;
  }

  #begin(kind: GrpcKind, asked: GrpcAsked, answer: (id: number) => GrpcHandler): number {
    const id = this.#freeId();
    const request = {
      ...asked,
      messageSizeBytesMax: GRPC_MESSAGE_SIZE_BYTES_MAX,
      queueSizeBytesMax: GRPC_QUEUE_SIZE_BYTES_MAX,
    };
    const call = this.#vm.services.services!.grpc(request, answer(id));
    this.#inFlight.set(id, { kind, owner: this.#vm.effective, call, hasEnded: false });
    return id;
  }
}

function following(id: number): number {
  return id >= 0x7fff_ffff ? 1 : id + 1;
}

/** The one message that answers a call is held until the status says that it is good. */
class UnaryAnswer implements GrpcHandler {
  readonly #calls: GrpcCalls;
  readonly #id: number;
  #message: Uint8Array | null = null;

  constructor(calls: GrpcCalls, id: number) {
    this.#calls = calls;
    this.#id = id;
  }

  onInitialMetadata(metadata: HeaderList): void {
    this.#calls.tellMetadata(this.#id, MAP_GRPC_INITIAL, metadata);
  }

  onMessage(message: Uint8Array): void {
    if (this.#message === null) {
      this.#message = message;
      return;
    }
    this.#calls.cancel(this.#id);
    this.#calls.tellClose(this.#id, GRPC_STATUS.internal, 'more than one message for a call');
  }

  onTrailingMetadata(metadata: HeaderList): void {
    this.#calls.tellMetadata(this.#id, MAP_GRPC_TRAILING, metadata);
  }

  onClose(status: number, message: string): void {
    this.#calls.forget(this.#id);
    if (status !== GRPC_STATUS.ok) this.#calls.tellClose(this.#id, status, message);
    else if (this.#message !== null) this.#calls.tellMessage(this.#id, this.#message);
    else this.#calls.tellClose(this.#id, GRPC_STATUS.internal, 'an answer without a message');
  }
}

class StreamAnswer implements GrpcHandler {
  readonly #calls: GrpcCalls;
  readonly #id: number;

  constructor(calls: GrpcCalls, id: number) {
    this.#calls = calls;
    this.#id = id;
  }

  onInitialMetadata(metadata: HeaderList): void {
    this.#calls.tellMetadata(this.#id, MAP_GRPC_INITIAL, metadata);
  }

  onMessage(message: Uint8Array): void {
    this.#calls.tellMessage(this.#id, message);
  }

  onTrailingMetadata(metadata: HeaderList): void {
    this.#calls.tellMetadata(this.#id, MAP_GRPC_TRAILING, metadata);
  }

  onClose(status: number, message: string): void {
    this.#calls.forget(this.#id);
    this.#calls.tellClose(this.#id, status, message);
  }
}
