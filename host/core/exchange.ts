// The contract between listeners and planes: one request and its response, owned by one object.
// A listener (`host/edge`) makes it; a plane answers it. Whatever a plane does, in whatever order
// and however late, an Exchange never throws for a client that has left: calls after the end are
// ignored. Everything happens on the thread that owns the socket.

import type { ErrorCode } from './errors.ts';
import type { HeaderList } from './headers.ts';

/** A request's body is unknown in size: it came chunked, or as an HTTP/2 stream. */
export const BODY_SIZE_UNKNOWN = -1;

export interface BodyReader {
  /** Takes the next bytes. `chunk` is valid only during the call: copy what you keep.
   *  `isLast` comes exactly once, with or without bytes, unless the exchange is aborted. */
  onChunk(chunk: Uint8Array, isLast: boolean): void;
}

/** The head of a response that is sent many times: nothing of it may change. Shape: as the
 *  arguments of Exchange.respond(). */
export interface PreparedHead {
  readonly status: number;
  readonly headers: readonly string[];
  /** What a listener has made of status and headers, kept for the next time; null before. */
  listenerHead: ArrayBuffer | null;
}

export interface Exchange {
  /** As sent: a token, case kept. */
  readonly method: string;
  /** Path as received, before `?`. Begins with `/`, or is `*` for OPTIONS on the node engine. */
  readonly path: string;
  /** Query as received, without `?`; empty when there is none. */
  readonly query: string;
  /** The Host header or `:authority`, in lower case, with its port if any. */
  readonly authority: string;
  readonly scheme: 'http' | 'https';
  readonly httpVersion: '1.1' | '2.0';
  /** All headers, checked: names are lower-case tokens, values hold no control characters. Values
   *  and the target are byte strings on both engines: a char per byte, so write them as latin1. */
  readonly headers: HeaderList;
  /** Whether every header value and the target are ASCII: bytes and text are the same. */
  readonly isAscii: boolean;
  /** The peer's address in text, IPv4 unmapped from IPv6. Costs a call on uWS at the first reading,
   *  which must come before the end: later it is `''`. */
  readonly remoteAddress: string;
  readonly localPort: number;
  /** Content-Length; 0 when there is no body; BODY_SIZE_UNKNOWN when it came chunked. */
  readonly bodySizeBytes: number;
  /** What followed the body, checked as headers are, without what has no place there; complete
   *  when its last bytes are told. None on uWS, which does not show them. */
  readonly trailers: readonly string[];
  /** Whether the client asks for a WebSocket, so that acceptWebSocket() may be called. */
  readonly isWebSocketUpgrade: boolean;

  /** Starts the flow of the request body; onChunk may be called before it returns. May be called
   *  late: until then the client is held back. Without a call the body is discarded when the
   *  response ends, or the connection is closed where the rest is large or of unknown size. */
  readBody(reader: BodyReader): void;
  pauseBody(): void;
  resumeBody(): void;

  /** Sends a whole response. The exchange ends. `content-length` and `date` are added by the
   *  listener and must not be in `headers`; `transfer-encoding` and `connection` neither.
   *  For HEAD, 204 and 304 the body is not sent; a HEAD's `content-length` is the body's size.
   *  A body of up to RESPOND_COPY_SIZE_BYTES_MAX is copied or sent before it returns; the bytes of
   *  a larger one must stay as they are until the client has read them. Header values are byte
   *  strings. A name that is no lower-case token, or a value with a control character, is answered
   *  with 500 GW_INTERNAL instead and reported; `date` and `uwebsockets` are dropped, for the
   *  listener adds its own. */
  respond(status: number, headers: HeaderList, body: Uint8Array | string): void;

  /** Sends a whole response as respond() does; its head is checked and written out but once. */
  respondPrepared(head: PreparedHead, body: Uint8Array): void;

  /** Begins a response that streams. `bodySizeBytes`: the exact size, or BODY_SIZE_UNKNOWN. For
   *  HEAD and 304 it is the size announced and nothing may be written before end(). */
  begin(status: number, headers: HeaderList, bodySizeBytes: number): void;
  /** Writes body bytes; they are copied or sent before it returns. False means that the client
   *  reads slowly: write no more until onDrain. What was given is kept in any case. */
  write(chunk: Uint8Array): boolean;
  /** Ends a response that began. Fewer bytes than announced abort the connection instead.
   *  `trailers`: sent where engine, framing and client allow, and dropped where they do not. */
  end(trailers?: readonly string[]): void;
  /** Called when a write returned false and there is room again. */
  onDrain: (() => void) | null;

  /** Cuts the connection (HTTP/2: resets the stream): the client sees that the answer is broken. */
  abort(): void;
  /** Called once if the client leaves, or is cut by a limit, before the exchange has ended.
   *  `refusal`: what the listener tells the client instead of the plane, where it refuses it. */
  onAbort: ((refusal?: ErrorCode) => void) | null;
  /** Whether the response has ended or the client has left. */
  readonly isEnded: boolean;

  /** Answers the upgrade. `protocol`: the chosen Sec-WebSocket-Protocol, or ''. The exchange ends
   *  and the channel lives on. Null when the client has left. */
  acceptWebSocket(protocol: string, peer: WebSocketPeer): WebSocketChannel | null;
}

export interface WebSocketPeer {
  /** A whole message. `data` is valid only during the call. */
  onMessage(data: Uint8Array, kind: 'text' | 'binary'): void;
  /** The channel closed; called exactly once. 1006 when there was no close frame. */
  onClose(code: number, reason: string): void;
  /** There is room again after send() returned false. */
  onDrain(): void;
}

export interface WebSocketChannel {
  /** Sends a message. False means that the client reads slowly: send no more until onDrain. */
  send(data: Uint8Array, kind: 'text' | 'binary'): boolean;
  /** Calls back once, before it returns: what is sent meanwhile leaves in few writes. */
  batch(sends: () => void): void;
  close(code: number, reason: string): void;
}

/** What a listener calls with each request. It must not throw; if it does, the listener answers
 *  500 with GW_INTERNAL and logs. */
export type ExchangeHandler = (exchange: Exchange) => void;
