// Distribution through a whole gateway: two io workers, the compute pool, a publisher in another
// process (this one), the admin API and the metrics.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { usedBytesOf } from '../../host/distribution/content-writer.ts';
import { readDcz } from '../../host/distribution/delta.ts';
import { openHead } from '../../host/distribution/documents.ts';
import { ask } from '../support/client.ts';
import { script, TestStore } from '../support/distribution.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { parseExposition, sampleValue } from '../support/prometheus-parser.ts';

const [V1, V2, V3] = [script(1), script(2), script(3)] as const;

interface RawAnswer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly bytes: Buffer;
}

function sha256(text: string, form: 'hex' | 'base64' = 'hex'): string {
  return createHash('sha256').update(text).digest(form);
}

function get(port: number, path: string, headers: Record<string, string> = {}): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const target = { host: '127.0.0.1', port, path, headers, agent: false };
    const sent = request(target, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => {
        const plain = answer.headers as Record<string, string>;
        resolve({ status: answer.statusCode!, headers: plain, bytes: Buffer.concat(chunks) });
      });
    });
    sent.on('error', reject);
    sent.end();
  });
}

async function until<T>(look: () => Promise<T | null | false>): Promise<T> {
  const beganMs = Date.now();
  for (;;) {
    const found = await look();
    if (found !== null && found !== false) return found;
    if (Date.now() - beganMs > 30_000) throw new Error('what was waited for did not come');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe('distribution through a gateway', () => {
  let store: TestStore;
  let gateway: GatewayProcess;
  let config: object;

  before(async () => {
    store = await TestStore.create();
    await store.publish({ version: '1.0.0', files: { 'main.js': V1, 'a b.txt': 'x' } });
    config = {
      log: { access: 'json' },
      distribution: {
        dir: store.dir,
        headKey: store.keyFile('head'),
        signingKey: store.keyFile('release'),
      },
      routes: [
        {
          name: 'resources',
          match: { path: '/r/*' },
          distribution: {},
          headers: { response: { set: { 'access-control-allow-origin': '*' } } },
        },
        {
          name: 'limited',
          match: { path: '/few/*' },
          distribution: { channels: ['app'] },
          rate: [{ limit: 3, per: '1h' }],
        },
        { name: 'rest', match: { path: '/*' }, respond: { body: 'rest' } },
      ],
    };
    gateway = await startGateway({ config });
  });

  after(async () => {
    await gateway.stop();
    store.remove();
  });

  const check = async (sequence: number, device: object = {}) => {
    const body = JSON.stringify({
      device: { id: 'device', ...device },
      channels: { app: { sequence } },
    });
    const answer = await ask(`${gateway.url}/r/check`, { method: 'POST', body });
    return JSON.parse(answer.body).channels.app;
  };
  const admin = async (path: string, body?: object) => {
    const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
    const answer = await fetch(`${gateway.adminUrl}/distribution${path}`, init);
    return { status: answer.status, value: await answer.json() };
  };

  it('serves files with the headers of the route, and counts them for it', async () => {
    const answer = await get(gateway.port, '/r/app/v/1.0.0/main.js');
    assert.equal(answer.status, 200);
    assert.equal(answer.bytes.toString(), V1);
    assert.equal(answer.headers['access-control-allow-origin'], '*');
    const spelt = await get(gateway.port, '/r/x/../%61pp/v/1.0.0/a%20b.txt');
    assert.equal(spelt.bytes.toString(), 'x');
    const missing = await get(gateway.port, '/r/app/v/1.0.0/none');
    assert.equal(missing.status, 404);
    assert.equal(missing.headers['x-sluice-reason'], '1020');
    assert.equal((await get(gateway.port, '/rest')).bytes.toString(), 'rest');
    const metrics = parseExposition(await gateway.metrics());
    const labels = { route: 'resources' };
    const requests = (codeClass: string) =>
      sampleValue(metrics, 'sluice_requests_total', { ...labels, code_class: codeClass });
    assert.equal(requests('2xx'), 2);
    assert.equal(requests('4xx'), 1);
    assert.equal(sampleValue(metrics, 'sluice_requests_active', labels), 0);
    const bytes = sampleValue(metrics, 'sluice_response_bytes_total', labels);
    assert.equal(bytes, V1.length + 1 + missing.bytes.length);
    const lines = await until(async () => {
      const all = gateway
        .output()
        .split('\n')
        .filter((line) => line.includes('"resources"'));
      return all.length >= 3 && all;
    });
    const logged = lines.map((line) => JSON.parse(line));
    const refused = logged.find(({ status }) => status === 404);
    assert.equal(refused.reason, 1020);
  });

  it('limits the rate of a route', async () => {
    const answers = [];
    for (let at = 0; at < 5; ++at)
      answers.push(await get(gateway.port, '/few/app/v/1.0.0/a%20b.txt'));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200, 429, 429],
    );
    assert.ok(answers[0]!.headers.ratelimit);
  });

  it('sees what another process publishes within a second or so, on all workers', async () => {
    await store.publish({ version: '2.0.0', files: { 'main.js': V2 }, forms: 'none' });
    const beganMs = Date.now();
    await until(async () => (await check(1)).status === 'update');
    const update = await check(1);
    const head = openHead(Buffer.from(JSON.stringify(update.head)), store.root);
    assert.equal(head.version, '2.0.0');
    for (let at = 0; at < 10; ++at) {
      const answer = await get(gateway.port, '/r/app/v/2.0.0/main.js');
      assert.equal(answer.bytes.toString(), V2);
    }
    console.log(`# seen after ${Date.now() - beganMs} ms`);
  });

  it('makes a delta that was asked for, with the real encoder, for the next who asks', async () => {
    const headers = {
      'accept-encoding': 'gzip, dcz',
      'available-dictionary': `:${sha256(V1, 'base64')}:`,
    };
    const first = await get(gateway.port, '/r/app/v/2.0.0/main.js', headers);
    assert.notEqual(first.headers['content-encoding'], 'dcz');
    const delta = await until(async () => {
      const answer = await get(gateway.port, '/r/app/v/2.0.0/main.js', headers);
      return answer.headers['content-encoding'] === 'dcz' && answer;
    });
    const { base, frame } = readDcz(delta.bytes);
    assert.equal(base, sha256(V1));
    const options = { sizeBytesMax: V2.length, checksum: 'required' } as const;
    const made = store.tools.decoder.decode(frame, { ...options, dictionary: Buffer.from(V1) });
    assert.equal(Buffer.from(made).toString(), V2);
    const compressed = await until(async () => {
      const answer = await get(gateway.port, '/r/app/v/2.0.0/main.js', { 'accept-encoding': 'br' });
      return answer.headers['content-encoding'] === 'br' && answer;
    });
    assert.ok(compressed.bytes.length < V2.length / 2);
    await until(async () => {
      const { value } = await admin('');
      const isCounted = value.channels[0].bases[sha256(V1)] >= 1;
      return isCounted && value.artefacts.made === 4 && value.artefacts.waiting === 0;
    });
  });

  it('takes changes by the admin API', async () => {
    assert.equal((await admin('/app/pause', {})).status, 200);
    await until(async () => (await check(1)).status === 'current');
    assert.equal((await check(2)).status, 'current', 'who has it keeps it');
    assert.equal((await admin('/app/resume', {})).status, 200);
    await until(async () => (await check(1)).status === 'update');
    assert.equal((await admin('/app/rollout', { rollout: 0 })).status, 200);
    await until(async () => (await check(1)).status === 'current');
    assert.equal((await admin('/app/rollout', { rollout: 10_000 })).status, 200);
    await until(async () => (await check(1)).status === 'update');
    assert.equal((await admin('/app/rollout', { rollout: 10_001 })).status, 400);
    assert.equal((await admin('/app/rollout', { rollout: 1, more: 1 })).status, 400);
    assert.equal((await admin('/app/pause', { version: '9' })).status, 404);
    assert.equal((await admin('/none/pause', {})).status, 404);
    assert.equal((await admin('/app/publish', {})).status, 404);
    const foreign = await fetch(`${gateway.adminUrl}/distribution/app/pause`, {
      method: 'POST',
      headers: { origin: 'http://evil.example' },
    });
    assert.equal(foreign.status, 403);
    const rolledBack = await admin('/app/rollback', { version: '1.0.0' });
    assert.equal(rolledBack.status, 200, JSON.stringify(rolledBack.value));
    const update = await until(async () => {
      const found = await check(2);
      return found.status === 'update' && found;
    });
    const head = openHead(Buffer.from(JSON.stringify(update.head)), store.root);
    assert.equal(head.version, '1.0.0-again.3');
    const answer = await get(gateway.port, '/r/app/v/1.0.0-again.3/main.js');
    assert.equal(answer.bytes.toString(), V1);
  });

  it('counts outcomes and halts a release by itself', async () => {
    const halt = { failureShare: 0.5, minimumCount: 4 };
    await store.publish({
      version: '3.0.0',
      files: { 'main.js': V3 },
      forms: 'none',
      rule: { halt },
    });
    await until(async () => (await check(3)).status === 'update');
    const report = (deviceId: string, outcome: object) =>
      ask(`${gateway.url}/r/outcomes`, {
        method: 'POST',
        body: JSON.stringify({
          deviceId,
          outcomes: [{ channel: 'app', sequence: 4, ...outcome }],
        }),
      });
    for (const device of ['a', 'b', 'c', 'd']) {
      const answer = await report(device, { outcome: 'failed', cause: 'crash' });
      assert.equal(answer.status, 204);
    }
    await until(async () => (await check(3)).status === 'current');
    const { value } = await admin('');
    const [release] = value.channels[0].releases;
    assert.equal(release.state, 'halted');
    assert.equal(release.counts.failed.crash, 4);
    const metrics = parseExposition(await gateway.metrics());
    const failures = 'sluice_distribution_failures_total';
    const labels = { channel: 'app', version: '3.0.0' };
    assert.equal(sampleValue(metrics, failures, { ...labels, cause: 'crash' }), 4);
    assert.match(gateway.log(), /a release was halted/);
  });

  it('refuses a reload that would move the store, and takes any other', async () => {
    const moved = { ...config, distribution: { dir: '/tmp', headKey: store.keyFile('head') } };
    const refused = await gateway.reload(moved);
    assert.equal(refused.taken, false);
    assert.equal(refused.issues[0]!.path, 'distribution');
    const taken = await gateway.reload({ ...config, trustedProxies: ['10.0.0.0/8'] });
    assert.equal(taken.taken, true);
    assert.equal((await get(gateway.port, '/r/app/v/1.0.0/main.js')).bytes.toString(), V1);
  });

  it('goes on with a higher counter and its counts after a restart', async () => {
    const before = openHead(Buffer.from(JSON.stringify((await check(0)).head)), store.root);
    assert.equal(await gateway.stop(), 0);
    gateway = await startGateway({ config });
    const next = openHead(Buffer.from(JSON.stringify((await check(0)).head)), store.root);
    assert.ok(next.counter > before.counter, `${next.counter} after ${before.counter}`);
    const { value } = await admin('');
    assert.equal(value.channels[0].releases[0].counts.failed.crash, 4);
  });
});

describe('a gateway with a store that is not good', () => {
  it('does not start without its key, and says which', async () => {
    const store = await TestStore.create();
    try {
      const config = { distribution: { dir: store.dir, headKey: '/none.pem' } };
      await assert.rejects(startGateway({ config }), /distribution\.headKey/);
    } finally {
      store.remove();
    }
  });

  it('keeps a quarter of the disk from what requests have made', async () => {
    // Who named base after base filled the limit, gc kept it, and nobody could publish any more.
    const store = await TestStore.create();
    await store.publish({ version: '1', files: { 'main.js': V1 }, forms: 'none' });
    await store.publish({ version: '2', files: { 'main.js': V2 }, forms: 'none' });
    const usedBytes = await usedBytesOf(store.store);
    const limits = { disk: `${Math.floor((usedBytes * 4) / 3 / 1024)}KiB` };
    const distribution = { dir: store.dir, headKey: store.keyFile('head'), limits };
    const routes = [{ match: { path: '/*' }, distribution: {} }];
    const gateway = await startGateway({ config: { distribution, routes } });
    try {
      const headers = {
        'accept-encoding': 'dcz',
        'available-dictionary': `:${sha256(V1, 'base64')}:`,
      };
      const answer = await get(gateway.port, '/app/v/2/main.js', headers);
      assert.equal(answer.bytes.toString(), V2);
      const { artefacts } = await until(async () => {
        const report = await (await fetch(`${gateway.adminUrl}/distribution`)).json();
        return report.artefacts.failed === 4 && report;
      });
      assert.deepEqual([artefacts.made, artefacts.waiting], [0, 0]);
      assert.equal(await usedBytesOf(store.store), usedBytes);
    } finally {
      await gateway.stop();
      store.remove();
    }
  });

  it('starts with an empty one and serves what comes', async () => {
    const store = await TestStore.create();
    const routes = [{ match: { path: '/*' }, distribution: {} }];
    const distribution = { dir: store.dir, headKey: store.keyFile('head') };
    const gateway = await startGateway({ config: { distribution, routes } });
    try {
      assert.equal((await get(gateway.port, '/app/v/1/main.js')).status, 404);
      await store.publish({ version: '1', files: { 'main.js': V1 }, forms: 'none' });
      const answer = await until(async () => {
        const found = await get(gateway.port, '/app/v/1/main.js');
        return found.status === 200 && found;
      });
      assert.equal(answer.bytes.toString(), V1);
      const dictionary = 'match="/app/v/*/main.js", id="app/1"';
      assert.equal(answer.headers['use-as-dictionary'], dictionary);
    } finally {
      await gateway.stop();
      store.remove();
    }
  });
});
