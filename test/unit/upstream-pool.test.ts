// The pool on real sockets: reuse, limits, queue, retries, timeouts, pipelining.

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { BODY_SIZE_UNKNOWN } from '../../host/core/index.ts';
import {
  countHeads,
  DrivenTime,
  exchange,
  makePool,
  okResponse,
  type RawServer,
  rawServer,
  sendRecorded,
  until,
} from '../support/upstream.ts';

/** A server that answers every head it sees with `ok` and the connection's number. */
async function echoServer(headers = ''): Promise<RawServer> {
  const answered: number[] = [];
  return rawServer((socket, received, index) => {
    const count = countHeads(received);
    for (let at = answered[index] ?? 0; at < count; at++) {
      socket.write(okResponse(`ok${index}`, headers), 'latin1');
    }
    answered[index] = count;
  });
}

describe('the upstream pool', () => {
  it('writes the request as it should be and reads the answer', async () => {
    const server = await echoServer('X-A: b\r\nConnection: keep-alive\r\n');
    const pool = makePool({ port: server.port });
    const got = await exchange(pool, { target: '/a?b=c', headers: ['host', 'h', 'x-y', 'z'] });
    assert.equal(server.received[0], 'GET /a?b=c HTTP/1.1\r\nhost: h\r\nx-y: z\r\n\r\n');
    assert.deepEqual([got.status, got.headers, got.text], [200, ['x-a', 'b'], 'ok0']);
    assert.equal(got.bodySizeBytes, 3);
    assert.equal(pool.activeCount, 0);
    pool.close();
    await server.stop();
  });

  it('sends every byte of target and values as it is, and gives them back so', async () => {
    const bytes = '\x80\xc4\x8d\xff';
    const server = await echoServer(`X-A: ${bytes}\r\n`);
    const pool = makePool({ port: server.port });
    const got = await exchange(pool, {
      target: `/${bytes}?${bytes}`,
      headers: ['host', 'h', 'x-y', bytes],
    });
    const head = `GET /${bytes}?${bytes} HTTP/1.1\r\nhost: h\r\nx-y: ${bytes}\r\n\r\n`;
    assert.equal(server.received[0], head);
    assert.deepEqual(got.headers, ['x-a', bytes]);
    pool.close();
    await server.stop();
  });

  // latin1 keeps the low byte of a character: U+010D U+010A would be CR LF, then a header.
  for (const pipeline of [1, 4]) {
    it(`refuses a head that is no byte string, pipeline ${pipeline}, and goes on`, async () => {
      const server = await echoServer();
      const pool = makePool({ port: server.port, pipeline, connectionsMax: 1 });
      const bad = ['host', 'h', 'x-y', 'a\u010d\u010aevil: 1'];
      // On no connection yet, on an idle one, behind one in flight, and with a body.
      const calls = [
        await exchange(pool, { headers: bad }),
        await exchange(pool),
        await exchange(pool, { headers: bad }),
        await exchange(pool, { target: '/\u012f' }),
        ...(await Promise.all([exchange(pool), exchange(pool, { headers: bad }), exchange(pool)])),
      ];
      const { call, recorder } = sendRecorded(pool, {
        method: 'POST',
        headers: bad,
        bodySizeBytes: 3,
      });
      call.write(Buffer.from('abc'));
      call.end();
      calls.push(await recorder.over, await exchange(pool));
      const outcomes = calls.map(({ status, error }) => error?.code ?? status);
      const no = 'GW_INTERNAL';
      assert.deepEqual(outcomes, [no, 200, no, no, 200, no, 200, no, 200]);
      assert.match(calls[0]!.error!.detail, /above 0xff in the request head/);
      assert.deepEqual(calls[0]!.error!.facts, { sent: 'nothing', connection: 'none' });
      assert.equal(server.received.length, 1);
      assert.equal(countHeads(server.received[0]!), 4);
      assert.ok(!server.received[0]!.includes('evil'));
      assert.equal(pool.activeCount, 0);
      assert.equal(pool.idleCount, 1);
      pool.close();
      await server.stop();
    });
  }

  it('sends trailers behind a chunked body, and uses the connection again', async () => {
    const server = await rawServer((socket, received) => {
      const ends = received.match(/\r\n0\r\n(?:[^\r]+\r\n)*\r\n/g)?.length ?? 0;
      for (; answered < ends; answered++) socket.write(okResponse('ok'), 'latin1');
    });
    let answered = 0;
    const pool = makePool({ port: server.port });
    const chunked = { method: 'POST', bodySizeBytes: BODY_SIZE_UNKNOWN };
    // Whole before there is a connection, then in one turn on it, then in several.
    for (const isSlow of [false, false, true]) {
      const { call, recorder } = sendRecorded(pool, chunked);
      call.write(Buffer.from('abc'));
      if (isSlow) await until(() => server.received[0]!.endsWith('abc\r\n'));
      call.end(['x-t', '\xe9', 'x-u', '']);
      assert.equal((await recorder.over).status, 200);
    }
    const sized = sendRecorded(pool, { method: 'POST', bodySizeBytes: 1 });
    sized.call.write(Buffer.from('a'));
    sized.call.end(['x-t', 'nowhere to go']);
    await until(() => server.received[0]!.endsWith('\r\n\r\na'));
    const bodies = server.received[0]!.split('transfer-encoding: chunked\r\n\r\n').slice(1);
    for (const body of bodies) {
      assert.ok(body.startsWith('3\r\nabc\r\n0\r\nx-t: \xe9\r\nx-u: \r\n\r\n'), body);
    }
    assert.equal(bodies.length, 3);
    assert.equal(server.received.length, 1);
    assert.ok(!server.received[0]!.includes('nowhere'));
    pool.close();
    await server.stop();
  });

  it('reuses the most recently used connection', async () => {
    const server = await echoServer();
    const pool = makePool({ port: server.port });
    await Promise.all([exchange(pool), exchange(pool), exchange(pool)]);
    assert.equal(pool.idleCount, 3);
    const texts = [];
    for (let count = 0; count < 5; count++) texts.push((await exchange(pool)).text);
    assert.equal(new Set(texts).size, 1);
    assert.equal(server.accepted.length, 3);
    pool.close();
    await until(() => server.open.size === 0);
    await server.stop();
  });

  it('holds its limits: connections, then a queue first come first served, then 503', async () => {
    const waiting: Socket[] = [];
    const server = await rawServer((socket) => waiting.push(socket));
    const pool = makePool({ port: server.port, connectionsMax: 2, pendingMax: 3 });
    const sent = Array.from({ length: 6 }, (_, index) =>
      sendRecorded(pool, { target: `/${index}` }),
    );
    // Until a connection is open, requests wait in the queue: the first two are among them.
    const refused = await Promise.all(sent.slice(3).map(({ recorder }) => recorder.over));
    for (const { error } of refused) {
      assert.equal(error?.code, 'GW_UPSTREAM_POOL_FULL');
      assert.match(error?.detail ?? '', /the limit is 3/);
      assert.deepEqual(error?.facts, { sent: 'nothing', connection: 'none' });
    }
    await until(() => waiting.length === 2);
    const late = [sendRecorded(pool, { target: '/x' }), sendRecorded(pool, { target: '/y' })];
    assert.equal(pool.waitingCount, 3);
    for (let served = 0; served < 5; served++) {
      await until(() => waiting.length > 0);
      waiting.shift()!.write(okResponse('done'));
      if (served === 0) await until(() => waiting.length === 2);
    }
    for (const { recorder } of [...sent.slice(0, 3), ...late]) {
      assert.equal((await recorder.over).text, 'done');
    }
    const order = server.received.join('').match(/GET \/\w/g);
    assert.equal(order?.length, 5);
    assert.equal(server.accepted.length, 2);
    assert.equal(pool.activeCount, 0);
    pool.close();
    await server.stop();
  });

  it('closes idle connections after keepAlive, and earlier if the upstream says so', async () => {
    const time = new DrivenTime();
    const server = await echoServer('Keep-Alive: timeout=5\r\n');
    const pool = makePool({ port: server.port, ...time, keepAliveMs: 60_000 });
    await exchange(pool);
    time.advance(3_900 * 0.9);
    assert.equal(pool.idleCount, 1);
    time.advance(600);
    assert.equal(pool.idleCount, 0);
    await until(() => server.open.size === 0);
    const silent = await echoServer();
    const longer = makePool({ port: silent.port, ...time, keepAliveMs: 60_000 });
    await exchange(longer);
    time.advance(50_000);
    assert.equal(longer.idleCount, 1);
    time.advance(10_100);
    assert.equal(longer.idleCount, 0);
    assert.equal(time.deadlines.armedCount, 0, 'nothing ticks without connections');
    await Promise.all([server.stop(), silent.stop()]);
  });

  it('drops an idle connection at once when the peer closes it', async () => {
    const server = await echoServer();
    const pool = makePool({ port: server.port });
    await exchange(pool);
    assert.equal(pool.idleCount, 1);
    server.accepted[0]!.end();
    await until(() => pool.idleCount === 0);
    assert.equal(pool.connectionsCount, 0);
    pool.close();
    await server.stop();
  });

  // Keep-alive race: the peer closes an idle connection just as a request is written to it. The
  // request was never seen, and a client must not be told 502 for it.
  it('repeats an idempotent request once when a reused connection dies unanswered', async () => {
    const server = await rawServer((socket, received, index) => {
      if (countHeads(received) === 1) socket.write(okResponse(`ok${index}`));
      else socket.resetAndDestroy();
    });
    const pool = makePool({ port: server.port });
    await exchange(pool);
    const got = await exchange(pool, { method: 'DELETE' });
    assert.equal(got.text, 'ok1');
    // A POST may have had its effect: the caller decides.
    const posted = await exchange(pool, { method: 'POST' });
    assert.equal(posted.error?.code, 'GW_UPSTREAM_RESET');
    assert.deepEqual(posted.error?.facts, { sent: 'head', connection: 'reused' });
    pool.close();
    await server.stop();
  });

  it('does not repeat what died on a fresh connection', async () => {
    const server = await rawServer((socket) => socket.destroy());
    const pool = makePool({ port: server.port });
    const got = await exchange(pool);
    assert.equal(got.error?.code, 'GW_UPSTREAM_RESET');
    assert.deepEqual(got.error?.facts, { sent: 'head', connection: 'fresh' });
    assert.equal(server.accepted.length, 1);
    pool.close();
    await server.stop();
  });

  it('does not repeat a second time', async () => {
    let heads = 0;
    const server = await rawServer((socket, received) => {
      heads += 1;
      if (heads === 1) socket.write(okResponse('ok'));
      else if (countHeads(received) > 0) socket.destroy();
    });
    const pool = makePool({ port: server.port });
    await exchange(pool);
    const got = await exchange(pool);
    assert.equal(got.error?.code, 'GW_UPSTREAM_RESET');
    assert.deepEqual(got.error?.facts, { sent: 'head', connection: 'fresh' });
    assert.equal(heads, 3);
    pool.close();
    await server.stop();
  });

  it('names a response cut short, before and after its head', async () => {
    const parts = ['HTTP/1.1 200 OK\r\nconte', 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal'];
    const server = await rawServer((socket) => socket.end(parts.shift() ?? ''));
    const pool = makePool({ port: server.port });
    assert.equal((await exchange(pool)).error?.code, 'GW_UPSTREAM_RESET');
    const cut = await exchange(pool);
    assert.equal(cut.error?.code, 'GW_UPSTREAM_CLOSED');
    assert.equal(cut.text, 'hal');
    assert.equal(pool.connectionsCount, 0);
    pool.close();
    await server.stop();
  });

  it('takes a body that ends with the connection', async () => {
    const server = await rawServer((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nall of it'));
    const pool = makePool({ port: server.port });
    const got = await exchange(pool);
    assert.deepEqual([got.text, got.bodySizeBytes], ['all of it', BODY_SIZE_UNKNOWN]);
    assert.equal(pool.connectionsCount, 0);
    pool.close();
    await server.stop();
  });

  // Response splitting: what lies behind a response must never become the answer to the next
  // request, whether it comes in the same read or on the idle connection.
  it('never reuses a connection on which unasked bytes came', async () => {
    const smuggled = okResponse('smuggled');
    const server = await rawServer((socket, _received, index) => {
      if (index === 0) socket.write(okResponse('first') + smuggled);
      else if (index === 1) {
        socket.write(okResponse('second'));
        setTimeout(() => socket.write(smuggled), 20);
      } else socket.write(okResponse('clean'));
    });
    const pool = makePool({ port: server.port });
    assert.equal((await exchange(pool)).text, 'first');
    assert.equal(pool.connectionsCount, 0);
    assert.equal((await exchange(pool)).text, 'second');
    await until(() => pool.connectionsCount === 0);
    assert.equal((await exchange(pool)).text, 'clean');
    pool.close();
    await server.stop();
  });

  // The same, while another request waits for just this connection.
  it('never answers a waiting request with bytes that were there before it was sent', async () => {
    const server = await rawServer((socket, _received, index) => {
      socket.write(
        index === 0 ? okResponse('first') + okResponse('smuggled') : okResponse('clean'),
      );
    });
    const pool = makePool({ port: server.port, connectionsMax: 1 });
    const [first, second] = await Promise.all([exchange(pool), exchange(pool)]);
    assert.deepEqual([first.text, second.text], ['first', 'clean']);
    assert.equal(server.accepted.length, 2);
    pool.close();
    await server.stop();
  });

  it('fails what gets a bad response, and closes the connection', async () => {
    const server = await rawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n');
    });
    const pool = makePool({ port: server.port });
    const got = await exchange(pool);
    assert.equal(got.error?.code, 'GW_UPSTREAM_BAD_RESPONSE');
    assert.match(got.error?.detail ?? '', /both content-length and transfer-encoding/);
    await until(() => server.open.size === 0);
    pool.close();
    await server.stop();
  });

  it('says when it cannot connect, and does not hang on the queue', async () => {
    const server = await echoServer();
    await server.stop();
    const pool = makePool({ port: server.port, connectionsMax: 2 });
    const failed = await Promise.all(Array.from({ length: 8 }, () => exchange(pool)));
    for (const { error } of failed) {
      assert.equal(error?.code, 'GW_UPSTREAM_CONNECT');
      assert.match(error?.detail ?? '', /ECONNREFUSED/);
      assert.equal(error?.facts.sent, 'nothing');
    }
    assert.equal(pool.connectionsCount, 0);
    pool.close();
  });

  it('times out: no head, a silent body, no connection', async () => {
    const time = new DrivenTime();
    const answers = ['', 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal', ''];
    const server = await rawServer((socket) => socket.write(answers.shift() ?? ''));
    const pool = makePool({ port: server.port, ...time, connectionsMax: 1 });
    const times = { requestMs: 500, idleMs: 700, connectMs: 300 };
    const headless = sendRecorded(pool, times);
    await until(() => server.received[0] !== undefined && server.received[0] !== '');
    time.advance(450);
    assert.equal(headless.recorder.isOver, false);
    time.advance(100);
    assert.equal(headless.recorder.error?.code, 'GW_TIMEOUT_REQUEST');
    const silent = sendRecorded(pool, times);
    await until(() => silent.recorder.text === 'hal');
    time.advance(650);
    assert.equal(silent.recorder.isOver, false);
    const queued = sendRecorded(pool, times);
    time.advance(100);
    assert.equal(silent.recorder.error?.code, 'GW_TIMEOUT_IDLE');
    await until(() => server.received[2] !== undefined && server.received[2] !== '');
    const waiting = sendRecorded(pool, times);
    time.advance(350);
    assert.equal(waiting.recorder.error?.code, 'GW_TIMEOUT_CONNECT');
    assert.match(waiting.recorder.error?.detail ?? '', /1 of 1 in use/);
    time.advance(200);
    assert.equal(queued.recorder.error?.code, 'GW_TIMEOUT_REQUEST');
    assert.deepEqual([pool.activeCount, pool.connectionsCount], [0, 0]);
    pool.close();
    await server.stop();
  });

  it('times out on a TLS upstream that accepts and never speaks', async () => {
    const time = new DrivenTime();
    const server = await rawServer(() => {});
    const pool = makePool({ port: server.port, ...time, protocol: 'https' });
    const { recorder } = sendRecorded(pool, { connectMs: 300 });
    await until(() => server.accepted.length === 1);
    time.advance(350);
    assert.equal(recorder.error?.code, 'GW_TIMEOUT_CONNECT');
    await until(() => pool.connectionsCount === 0);
    pool.close();
    await server.stop();
  });

  it('closes gracefully: serves what was sent, the queue too, and refuses what comes', async () => {
    const server = await rawServer((socket, received) => {
      setTimeout(() => socket.write(okResponse(`${countHeads(received)}`)), 20);
    });
    const pool = makePool({ port: server.port, connectionsMax: 1 });
    const sent = [sendRecorded(pool), sendRecorded(pool), sendRecorded(pool)];
    pool.close();
    const refused = await exchange(pool);
    assert.equal(refused.error?.code, 'GW_UPSTREAM_CONNECT');
    for (const { recorder } of sent) assert.equal((await recorder.over).error, null);
    await until(() => server.open.size === 0);
    assert.deepEqual([pool.activeCount, pool.connectionsCount], [0, 0]);
    await server.stop();
  });
});

describe('a call that is given up', () => {
  it('leaves nothing behind, at each stage', async () => {
    const head = 'HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n';
    const server = await rawServer((socket, received) => {
      if (received.includes('/head')) socket.write(head);
      if (received.includes('/body')) socket.write(`${head}some`);
    });
    const pool = makePool({ port: server.port, connectionsMax: 4 });
    const check = async (
      target: string,
      ready: (sent: ReturnType<typeof sendRecorded>) => boolean,
    ) => {
      const sent = sendRecorded(pool, { target });
      await until(() => ready(sent));
      sent.call.cancel();
      sent.call.cancel();
      assert.equal(pool.activeCount, 0);
      await until(() => pool.connectionsCount === pool.idleCount);
      assert.equal(sent.recorder.isOver, false, 'nothing is called afterwards');
    };
    await check('/waiting', () => true);
    await check('/sent', () => server.received.some((text) => text.includes('/sent')));
    await check('/head', ({ recorder }) => recorder.status === 200);
    await check('/body', ({ recorder }) => recorder.text === 'some');
    pool.close();
    await until(() => server.open.size === 0);
    await server.stop();
  });

  it('in the queue makes room for another', async () => {
    const server = await rawServer(() => {});
    const pool = makePool({ port: server.port, connectionsMax: 1, pendingMax: 1 });
    const first = sendRecorded(pool);
    await until(() => pool.waitingCount === 0);
    const second = sendRecorded(pool);
    second.call.cancel();
    assert.equal(pool.waitingCount, 0);
    const third = sendRecorded(pool);
    assert.equal(pool.waitingCount, 1);
    first.call.cancel();
    third.call.cancel();
    assert.equal(pool.activeCount, 0);
    pool.close();
    await until(() => server.open.size === 0);
    await server.stop();
  });

  it('keeps the connection where the rest of the response is small', async () => {
    const server = await rawServer((socket, received, index) => {
      if (countHeads(received) > 1) socket.write(okResponse(`again${index}`));
      else {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf');
        setTimeout(() => socket.write('rest'), 20);
      }
    });
    const pool = makePool({ port: server.port });
    const { call, recorder } = sendRecorded(pool);
    await until(() => recorder.text === 'half');
    call.cancel();
    await until(() => pool.idleCount === 1);
    assert.equal(recorder.text, 'half');
    assert.equal((await exchange(pool)).text, 'again0');
    pool.close();
    await server.stop();
  });

  it('may be given up inside each callback', async () => {
    const server = await echoServer();
    const pool = makePool({ port: server.port });
    for (const hook of ['onHeadHook', 'onChunkHook'] as const) {
      const { call, recorder } = sendRecorded(pool);
      let isCalled = false;
      recorder[hook] = () => {
        call.cancel();
        isCalled = true;
      };
      await until(() => isCalled);
      assert.equal(recorder.isOver, false);
      assert.equal(pool.activeCount, 0);
      assert.equal((await exchange(pool)).status, 200);
    }
    pool.close();
    await server.stop();
  });
});
