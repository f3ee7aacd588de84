// What goes to a WebSocket upstream: small messages leave together, each as the frame it is, and no
// more wait for an upstream that does not read than two bounds allow.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import {
  SeededRandom,
  WEBSOCKET_QUEUE_COUNT_MAX,
  WEBSOCKET_QUEUE_SIZE_BYTES_MAX,
} from '../../host/core/index.ts';
import {
  WEBSOCKET_JOIN_SIZE_BYTES_MAX,
  WebSocketOutlet,
} from '../../host/mesh/websocket-outlet.ts';
import { testSeed } from '../support/seed.ts';
import { until } from '../support/upstream.ts';

const EMPTY = new Uint8Array(0);
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

async function scene(context: TestContext) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const got: [string, boolean][] = [];
  let peer: WebSocket | null = null;
  let closedWith = 0;
  server.on('connection', (accepted) => {
    peer = accepted;
    accepted.on('message', (data, isBinary) => got.push([(data as Buffer).toString(), isBinary]));
    accepted.on('close', (code) => {
      closedWith = code;
    });
  });
  const upstream = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`, {
    perMessageDeflate: false,
  });
  let socket: Socket | null = null;
  upstream.on('upgrade', (response) => {
    socket = response.socket;
  });
  upstream.on('error', () => {});
  await once(upstream, 'open');
  await until(() => peer !== null);
  const writes = context.mock.method(socket!, 'write');
  const outlet = new WebSocketOutlet(upstream, socket!);
  const stop = () => {
    upstream.terminate();
    peer!.terminate();
    server.close();
  };
  return {
    outlet,
    upstream,
    socket: socket! as Socket,
    peer: peer! as WebSocket,
    got,
    closedWith: () => closedWith,
    writes: () => writes.mock.callCount(),
    stop,
  };
}

describe('messages for a WebSocket upstream', { timeout: 30_000 }, () => {
  // Each empty message was a write of its own: thirty clients with 100,000 of them kept a worker
  // from all else for longer than its watchdog allows, which ended the process.
  it('of one turn of the event loop leave in one write', async (context) => {
    const { outlet, got, writes, stop } = await scene(context);
    for (let count = 0; count < 5_000; count++) assert.equal(outlet.send(EMPTY, 'binary'), true);
    assert.equal(writes(), 0);
    await nextTurn();
    assert.equal(writes(), 1);
    await until(() => got.length === 5_000);
    assert.ok(got.every(([text, isBinary]) => text === '' && isBinary));
    stop();
  });

  it('leave earlier when many wait; what the upstream has taken counts not', async (context) => {
    const { outlet, got, writes, stop } = await scene(context);
    const count = 3 * WEBSOCKET_QUEUE_COUNT_MAX;
    for (let index = 0; index < count; index++) assert.equal(outlet.send(EMPTY, 'text'), true);
    await nextTurn();
    assert.ok(writes() <= Math.ceil((count * 6) / (WEBSOCKET_JOIN_SIZE_BYTES_MAX - 14)));
    await until(() => got.length === count);
    await until(() => outlet.queuedCount === 0);
    stop();
  });

  it('arrive in order, whatever their sizes and kinds', async (context) => {
    const { outlet, got, stop } = await scene(context);
    const random = new SeededRandom(testSeed('websocket-outlet'));
    const sizes = [0, 1, 125, 126, 127, 65_500, 65_521, 65_522, 65_535, 65_536, 70_000];
    const sent: [string, boolean][] = [];
    for (let round = 0; round < 300; round++) {
      const size = round < sizes.length ? sizes[round]! : random.uint32() % 2_000;
      const data = Buffer.alloc(size, String.fromCharCode(97 + (round % 26)));
      const isBinary = random.uint32() % 2 === 0;
      sent.push([data.toString(), isBinary]);
      assert.equal(outlet.send(data, isBinary ? 'binary' : 'text'), true);
      // It is the listener's again when send() has returned.
      data.fill(0);
      if (random.uint32() % 10 === 0) await nextTurn();
    }
    await until(() => got.length === sent.length);
    assert.deepEqual(got, sent);
    stop();
  });

  it('leave before a close frame, and none behind it', async (context) => {
    const { outlet, upstream, got, closedWith, stop } = await scene(context);
    outlet.send(Buffer.from('before'), 'text');
    outlet.flush();
    upstream.close(4001);
    outlet.send(Buffer.from('behind'), 'text');
    outlet.flush();
    await until(() => closedWith() !== 0);
    assert.deepEqual([got, closedWith()], [[['before', false]], 4001]);
    stop();
  });

  it('are refused when too many wait, however small', async (context) => {
    const { outlet, socket, peer, stop } = await scene(context);
    peer.pause();
    const full = Buffer.alloc(100_000);
    while (socket.writableLength === 0) {
      assert.equal(outlet.send(full, 'binary'), true);
      await nextTurn();
    }
    const before = outlet.queuedCount;
    let count = before;
    while (outlet.send(EMPTY, 'text')) count += 1;
    assert.equal(count, WEBSOCKET_QUEUE_COUNT_MAX);
    assert.ok(socket.writableLength < WEBSOCKET_QUEUE_SIZE_BYTES_MAX);
    stop();
  });

  it('are refused when too many bytes wait', async (context) => {
    const { outlet, socket, peer, stop } = await scene(context);
    peer.pause();
    const piece = Buffer.alloc(10_000);
    while (outlet.send(piece, 'binary')) await nextTurn();
    assert.ok(socket.writableLength <= WEBSOCKET_QUEUE_SIZE_BYTES_MAX);
    assert.ok(socket.writableLength > WEBSOCKET_QUEUE_SIZE_BYTES_MAX - 2 * 10_014);
    stop();
  });
});
