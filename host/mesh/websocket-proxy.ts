// A proxied WebSocket: the handshake is made with the upstream first, so that the client is
// accepted with the subprotocol that the upstream chose, or gets the upstream's refusal. Messages
// pass whole and in order; pings are answered by each side for itself.
//
//   upstream -> client  a client that reads slowly pauses the upstream's socket: true
//                       back-pressure; what one read brought leaves in one write
//   client -> upstream  the client's side cannot be paused (uWS), so bytes that the upstream has
//                       not taken are bounded: beyond the bound the client is closed with 1013

import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import {
  type ErrorCode,
  type Exchange,
  type HeaderList,
  isGatewayError,
  isToken,
  joinedHeaderValue,
  WEBSOCKET_PROTOCOLS_COUNT_MAX,
  type WebSocketChannel,
  type WebSocketPeer,
} from '../core/index.ts';
import { WebSocketDial, type WebSocketDialOptions } from './websocket-dial.ts';
import { WebSocketOutlet } from './websocket-outlet.ts';

const CLOSE_NORMAL = 1000;
const CLOSE_GOING_AWAY = 1001;
const CLOSE_PROTOCOL_ERROR = 1002;
/** Never on the wire: there was no code, or no close frame. */
const CLOSE_NO_STATUS = 1005;
const CLOSE_ABNORMAL = 1006;
const CLOSE_TOO_BIG = 1009;
const CLOSE_TRY_AGAIN_LATER = 1013;
const CLOSE_BAD_GATEWAY = 1014;
/** A control frame's 125 bytes less the code. Source: RFC 6455 section 5.5. */
const CLOSE_REASON_SIZE_BYTES_MAX = 123;

export interface WebSocketProxyOptions extends WebSocketDialOptions {
  /** Without a message in either direction, once open; 0 for no limit. */
  readonly idleMs: number;
  /** Answers the exchange with a problem. */
  fail(exchange: Exchange, code: ErrorCode, detail: string): void;
  /** Answers the exchange with the upstream's refusal; the route's header operations go here. */
  refuse(exchange: Exchange, status: number, headers: HeaderList, body: Uint8Array): void;
}

export interface WebSocketProxyResult {
  /** The close code that came first; 0 when the WebSocket never opened. */
  readonly code: number;
  /** What went wrong on the gateway's or the upstream's side, or that the client left early. */
  readonly error: ErrorCode | null;
  /** Message bytes from the client, and to it. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface WebSocketProxy {
  /** Closes both sides, as a drain does. Does nothing when they are closed. */
  close(code: number, reason: string): void;
}

/** Proxies a WebSocket upgrade. `onDone` is called exactly once, when both sides are closed or the
 *  exchange has been answered otherwise. */
export function proxyWebSocket(
  exchange: Exchange,
  options: WebSocketProxyOptions,
  onDone: (result: WebSocketProxyResult) => void,
): WebSocketProxy {
  return new WebSocketRelay(exchange, options, onDone);
}

/** Bytes for the client that wait for the end of a read before they are sent. */
const GATHER_SIZE_BYTES_MAX = 65_536;

class WebSocketRelay implements WebSocketProxy, WebSocketPeer {
  readonly #exchange: Exchange;
  readonly #options: WebSocketProxyOptions;
  readonly #onDone: (result: WebSocketProxyResult) => void;
  #dial: WebSocketDial | null = null;
  #upstream: WebSocket | null = null;
  #outlet: WebSocketOutlet | null = null;
  #channel: WebSocketChannel | null = null;
  /** Whether channel.close() has been called. */
  #isClosing = false;
  /** Whether send() returned false and onDrain has not come yet. */
  #isBlocked = false;
  /** Messages for the client: those of the read that is being taken, and when it fell behind, of
   *  that read; then the upstream's socket is paused behind them. Two lists, for a message may be
   *  two bytes of a flood. */
  #waiting: Buffer[] = [];
  #waitingKinds: ('text' | 'binary')[] = [];
  #waitingSizeBytes = 0;
  #isSendDue = false;
  readonly #onReadEnd = (): void => {
    this.#isSendDue = false;
    this.#sendWaiting();
  };
  readonly #sends = (): void => this.#sendBatch();
  /** How the client is to be closed once `#waiting` is empty. */
  #closeWhenSent: { readonly code: number; readonly reason: string } | null = null;
  #idleTimer: NodeJS.Timeout | null = null;
  #isDone = false;
  #code = 0;
  #error: ErrorCode | null = null;
  #bytesIn = 0;
  #bytesOut = 0;

  constructor(
    exchange: Exchange,
    options: WebSocketProxyOptions,
    onDone: (result: WebSocketProxyResult) => void,
  ) {
    this.#exchange = exchange;
    this.#options = options;
    this.#onDone = onDone;
    const protocols = offeredProtocols(exchange.headers);
    if (protocols === null) {
      this.#fail('GW_PROTOCOL_UPGRADE', 'sec-websocket-protocol is not a list of unique tokens');
      return;
    }
    exchange.onAbort = () => {
      this.#dial?.cancel();
      this.#finish('GW_CLIENT_CLOSED');
    };
    try {
      this.#dial = new WebSocketDial(options, protocols, {
        onOpen: (upstream, socket, protocol) => this.#open(upstream, socket, protocol),
        onRefused: (status, headers, body) => {
          exchange.onAbort = null;
          options.refuse(exchange, status, headers, body);
          this.#finish(null);
        },
        onFailed: (code, detail) => this.#fail(code, detail),
      });
    } catch (cause) {
      // `ws` and `node:http` throw for a header or a path that they will not write.
      if (isGatewayError(cause)) this.#fail(cause.code, cause.detail);
      else this.#fail('GW_PROTOCOL_MALFORMED', cause instanceof Error ? cause.message : `${cause}`);
    }
  }

  close(code: number, reason: string): void {
    if (this.#isDone) return;
    if (this.#upstream === null) {
      this.#dial?.cancel();
      this.#fail('GW_DRAINING', '');
      return;
    }
    this.#closeClient(code, reason);
    this.#closeUpstream(code, reason);
  }

  // From the client.

  onMessage(data: Uint8Array, kind: 'text' | 'binary'): void {
    this.#idleTimer?.refresh();
    this.#bytesIn += data.length;
    const upstream = this.#upstream;
    if (upstream === null || upstream.readyState !== WebSocket.OPEN) return;
    if (this.#outlet!.send(data, kind)) return;
    this.#error ??= 'GW_OVERLOADED';
    this.#code ||= CLOSE_TRY_AGAIN_LATER;
    this.#forgetWaiting();
    this.#closeClient(CLOSE_TRY_AGAIN_LATER, 'the upstream reads too slowly');
    upstream.terminate();
  }

  onClose(code: number, reason: string): void {
    this.#code ||= code;
    this.#channel = null;
    this.#forgetWaiting();
    this.#closeUpstream(code, reason);
    this.#finishWhenClosed();
  }

  onDrain(): void {
    this.#idleTimer?.refresh();
    this.#isBlocked = false;
    this.#sendWaiting();
    if (!this.#isBlocked && this.#upstream?.readyState === WebSocket.OPEN) this.#upstream.resume();
  }

  // From the upstream.

  #open(upstream: WebSocket, socket: Socket, protocol: string): void {
    this.#dial = null;
    this.#upstream = upstream;
    this.#outlet = new WebSocketOutlet(upstream, socket);
    upstream.on('message', (data, isBinary) => {
      this.#idleTimer?.refresh();
      this.#sendToClient(data as Buffer, isBinary ? 'binary' : 'text');
    });
    upstream.on('ping', () => this.#idleTimer?.refresh());
    upstream.on('error', (error) => this.#upstreamFailed(upstream, error));
    upstream.on('close', (code, reason) => this.#upstreamClosed(code, reason.toString()));
    this.#exchange.onAbort = null;
    this.#channel = this.#exchange.acceptWebSocket(protocol, this);
    if (this.#channel === null) {
      this.#error ??= 'GW_CLIENT_CLOSED';
      upstream.terminate();
      return;
    }
    const { idleMs } = this.#options;
    if (idleMs > 0) this.#idleTimer = setTimeout(() => this.#idle(), idleMs);
  }

  #sendToClient(data: Buffer, kind: 'text' | 'binary'): void {
    if (this.#channel === null || this.#isClosing) return;
    this.#waiting.push(data);
    this.#waitingKinds.push(kind);
    this.#waitingSizeBytes += data.length;
    if (this.#isBlocked) return;
    if (this.#waitingSizeBytes >= GATHER_SIZE_BYTES_MAX) this.#sendWaiting();
    else if (!this.#isSendDue) {
      this.#isSendDue = true;
      // `ws` tells all messages of one read before a microtask runs.
      queueMicrotask(this.#onReadEnd);
    }
  }

  /** Sends what waits, until the client falls behind. */
  #sendWaiting(): void {
    if (this.#isBlocked) return;
    if (this.#waiting.length > 0) this.#channel?.batch(this.#sends);
    if (this.#isBlocked || this.#closeWhenSent === null) return;
    const { code, reason } = this.#closeWhenSent;
    this.#closeWhenSent = null;
    this.#closeClient(code, reason);
  }

  #sendBatch(): void {
    const waiting = this.#waiting;
    const kinds = this.#waitingKinds;
    this.#forgetWaiting();
    let index = 0;
    while (index < waiting.length && !this.#isBlocked) {
      // A client that is cut by a send is told to onClose() at once.
      const channel = this.#channel;
      if (channel === null) return;
      const data = waiting[index]!;
      this.#bytesOut += data.length;
      this.#isBlocked = !channel.send(data, kinds[index]!);
      index += 1;
    }
    if (!this.#isBlocked) return;
    this.#upstream?.pause();
    for (; index < waiting.length; index++) {
      this.#waiting.push(waiting[index]!);
      this.#waitingKinds.push(kinds[index]!);
      this.#waitingSizeBytes += waiting[index]!.length;
    }
  }

  #forgetWaiting(): void {
    this.#waiting = [];
    this.#waitingKinds = [];
    this.#waitingSizeBytes = 0;
  }

  #upstreamFailed(upstream: WebSocket, error: NodeJS.ErrnoException): void {
    const isTooBig = error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
    const isProtocol = error.code?.startsWith('WS_ERR_') === true;
    this.#error ??= isProtocol ? 'GW_UPSTREAM_BAD_RESPONSE' : 'GW_UPSTREAM_RESET';
    if (isTooBig) this.#code ||= CLOSE_TOO_BIG;
    upstream.terminate();
  }

  #upstreamClosed(code: number, reason: string): void {
    const isTooBig = this.#code === CLOSE_TOO_BIG && this.#error === 'GW_UPSTREAM_BAD_RESPONSE';
    if (code === CLOSE_ABNORMAL && this.#code === 0) this.#error ??= 'GW_UPSTREAM_CLOSED';
    this.#code ||= code;
    const shown = isTooBig ? CLOSE_TOO_BIG : clientCloseCode(code);
    this.#closeWhenSent = { code: shown, reason };
    this.#sendWaiting();
    this.#finishWhenClosed();
  }

  #idle(): void {
    this.#error ??= 'GW_TIMEOUT_IDLE';
    this.close(CLOSE_GOING_AWAY, 'idle');
  }

  #closeClient(code: number, reason: string): void {
    if (this.#channel === null || this.#isClosing) return;
    this.#sendWaiting();
    // A client that is cut by what was sent has told so.
    if (this.#channel === null || this.#isClosing) return;
    this.#isClosing = true;
    this.#channel.close(code, clippedReason(reason));
  }

  #closeUpstream(code: number, reason: string): void {
    const upstream = this.#upstream;
    if (upstream === null || upstream.readyState === WebSocket.CLOSED) return;
    this.#outlet?.flush();
    // A paused socket would never read the answer to the close frame.
    if (upstream.isPaused) upstream.resume();
    if (code === CLOSE_ABNORMAL) upstream.terminate();
    else if (code === CLOSE_NO_STATUS) upstream.close();
    else if (isWireCloseCode(code)) upstream.close(code, clippedReason(reason));
    else upstream.close(CLOSE_PROTOCOL_ERROR);
  }

  #fail(code: ErrorCode, detail: string): void {
    this.#exchange.onAbort = null;
    this.#options.fail(this.#exchange, code, detail);
    this.#finish(code);
  }

  #finishWhenClosed(): void {
    if (this.#channel !== null) return;
    if (this.#upstream !== null && this.#upstream.readyState !== WebSocket.CLOSED) return;
    this.#finish(null);
  }

  #finish(error: ErrorCode | null): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#error ??= error;
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    this.#onDone({
      code: this.#code,
      error: this.#error,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
    });
  }
}

/** The subprotocols that a client offers; null when they are not a list of unique tokens. */
function offeredProtocols(headers: readonly string[]): string[] | null {
  const list = joinedHeaderValue(headers, 'sec-websocket-protocol');
  if (list === undefined) return [];
  const protocols = list.split(',').map((protocol) => protocol.trim());
  const isList =
    protocols.length <= WEBSOCKET_PROTOCOLS_COUNT_MAX &&
    protocols.every(isToken) &&
    new Set(protocols).size === protocols.length;
  return isList ? protocols : null;
}

/** Whether a code may stand in a close frame. Source: RFC 6455 section 7.4, IANA's registry. */
function isWireCloseCode(code: number): boolean {
  if (code >= 3000 && code <= 4999) return true;
  return code >= 1000 && code <= 1014 && !(code >= 1004 && code <= 1006);
}

/** The upstream's close code as the client may see it: none becomes normal, an upstream that
 *  vanished becomes bad gateway. */
function clientCloseCode(code: number): number {
  if (code === CLOSE_NO_STATUS) return CLOSE_NORMAL;
  return isWireCloseCode(code) ? code : CLOSE_BAD_GATEWAY;
}

/** A reason cut to what a close frame holds, at a character's border. */
function clippedReason(reason: string): string {
  const bytes = Buffer.from(reason, 'utf8');
  if (bytes.length <= CLOSE_REASON_SIZE_BYTES_MAX) return reason;
  let end = CLOSE_REASON_SIZE_BYTES_MAX;
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}
