// Bodies in both directions: framing, back-pressure with bounded memory, early responses, requests
// that are not what they announced; and pipelining.

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import {
  BODY_SIZE_UNKNOWN,
  READ_SIZE_BYTES,
  STREAM_BUFFER_SIZE_BYTES_MAX,
} from '../../host/core/index.ts';
import {
  countHeads,
  DrivenTime,
  exchange,
  makePool,
  okResponse,
  rawServer,
  sendRecorded,
  until,
} from '../support/upstream.ts';

const MEBIBYTE = 1024 * 1024;

/** Writes zeros as fast as the peer reads them. */
function pour(socket: Socket, sizeBytes: number): void {
  const piece = Buffer.alloc(256 * 1024);
  let left = sizeBytes;
  const more = (): void => {
    while (left > 0) {
      const size = Math.min(left, piece.length);
      left -= size;
      if (!socket.write(piece.subarray(0, size))) {
        socket.once('drain', more);
        return;
      }
    }
  };
  more();
}

describe('response bodies', () => {
  // Half of a download is in the kernel's buffers at most: a client that reads slowly must not make
  // the gateway hold the rest.
  it('stop flowing while the call is paused, and arrive whole', async () => {
    const size = 64 * MEBIBYTE;
    const server = await rawServer((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`);
      pour(socket, size);
    });
    const pool = makePool({ port: server.port });
    const { call, recorder } = sendRecorded(pool);
    recorder.keepsText = false;
    await until(() => recorder.sizeBytes > MEBIBYTE);
    call.pause();
    const before = recorder.sizeBytes;
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(recorder.sizeBytes - before <= READ_SIZE_BYTES);
    assert.ok(server.accepted[0]!.bytesWritten < size, 'the upstream is held back');
    call.resume();
    // Pausing at every chunk must not lose any.
    let pausesCount = 0;
    recorder.onChunkHook = () => {
      if (pausesCount++ % 50 !== 0) return;
      call.pause();
      setImmediate(() => call.resume());
    };
    await recorder.over;
    assert.equal(recorder.sizeBytes, size);
    assert.equal(pool.idleCount, 1);
    pool.close();
    await server.stop();
  });

  it('may be paused at the head, and end paused without hurting the next', async () => {
    const server = await rawServer((socket) => socket.write(okResponse('short')));
    const pool = makePool({ port: server.port });
    const { call, recorder } = sendRecorded(pool);
    recorder.onHeadHook = () => call.pause();
    await recorder.over;
    assert.equal(recorder.text, 'short');
    assert.equal((await exchange(pool)).text, 'short');
    assert.equal(server.accepted.length, 1);
    pool.close();
    await server.stop();
  });

  it('paused by a slow client do not time out, and do once it reads again', async () => {
    const time = new DrivenTime();
    const server = await rawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal');
    });
    const pool = makePool({ port: server.port, ...time });
    const { call, recorder } = sendRecorded(pool, { idleMs: 500 });
    await until(() => recorder.text === 'hal');
    call.pause();
    time.advance(5000);
    assert.equal(recorder.isOver, false);
    call.resume();
    time.advance(550);
    assert.equal(recorder.error?.code, 'GW_TIMEOUT_IDLE');
    pool.close();
    await server.stop();
  });
});

describe('request bodies', () => {
  it('go with their head, by length or in chunks', async () => {
    const server = await rawServer((socket, received) => {
      if (/hello world$|0\r\n\r\n$/.test(received)) socket.write(okResponse('ok'));
    });
    const pool = makePool({ port: server.port });
    const framing = async (bodySizeBytes: number): Promise<string> => {
      const { call, recorder } = sendRecorded(pool, { method: 'POST', bodySizeBytes });
      call.write(Buffer.from('hello '));
      call.write(Buffer.from('world'));
      call.end();
      await recorder.over;
      assert.equal(recorder.error, null);
      const text = server.received[0]!;
      server.received[0] = '';
      return text;
    };
    const head = 'POST / HTTP/1.1\r\nhost: test\r\n';
    assert.equal(await framing(11), `${head}content-length: 11\r\n\r\nhello world`);
    const chunked = 'transfer-encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n';
    assert.equal(await framing(BODY_SIZE_UNKNOWN), head + chunked);
    pool.close();
    await server.stop();
  });

  it('that are empty are announced as such', async () => {
    const server = await rawServer((socket) => socket.write(okResponse('ok')));
    const pool = makePool({ port: server.port });
    await exchange(pool, { method: 'POST' });
    assert.match(server.received[0]!, /content-length: 0\r\n\r\n$/);
    const { call, recorder } = sendRecorded(pool, {
      method: 'PUT',
      bodySizeBytes: BODY_SIZE_UNKNOWN,
    });
    call.end();
    await recorder.over;
    assert.match(server.received[0]!, /transfer-encoding: chunked\r\n\r\n0\r\n\r\n$/);
    pool.close();
    await server.stop();
  });

  it('of any size wait for a slow upstream in bounded memory', async () => {
    const size = 32 * MEBIBYTE;
    const server = await rawServer(() => {});
    const pool = makePool({ port: server.port });
    const { call, recorder } = sendRecorded(pool, { method: 'POST', bodySizeBytes: size });
    const piece = Buffer.alloc(64 * 1024, 'x');
    let given = 0;
    const give = (): void => {
      while (given < size) {
        given += piece.length;
        // What the caller does with its buffer afterwards must not matter.
        const own = Buffer.from(piece);
        const isFlowing = call.write(own);
        own.fill('?');
        if (!isFlowing) return;
      }
      call.end();
    };
    recorder.onDrainHook = give;
    give();
    await until(() => server.accepted.length === 1);
    const [socket] = server.accepted;
    socket!.pause();
    await new Promise((resolve) => setTimeout(resolve, 100));
    // Behind the kernel's buffers no more than our bound and one piece wait.
    assert.ok(given < size, 'the caller is held back');
    const held = given - socket!.bytesRead;
    assert.ok(held < 16 * MEBIBYTE + STREAM_BUFFER_SIZE_BYTES_MAX, `${held} bytes under way`);
    socket!.resume();
    const bodyStart = () => server.received[0]!.indexOf('\r\n\r\n') + 4;
    await until(() => server.received[0]!.length - bodyStart() === size);
    assert.ok(!server.received[0]!.includes('?'), 'bytes were copied in time');
    assert.ok(recorder.drainsCount > 1);
    socket!.write(okResponse('stored'));
    assert.equal((await recorder.over).text, 'stored');
    pool.close();
    await server.stop();
  });

  // An upload over a slow link fills the socket's queue, and for a long time nothing is written or
  // drained; that the queue shrinks shows that bytes still flow.
  it('that an upstream takes slowly are not idle', async () => {
    const time = new DrivenTime();
    const server = await rawServer(() => {});
    const pool = makePool({ port: server.port, ...time });
    const bodySizeBytes = 32 * MEBIBYTE;
    const { call, recorder } = sendRecorded(pool, { method: 'POST', bodySizeBytes, idleMs: 500 });
    await until(() => server.accepted.length === 1 && pool.waitingCount === 0);
    const [socket] = server.accepted;
    socket!.pause();
    const piece = Buffer.alloc(64 * 1024);
    for (let given = 0; given < bodySizeBytes; given += piece.length) call.write(piece);
    await new Promise((resolve) => setTimeout(resolve, 50));
    time.advance(400);
    const before = socket!.bytesRead;
    socket!.resume();
    await until(() => socket!.bytesRead > before + 8 * MEBIBYTE);
    socket!.pause();
    await new Promise((resolve) => setTimeout(resolve, 50));
    time.advance(200);
    assert.equal(recorder.isOver, false);
    time.advance(600);
    assert.equal(recorder.error?.code, 'GW_TIMEOUT_IDLE');
    pool.close();
    await server.stop();
  });

  it('shorter or longer than announced fail, and never desynchronise', async () => {
    const server = await rawServer((socket, received) => {
      if (countHeads(received) > 1) socket.write(okResponse('smuggled'));
    });
    const pool = makePool({ port: server.port });
    for (const isConnected of [false, true]) {
      const short = sendRecorded(pool, { method: 'POST', bodySizeBytes: 10 });
      if (isConnected) await until(() => pool.waitingCount === 0);
      short.call.write(Buffer.from('hello'));
      short.call.end();
      assert.equal(short.recorder.error?.code, 'GW_PROTOCOL_MALFORMED');
      assert.match(short.recorder.error?.detail ?? '', /of 5 bytes, announced 10/);
      const long = sendRecorded(pool, { method: 'POST', bodySizeBytes: 10 });
      if (isConnected) await until(() => pool.waitingCount === 0);
      long.call.write(Buffer.from('hello hell'));
      long.call.write(Buffer.from('o'));
      assert.equal(long.recorder.error?.code, 'GW_PROTOCOL_MALFORMED');
      assert.match(long.recorder.error?.detail ?? '', /of 11 bytes, announced 10/);
    }
    assert.equal(pool.activeCount, 0);
    pool.close();
    await until(() => server.open.size === 0);
    await server.stop();
  });

  it('stop at an early response, whose connection is closed', async () => {
    const server = await rawServer((socket, received, index) => {
      if (index > 0) socket.write(okResponse('next'));
      else if (received.includes('part')) {
        socket.write('HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno');
      }
    });
    const pool = makePool({ port: server.port });
    const { call, recorder } = sendRecorded(pool, { method: 'POST', bodySizeBytes: 1000 });
    call.write(Buffer.from('part'));
    await recorder.over;
    assert.deepEqual([recorder.status, recorder.text, recorder.error], [413, 'no', null]);
    assert.equal(call.write(Buffer.from('more')), true);
    call.end();
    assert.equal((await exchange(pool)).text, 'next');
    assert.equal(server.accepted.length, 2);
    pool.close();
    await server.stop();
  });

  it('keep flowing while the response already does', async () => {
    const server = await rawServer((socket, received) => {
      if (received.endsWith('\r\n\r\none')) {
        socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nuno\r\n');
      }
      if (received.endsWith('two')) socket.write('3\r\ndos\r\n0\r\n\r\n');
    });
    const pool = makePool({ port: server.port });
    const { call, recorder } = sendRecorded(pool, { method: 'POST', bodySizeBytes: 6 });
    call.write(Buffer.from('one'));
    await until(() => recorder.text === 'uno');
    call.write(Buffer.from('two'));
    call.end();
    assert.equal((await recorder.over).text, 'unodos');
    assert.equal(pool.idleCount, 1);
    pool.close();
    await server.stop();
  });

  it('that stop coming time out', async () => {
    const time = new DrivenTime();
    const server = await rawServer(() => {});
    const pool = makePool({ port: server.port, ...time });
    const { call, recorder } = sendRecorded(pool, {
      method: 'POST',
      bodySizeBytes: 10,
      idleMs: 500,
      requestMs: 100,
    });
    call.write(Buffer.from('hello'));
    await until(() => server.received[0]?.endsWith('hello') === true);
    time.advance(400);
    assert.equal(recorder.isOver, false, 'the request timeout begins at its last byte');
    time.advance(150);
    assert.equal(recorder.error?.code, 'GW_TIMEOUT_IDLE');
    assert.deepEqual(recorder.error?.facts, { sent: 'body', connection: 'fresh' });
    pool.close();
    await server.stop();
  });

  it('given up before a byte was sent leave the connection as it was', async () => {
    const server = await rawServer((socket) => socket.write(okResponse('ok')));
    const pool = makePool({ port: server.port });
    await exchange(pool);
    const { call } = sendRecorded(pool, { method: 'POST', bodySizeBytes: 10 });
    call.cancel();
    assert.equal(pool.idleCount, 1);
    assert.equal((await exchange(pool)).text, 'ok');
    assert.equal(server.accepted.length, 1);
    assert.ok(!server.received[0]!.includes('POST'));
    pool.close();
    await server.stop();
  });
});

describe('pipelining', () => {
  it('fills the first connection, answers in order, and keeps others apart', async () => {
    const sockets: Socket[] = [];
    const server = await rawServer((socket, _received, index) => {
      sockets[index] = socket;
    });
    const pool = makePool({ port: server.port, pipeline: 4, connectionsMax: 4 });
    const gets = ['/0', '/1', '/2', '/3', '/4'].map((target) => sendRecorded(pool, { target }));
    const head = sendRecorded(pool, { method: 'HEAD', target: '/5' });
    const post = sendRecorded(pool, { method: 'POST', target: '/6' });
    await until(() => server.received.filter((text) => countHeads(text) > 0).length === 3);
    await until(() => countHeads(server.received.join('')) === 7);
    const perConnection = server.received.map(countHeads).sort();
    assert.deepEqual(perConnection, [1, 2, 4]);
    assert.equal(server.received.filter((text) => text.startsWith('POST')).length, 1);
    for (const [index, text] of server.received.entries()) {
      const answers = [...text.matchAll(/(\w+) \/(\d)/g)].map(([, method, digit]) =>
        method === 'HEAD' ? 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n' : okResponse(digit!),
      );
      sockets[index]!.write(answers.join(''));
    }
    for (const [index, { recorder }] of gets.entries()) {
      assert.equal((await recorder.over).text, `${index}`);
    }
    assert.deepEqual([(await head.recorder.over).bodySizeBytes, head.recorder.text], [9, '']);
    assert.equal((await post.recorder.over).text, '6');
    assert.equal(pool.activeCount, 0);
    pool.close();
    await until(() => server.open.size === 0);
    await server.stop();
  });

  it('a close in the middle repeats the unanswered, an error fails them all', async () => {
    const server = await rawServer((socket, received, index) => {
      if (countHeads(received) !== 3) return;
      if (index === 0) socket.end(okResponse('last', 'connection: close\r\n'));
      else if (index === 1) {
        socket.write(`${okResponse('one')}HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n`);
      }
    });
    const pool = makePool({ port: server.port, pipeline: 8, connectionsMax: 1 });
    const first = [sendRecorded(pool), sendRecorded(pool), sendRecorded(pool)];
    assert.equal((await first[0]!.recorder.over).text, 'last');
    const third = sendRecorded(pool);
    assert.equal((await first[1]!.recorder.over).text, 'one');
    assert.equal((await first[2]!.recorder.over).error?.code, 'GW_UPSTREAM_BAD_RESPONSE');
    assert.equal((await third.recorder.over).error?.code, 'GW_UPSTREAM_BAD_RESPONSE');
    assert.deepEqual([pool.activeCount, pool.connectionsCount], [0, 0]);
    pool.close();
    await server.stop();
  });

  // Desync: a response that was there before its request was written must not answer it.
  it('never takes early bytes for the answer to a request not yet written', async () => {
    const server = await rawServer((socket, _received, index) => {
      socket.write(index === 0 ? okResponse('ok') + okResponse('smuggled') : okResponse('clean'));
    });
    const pool = makePool({ port: server.port, pipeline: 8 });
    const first = sendRecorded(pool);
    const next: ReturnType<typeof sendRecorded>[] = [];
    first.recorder.onChunkHook = () => {
      next.push(sendRecorded(pool));
    };
    assert.equal((await first.recorder.over).text, 'ok');
    assert.equal((await next[0]!.recorder.over).text, 'clean');
    pool.close();
    await server.stop();
  });

  it('giving one up lets the others live; its answer is dropped if it is small', async () => {
    const server = await rawServer((socket, received) => {
      if (countHeads(received) === 3) {
        setTimeout(
          () => socket.write(['a', 'b', 'c'].map((text) => okResponse(text)).join('')),
          20,
        );
      }
    });
    const pool = makePool({ port: server.port, pipeline: 8 });
    const sent = [sendRecorded(pool), sendRecorded(pool), sendRecorded(pool)];
    await until(() => countHeads(server.received[0] ?? '') === 3);
    sent[0]!.call.cancel();
    sent[1]!.call.cancel();
    assert.equal(pool.activeCount, 1);
    assert.equal((await sent[2]!.recorder.over).text, 'c');
    assert.deepEqual([sent[0]!.recorder.status, sent[1]!.recorder.status], [0, 0]);
    assert.equal(pool.idleCount, 1);
    pool.close();
    await server.stop();
  });

  it('one that waits too long behind a slow reader fails alone', async () => {
    const time = new DrivenTime();
    const body = 'HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf';
    const server = await rawServer((socket, received) => {
      if (countHeads(received) === 2) socket.write(body);
    });
    const pool = makePool({ port: server.port, pipeline: 8, ...time });
    const slow = sendRecorded(pool);
    const behind = sendRecorded(pool, { requestMs: 300 });
    await until(() => slow.recorder.text === 'half');
    slow.call.pause();
    time.advance(350);
    assert.equal(behind.recorder.error?.code, 'GW_TIMEOUT_REQUEST');
    assert.equal(slow.recorder.isOver, false);
    slow.call.resume();
    server.accepted[0]!.write(`rest${okResponse('late')}`);
    assert.equal((await slow.recorder.over).text, 'halfrest');
    await until(() => pool.idleCount === 1);
    pool.close();
    await server.stop();
  });

  it('does not starve a request that wants a connection to itself', async () => {
    let answered = 0;
    const server = await rawServer((socket, received) => {
      const count = countHeads(received) - answered;
      answered += count;
      setTimeout(() => socket.write(okResponse('ok').repeat(count)), 5);
    });
    const pool = makePool({ port: server.port, pipeline: 2, connectionsMax: 1 });
    let isPosted = false;
    const keepBusy = async (): Promise<void> => {
      while (!isPosted) await exchange(pool);
    };
    const busy = [keepBusy(), keepBusy(), keepBusy()];
    await until(() => server.accepted.length === 1);
    const got = await exchange(pool, { method: 'POST' });
    isPosted = true;
    assert.equal(got.text, 'ok');
    pool.close();
    await server.stop();
    await Promise.all(busy);
  });
});
