// What the pipeline and the upstream client say to each other. Calls and handlers are plain objects
// with methods, so that a request costs no closure; every callback is synchronous and may call
// back.

import type { ErrorCode, HeaderList, PreparedHead } from '../../core/index.ts';

export interface UpstreamRequest {
  /** A token, as it goes on the wire. */
  readonly method: string;
  /** Path and query as they go on the wire: a byte string, no space, no control character. */
  readonly target: string;
  /** Final: lower-case names, checked values as byte strings, with `host`; without
   *  `content-length`, `transfer-encoding` and `connection`, which the client writes itself. A
   *  request that holds a character above 0xff, here or in `target`, fails with GW_INTERNAL.
   *  As a list, or as the lines they go on the wire as, which are not checked again and must be a
   *  byte string. Shape: `host: h\r\nx-a: 1\r\n`. */
  readonly headers: HeaderList | string;
  /** 0 for none, the exact size, or BODY_SIZE_UNKNOWN for a chunked body. */
  readonly bodySizeBytes: number;
  /** For a connection to be had, waiting in the pool's queue included. */
  readonly connectMs: number;
  /** From the request's last byte, or its start where it has no body, to the response head. */
  readonly requestMs: number;
  /** Without a byte in either direction; not counted while the response is paused. */
  readonly idleMs: number;
}

/** What a failed call left behind, for the decision to send the request again. */
export interface FailureFacts {
  /** How much of the request may have reached the upstream. */
  readonly sent: 'nothing' | 'head' | 'body';
  readonly connection: 'none' | 'fresh' | 'reused';
}

export interface UpstreamHandler {
  /** The response head, hop-by-hop headers and `content-length` taken out, values as byte
   *  strings. `bodySizeBytes` is exact, or BODY_SIZE_UNKNOWN; for HEAD and 304 it is the size
   *  announced, if any. `kept`: the same head where it is kept for responses to come; then
   *  `headers` is its list, and must stay as it is. */
  onHead(
    status: number,
    headers: HeaderList,
    bodySizeBytes: number,
    kept: PreparedHead | null,
  ): void;
  /** Body bytes, valid only during the call. After pause() at most one more read's bytes come. */
  onChunk(chunk: Uint8Array): void;
  /** What followed a chunked body, as headers are checked; before onEnd. */
  onTrailers?(trailers: readonly string[]): void;
  /** The response is complete. Exactly one of onEnd and onError comes, and it comes last. */
  onEnd(): void;
  onError(code: ErrorCode, detail: string, facts: FailureFacts): void;
  /** After write() returned false: the request body may continue. */
  onDrain(): void;
}

export interface UpstreamCall {
  /** When the last bytes of its response were read. Units: ms of the clock. */
  readonly arrivalMs: number;
  /** Sends body bytes; they are copied or sent before it returns. False: wait for onDrain. Bytes
   *  given after the response has ended are dropped. More than announced fails the call. */
  write(chunk: Uint8Array): boolean;
  /** Ends the request body. Fewer bytes than announced fail the call. `trailers`: names in lower
   *  case, checked values; sent where the body is chunked. */
  end(trailers?: readonly string[]): void;
  /** Stops reading the response from the socket. */
  pause(): void;
  resume(): void;
  /** Gives the call up: no callback comes afterwards. The connection is closed, or kept where the
   *  rest of its response is small or other requests wait on it. */
  cancel(): void;
}
