// How the upstream client finds and trusts an endpoint: names and their addresses, TLS, and the
// timer wheel under both.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createServer as createTlsServer, type Server } from 'node:tls';
import { ManualClock, SeededRandom } from '../../host/core/index.ts';
import { Deadline, Deadlines, type Lookup } from '../../host/mesh/index.ts';
import { testSeed } from '../support/seed.ts';
import {
  DrivenTime,
  exchange,
  makePool,
  okResponse,
  rawServer,
  sendRecorded,
  until,
} from '../support/upstream.ts';

/** A resolver whose answer the test sets; an empty one is a failure. */
function fakeLookup(addresses: string[]): { lookup: Lookup; asked: string[]; answer: string[] } {
  const fake = {
    asked: [] as string[],
    answer: addresses,
    lookup: ((host, done) => {
      fake.asked.push(host);
      const answer = [...fake.answer];
      setImmediate(() => {
        if (answer.length === 0) done(new Error('queryA ESERVFAIL'), []);
        else done(null, answer);
      });
    }) as Lookup,
  };
  return fake;
}

describe('addresses of an upstream', () => {
  it('literal ones are not looked up', async () => {
    const fake = fakeLookup([]);
    const server = await rawServer((socket) => socket.write(okResponse('ok')));
    const pool = makePool({ port: server.port, lookup: fake.lookup });
    assert.equal((await exchange(pool)).text, 'ok');
    assert.deepEqual(fake.asked, []);
    pool.close();
    await server.stop();
  });

  it('localhost is found as the system says, whatever its first address', async () => {
    const server = await rawServer((socket) => socket.write(okResponse('ok')));
    const pool = makePool({ port: server.port, host: 'localhost' });
    assert.equal((await exchange(pool)).text, 'ok');
    pool.close();
    await server.stop();
  });

  it('a dead first address is followed by the next, once', async () => {
    const server = await rawServer((socket) => socket.write(okResponse('ok')), '127.0.0.2');
    const fake = fakeLookup(['127.0.0.3', '127.0.0.2']);
    const pool = makePool({ port: server.port, host: 'a.test', lookup: fake.lookup });
    const got = await Promise.all([exchange(pool), exchange(pool), exchange(pool)]);
    assert.deepEqual(
      got.map(({ text }) => text),
      ['ok', 'ok', 'ok'],
    );
    assert.deepEqual(fake.asked, ['a.test']);
    fake.answer = [];
    pool.close();
    await server.stop();
  });

  it('new connections take turns over them', async () => {
    const one = await rawServer((socket) => socket.write(okResponse('one')), '127.0.0.2');
    const two = createTcpServer((socket) =>
      socket.on('data', () => socket.write(okResponse('two'))),
    );
    await new Promise<void>((resolve) => two.listen(one.port, '127.0.0.3', resolve));
    const fake = fakeLookup(['127.0.0.2', '127.0.0.3']);
    const pool = makePool({ port: one.port, host: 'a.test', lookup: fake.lookup });
    const got = await Promise.all([1, 2, 3, 4].map(() => exchange(pool)));
    assert.deepEqual(got.map(({ text }) => text).sort(), ['one', 'one', 'two', 'two']);
    pool.close();
    await one.stop();
    await new Promise((resolve) => two.close(resolve));
  });

  it('a change is picked up, old connections are left; a failure changes nothing', async () => {
    const time = new DrivenTime();
    const one = await rawServer((socket) => socket.write(okResponse('one')), '127.0.0.2');
    const two = createTcpServer((socket) =>
      socket.on('data', () => socket.write(okResponse('two'))),
    );
    await new Promise<void>((resolve) => two.listen(one.port, '127.0.0.3', resolve));
    const fake = fakeLookup(['127.0.0.2']);
    const pool = makePool({ port: one.port, host: 'a.test', lookup: fake.lookup, ...time });
    assert.equal((await exchange(pool)).text, 'one');
    fake.answer = [];
    assert.equal((await exchange(pool)).text, 'one');
    time.advance(31_000);
    await until(() => fake.asked.length === 2);
    assert.equal((await exchange(pool)).text, 'one');
    fake.answer = ['127.0.0.3'];
    time.advance(31_000);
    await until(() => fake.asked.length === 3);
    await until(() => pool.connectionsCount === 0);
    assert.equal((await exchange(pool)).text, 'two');
    await until(() => one.open.size === 0);
    pool.close();
    await one.stop();
    await new Promise((resolve) => two.close(resolve));
    assert.equal(time.deadlines.armedCount, 0);
  });

  it('a name that does not resolve is said to whoever waits', async () => {
    const fake = fakeLookup([]);
    const pool = makePool({ port: 9, host: 'missing.test', lookup: fake.lookup });
    for (const { error } of await Promise.all([exchange(pool), exchange(pool)])) {
      assert.equal(error?.code, 'GW_UPSTREAM_DNS');
      assert.match(error?.detail ?? '', /missing\.test: queryA ESERVFAIL/);
    }
    pool.close();
  });

  it('a resolver that never answers is a connect timeout', async () => {
    const time = new DrivenTime();
    const pool = makePool({ port: 9, host: 'slow.test', lookup: () => {}, ...time });
    const { recorder } = sendRecorded(pool, { connectMs: 300 });
    time.advance(350);
    assert.equal(recorder.error?.code, 'GW_TIMEOUT_CONNECT');
    pool.close();
  });
});

describe('TLS upstreams', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-tls-'));
  const file = (name: string): string => join(folder, name);
  let server: Server;
  let port = 0;
  const sessions: boolean[] = [];
  const names: (string | false | null)[] = [];

  before(async () => {
    const openssl = (line: string): void => {
      execFileSync('openssl', line.split(' '), { cwd: folder, stdio: 'ignore' });
    };
    openssl(
      'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem ' +
        '-addext basicConstraints=critical,CA:TRUE',
    );
    openssl('req -newkey rsa:2048 -nodes -subj /CN=up -keyout up.key -out up.csr');
    execFileSync('sh', ['-c', 'echo "subjectAltName=DNS:up.test,IP:127.0.0.1" > up.ext'], {
      cwd: folder,
    });
    openssl(
      'x509 -req -in up.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 ' +
        '-extfile up.ext -out up.pem',
    );
    const options = {
      key: readFileSync(file('up.key')),
      cert: readFileSync(file('up.pem')),
      ALPNProtocols: ['http/1.1'],
    };
    server = createTlsServer(options, (socket) => {
      sessions.push(socket.isSessionReused());
      names.push((socket as unknown as { servername: string | false }).servername);
      socket.on('error', () => socket.destroy());
      socket.on('data', (bytes) => {
        if (bytes.includes('/hold')) return;
        socket.write(okResponse(`tls ${socket.alpnProtocol}`));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    port = address.port;
  });

  after(async () => {
    await new Promise((resolve) => server.close(resolve));
    rmSync(folder, { recursive: true });
  });

  it('are spoken to when their authority is trusted, with resumed sessions', async () => {
    const pool = makePool({ port, protocol: 'https', ca: file('ca.pem') });
    assert.equal((await exchange(pool)).text, 'tls http/1.1');
    assert.equal((await exchange(pool)).text, 'tls http/1.1');
    assert.equal(sessions.length, 1, 'the connection is reused');
    const { call } = sendRecorded(pool, { target: '/hold' });
    assert.equal((await exchange(pool)).text, 'tls http/1.1');
    assert.deepEqual(sessions, [false, true]);
    call.cancel();
    pool.close();
    await until(() => pool.connectionsCount === 0);
  });

  it('are asked for the configured name', async () => {
    const pool = makePool({
      port,
      protocol: 'https',
      ca: file('ca.pem'),
      serverName: 'up.test',
    });
    assert.equal((await exchange(pool)).text, 'tls http/1.1');
    assert.equal(names.at(-1), 'up.test');
    pool.close();
    await until(() => pool.connectionsCount === 0);
  });

  it('are refused: unknown authority, wrong name, no TLS, no file of authorities', async () => {
    const plain = await rawServer((socket) => socket.write(okResponse('plain')));
    const refused = async (setup: object, pattern: RegExp): Promise<void> => {
      const pool = makePool({ port, protocol: 'https', ...setup });
      const { error } = await exchange(pool);
      assert.equal(error?.code, 'GW_UPSTREAM_TLS');
      assert.match(error?.detail ?? '', pattern);
      assert.equal(pool.connectionsCount, 0);
      pool.close();
    };
    await refused({}, /unable to verify|self-signed/);
    await refused({ ca: file('ca.pem'), serverName: 'other.test' }, /altnames/);
    await refused({ ca: file('ca.pem'), port: plain.port }, /SSL|wrong version/i);
    await refused({ ca: file('missing.pem') }, /ENOENT/);
    await plain.stop();
  });

  it('stream large bodies with pauses', async () => {
    const size = 8 * 1024 * 1024;
    server.removeAllListeners('secureConnection');
    server.on('secureConnection', (socket) => {
      socket.on('error', () => socket.destroy());
      socket.on('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`);
        socket.write(Buffer.alloc(size));
      });
    });
    const pool = makePool({ port, protocol: 'https', ca: file('ca.pem') });
    const { call, recorder } = sendRecorded(pool);
    recorder.keepsText = false;
    let pausesCount = 0;
    recorder.onChunkHook = () => {
      if (pausesCount++ % 20 !== 0) return;
      call.pause();
      setImmediate(() => call.resume());
    };
    await recorder.over;
    assert.equal(recorder.sizeBytes, size);
    pool.close();
    await until(() => pool.connectionsCount === 0);
  });
});

describe('deadlines', () => {
  it('wake each owner once, never early and at most a tick late, as a plain list would', () => {
    const seed = testSeed('deadlines');
    const random = new SeededRandom(seed);
    const clock = new ManualClock();
    const wheel = new Deadlines(clock);
    const wanted = new Map<Deadline, number>();
    const entries = Array.from({ length: 200 }, () => {
      const entry: Deadline = new Deadline({
        onDeadline: (nowMs) => {
          const dueMs = wanted.get(entry);
          assert.ok(dueMs !== undefined && dueMs <= nowMs, `SEED=${seed}: early or disarmed`);
          wanted.delete(entry);
          if (random.unit() < 0.7) return Infinity;
          wanted.set(entry, nowMs + 300);
          return nowMs + 300;
        },
      });
      return entry;
    });
    for (let step = 0; step < 5000; step++) {
      const entry = entries[random.uint32() % entries.length]!;
      const delayMs = random.uint32() % (step % 7 === 0 ? 40_000 : 900);
      const dueMs = clock.nowMs() + delayMs;
      if (random.unit() < 0.2) {
        wheel.disarm(entry);
        wanted.delete(entry);
      } else {
        wheel.arm(entry, dueMs);
        wanted.set(entry, Math.min(dueMs, wanted.get(entry) ?? Infinity));
      }
      if (step % 3 === 0) clock.advance(random.uint32() % (step % 500 === 0 ? 60_000 : 40));
      if (step % 5 === 0) {
        wheel.tick();
        for (const due of wanted.values()) {
          assert.ok(due > clock.nowMs() - 26, `SEED=${seed}: ${clock.nowMs() - due} ms late`);
        }
      }
      assert.equal(wheel.armedCount, wanted.size);
    }
    for (const entry of entries) wheel.disarm(entry);
    assert.equal(wheel.armedCount, 0);
  });

  it('an owner may disarm and arm others while it is woken', () => {
    const clock = new ManualClock();
    const wheel = new Deadlines(clock);
    const woken: string[] = [];
    const late = new Deadline({ onDeadline: () => Infinity * woken.push('late') });
    const second = new Deadline({ onDeadline: () => Infinity * woken.push('second') });
    const first = new Deadline({
      onDeadline: () => {
        woken.push('first');
        wheel.disarm(second);
        wheel.arm(late, clock.nowMs() + 10);
        return Infinity;
      },
    });
    wheel.arm(first, clock.nowMs() + 10);
    wheel.arm(second, clock.nowMs() + 10);
    clock.advance(50);
    wheel.tick();
    assert.deepEqual(woken, ['first']);
    clock.advance(50);
    wheel.tick();
    assert.deepEqual(woken, ['first', 'late']);
    assert.equal(wheel.armedCount, 0);
  });
});
