// WebSockets on uWS: the upgrade of an exchange, and the channel that lives on. uWS cannot pause a
// client, so only sending has back-pressure; a client that reads too slowly is closed.

import {
  GatewayError,
  headerValue,
  WEBSOCKET_SEND_PAUSE_SIZE_BYTES,
  type WebSocketChannel,
  type WebSocketPeer,
} from '../core/index.ts';
import type { UwsHost, UwsResponse } from './uws-native.ts';
import { closeManner, fittingReason, isProtocolOffered } from './websocket-close.ts';

/** The part of uWS's WebSocket that a channel uses. */
export interface UwsSocket {
  send(data: Uint8Array, isBinary: boolean, isCompressed: boolean): number;
  end(code?: number, reason?: string): void;
  close(): void;
  getBufferedAmount(): number;
  cork(callback: () => void): unknown;
}

export interface UpgradeRequest {
  readonly protocol: string;
  readonly headers: readonly string[];
  readonly context: unknown;
}

/** Upgrades a response that no exchange owns any more. Null when the protocol was not offered:
 *  the client is cut, as it would fail the handshake itself. */
export function upgradeToWebSocket(
  res: UwsResponse,
  host: UwsHost,
  peer: WebSocketPeer,
  request: UpgradeRequest,
): WebSocketChannel | null {
  const { protocol, headers, context } = request;
  if (protocol !== '' && !isProtocolOffered(headers, protocol)) {
    host.onError(new GatewayError('GW_INTERNAL', `protocol "${protocol}" was not offered`));
    res.close();
    return null;
  }
  const channel = new UwsChannel(host, peer);
  const key = headerValue(headers, 'sec-websocket-key') ?? '';
  const upgrade = () => res.upgrade({ channel }, key, protocol, '', context);
  try {
    // Without any cork uWS complains on stderr, and does the same.
    if (!host.upgradeCork.run(upgrade)) upgrade();
    return channel;
  } catch (error) {
    channel.disown();
    host.onError(error);
    return null;
  }
}

export class UwsChannel implements WebSocketChannel {
  readonly #host: UwsHost;
  readonly #peer: WebSocketPeer;
  #socket: UwsSocket | null = null;
  #isClosed = false;
  #isFull = false;

  constructor(host: UwsHost, peer: WebSocketPeer) {
    this.#host = host;
    this.#peer = peer;
    host.active++;
  }

  send(data: Uint8Array, kind: 'text' | 'binary'): boolean {
    if (this.#socket === null) return true;
    this.#socket.send(data, kind === 'binary', false);
    // The send may have closed the socket, when the client reads too slowly.
    if (this.#socket === null) return true;
    this.#isFull = this.#socket.getBufferedAmount() > WEBSOCKET_SEND_PAUSE_SIZE_BYTES;
    return !this.#isFull;
  }

  batch(sends: () => void): void {
    const socket = this.#socket;
    if (socket === null) sends();
    // No error may reach uWS.
    else socket.cork(() => this.#guard(sends));
  }

  close(code: number, reason: string): void {
    const socket = this.#socket;
    if (socket === null) return;
    const manner = closeManner(code);
    if (manner === 'cut') socket.close();
    else if (manner === 'none') socket.end();
    else socket.end(code, fittingReason(reason));
  }

  /** There is no socket and will be none. */
  disown(): void {
    this.#isClosed = true;
    this.#host.active--;
  }

  attach(socket: UwsSocket): void {
    this.#socket = socket;
  }

  onMessage(data: ArrayBuffer, isBinary: boolean): void {
    this.#host.progress.noteArrival();
    const kind = isBinary ? 'binary' : 'text';
    // Without a closure, for a flood of empty messages.
    try {
      this.#peer.onMessage(new Uint8Array(data), kind);
    } catch (error) {
      this.#fail(error);
    }
  }

  onDrain(): void {
    if (!this.#isFull || this.#socket === null) return;
    if (this.#socket.getBufferedAmount() > WEBSOCKET_SEND_PAUSE_SIZE_BYTES) return;
    this.#isFull = false;
    this.#guard(() => this.#peer.onDrain());
  }

  onClose(code: number, message: ArrayBuffer): void {
    this.#socket = null;
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#host.active--;
    // uWS does not count a WebSocket out when it closes.
    this.#host.connections--;
    // uWS gives its own words for a cut as if the peer had sent them, and 0 for no code of ours.
    const reason = code === 1006 ? '' : Buffer.from(message).toString();
    this.#guard(() => this.#peer.onClose(code === 0 ? 1005 : code, reason));
  }

  #guard(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#host.onError(error);
    this.close(1011, '');
  }
}
