// A front that turns upgrades into Exchanges with the `ws` server, for tests of what is behind it.
// It is as hostile as the contract allows: message bytes are overwritten after onMessage returns.

import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import type {
  Exchange,
  HeaderList,
  WebSocketChannel,
  WebSocketPeer,
} from '../../host/core/index.ts';
import { exchangeOf } from './exchange.ts';
import { endAtLast } from './leftovers.ts';

export interface WebSocketFront {
  readonly port: number;
  /** Calls of batch() on any channel so far. */
  batches(): number;
  close(): Promise<void>;
}

/** Bytes towards a client above which send() returns false. */
const HIGH_WATER_SIZE_BYTES = 65_536;

/** Listens on a free port of 127.0.0.1 and calls `handler` with each upgrade. */
export async function startWebSocketFront(
  handler: (exchange: Exchange) => void,
): Promise<WebSocketFront> {
  const server = createServer((_, response) => response.writeHead(426).end());
  const sockets = new Set<Socket>();
  let batches = 0;
  const onBatch = () => {
    batches += 1;
  };
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (request, socket, head) => {
    handler(upgradeExchange(request, socket as Socket, head, onBatch));
  });
  return {
    port: await listenLocal(server),
    batches: () => batches,
    close: () => closeAll(server, sockets),
  };
}

/** Listens on a free port of 127.0.0.1. */
export function listenLocal(server: Server): Promise<number> {
  return new Promise((resolve) => {
    endAtLast(() => server.close());
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

/** Cuts what is open and stops listening. */
export async function closeAll(server: Server, sockets: Iterable<Socket>): Promise<void> {
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
}

function upgradeExchange(
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
  onBatch: () => void,
): Exchange {
  const [path, query] = (request.url ?? '/').split('?', 2);
  const headers: HeaderList = request.rawHeaders.map((text, index) => {
    return index % 2 === 0 ? text.toLowerCase() : text;
  });
  let isEnded = false;
  const exchange = exchangeOf({
    path: path!,
    query: query ?? '',
    authority: request.headers.host ?? '',
    headers,
    remoteAddress: '127.0.0.1',
    isWebSocketUpgrade: true,
    get isEnded() {
      return isEnded;
    },
    respond(status, list, body) {
      if (isEnded) return;
      isEnded = true;
      const bytes = Buffer.from(body);
      const lines = [`HTTP/1.1 ${status} X`, `content-length: ${bytes.length}`];
      for (let index = 0; index < list.length; index += 2) {
        lines.push(`${list[index]}: ${list[index + 1]}`);
      }
      socket.end(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), bytes]));
    },
    acceptWebSocket(protocol: string, peer: WebSocketPeer) {
      if (isEnded) return null;
      isEnded = true;
      socket.removeAllListeners('end');
      return acceptUpgrade({ request, socket, head }, protocol, peer, onBatch);
    },
  });
  socket.on('error', () => {});
  // A socket that is not read never tells that the client has left. Nothing is lost by reading: a
  // client sends nothing before it is accepted.
  socket.once('end', () => socket.destroy());
  socket.resume();
  socket.once('close', () => {
    if (isEnded) return;
    isEnded = true;
    exchange.onAbort?.();
  });
  return exchange;
}

function acceptUpgrade(
  { request, socket, head }: { request: IncomingMessage; socket: Socket; head: Buffer },
  protocol: string,
  peer: WebSocketPeer,
  onBatch: () => void,
): WebSocketChannel | null {
  const server = new WebSocketServer({
    noServer: true,
    handleProtocols: () => (protocol === '' ? false : protocol),
  });
  let accepted: WebSocket | null = null;
  // Without a listener in between, `ws` completes the upgrade before it returns.
  server.handleUpgrade(request, socket, head, (client) => {
    accepted = client;
  });
  const client = accepted as WebSocket | null;
  if (client === null) return null;
  let isFull = false;
  const sent = () => {
    if (!isFull || client.bufferedAmount > 0) return;
    isFull = false;
    peer.onDrain();
  };
  client.on('error', () => {});
  client.on('message', (data, isBinary) => {
    const bytes = new Uint8Array(data as Buffer);
    peer.onMessage(bytes, isBinary ? 'binary' : 'text');
    bytes.fill(0);
  });
  client.on('close', (code, reason) => peer.onClose(code, reason.toString()));
  return {
    send(data, kind) {
      if (isFull) throw new Error('send() after it returned false and before onDrain');
      client.send(Buffer.from(data), { binary: kind === 'binary' }, sent);
      isFull = client.bufferedAmount > HIGH_WATER_SIZE_BYTES;
      return !isFull;
    },
    batch(sends) {
      onBatch();
      sends();
    },
    close: (code, reason) => client.close(code, reason),
  };
}
