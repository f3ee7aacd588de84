// The standalone binary, built for this test alone and run as on a machine that has neither node
// nor a checkout: an empty environment, an empty folder, no node_modules above it.

import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { assertCarrier } from '../../scripts/binary/executable.ts';
import { ask, askEcho, untilTrue } from '../support/client.ts';
import { needDebian } from '../support/debian.ts';
import { type GatewayStart, startGateway } from '../support/gateway.ts';
import { type Origin, startOrigin } from '../support/origin.ts';
import { UPSTREAM_TEST_CERT, UPSTREAM_TEST_KEY } from '../support/tls-fixture.ts';

const root = mkdtempSync(join(tmpdir(), 'sluice-binary-test-'));
const binary = join(root, 'bin/sluice');
/** Where it runs, and where it may put temporary files. */
const cwd = join(root, 'run');
const temporary = join(root, 'tmp');
const env = { TMPDIR: temporary };
let origin: Origin;

before(async () => {
  for (const folder of [cwd, temporary]) mkdirSync(folder);
  const build = ['--import', 'tsx', 'scripts/build-binary.ts', '--out', binary];
  const { status, stdout, stderr } = spawnSync(process.execPath, build, { encoding: 'utf8' });
  assert.equal(status, 0, `${stdout}${stderr}`);
  origin = await startOrigin('origin');
});

after(async () => {
  await origin?.stop();
  rmSync(root, { recursive: true });
});

function run(...words: readonly string[]): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(binary, words, { cwd, env, encoding: 'utf8' });
  return { status, out: stdout, err: stderr };
}

function start(part: Partial<GatewayStart> = {}) {
  return startGateway({ config: proxyConfig(), command: [binary], cwd, env, ...part });
}

function proxyConfig(prefix = '/a'): object {
  return {
    log: { access: 'json' },
    services: { origin: { endpoints: [origin.url] } },
    routes: [{ name: 'proxied', match: { path: `${prefix}/*` }, to: 'origin' }],
  };
}

function childrenOf(pid: number): number[] {
  const listed = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return listed === '' ? [] : listed.split(' ').map(Number);
}

describe('the build', () => {
  it('makes one executable and the licences that go with it', () => {
    assert.deepEqual(readdirSync(dirname(binary)), ['sluice', 'sluice.licences.txt']);
    assert.equal(statSync(binary).mode & 0o777, 0o755);
    const licences = readFileSync(`${binary}.licences.txt`, 'utf8');
    for (const name of ['node', 'uws-pack', 'piscina', 'pino', 'ws']) {
      assert.ok(new RegExp(`^${name} v?\\d`, 'm').test(licences), name);
    }
  });

  it('refuses to build on a binary', () => {
    assert.throws(() => assertCarrier(binary), /bin\/sluice already carries a program/);
  });
});

describe('the standalone binary', () => {
  it('has no node_modules above the folder of the test', () => {
    for (let folder = cwd; folder !== dirname(folder); folder = dirname(folder)) {
      assert.ok(!existsSync(join(folder, 'node_modules')), `${folder} has a node_modules`);
    }
  });

  it('tells its version and names what is wrong with a command or a configuration', () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
    assert.deepEqual(run('version'), { status: 0, out: `${version}\n`, err: '' });
    assert.equal(run('serve', '--nonsense').status, 2);
    const config = join(root, 'bad.yaml');
    writeFileSync(config, 'routes: []\nservices: {}\nrouts: []\n');
    const { status, out, err } = run('check', '-c', config);
    assert.deepEqual([status, out], [1, '']);
    assert.match(err, /bad\.yaml:3:1: .*routs.*GW_CONFIG_UNKNOWN_KEY, reason 402/);
  });

  it('proxies, reloads, logs, drains with exit code 0 and leaves no file behind', async () => {
    const gateway = await start();
    const mapped = readFileSync(`/proc/${gateway.child.pid}/maps`, 'utf8');
    assert.deepEqual(readdirSync(temporary), [], 'a file while it runs');
    assert.match(mapped, /uws\.node \(deleted\)/);
    try {
      const body = 'x'.repeat(100_000);
      const echo = await askEcho(`${gateway.url}/a/1`, { method: 'POST', body });
      assert.deepEqual([echo.method, echo.url, echo.body], ['POST', '/a/1', body]);
      // The pool compiles it.
      const { taken, generation } = await gateway.reload(proxyConfig('/b'));
      assert.deepEqual([taken, generation], [true, 2]);
      assert.equal((await ask(`${gateway.url}/a/1`)).status, 404);
      assert.equal((await askEcho(`${gateway.url}/b/1`)).url, '/b/1');
      const refused = await gateway.reload({ routes: 1 });
      assert.equal(refused.taken, false);
      assert.match(await gateway.metrics(), /sluice_/);
    } finally {
      assert.equal(await gateway.stop(), 0, gateway.log());
    }
    const lines = gateway
      .output()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(lines.map(({ status }) => status).sort(), [200, 200, 404]);
    assert.deepEqual(readdirSync(temporary), []);
    assert.deepEqual(readdirSync(cwd), []);
  });

  it('finishes a request in flight before it ends', async () => {
    let answer: () => void = () => {};
    const slow = await startOrigin('slow', (_, response) => {
      answer = () => response.end('late');
    });
    const config = {
      services: { slow: { endpoints: [slow.url] } },
      routes: [{ match: { path: '/*' }, to: 'slow' }],
    };
    const gateway = await start({ config });
    const answered = ask(gateway.url);
    await untilTrue(() => slow.requests === 1);
    const stopped = gateway.stop();
    await untilTrue(() => /draining/.test(gateway.log()));
    answer();
    assert.equal((await answered).body, 'late');
    assert.equal(await stopped, 0, gateway.log());
    await slow.stop();
  });

  it('proxies WebSockets', async () => {
    const upstream = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    upstream.on('connection', (socket) => {
      socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary }));
    });
    await once(upstream, 'listening');
    const { port } = upstream.address() as AddressInfo;
    const gateway = await start({
      config: {
        services: { echo: { endpoints: [`http://127.0.0.1:${port}`] } },
        routes: [{ match: { path: '/*' }, to: 'echo' }],
      },
    });
    try {
      const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/chat`);
      // A close that comes instead of the echo is told, not waited for.
      socket.once('open', () => socket.send('hello'));
      const echoed = once(socket, 'message').then(([message]) => String(message));
      const closed = once(socket, 'close').then(([code]) => `closed with ${code}`);
      assert.equal(await Promise.race([echoed, closed]), 'hello');
      socket.close();
      assert.match(await closed, /^closed/);
    } finally {
      assert.equal(await gateway.stop(), 0, gateway.log());
      upstream.close();
    }
  });

  for (const engine of ['uws', 'node']) {
    it(`serves TLS on the ${engine} engine`, async () => {
      const [cert, key] = [join(root, 'cert.pem'), join(root, 'key.pem')];
      writeFileSync(cert, UPSTREAM_TEST_CERT);
      writeFileSync(key, UPSTREAM_TEST_KEY);
      const gateway = await start({ listener: { engine, tls: { cert, key } } });
      try {
        const tls = { ca: UPSTREAM_TEST_CERT, servername: 'upstream.test' };
        const answer = await ask(`https://127.0.0.1:${gateway.port}/a/tls`, { tls });
        assert.equal(answer.status, 200);
        assert.equal(JSON.parse(answer.body).headers['x-forwarded-proto'], 'https');
        const maps = readFileSync(`/proc/${gateway.child.pid}/maps`, 'utf8');
        assert.equal(/uws\.node/.test(maps), engine === 'uws', 'the addon where it is needed');
      } finally {
        assert.equal(await gateway.stop(), 0, gateway.log());
      }
    });
  }

  it('starts several times at once from one folder', async () => {
    const gateways = await Promise.all([start(), start(), start()]);
    for (const gateway of gateways) assert.equal((await ask(`${gateway.url}/a/1`)).status, 200);
    const codes = await Promise.all(gateways.map((gateway) => gateway.stop()));
    assert.deepEqual(codes, [0, 0, 0]);
    assert.deepEqual(readdirSync(temporary), []);
  });

  // The child was once given the word the caller typed as its first argument, and would not start.
  it('starts itself again under --supervise and leaves no child behind', async () => {
    const gateway = await start({ flags: ['--supervise'] });
    const [first] = childrenOf(gateway.child.pid!);
    process.kill(first!, 'SIGKILL');
    await untilTrue(() => {
      const [next] = childrenOf(gateway.child.pid!);
      return next !== undefined && next !== first;
    });
    await untilTrue(() => gateway.log().split('"listening"').length === 3);
    assert.match(gateway.log(), /the gateway ended by SIGKILL/);
    const [second] = childrenOf(gateway.child.pid!);
    assert.equal(await gateway.stop(), 0, gateway.log());
    assert.ok(!existsSync(`/proc/${second}`), 'the child outlived its supervisor');
    assert.deepEqual(readdirSync(temporary), [], 'a killed process left a file');
  });

  // The binary carries kernels and threads of its own, and nothing ever published with it: keys,
  // tree, variants, deltas and what is served again, all by the one file.
  it('publishes, and serves what it published', async () => {
    const keys = join(root, 'keys');
    const [store, tree] = [join(root, 'store'), join(root, 'tree')];
    const script = (version: number) => {
      const lines = Array.from({ length: 3_000 }, (_, line) => `export const n${line} = ${line};`);
      return `export const version = ${version};\n${lines.join('\n')}\n`;
    };
    const made = run('keys', 'init', '--dir', keys);
    assert.equal(made.status, 0, made.err);
    mkdirSync(tree);
    const flags = ['--channel', 'app', '--key', keys, '--dir', store];
    for (const version of [1, 2]) {
      writeFileSync(join(tree, 'main.js'), script(version));
      const { status, out, err } = run('publish', tree, '--version', `${version}`, ...flags);
      assert.equal(status, 0, err);
      assert.match(out, new RegExp(`published ${version} in app as number ${version}: 1 files`));
      if (version === 2) assert.match(out, /from 1 +\d{2,3} B .* 1 deltas/);
    }
    const head = readdirSync(keys).find((name) => name.startsWith('head-'));
    const gateway = await start({
      config: {
        distribution: { dir: store, headKey: join(keys, head!) },
        routes: [{ match: { path: '/r/*' }, distribution: {} }],
      },
    });
    try {
      const body = JSON.stringify({ device: { id: 'd' }, channels: { app: { sequence: 0 } } });
      const checked = await ask(`${gateway.url}/r/check`, { method: 'POST', body });
      assert.equal(JSON.parse(checked.body).channels.app.status, 'update', checked.body);
      const path = `${gateway.url}/r/app/v/2/main.js`;
      const whole = await ask(path);
      assert.deepEqual([whole.status, whole.body], [200, script(2)]);
      const sha256 = createHash('sha256').update(script(1)).digest();
      const headers = {
        'accept-encoding': 'br, dcz',
        'available-dictionary': `:${sha256.toString('base64')}:`,
      };
      const delta = await fetch(path, { headers });
      assert.equal(delta.headers.get('content-encoding'), 'dcz');
      const bytes = Buffer.from(await delta.arrayBuffer());
      assert.ok(bytes.length < 300, `${bytes.length} bytes`);
      assert.deepEqual(bytes.subarray(8, 40), sha256);
    } finally {
      assert.equal(await gateway.stop(), 0, gateway.log());
    }
    const scanned = run('release', 'scan', '--dir', store);
    assert.deepEqual([scanned.status, scanned.err], [0, '']);
    assert.match(scanned.out, /, 0 findings/);
    assert.deepEqual(readdirSync(temporary), []);
  });

  // It had no databases for want of LMDB's addon, which each thread loads without a file's name.
  it('serves databases, and has the commands for them', async () => {
    const dir = join(root, 'databases');
    const db = (...words: readonly string[]) => {
      const { status, out, err } = run('db', ...words, '--dir', dir);
      assert.deepEqual([status, err], [0, ''], out);
      return out;
    };
    db('create', 'shop');
    // Pages that are converted, by the gateway's pool and by the command alone.
    const wide = join(root, 'wide.db');
    needDebian('sqlite3', 'sqlite3');
    execFileSync('sqlite3', [wide, 'PRAGMA page_size=8192; CREATE TABLE t (a)']);
    const gateway = await start({
      config: { db: { dir }, routes: [{ match: { path: '/db/{database}/*' }, db: {} }] },
    });
    try {
      const requests = ['CREATE TABLE t (a)', 'INSERT INTO t VALUES (42)', 'SELECT a FROM t'].map(
        (sql) => ({ type: 'execute', stmt: { sql } }),
      );
      const answer = await ask(`${gateway.url}/db/shop/v2/pipeline`, {
        method: 'POST',
        body: JSON.stringify({ requests: [...requests, { type: 'close' }] }),
      });
      assert.equal(answer.status, 200, answer.body);
      const { results } = JSON.parse(answer.body);
      assert.deepEqual(results[2].response.result.rows, [[{ type: 'integer', value: '42' }]]);
      db('backup', 'shop', join(root, 'shop.db'));
      db('create', 'wide', '--from', wide);
      assert.deepEqual(readdirSync(temporary), []);
    } finally {
      assert.equal(await gateway.stop(), 0, gateway.log());
    }
    db('create', 'copy', '--from', join(root, 'shop.db'));
    db('create', 'wide-too', '--from', wide);
    assert.match(db('check'), /copy: .*, good/);
    assert.deepEqual(readdirSync(temporary), []);
  });

  it('measures with bench', async () => {
    const before = origin.requests;
    const words = ['bench', origin.url, '--rate', '100', '--duration', '300ms', '--warmup', '10ms'];
    const child = spawn(binary, words, { cwd, env, stdio: 'ignore' });
    assert.deepEqual(await once(child, 'exit'), [0, null]);
    assert.ok(origin.requests > before + 10);
  });
});
