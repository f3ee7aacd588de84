// Pieces of a request body that come in one turn of the event loop leave in one write, whole, in
// order and within a bound.

import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { BODY_SIZE_UNKNOWN, SeededRandom } from '../../host/core/index.ts';
import { BODY_GATHER_SIZE_BYTES_MAX, BodyGather } from '../../host/mesh/upstream/body-gather.ts';
import { testSeed } from '../support/seed.ts';
import { makePool, okResponse, rawServer, sendRecorded, until } from '../support/upstream.ts';

const PIECES_COUNT = 5_000;

/** Counts the writes of every socket that is connected to `port`. */
function countWrites(context: TestContext, port: number): () => number {
  let count = 0;
  const write = Socket.prototype.write;
  context.mock.method(Socket.prototype, 'write', function (this: Socket, ...given: unknown[]) {
    if (this.remotePort === port) count += 1;
    return Reflect.apply(write, this, given);
  });
  return () => count;
}

/** An upload that has its connection, and how often that was written to since. */
async function upload(context: TestContext, bodySizeBytes: number) {
  const server = await rawServer((socket, text) => {
    if (/z$|0\r\n\r\n$/.test(text)) socket.write(okResponse('ok'));
  });
  const writes = countWrites(context, server.port);
  const pool = makePool({ port: server.port });
  const { call, recorder } = sendRecorded(pool, { method: 'POST', bodySizeBytes });
  await until(() => server.received[0]?.includes('\r\n\r\n') === true);
  const before = writes();
  const stop = async () => {
    pool.close();
    await server.stop();
  };
  const body = () => server.received[0]!.split('\r\n\r\n').slice(1).join('\r\n\r\n');
  return { call, recorder, server, pool, stop, body, writes: () => writes() - before };
}

describe('a request body that comes in tiny pieces', { timeout: 30_000 }, () => {
  // Each chunk of one byte was a write of its own: two clients with 6 MB of them kept a worker from
  // all else for longer than its watchdog allows, which ended the process.
  it('is written once for all that one turn of the loop brings, as one chunk', async (context) => {
    const { call, recorder, body, writes, stop } = await upload(context, BODY_SIZE_UNKNOWN);
    for (let count = 0; count < PIECES_COUNT; count++) {
      assert.equal(call.write(Buffer.from('x')), true);
    }
    assert.equal(writes(), 0);
    const chunk = `${PIECES_COUNT.toString(16)}\r\n${'x'.repeat(PIECES_COUNT)}\r\n`;
    await until(() => body() === chunk);
    assert.equal(writes(), 1);
    call.write(Buffer.from('y'));
    call.write(Buffer.from('z'));
    call.end();
    assert.equal(writes(), 2);
    assert.equal((await recorder.over).text, 'ok');
    assert.equal(body(), `${chunk}2\r\nyz\r\n0\r\n\r\n`);
    await stop();
  });

  it('is written when a bound is reached, though the turn goes on', async (context) => {
    const sizeBytes = 3 * BODY_GATHER_SIZE_BYTES_MAX + 10;
    const { call, recorder, body, writes, stop } = await upload(context, sizeBytes);
    const piece = Buffer.alloc(100, 'x');
    for (let left = sizeBytes - 1; left > 0; left -= piece.length) {
      call.write(piece.subarray(0, Math.min(left, piece.length)));
    }
    // Whole pieces only, so that each write is a little below the bound.
    assert.equal(writes(), 3);
    call.write(Buffer.from('z'));
    call.end();
    assert.equal(writes(), 4);
    assert.equal((await recorder.over).text, 'ok');
    assert.equal(body(), `${'x'.repeat(sizeBytes - 1)}z`);
    await stop();
  });

  it('does not wait where a piece is as large as the bound', async (context) => {
    const sizeBytes = BODY_GATHER_SIZE_BYTES_MAX + 1;
    const { call, recorder, body, writes, stop } = await upload(context, sizeBytes);
    call.write(Buffer.from('a'));
    call.write(Buffer.alloc(BODY_GATHER_SIZE_BYTES_MAX, 'z'));
    assert.equal(writes(), 2);
    call.end();
    assert.equal((await recorder.over).text, 'ok');
    assert.equal(body(), `a${'z'.repeat(BODY_GATHER_SIZE_BYTES_MAX)}`);
    await stop();
  });

  it('leaves nothing behind for the next request when it is given up', async (context) => {
    const { call, server, pool, stop } = await upload(context, BODY_SIZE_UNKNOWN);
    call.write(Buffer.from('lost'));
    call.cancel();
    const next = sendRecorded(pool, { method: 'POST', bodySizeBytes: 1 });
    next.call.write(Buffer.from('z'));
    next.call.end();
    assert.equal((await next.recorder.over).text, 'ok');
    assert.doesNotMatch(server.received.join(''), /lost/);
    await stop();
  });

  it('leaves nothing behind when it is given up with its head', async (context) => {
    const server = await rawServer((socket, text) => {
      if (text.endsWith('z')) socket.write(okResponse('ok'));
    });
    const writes = countWrites(context, server.port);
    const pool = makePool({ port: server.port });
    const one = { method: 'POST', bodySizeBytes: 1 };
    const first = sendRecorded(pool, one);
    first.call.write(Buffer.from('z'));
    first.call.end();
    await first.recorder.over;
    const before = writes();
    const lost = sendRecorded(pool, { method: 'POST', bodySizeBytes: 9 });
    lost.call.write(Buffer.from('lost'));
    lost.call.cancel();
    const next = sendRecorded(pool, one);
    next.call.write(Buffer.from('z'));
    next.call.end();
    assert.equal((await next.recorder.over).text, 'ok');
    assert.equal(server.accepted.length, 1);
    assert.equal(writes() - before, 1);
    assert.doesNotMatch(server.received[0]!, /lost/);
    pool.close();
    await server.stop();
  });
});

describe('gathered bytes', () => {
  it('are what was added, framed, whatever the sizes', () => {
    const random = new SeededRandom(testSeed('gathered bytes'));
    const gather = new BodyGather();
    for (let round = 0; round < 200; round++) {
      const head = 'h'.repeat(random.uint32() % 300);
      const isChunked = random.uint32() % 2 === 0;
      const isLast = random.uint32() % 2 === 0;
      const pieces: Buffer[] = [];
      for (let count = 1 + (random.uint32() % 20); count > 0; count--) {
        const piece = Buffer.alloc(1 + (random.uint32() % 5_000), random.uint32() % 256);
        if (gather.isFullFor(piece.length)) break;
        gather.add(piece, head.length);
        pieces.push(piece);
      }
      const data = Buffer.concat(pieces);
      assert.equal(gather.sizeBytes, data.length);
      const before = isChunked ? `${head}${data.length.toString(16)}\r\n` : head;
      const after = isChunked ? `\r\n${isLast ? '0\r\n\r\n' : ''}` : '';
      const expected = Buffer.concat([Buffer.from(before), data, Buffer.from(after)]);
      assert.deepEqual(gather.take({ head, isChunked, isLast }), expected);
      assert.equal(gather.sizeBytes, 0);
    }
  });
});
