import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createAdminServer } from '../../host/admin/index.ts';
import {
  ADMIN_CONNECTIONS_COUNT_MAX,
  ERRORS,
  type ErrorCode,
  isGatewayError,
} from '../../host/core/index.ts';
import { parseExposition, sampleValue } from '../support/prometheus-parser.ts';
import { type AdminScene, type Answered, adminScene } from './admin-scene.ts';

function assertProblem(answered: Answered, code: ErrorCode, detail: RegExp): void {
  assert.equal(answered.headers['content-type'], 'application/problem+json');
  const problem = JSON.parse(answered.body) as Record<string, unknown>;
  assert.equal(problem.code, code);
  assert.equal(problem.reason, ERRORS[code].reason);
  assert.equal(answered.status, ERRORS[code].status);
  assert.equal(answered.headers['x-sluice-reason'], String(ERRORS[code].reason));
  assert.match(String(problem.detail ?? ''), detail);
}

describe('admin resources', () => {
  let scene: AdminScene;
  before(async () => {
    scene = await adminScene();
  });
  after(() => scene.server.close());

  it('/ lists what there is, and can run no script', async () => {
    const { body, headers, status } = await scene.ask('GET', '/');
    assert.equal(status, 200);
    assert.match(headers['content-type']!, /^text\/html/);
    assert.match(String(headers['content-security-policy']), /default-src 'none'/);
    for (const path of ['/metrics', '/healthz', '/readyz', '/config/check', '/drain', '.hgrm']) {
      assert.ok(body.includes(path), path);
    }
  });

  it('/metrics is a well-formed exposition', async () => {
    const { body, headers, status } = await scene.ask('GET', '/metrics');
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
    const metrics = parseExposition(body);
    const labels = { route: 'pay', code_class: '2xx' };
    assert.equal(sampleValue(metrics, 'sluice_requests_total', labels), 100);
    assert.equal(
      sampleValue(metrics, 'sluice_request_duration_seconds_count', { route: 'pay' }),
      100,
    );
  });

  it('/healthz and /readyz answer probes', async () => {
    assert.equal((await scene.ask('GET', '/healthz')).status, 200);
    const ready = await scene.ask('GET', '/readyz');
    assert.deepEqual([ready.status, ready.body], [200, 'ready\n']);
    const head = await scene.ask('HEAD', '/healthz');
    assert.deepEqual([head.status, head.body], [200, '']);
    assert.equal((await scene.ask('HEAD', '/metrics')).body, '');
  });

  it('/distribution shows channels and takes changes, strictly read', async () => {
    const shown = await scene.ask('GET', '/distribution');
    assert.deepEqual(JSON.parse(shown.body), { channels: [{ channel: 'app' }] });
    scene.calls.length = 0;
    const good: [string, string, object][] = [
      ['app/pause', '', { channel: 'app', version: null, action: 'pause' }],
      ['a.b-1/resume', '{"version":"1"}', { channel: 'a.b-1', version: '1', action: 'resume' }],
      ['app/rollback', '{"version":"1"}', { channel: 'app', version: '1', action: 'rollback' }],
      [
        'app/rollout',
        '{"rollout":2500}',
        { channel: 'app', version: null, action: 'rollout', rollout: 2500 },
      ],
    ];
    for (const [path, body, change] of good) {
      const answered = await scene.ask('POST', `/distribution/${path}`, { body });
      assert.equal(answered.status, 200, path);
      assert.equal(scene.calls.pop(), `change ${JSON.stringify(change)}`);
    }
    const bad: [string, string][] = [
      ['app/pause', '{"rollout":1}'],
      ['app/pause', '[]'],
      ['app/pause', '{'],
      ['app/pause', '{"version":1}'],
      ['app/rollback', '{}'],
      ['app/rollout', '{}'],
      ['app/rollout', '{"rollout":-1}'],
      ['app/rollout', '{"rollout":10001}'],
      ['app/rollout', '{"rollout":0.5}'],
    ];
    for (const [path, body] of bad) {
      const answered = await scene.ask('POST', `/distribution/${path}`, { body });
      assertProblem(answered, 'GW_ADMIN_BAD_REQUEST', /expected/);
    }
    for (const path of ['app', 'app/delete', '..%2f/pause', 'A/pause', 'app/pause/x']) {
      const answered = await scene.ask('POST', `/distribution/${path}`, { body: '' });
      assertProblem(answered, 'GW_ADMIN_NOT_FOUND', /expected/);
    }
    const none = await scene.ask('POST', '/distribution/none/pause', { body: '' });
    assertProblem(none, 'GW_DIST_NOT_FOUND', /none/);
    scene.calls.length = 0;
  });

  it('/config shows the normal form without its secrets', async () => {
    const { body } = await scene.ask('GET', '/config');
    assert.deepEqual(JSON.parse(body), {
      admin: { port: 9901, token: '********' },
      routes: [{ name: 'pay' }],
    });
  });

  it('/config/check gives the faults of a text', async () => {
    const good = await scene.ask('POST', '/config/check', { body: 'good: 1' });
    assert.deepEqual(JSON.parse(good.body), { valid: true, issues: [] });
    const bad = await scene.ask('POST', '/config/check', { body: 'listn: []' });
    assert.equal(bad.status, 200);
    const checked = JSON.parse(bad.body) as { valid: boolean; issues: { line: number }[] };
    assert.deepEqual([checked.valid, checked.issues[0]!.line], [false, 2]);
    const binary = await scene.ask('POST', '/config/check', { body: Buffer.from([0xff, 0xfe]) });
    assertProblem(binary, 'GW_ADMIN_BAD_REQUEST', /not UTF-8/);
  });

  it('/reload and /drain do what they say, once', async () => {
    scene.calls.length = 0;
    const reloaded = await scene.ask('POST', '/reload');
    assert.deepEqual(JSON.parse(reloaded.body), { taken: true, generation: 2, issues: [] });
    const drained = await scene.ask('POST', '/drain');
    assert.equal(drained.status, 202);
    assert.deepEqual(scene.calls, ['reload', 'drain']);
  });

  it('/routes explains a match', async () => {
    scene.calls.length = 0;
    const match = 'match=POST+/api/pay/7%3Fv%3D2&header=X-Tier:%20gold';
    const { body, status } = await scene.ask('GET', `/routes?${match}`);
    assert.equal(status, 200);
    assert.deepEqual(scene.calls, ['explain POST /api/pay/7?v=2 x-tier|gold']);
    const explained = JSON.parse(body) as { matched: string; candidates: { why: string }[] };
    assert.equal(explained.matched, 'pay');
    assert.equal(explained.candidates[0]!.why, 'header x-tier is not gold');
    await scene.ask('GET', '/routes?match=GET+https://example.com/x');
    assert.equal(scene.calls[1], 'explain GET https://example.com/x ');
  });

  it('/routes refuses what is no question', async () => {
    for (const query of [
      '',
      '?match=',
      '?match=GET',
      '?match=GET+x',
      '?match=G:T+/',
      '?match=GET+http:///',
    ]) {
      assertProblem(
        await scene.ask('GET', `/routes${query}`),
        'GW_ADMIN_BAD_REQUEST',
        /expected (METHOD\+URL|\/path)/,
      );
    }
    const header = await scene.ask('GET', '/routes?match=GET+/&header=a%0d%0ab:c');
    assertProblem(header, 'GW_ADMIN_BAD_REQUEST', /expected name:value/);
    const many = await scene.ask('GET', `/routes?match=GET+/${'&header=a:b'.repeat(33)}`);
    assertProblem(many, 'GW_ADMIN_BAD_REQUEST', /33 headers, the limit is 32/);
    const path = await scene.ask('GET', '/routes?match=GET+/%25zz');
    assertProblem(path, 'GW_PROTOCOL_MALFORMED', /bad path/);
  });

  it('/services lists services with their counters', async () => {
    const { body } = await scene.ask('GET', '/services');
    const { services } = JSON.parse(body) as { services: { name: string; errors: number }[] };
    assert.deepEqual([services[0]!.name, services[0]!.errors], ['wallet', 1]);
  });

  it('/latency gives percentiles and the text of plotters', async () => {
    const json = JSON.parse((await scene.ask('GET', '/latency/pay')).body) as {
      count: number;
      percentiles: Record<string, number>;
    };
    assert.equal(json.count, 100);
    assert.ok(Math.abs(json.percentiles['50']! - 50) <= 1);
    const hgrm = await scene.ask('GET', '/latency/pay.hgrm');
    assert.match(hgrm.headers['content-type']!, /^text\/plain/);
    assert.match(hgrm.body, /Total count +=\s+100\]/);
    const odd = await scene.ask('GET', '/latency/a%2Fb%20c');
    assert.equal((JSON.parse(odd.body) as { route: string }).route, 'a/b c');
    assertProblem(await scene.ask('GET', '/latency/none'), 'GW_ADMIN_NOT_FOUND', /"none"/);
    assertProblem(await scene.ask('GET', '/latency/%ff'), 'GW_ADMIN_BAD_REQUEST', /UTF-8/);
    assertProblem(await scene.ask('GET', '/latency/'), 'GW_ADMIN_NOT_FOUND', /latency/);
  });

  it('/plugins lists, and takes modules with what they must be', async () => {
    const scene = await adminScene();
    const list = await scene.ask('GET', '/plugins');
    const { plugins } = JSON.parse(list.body) as { plugins: { name: string }[] };
    assert.deepEqual(
      plugins.map(({ name }) => name),
      ['auth'],
    );
    const one = await scene.ask('GET', '/plugins/auth');
    assert.equal((JSON.parse(one.body) as { abi: string }).abi, '0.2.1');
    assertProblem(await scene.ask('GET', '/plugins/none'), 'GW_ADMIN_NOT_FOUND', /"none"/);
    const body = Buffer.from('a module');
    const digest = createHash('sha256').update(body).digest();
    const pushed = await scene.ask('PUT', '/plugins/auth?canary=5%25', {
      body,
      headers: { 'content-digest': `md5=:AAAA:, sha-256=:${digest.toString('base64')}:` },
    });
    assert.equal((JSON.parse(pushed.body) as { canaryShare: number }).canaryShare, 0.05);
    await scene.ask('PUT', `/plugins/auth?sha256=${'AB'.repeat(32)}`, { body });
    assert.deepEqual(scene.calls, [
      `push auth 8 {"canaryShare":0.05,"sha256":"${digest.toString('hex')}"}`,
      `push auth 8 {"canaryShare":null,"sha256":"${'ab'.repeat(32)}"}`,
    ]);
  });

  it('/plugins says exactly why a module or a change is not taken', async () => {
    const scene = await adminScene();
    const push = (query: string, headers = {}, body = 'xxx') =>
      scene.ask('PUT', `/plugins/auth${query}`, { body, headers });
    assertProblem(await push(''), 'GW_PLUGIN_NOT_WASM', /three bytes/);
    assertProblem(await push('?canary=0%25'), 'GW_ADMIN_BAD_REQUEST', /above 0% and below 100%/);
    assertProblem(await push('?canary=100%25'), 'GW_ADMIN_BAD_REQUEST', /below 100%/);
    assertProblem(await push('?sha256=12'), 'GW_ADMIN_BAD_REQUEST', /64 hexadecimal/);
    assertProblem(await push('?sha=12'), 'GW_ADMIN_BAD_REQUEST', /canary or sha256/);
    const md5 = await push('', { 'content-digest': 'md5=:AAAA:' });
    assertProblem(md5, 'GW_ADMIN_BAD_REQUEST', /sha-256/);
    const large = await push('', { 'content-length': '67108865' }, '');
    assertProblem(large, 'GW_PROTOCOL_BODY_TOO_LARGE', /the limit is 67108864/);
    const foreign = await push('', { origin: 'http://elsewhere' });
    assertProblem(foreign, 'GW_ADMIN_REFUSED', /origin/);
    const change = (path: string, body = '') =>
      scene.ask('POST', `/plugins/auth/${path}`, { body });
    assert.equal((await change('canary', '{"share":"12.5%"}')).status, 200);
    assert.equal((await change('rollback')).status, 200);
    assertProblem(await change('promote'), 'GW_PLUGIN_CONFLICT', /no canary/);
    assertProblem(await change('canary', '{}'), 'GW_ADMIN_BAD_REQUEST', /share/);
    assertProblem(await change('abort', '{"x":1}'), 'GW_ADMIN_BAD_REQUEST', /no fields/);
    assertProblem(await change('stop'), 'GW_ADMIN_NOT_FOUND', /\{action\}/);
    assert.deepEqual(scene.calls.slice(1), [
      'change {"plugin":"auth","action":"canary","share":0.125}',
      'change {"plugin":"auth","action":"rollback"}',
      'change {"plugin":"auth","action":"promote"}',
    ]);
  });
});

describe('admin faults', () => {
  it('unknown paths are 404, wrong methods 405 with what is allowed', async () => {
    const scene = await adminScene();
    for (const path of ['/nothing', '/metrics/', '//metrics', '/config/check/x', '/%2e%2e/x']) {
      assertProblem(await scene.ask('GET', path), 'GW_ADMIN_NOT_FOUND', /./);
    }
    const get = await scene.ask('GET', '/reload');
    assertProblem(get, 'GW_ADMIN_METHOD', /GET on \/reload, use POST/);
    assert.equal(get.headers.allow, 'POST');
    const post = await scene.ask('DELETE', '/metrics');
    assertProblem(post, 'GW_ADMIN_METHOD', /./);
    assert.equal(post.headers.allow, 'GET, HEAD');
    assert.deepEqual(scene.calls, []);
    await scene.server.close();
  });

  it('readiness and a refused reload say why', async () => {
    const issue = { code: 'GW_CONFIG_SYNTAX', file: 'f', line: 1, column: 1, path: '' } as const;
    const scene = await adminScene({
      readiness: () => ({ isReady: false, detail: 'worker 1 has no configuration' }),
      reload: async () => ({
        isTaken: false,
        generation: 7,
        issues: [{ ...issue, message: 'not YAML' }],
      }),
    });
    const ready = await scene.ask('GET', '/readyz');
    assertProblem(ready, 'GW_ADMIN_NOT_READY', /worker 1 has no configuration/);
    assert.equal((await scene.ask('GET', '/healthz')).status, 200);
    const reload = await scene.ask('POST', '/reload');
    assert.equal(reload.status, 422);
    assert.match(reload.body, /not YAML/);
    await scene.server.close();
  });

  it('a fault behind it is a 500 that tells nothing, and is logged', async () => {
    const broken = () => {
      throw new TypeError('secret inner state');
    };
    const scene = await adminScene({ services: broken, reload: async () => broken() });
    for (const [method, path] of [
      ['GET', '/services'],
      ['POST', '/reload'],
    ] as const) {
      const answered = await scene.ask(method, path);
      assert.equal(answered.status, 500);
      assert.ok(!answered.body.includes('secret'));
    }
    assert.deepEqual(scene.errors, Array(2).fill('an admin request failed'));
    assert.equal((await scene.ask('GET', '/healthz')).status, 200);
    await scene.server.close();
  });

  it('metrics that break in the middle cut the answer instead of faking its end', async () => {
    const scene = await adminScene({
      metrics: async function* () {
        yield 'half\n';
        await delay(50);
        throw new Error('broke');
      },
    });
    const text = await scene.raw('GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n');
    assert.match(text, /half/);
    assert.ok(!text.endsWith('0\r\n\r\n'), 'no last chunk');
    assert.equal(scene.errors.length, 1);
    await scene.server.close();
  });

  it('one change at a time', async () => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    let begin = () => {};
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const scene = await adminScene({
      reload: async () => {
        begin();
        await gate;
        return { isTaken: true, generation: 1, issues: [] };
      },
    });
    const first = scene.ask('POST', '/reload');
    // Two connections may arrive in any order.
    await begun;
    const second = await scene.ask('POST', '/reload');
    assertProblem(second, 'GW_ADMIN_BUSY', /another change/);
    release();
    assert.equal((await first).status, 200);
    assert.equal((await scene.ask('POST', '/reload')).status, 200);
    await scene.server.close();
  });

  it('a huge body is refused by its announcement and by its bytes', async () => {
    const scene = await adminScene();
    const announced = await scene.raw(
      'POST /config/check HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n' +
        'Content-Length: 99999999999\r\n\r\n',
    );
    assert.match(announced, /^HTTP\/1\.1 413 /);
    assert.match(announced, /99999999999 bytes or more, the limit is 33554432/);
    const sent = await scene.ask('POST', '/config/check', {
      headers: { 'transfer-encoding': 'chunked' },
      body: Buffer.alloc(33_554_433, 0x61),
    });
    assertProblem(sent, 'GW_PROTOCOL_BODY_TOO_LARGE', /the limit is 33554432/);
    assert.deepEqual(scene.calls, []);
    const exact = await scene.ask('POST', '/config/check', {
      body: Buffer.alloc(33_554_432, 0x61),
    });
    assert.equal(exact.status, 200);
    await scene.server.close();
  });

  it('what is not HTTP gets an answer and a close', async () => {
    const scene = await adminScene();
    for (const bytes of [
      'nonsense\r\n\r\n',
      'GET / HTTP/1.1\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n',
      'POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n' +
        'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ]) {
      assert.match(await scene.raw(bytes), /^HTTP\/1\.1 400 /, bytes);
    }
    const large = await scene.raw(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`);
    assert.match(large, /^HTTP\/1\.1 431 /);
    const absolute = 'GET http://localhost/metrics HTTP/1.1\r\nHost: localhost\r\n';
    const star = 'OPTIONS * HTTP/1.1\r\nHost: localhost\r\n';
    for (const head of [absolute, star]) {
      assert.match(await scene.raw(`${head}Connection: close\r\n\r\n`), /^HTTP\/1\.1 400 /);
    }
    assert.deepEqual(scene.calls, []);
    assert.equal((await scene.ask('GET', '/healthz')).status, 200);
    await scene.server.close();
  });

  // 128 clients without a token, each with half a head and its own half of the socket kept open,
  // had every connection for good: the server only ended its half.
  it('half a head costs a place for seconds, however the client behaves', async () => {
    const scene = await adminScene();
    const sockets = Array.from({ length: ADMIN_CONNECTIONS_COUNT_MAX }, (_, at) => {
      const socket = connect({ port: scene.port, host: '127.0.0.1', allowHalfOpen: true });
      socket.on('error', () => {});
      socket.pause();
      socket.write('GET /healthz HTTP/1.1\r\nhost: loc');
      const drip = at % 2 === 0 ? setInterval(() => socket.write('x'), 500) : undefined;
      return { socket, drip };
    });
    await delay(200);
    await assert.rejects(scene.ask('GET', '/healthz'), 'the places are not taken');
    let answered: Answered | null = null;
    for (let waitedMs = 0; waitedMs < 20_000 && answered === null; waitedMs += 250) {
      answered = await scene.ask('GET', '/healthz').catch(() => null);
      if (answered === null) await delay(250);
    }
    for (const { socket, drip } of sockets) {
      clearInterval(drip);
      socket.destroy();
    }
    assert.equal(answered?.status, 200);
    await scene.server.close();
  });

  it('a client that leaves in mid-body or mid-answer hurts nobody', async () => {
    const scene = await adminScene({
      metrics: async function* () {
        for (let piece = 0; piece < 1_000; piece++) yield 'x'.repeat(65_536);
      },
    });
    for (const bytes of [
      'POST /config/check HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc',
      'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n',
    ]) {
      await new Promise<void>((resolve) => {
        const socket = connect(scene.port, '127.0.0.1', () => socket.write(bytes));
        socket.on('error', () => {});
        setTimeout(() => socket.resetAndDestroy(), 100);
        socket.on('close', () => resolve());
      });
    }
    assert.equal((await scene.ask('POST', '/reload')).status, 200, 'the change slot is free again');
    assert.deepEqual(scene.errors, []);
    await scene.server.close();
  });
});

describe('admin guard', () => {
  it('a page of another origin can change nothing', async () => {
    const scene = await adminScene();
    const own = `127.0.0.1:${scene.port}`;
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: `https://${own}` },
      { origin: 'http://127.0.0.1:1' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ]) {
      const answered = await scene.ask('POST', '/reload', { headers: { host: own, ...headers } });
      assertProblem(answered, 'GW_ADMIN_REFUSED', /origin|sec-fetch-site/);
    }
    assert.deepEqual(scene.calls, []);
    const headers = { host: own, origin: `http://${own}`, 'sec-fetch-site': 'same-origin' };
    assert.equal((await scene.ask('POST', '/reload', { headers })).status, 200);
    await scene.server.close();
  });

  it('a name that was rebound to this address reaches nothing', async () => {
    const scene = await adminScene();
    for (const host of [
      'evil.example',
      'evil.example:9901',
      '127.0.0.1.evil.example',
      'localhost.evil.example',
      '127.0.0.1@evil.example',
      '10.0.0.1',
      '[::1',
      '2130706433',
    ]) {
      for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
        const answered = await scene.ask(method, '/reload', { headers: { host } });
        assertProblem(answered, 'GW_ADMIN_REFUSED', /neither loopback nor this server/);
      }
    }
    for (const host of ['localhost', 'LOCALHOST:9901', '127.0.0.1', '127.1.2.3:5', '[::1]:9901']) {
      assert.equal((await scene.ask('GET', '/config', { headers: { host } })).status, 200, host);
    }
    assert.deepEqual(scene.calls, []);
    const empty = 'GET /config HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n';
    assert.match(await scene.raw(empty), /^HTTP\/1\.1 403 /);
    const twice = 'GET /config HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n';
    assert.match(await scene.raw(`${twice}Connection: close\r\n\r\n`), /^HTTP\/1\.1 400 /);
    await scene.server.close();
  });

  it('with a token every request must show it', async () => {
    const token = 'correct horse battery staple';
    const scene = await adminScene({ token });
    for (const authorization of [
      '',
      'Bearer',
      'Bearer ',
      'Bearer wrong',
      `Basic ${token}`,
      token,
      `Bearer ${token}x`,
      `Bearer ${token.slice(0, -1)}`,
    ]) {
      for (const path of ['/', '/metrics', '/healthz', '/config', '/nothing']) {
        const answered = await scene.ask('GET', path, { headers: { authorization } });
        assertProblem(answered, 'GW_ADMIN_TOKEN', /Bearer/);
        assert.equal(answered.headers['www-authenticate'], 'Bearer');
      }
    }
    const headers = { authorization: `Bearer ${token}` };
    assert.equal((await scene.ask('GET', '/config', { headers })).status, 200);
    assert.equal((await scene.ask('POST', '/reload', { headers })).status, 200);
    const named = { ...headers, host: 'gateway.internal:9901' };
    assert.equal((await scene.ask('GET', '/metrics', { headers: named })).status, 200);
    const change = await scene.ask('POST', '/reload', { headers: named });
    assertProblem(change, 'GW_ADMIN_REFUSED', /gateway\.internal/);
    await scene.server.close();
  });

  it('refuses to listen beyond loopback without a token, and says what is in the way', async () => {
    const open = await adminScene();
    await assert.rejects(
      open.server.listen(0, '0.0.0.0'),
      (error) => isGatewayError(error) && /0\.0\.0\.0 is not loopback/.test(error.detail),
    );
    await open.server.close();
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', () => resolve()));
    const { port } = taken.address() as { port: number };
    const scene = await adminScene();
    const second = createAdminServer({ token: '' } as Parameters<typeof createAdminServer>[0]);
    await assert.rejects(
      second.listen(port, '127.0.0.1'),
      (error) =>
        isGatewayError(error) && error.code === 'GW_LISTEN' && /EADDRINUSE/.test(error.detail),
    );
    await scene.server.close();
    await new Promise((resolve) => taken.close(resolve));
  });
});
