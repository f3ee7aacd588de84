// WebSockets on node, by `ws`. It never compresses, and closes a client that reads too slowly, like
// the uWS engine; unlike it, it answers an oversized message with close code 1009.

import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import {
  GatewayError,
  WEBSOCKET_IDLE_TIMEOUT_MS,
  WEBSOCKET_MESSAGE_SIZE_BYTES_MAX,
  WEBSOCKET_SEND_PAUSE_SIZE_BYTES,
  WEBSOCKET_SEND_SIZE_BYTES_MAX,
  type WebSocketChannel,
  type WebSocketPeer,
} from '../core/index.ts';
import type { NodeHost } from './node-host.ts';
import { closeManner, fittingReason, isProtocolOffered } from './websocket-close.ts';

/** What a batch holds before it is written: less than what says that a client reads slowly. */
const BATCH_SIZE_BYTES_MAX = WEBSOCKET_SEND_PAUSE_SIZE_BYTES / 4;

export interface UpgradeSocket {
  readonly req: IncomingMessage;
  readonly socket: Duplex;
  /** What came behind the request's head. */
  readonly head: Buffer;
}

export class NodeWebSockets {
  readonly #host: NodeHost;
  readonly #channels = new Set<NodeChannel>();
  readonly #timer: NodeJS.Timeout;
  #protocol = '';
  readonly #server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: WEBSOCKET_MESSAGE_SIZE_BYTES_MAX,
    clientTracking: false,
    handleProtocols: () => (this.#protocol === '' ? false : this.#protocol),
  });

  constructor(host: NodeHost) {
    this.#host = host;
    this.#timer = setInterval(() => this.sweep(), WEBSOCKET_IDLE_TIMEOUT_MS / 2).unref();
  }

  upgrade(
    from: UpgradeSocket,
    headers: readonly string[],
    protocol: string,
    peer: WebSocketPeer,
  ): WebSocketChannel | null {
    if (from.socket.destroyed) return null;
    if (protocol !== '' && !isProtocolOffered(headers, protocol)) {
      const detail = `protocol "${protocol}" was not offered`;
      this.#host.onError(new GatewayError('GW_INTERNAL', detail));
      from.socket.destroy();
      return null;
    }
    this.#protocol = protocol;
    let channel: NodeChannel | null = null;
    this.#server.handleUpgrade(from.req, from.socket, from.head, (socket) => {
      const made = new NodeChannel({ host: this.#host, stream: from.socket }, socket, peer, () =>
        this.#channels.delete(made),
      );
      this.#channels.add(made);
      channel = made;
    });
    return channel;
  }

  /** Pings every channel, and cuts those that have not answered the last ping. */
  sweep(): void {
    for (const channel of this.#channels) channel.ping();
  }

  closeAll(): void {
    clearInterval(this.#timer);
    for (const channel of this.#channels) channel.cut();
  }
}

class NodeChannel implements WebSocketChannel {
  readonly #host: NodeHost;
  readonly #socket: WebSocket;
  readonly #peer: WebSocketPeer;
  /** What `#socket` writes to. */
  readonly #stream: Duplex;
  readonly #sent = (): void => this.#onSent();
  #isFull = false;
  #isBatch = false;
  #isAlive = true;

  constructor(
    { host, stream }: { readonly host: NodeHost; readonly stream: Duplex },
    socket: WebSocket,
    peer: WebSocketPeer,
    onGone: () => void,
  ) {
    this.#host = host;
    this.#stream = stream;
    this.#socket = socket;
    this.#peer = peer;
    host.active++;
    socket.binaryType = 'nodebuffer';
    socket.on('message', (data, isBinary) => {
      this.#isAlive = true;
      host.progress.noteArrival();
      this.#guard(() => peer.onMessage(data as Buffer, isBinary ? 'binary' : 'text'));
    });
    socket.on('pong', () => {
      this.#isAlive = true;
    });
    socket.on('ping', () => {
      this.#isAlive = true;
    });
    // The close event follows each error and says the same.
    socket.on('error', () => {});
    socket.once('close', (code, reason) => {
      host.active--;
      onGone();
      this.#guard(() => peer.onClose(code, code === 1006 ? '' : reason.toString()));
    });
  }

  send(data: Uint8Array, kind: 'text' | 'binary'): boolean {
    const socket = this.#socket;
    if (socket.readyState !== WebSocket.OPEN) return true;
    // What waits already is counted, as uWS does: one message may be larger than the bound.
    if (socket.bufferedAmount > WEBSOCKET_SEND_SIZE_BYTES_MAX) {
      this.cut();
      return true;
    }
    socket.send(Buffer.from(data), { binary: kind === 'binary' }, this.#sent);
    if (this.#isBatch && socket.bufferedAmount > BATCH_SIZE_BYTES_MAX) {
      this.#stream.uncork();
      this.#stream.cork();
    }
    this.#isFull = socket.bufferedAmount > WEBSOCKET_SEND_PAUSE_SIZE_BYTES;
    return !this.#isFull;
  }

  batch(sends: () => void): void {
    if (this.#isBatch) {
      sends();
      return;
    }
    this.#isBatch = true;
    this.#stream.cork();
    this.#guard(sends);
    this.#isBatch = false;
    this.#stream.uncork();
  }

  close(code: number, reason: string): void {
    const manner = closeManner(code);
    if (manner === 'cut') this.cut();
    else if (manner === 'none') this.#socket.close();
    else this.#socket.close(code, fittingReason(reason));
  }

  ping(): void {
    if (!this.#isAlive) {
      this.cut();
      return;
    }
    this.#isAlive = false;
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.ping();
  }

  cut(): void {
    this.#socket.terminate();
  }

  #onSent(): void {
    if (!this.#isFull || this.#socket.readyState !== WebSocket.OPEN) return;
    if (this.#socket.bufferedAmount > WEBSOCKET_SEND_PAUSE_SIZE_BYTES) return;
    this.#isFull = false;
    this.#guard(() => this.#peer.onDrain());
  }

  #guard(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.#host.onError(error);
      this.close(1011, '');
    }
  }
}
