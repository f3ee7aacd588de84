// Trailers through a whole gateway: HTTP/2 and HTTP/1.1 on the node engine, and uws, with a filter
// that changes them and without.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type IncomingHttpHeaders } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ask, untilTrue } from '../support/client.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { wat } from '../support/plugin-modules.ts';
import { UPSTREAM_TEST_CERT, UPSTREAM_TEST_KEY } from '../support/tls-fixture.ts';
import { type RawServer, rawServer } from '../support/upstream.ts';

const callback = (name: string, map: number) => `
  (func (export "${name}") (param i32 i32) (result i32)
    (drop (call $log (i32.const 2) (i32.const 64) (i32.const 9)))
    (drop (call $add (i32.const ${map}) (i32.const 76) (i32.const 6) (i32.const 73)
      (i32.const 2)))
    (drop (call $add (i32.const ${map}) (i32.const 82) (i32.const 10) (i32.const 73)
      (i32.const 2)))
    (call $remove (i32.const ${map}) (i32.const 92) (i32.const 6)))`;

/** Says that it sees trailers, adds `x-seen: it` and `set-cookie: it`, which is none, and removes
 *  `x-drop`. */
const FILTER = `(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "trailers!it_x-seenset-cookiex-drop")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  ${callback('proxy_on_request_trailers', 1)}
  ${callback('proxy_on_response_trailers', 3)})`;

const RESPONSE =
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n' +
  '0\r\nX-T: \xe9\r\nX-T: two\r\nX-Drop: a\r\nContent-Type: b\r\n\r\n';

interface Told {
  readonly status: number;
  readonly body: string;
  readonly trailers: Readonly<Record<string, unknown>>;
}

describe('trailers', { timeout: 120_000 }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-trailers-'));
  const file = join(dir, 'filter.wasm');
  let origin: RawServer;
  let strict: GatewayProcess;
  let fast: GatewayProcess;

  const config = () => ({
    workers: { io: 1 },
    services: { old: { endpoints: [`http://127.0.0.1:${origin.port}`] } },
    plugins: [{ name: 'marks', file }],
    routes: [
      { match: { path: '/plain' }, to: 'old' },
      { match: { path: '/*' }, to: 'old', filters: [{ plugin: 'marks' }] },
    ],
  });

  before(async () => {
    writeFileSync(file, wat(FILTER));
    writeFileSync(join(dir, 'cert.pem'), UPSTREAM_TEST_CERT);
    writeFileSync(join(dir, 'key.pem'), UPSTREAM_TEST_KEY);
    origin = await rawServer((socket, received) => {
      const isChunked = /transfer-encoding: chunked/.test(received);
      const isWhole = isChunked ? /\r\n0\r\n(?:[^\r]+\r\n)*\r\n$/.test(received) : true;
      if (isWhole) socket.end(RESPONSE, 'latin1');
    });
    const tls = { cert: join(dir, 'cert.pem'), key: join(dir, 'key.pem') };
    strict = await startGateway({ config: config(), listener: { engine: 'node', tls } });
    fast = await startGateway({ config: config() });
  });

  after(async () => {
    await strict.stop();
    await fast.stop();
    await origin.stop();
    rmSync(dir, { recursive: true });
  });

  /** What follows the body of the last request, as it was on the wire. */
  const lastRequestEnd = () => /\r\n0\r\n([\s\S]*)$/.exec(origin.received.at(-1)!)?.[1];

  async function overHttp2(path: string, trailers: Record<string, string> | null): Promise<Told> {
    const session = connect(`https://127.0.0.1:${strict.port}`, {
      ca: UPSTREAM_TEST_CERT,
      servername: 'upstream.test',
      checkServerIdentity: () => undefined,
    });
    const method = trailers === null ? 'GET' : 'POST';
    const stream = session.request(
      { ':path': path, ':method': method },
      { endStream: trailers === null, waitForTrailers: trailers !== null },
    );
    if (trailers !== null) {
      stream.once('wantTrailers', () => stream.sendTrailers(trailers));
      stream.end('body');
    }
    let status = 0;
    let told: IncomingHttpHeaders = {};
    let body = '';
    stream.on('response', (headers) => {
      status = headers[':status']!;
    });
    stream.on('trailers', (headers) => {
      told = headers;
    });
    stream.on('data', (chunk: Buffer) => {
      body += chunk;
    });
    await once(stream, 'close');
    session.close();
    return { status, body, trailers: Object.fromEntries(Object.entries(told)) };
  }

  function overHttp1(
    path: string,
    headers: Record<string, string>,
    trailers: [string, string][] | null = null,
  ): Promise<Told> {
    return new Promise((resolve, reject) => {
      const request = httpsRequest(
        {
          port: strict.port,
          host: '127.0.0.1',
          path,
          method: trailers === null ? 'GET' : 'POST',
          headers,
          agent: false,
          rejectUnauthorized: false,
        },
        (response) => {
          let body = '';
          response.on('data', (chunk: Buffer) => {
            body += chunk;
          });
          response.on('end', () => {
            resolve({ status: response.statusCode!, body, trailers: { ...response.trailers } });
          });
        },
      );
      request.on('error', reject);
      if (trailers !== null) {
        request.write('body');
        request.addTrailers(trailers);
      }
      request.end();
    });
  }

  it('of a response reach a client of HTTP/2, as the filter leaves them', async () => {
    const plain = await overHttp2('/plain', null);
    assert.deepEqual(plain, {
      status: 200,
      body: 'ok',
      trailers: { 'x-t': '\xe9, two', 'x-drop': 'a' },
    });
    const filtered = await overHttp2('/filtered', null);
    assert.deepEqual(filtered.trailers, { 'x-t': '\xe9, two', 'x-seen': 'it' });
    assert.equal(filtered.body, 'ok');
  });

  it('of a response reach a client of HTTP/1.1 that says that it takes them', async () => {
    for (const te of ['trailers', 'gzip, Trailers']) {
      const { trailers, body } = await overHttp1('/filtered', { te });
      assert.deepEqual(trailers, { 'x-t': '\xe9, two', 'x-seen': 'it' });
      assert.equal(body, 'ok');
    }
    for (const headers of [{}, { te: 'gzip' }]) {
      assert.deepEqual(await overHttp1('/plain', headers), {
        status: 200,
        body: 'ok',
        trailers: {},
      });
    }
  });

  it('of a request reach the upstream through the filters of a route alone', async () => {
    const given = { 'x-t': '1', 'x-drop': '2', authorization: 'none', 'x-forwarded-for': '::1' };
    assert.equal((await overHttp2('/filtered', given)).status, 200);
    assert.equal(lastRequestEnd(), 'x-t: 1\r\nx-seen: it\r\n\r\n');
    assert.equal((await overHttp1('/filtered', {}, Object.entries(given))).status, 200);
    assert.equal(lastRequestEnd(), 'x-t: 1\r\nx-seen: it\r\n\r\n');
    assert.equal((await overHttp2('/plain', given)).status, 200);
    assert.equal(lastRequestEnd(), '\r\n');
    assert.ok(origin.received.at(-1)!.includes('body'));
  });

  it('of a request above the limits are refused', async () => {
    const many = Array.from({ length: 101 }, (_, index): [string, string] => [`x-${index}`, 'a']);
    const counted = await overHttp1('/filtered', {}, many);
    assert.equal(counted.status, 400);
    assert.match(counted.body, /101 trailers, the limit is 100/);
    const large = await overHttp1('/filtered', {}, [['x-t', 'a'.repeat(17_000)]]);
    assert.equal(large.status, 400);
  });

  it('are seen by filters on uws too, which sends none', async () => {
    const { status, body, rawHeaders } = await ask(`${fast.url}/filtered`, {
      headers: { te: 'trailers' },
    });
    assert.deepEqual([status, body], [200, 'ok']);
    assert.ok(!rawHeaders.join().includes('x-seen'));
    await untilTrue(() => fast.log().includes('trailers!'));
  });
});
