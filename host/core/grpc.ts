// gRPC as filters call it on configured services: a stream of whole messages in each direction, and
// a status at the end. Who implements it frames the messages, keeps the bounds, and maps whatever
// goes wrong on the way to one of gRPC's own statuses, for that is all that a filter understands.

import type { HeaderList } from './headers.ts';

/** Those that a gateway makes itself. Source: gRPC, doc/statuscodes.md. */
export const GRPC_STATUS = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

export interface GrpcRequest {
  readonly service: string;
  /** Shape: `/package.Service/Method`. */
  readonly path: string;
  /** `''` for the endpoint's own. */
  readonly authority: string;
  /** Names in lower case, values checked. What belongs to the transport is left out of it. */
  readonly metadata: HeaderList;
  /** For all of it; 0 for none. Units: ms. */
  readonly timeoutMs: number;
  /** A message that is larger ends the call with RESOURCE_EXHAUSTED. */
  readonly messageSizeBytesMax: number;
  /** What may wait to be sent, each message with 5 bytes more. */
  readonly queueSizeBytesMax: number;
}

/** Calls come in this order; none of them before the call that began it all has returned, none
 *  within send(), end() and cancel(). */
export interface GrpcHandler {
  /** Comes at most once. An answer that is a status and nothing more has none. */
  onInitialMetadata(metadata: HeaderList): void;
  /** A whole message: the handler's to keep. */
  onMessage(message: Uint8Array): void;
  /** What the service said behind its last message; does not come where it said nothing. */
  onTrailingMetadata(metadata: HeaderList): void;
  /** The end: comes exactly once, unless the call is cancelled. `message`: a byte string. */
  onClose(status: number, message: string): void;
}

export interface GrpcCall {
  /** What was given and has not left. */
  readonly waitingSizeBytes: number;
  /** Sends a message, which is copied. False: there is no room, and nothing was taken. */
  send(message: Uint8Array): boolean;
  /** Nothing more is sent. */
  end(): void;
  /** Gives the call up: the handler is not called any more. */
  cancel(): void;
}
