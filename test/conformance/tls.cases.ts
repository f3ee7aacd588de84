// TLS on both engines: the default certificate and those by server name; HTTP/2 and client
// certificates on node only.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { WebSocket } from 'ws';
import type { ListenerTls } from '../../host/config/index.ts';
import { HEAD_TIMEOUT_MS } from '../../host/core/index.ts';
import { askFrames, HPACK_STATUS_200, HTTP2_PROTOCOL_ERROR } from './http2-frames.ts';
import { Driver, type Engine, until } from './listener-driver.ts';

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly name: string;
}

export function tlsCases(engine: Engine): void {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-tls-'));
  const path = (name: string) => join(folder, name);
  const certificate = (name: string) => {
    const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`];
    const files = ['-keyout', path(`${name}.key`), '-out', path(`${name}.crt`)];
    const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    execFileSync('openssl', ['req', ...kind, ...subject, ...files], { stdio: 'ignore' });
    return { cert: path(`${name}.crt`), key: path(`${name}.key`) };
  };
  let tls: ListenerTls;
  const driver = new Driver(engine);
  before(async () => {
    const other = certificate('other.test');
    tls = {
      ...certificate('main.test'),
      clientCa: '',
      sni: [
        { host: 'other.test', ...other },
        { host: '*.wild.test', ...other },
      ],
    };
    await driver.start(tls);
  });
  after(async () => {
    assert.equal(await driver.stop(), 0);
    rmSync(folder, { recursive: true });
  });

  const ask = (servername: string, method: string, target: string, body = '') =>
    new Promise<Answer>((resolve, reject) => {
      const req = httpsRequest({
        host: '127.0.0.1',
        port: driver.port,
        servername,
        method,
        path: target,
        headers: { host: servername, 'content-length': body.length },
        rejectUnauthorized: false,
        agent: false,
      });
      req.on('error', reject);
      req.on('response', (res) => {
        const name = (res.socket as TLSSocket).getPeerCertificate().subject.CN;
        const parts: Buffer[] = [];
        res.on('data', (chunk) => parts.push(chunk));
        res.on('end', () =>
          resolve({
            status: res.statusCode ?? 0,
            body: Buffer.concat(parts).toString(),
            name: String(name),
          }),
        );
      });
      req.end(body);
    });

  it('shows the certificate of the server name and serves all alike', async () => {
    for (const [servername, name] of [
      ['main.test', 'main.test'],
      ['unknown.test', 'main.test'],
      ['other.test', 'other.test'],
      ['a.wild.test', 'other.test'],
    ] as const) {
      const answer = await ask(servername, 'POST', '/inspect', 'abc');
      assert.equal(answer.name, name, servername);
      assert.equal(answer.status, 200);
      const seen = JSON.parse(answer.body);
      assert.equal(seen.scheme, 'https');
      assert.equal(seen.authority, servername);
      assert.equal(seen.remoteAddress, '127.0.0.1');
    }
  });

  it('streams large bodies both ways', async () => {
    const upload = await ask('main.test', 'POST', '/sum', 'x'.repeat(2_000_000));
    assert.match(upload.body, /^2000000 /);
    for (const mode of ['known', 'chunked']) {
      const download = await ask('other.test', 'GET', `/big?size=7000000&mode=${mode}`);
      assert.equal(download.body.length, 7_000_000);
    }
    assert.equal((await ask('main.test', 'GET', '/big-respond?size=3000000')).body.length, 3e6);
  });

  // Node's default is 120 s, in which a client that costs nothing holds a connection.
  it('ends a handshake that does not come to its end, dripping or not', async () => {
    const beginnings = ['', '\x16\x03\x01', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'];
    const sockets = await Promise.all(
      [...beginnings, beginnings[2]!].map(async (bytes, at) => {
        const socket = await driver.connect();
        socket.resume();
        if (bytes !== '') socket.write(bytes, 'latin1');
        const drip = at === 3 ? setInterval(() => socket.write('a'), 1_000) : undefined;
        socket.once('close', () => clearInterval(drip));
        return socket;
      }),
    );
    const areClosed = () => sockets.every((socket) => socket.closed);
    await until('all are closed', areClosed, 4 * HEAD_TIMEOUT_MS);
  });

  it('upgrades to a WebSocket', async () => {
    const options = { servername: 'other.test', rejectUnauthorized: false };
    const socket = new WebSocket(`wss://127.0.0.1:${driver.port}/ws?greet`, options);
    const message = await new Promise((resolve, reject) => {
      socket.once('message', (data) => resolve(String(data)));
      socket.once('error', reject);
    });
    assert.equal(message, 'hello');
    socket.terminate();
  });

  it('refuses certificates that cannot be used', async () => {
    const start = (more: Partial<ListenerTls>) => new Driver(engine).start({ ...tls, ...more });
    await assert.rejects(start({ cert: path('none.crt') }), /none\.crt/);
    await assert.rejects(start({ key: path('other.test.key') }), /main\.test\.crt with .*other/);
    if (engine === 'uws') await assert.rejects(start({ clientCa: tls.cert }), /engine node/);
  });

  if (engine === 'node') nodeOnlyCases(driver, () => tls);
}

function nodeOnlyCases(driver: Driver, tls: () => ListenerTls): void {
  const exchange = (headers: Record<string, string | string[]>, body: string) =>
    new Promise<{ headers: Record<string, unknown>; body: string }>((resolve, reject) => {
      const session = connectHttp2(`https://127.0.0.1:${driver.port}`, {
        servername: 'main.test',
        rejectUnauthorized: false,
      });
      session.on('error', reject);
      const stream = session.request({ ':authority': 'Main.test', ...headers });
      let received = '';
      let head = {};
      stream.on('response', (got) => {
        head = got;
      });
      stream.setEncoding('utf8');
      stream.on('data', (chunk) => {
        received += chunk;
      });
      stream.on('error', reject);
      stream.on('end', () => {
        session.close();
        resolve({ headers: head, body: received });
      });
      if (body !== '') stream.end(body);
    });

  it('serves HTTP/2 as the same exchange', async () => {
    const { headers, body } = await exchange(
      { ':method': 'POST', ':path': '/inspect?q=1', 'x-a': '1', cookie: ['a=1', '', 'b=2'] },
      'abc',
    );
    assert.equal(headers[':status'], 200);
    const seen = JSON.parse(body);
    assert.equal(seen.httpVersion, '2.0');
    assert.equal(seen.method, 'POST');
    assert.equal(seen.path, '/inspect');
    assert.equal(seen.query, 'q=1');
    assert.equal(seen.authority, 'main.test');
    assert.equal(seen.bodySizeBytes, -1);
    assert.ok(seen.headers.includes('a=1; b=2'));
  });

  it('streams, refuses and fails over HTTP/2 as over HTTP/1.1', async () => {
    const get = (target: string) => exchange({ ':method': 'GET', ':path': target }, '');
    assert.equal((await get('/stream-now')).body, 'onetwosix');
    assert.equal((await get('/known-now')).headers['content-length'], '9');
    assert.equal((await get('/big?size=5000000')).body.length, 5_000_000);
    assert.equal((await get('/throw')).headers['x-sluice-reason'], '400');
    assert.equal((await get('/headers?h=x:a%0D%0Ab')).headers[':status'], 500);
    const cookies = await get('/headers?h=set-cookie:a&h=set-cookie:b&h=upgrade:h3');
    assert.deepEqual(cookies.headers['set-cookie'], ['a', 'b']);
    await assert.rejects(get('/abort-midway'), /INTERNAL_ERROR/);
    const bad = await exchange({ ':method': 'GET', ':path': '/x', ':authority': 'a:999999' }, '');
    assert.equal(bad.headers[':status'], 400);
  });

  // Node's HTTP/2 throws at a second content-type and at headers of a connection, which upstreams
  // send over HTTP/1.1: one such answer ended the io worker with all its connections.
  it('sends any answer of an upstream over HTTP/2, single-valued headers once', async () => {
    await driver.events();
    const single = ['content-type', 'etag', 'last-modified', 'access-control-allow-credentials'];
    const others = ['host', 'referer', 'dnt', 'upgrade-insecure-requests', 'location', 'tk'];
    for (const path of ['/headers', '/begin-headers', '/prepared']) {
      for (const name of [...single, ...others]) {
        const target = `${path}?h=${name}:first&h=${name}:second&h=${name}:third&h=x-a:1`;
        const { headers } = await exchange({ ':method': 'GET', ':path': target }, '');
        assert.deepEqual([headers[':status'], headers['x-a']], [200, '1'], target);
        assert.equal(headers[name], 'first', target);
      }
      for (const name of ['http2-settings', 'upgrade', 'te', 'keep-alive', 'proxy-connection']) {
        const target = `${path}?h=${name}:abc&h=x-a:1&h=x-a:2&h=x-a:3`;
        const { headers } = await exchange({ ':method': 'GET', ':path': target }, '');
        assert.deepEqual([headers[':status'], headers['x-a']], [200, '1, 2, 3'], target);
        assert.equal(headers[name], undefined, target);
      }
    }
    assert.deepEqual(await driver.texts('error'), []);
  });

  // HTTP/2 has no Connection header (RFC 9113 section 8.2.2), and node's client sends none.
  it('never serves HTTP/2 with headers of a connection, whatever they name', async () => {
    await driver.events();
    const bad: readonly (readonly [string, string])[] = [
      ['te', 'content-length'],
      ['connection', 'content-length'],
      ['connection', 'te'],
      ['transfer-encoding', 'chunked'],
    ];
    for (const header of bad) {
      const answer = await askFrames(driver.port, [header, ['content-length', '3']]);
      assert.deepEqual(answer, { kind: 'reset', code: HTTP2_PROTOCOL_ERROR }, header.join(': '));
    }
    assert.deepEqual(await driver.texts('dispatch'), []);
    const good = await askFrames(driver.port, [
      ['te', 'trailers'],
      ['x-a', 'content-length'],
    ]);
    assert.deepEqual(good, { kind: 'headers', first: HPACK_STATUS_200 });
  });

  // RFC 9113 section 8.1.1: the data frames come to the content-length, or the request is
  // malformed. An upstream gets the length over HTTP/1.1, and would take what follows for the body.
  it('never serves HTTP/2 whose content-length is another than its body has', async () => {
    await driver.events();
    const reset = { kind: 'reset', code: HTTP2_PROTOCOL_ERROR };
    for (const value of ['+3', '0x3', '3, 3', '3 3', '3.0', '-3', 'abc', '']) {
      assert.deepEqual(await askFrames(driver.port, [['content-length', value]]), reset, value);
    }
    const twice = [...'33'].map((value) => ['content-length', value] as const);
    assert.deepEqual(await askFrames(driver.port, twice), reset);
    assert.deepEqual(await askFrames(driver.port, [['content-length', '3']], { body: '' }), reset);
    assert.deepEqual(await driver.texts('dispatch'), []);
    // These begin: only their bodies tell. The exchange is aborted, never whole.
    for (const value of ['2', '4', '0', '18446744073709551615']) {
      const headers = [['content-length', value]] as const;
      assert.deepEqual(await askFrames(driver.port, headers, { path: '/sum' }), reset, value);
    }
    const good = { kind: 'headers', first: HPACK_STATUS_200 };
    const right = [['content-length', '3']] as const;
    assert.deepEqual(await askFrames(driver.port, right, { path: '/sum' }), good);
    assert.deepEqual(await askFrames(driver.port, [['content-length', '0']], { body: '' }), good);
    assert.deepEqual(await askFrames(driver.port, []), good);
  });

  it('asks for a client certificate', async () => {
    const strict = new Driver('node');
    await strict.start({ ...tls(), clientCa: tls().cert });
    const ask = (more: object) =>
      new Promise<number>((resolve, reject) => {
        const options = { host: '127.0.0.1', port: strict.port, path: '/now', agent: false };
        const req = httpsRequest({ ...options, rejectUnauthorized: false, ...more });
        req.on('response', (res) => {
          res.resume();
          resolve(res.statusCode ?? 0);
        });
        req.on('error', reject);
        req.end();
      });
    const own = { cert: readFileSync(tls().cert), key: readFileSync(tls().key) };
    assert.equal(await ask(own), 200);
    await assert.rejects(ask({}));
    assert.equal(await strict.stop(), 0);
  });
}
