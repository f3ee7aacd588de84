// The WebSocket half of the fixture: what a message says chooses what the peer does.

import type { Exchange, WebSocketChannel } from '../../host/core/index.ts';
import { note } from './listener-fixture.ts';

export function serveWebSocket(exchange: Exchange, query: URLSearchParams): void {
  const delayMs = Number(query.get('delay') ?? 0);
  if (query.get('refuse') !== null) {
    exchange.respond(429, ['retry-after', '1'], 'no');
  } else if (delayMs > 0) {
    setTimeout(() => accept(exchange, query), delayMs);
  } else {
    accept(exchange, query);
  }
}

function accept(exchange: Exchange, query: URLSearchParams): void {
  const protocol = query.get('protocol') ?? '';
  const channel: WebSocketChannel | null = exchange.acceptWebSocket(protocol, {
    onMessage(data, kind) {
      if (channel !== null) react(channel, Buffer.from(data), kind);
    },
    onClose: (code, reason) => note('note', `closed ${code} ${reason}`),
    onDrain: () => note('note', 'drained'),
  });
  note('note', channel === null ? 'no channel' : 'channel');
  if (query.get('greet') !== null) channel?.send(Buffer.from('hello'), 'text');
}

function react(channel: WebSocketChannel, data: Buffer, kind: 'text' | 'binary'): void {
  const text = data.length < 400 ? data.toString() : '';
  if (text === 'throw') throw new Error('thrown by onMessage');
  if (text.startsWith('close ')) {
    const [, code, reason] = text.split(' ');
    channel.close(Number(code), reason ?? '');
    // A call after the end is ignored.
    channel.send(Buffer.from('after'), 'text');
    channel.close(1000, '');
  } else if (text.startsWith('flood ')) {
    flood(channel, Number(text.split(' ')[1]));
  } else if (text.startsWith('overflow ')) {
    const part = Buffer.alloc(1_048_576);
    for (let count = Number(text.split(' ')[1]); count > 0; count--) channel.send(part, 'binary');
  } else {
    channel.send(data, kind);
  }
}

/** Sends until told to stop, then notes how much that was. */
function flood(channel: WebSocketChannel, sizeBytesMax: number): void {
  const part = Buffer.alloc(65_536, 'f');
  let sizeBytes = 0;
  while (sizeBytes < sizeBytesMax) {
    sizeBytes += part.length;
    if (!channel.send(part, 'binary')) break;
  }
  note('note', `flooded ${sizeBytes}`);
}
