// Contexts: what a guest calls a stream or its root. A stream's belongs to one exchange in one
// plugin, the root's to the instance; host functions read and write them for the guest.

import type { FilterFacts, HeaderList, LocalAnswer } from '../core/index.ts';
import { BodyBuffer } from './body-buffer.ts';

const NO_BYTES = new Uint8Array(0);

/** An exchange's messages, shared by all filters of its chain. By the ABI's map numbers 0 to 3:
 *  null where it has not come. */
export interface ExchangeMaps {
  readonly maps: (HeaderList | null)[];
  /** Whether filters may still change a map: its head has not left the chain. */
  readonly isWritable: boolean[];
  readonly facts: FilterFacts;
  /** Of the answer, for properties; `''` before. */
  responseDetails: string;
  /** What filters of the chain have set, for all of them; null before the first. */
  properties: Map<string, Uint8Array> | null;
}

export class StreamContext {
  readonly kind = 'stream';
  readonly id: number;
  readonly exchange: ExchangeMaps;
  /** By direction: 0 for the request. */
  readonly #bodies: [BodyBuffer | null, BodyBuffer | null] = [null, null];
  /** Whether a body of this direction may be looked at now. */
  readonly hasBody: [boolean, boolean] = [false, false];
  /** What the guest asked for, until its chain takes it. */
  readonly isResumed: [boolean, boolean] = [false, false];
  answer: LocalAnswer | null = null;
  isClosed = false;
  isLogging = false;
  /** Waits for proxy_done() before it is deleted. */
  isFinishing = false;
  /** Waits for onTouched. */
  isTouched = false;
  /** In the table of its instance. */
  next: StreamContext | null = null;
  /** Called behind a guest's call in which another context asked for something here, and when the
   *  instance dies. */
  onTouched: (() => void) | null = null;

  constructor(id: number, exchange: ExchangeMaps) {
    this.id = id;
    this.exchange = exchange;
  }

  /** What is held of a body. Most streams have none, or none that anybody looks at. */
  body(direction: 0 | 1): BodyBuffer {
    this.#bodies[direction] ??= new BodyBuffer();
    return this.#bodies[direction];
  }
}

/** What the last call to a service brought, for the callback that is running. */
export interface CallResult {
  readonly headers: HeaderList;
  readonly trailers: HeaderList;
  readonly body: Uint8Array;
}

export class RootContext {
  readonly kind = 'root';
  readonly id: number;
  /** By the ABI's map numbers 4 to 7; null outside the callback. */
  readonly callMaps: (HeaderList | null)[] = [null, null, null, null];
  callBody: Uint8Array | null = null;
  grpcMessage: Uint8Array | null = null;
  foreignArguments: Uint8Array = NO_BYTES;
  /** Of the last gRPC call that ended with proxy_on_grpc_close. */
  grpcStatus = 0;
  grpcStatusMessage = '';
  properties: Map<string, Uint8Array> | null = null;
  isFinishing = false;

  constructor(id: number) {
    this.id = id;
  }
}

export type GuestContext = RootContext | StreamContext;
