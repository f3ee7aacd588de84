// Plugins as an operator changes them while the gateway serves: pushed, rolled back, tried on a
// share of the requests, and kept over a restart.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { PluginPushed, PluginView } from '../../host/admin/index.ts';
import { ask, Load, untilTrue } from '../support/client.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { type Origin, startOrigin } from '../support/origin.ts';
import { image, sha256Of } from '../support/plugin-images.ts';
import { parseExposition, sampleValue } from '../support/prometheus-parser.ts';

describe('plugins of a running gateway', { timeout: 180_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-push-'));
  const store = join(folder, 'store');
  const file = join(folder, 'configured.wasm');
  let origin: Origin;
  let gateway: GatewayProcess;

  const config = (more: object = {}) => ({
    workers: { io: 2 },
    listen: [
      { port: 0, address: '127.0.0.1' },
      { port: 0, address: '127.0.0.1', engine: 'node' },
    ],
    pluginStore: store,
    services: { origin: { endpoints: [origin.url] } },
    plugins: [
      { name: 'mark', file, reload: { base: '1ms', max: '1ms' }, ...more },
      { name: 'tick', file, background: true },
    ],
    routes: [{ name: 'all', match: { path: '/*' }, to: 'origin', filters: ['mark'] }],
  });
  /** Of `count` requests over both listeners, each on a connection of its own. */
  const imagesSeen = async (count = 12) => {
    const urls = gateway.ports.map((port) => `http://127.0.0.1:${port}/x`);
    const answers = await Promise.all(
      Array.from({ length: count }, (_, index) => ask(urls[index % 2]!)),
    );
    return new Set(answers.map(({ headers, status }) => `${headers['x-image'] ?? status}`));
  };
  const put = async (bytes: Uint8Array<ArrayBuffer>, query = '', name = 'mark') => {
    const url = `${gateway.adminUrl}/plugins/${name}${query}`;
    const response = await fetch(url, { method: 'PUT', body: bytes });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  const push = async (bytes: Uint8Array<ArrayBuffer>, query = ''): Promise<PluginPushed> => {
    const { body, status } = await put(bytes, query);
    assert.equal(status, 200, JSON.stringify(body));
    return body as unknown as PluginPushed;
  };
  const view = async (): Promise<PluginView> =>
    (await fetch(`${gateway.adminUrl}/plugins/mark`)).json() as Promise<PluginView>;
  const sluice = (...args: string[]): Promise<{ code: number; out: string; err: string }> =>
    new Promise((resolve) => {
      // Started by itself, as `npm link` does. It had no line that names node: a shell ran it.
      const all = ['plugin', ...args, '--admin', gateway.adminUrl];
      execFile('dist/sluice.js', all, (error, out, err) => {
        resolve({ code: error === null ? 0 : Number(error.code), out, err });
      });
    });
  const start = async (more: object = {}) => {
    gateway = await startGateway({ config: config(more) });
  };

  before(async () => {
    writeFileSync(file, image('configured'));
    origin = await startOrigin('one');
    await start();
  });
  after(async () => {
    assert.equal(await gateway.stop(), 0);
    await origin.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('are pushed again and again without a failed request', async () => {
    assert.deepEqual(await imagesSeen(), new Set(['configured']));
    const load = new Load({
      url: `${gateway.url}/load`,
      connections: 16,
      isGood: ({ status, headers }) => status === 200 && headers['x-image'] !== undefined,
    });
    await load.untilAnswered(100);
    let previous = sha256Of(image('configured'));
    const took: string[] = [];
    for (const name of ['v1', 'v2', 'v3']) {
      const pushed = await push(image(name));
      const { switchMs } = pushed;
      assert.ok(switchMs > 0);
      took.push(switchMs.toFixed(1));
      assert.deepEqual(pushed, {
        plugin: 'mark',
        sha256: sha256Of(image(name)),
        previous,
        canaryShare: null,
        switchMs,
        isUnchanged: false,
      });
      // Every worker has taken it by now, on both engines.
      assert.deepEqual(await imagesSeen(), new Set([name]));
      previous = pushed.sha256;
      await load.untilAnswered(50);
    }
    assert.equal((await push(image('v3'))).isUnchanged, true);
    await load.stop();
    assert.deepEqual(load.failures, []);
    console.log(`${load.answeredCount} requests, none failed; switched in ${took.join(', ')} ms`);
  });

  it('stay as they are when a push is refused, which says exactly why', async () => {
    const cases: readonly [Uint8Array<ArrayBuffer>, string, string, RegExp][] = [
      [new Uint8Array([1, 2, 3]), '', 'GW_PLUGIN_NOT_WASM', /plugin mark: .*expected 4 bytes/],
      [image('x'), `?sha256=${'0'.repeat(64)}`, 'GW_PLUGIN_HASH', /it is [0-9a-f]{64}/],
      [new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]), '', 'GW_PLUGIN_ABI', /it exports none/],
      [image('x', 'refuse'), '', 'GW_PLUGIN_START', /proxy_on_configure returned false/],
    ];
    for (const [bytes, query, code, detail] of cases) {
      const { status, body } = await put(bytes, query);
      assert.deepEqual([status, body.code], [400, code]);
      assert.match(String(body.detail), detail);
    }
    const unknown = await put(image('x'), '', 'nobody');
    assert.deepEqual([unknown.status, unknown.body.code], [404, 'GW_ADMIN_NOT_FOUND']);
    const background = await put(image('x'), '?canary=5%25', 'tick');
    assert.deepEqual([background.status, background.body.code], [409, 'GW_PLUGIN_CONFLICT']);
    assert.deepEqual(await imagesSeen(), new Set(['v3']));
    // What was refused is not kept.
    const kept = readdirSync(join(store, 'modules')).sort();
    const pushed = ['v1', 'v2', 'v3'].map((name) => `${sha256Of(image(name))}.wasm`);
    assert.deepEqual(kept, pushed.sort());
  });

  it('outlive a restart in what was pushed, and go back version by version', async () => {
    assert.equal(await gateway.stop(), 0);
    await start();
    assert.deepEqual(await imagesSeen(), new Set(['v3']));
    const { source, pushed } = await view();
    assert.equal(source, 'pushed');
    assert.deepEqual(
      pushed.map(({ sha256 }) => sha256),
      ['v3', 'v2', 'v1'].map((name) => sha256Of(image(name))),
    );
    for (const name of ['v2', 'v1']) {
      await fetch(`${gateway.adminUrl}/plugins/mark/rollback`, { method: 'POST' });
      assert.deepEqual(await imagesSeen(), new Set([name]));
    }
    const last = await sluice('rollback', 'mark');
    assert.equal(last.code, 0);
    const hash = sha256Of(image('configured')).slice(0, 12);
    assert.match(last.out, new RegExp(`mark: back to ${hash}, of the configuration's file, .* ms`));
    assert.deepEqual(await imagesSeen(), new Set(['configured']));
    const { code, err } = await sluice('rollback', 'mark');
    assert.equal(code, 1);
    assert.match(err, /nothing to go back to \(GW_PLUGIN_CONFLICT, reason 830\)/);
    assert.equal((await view()).source, 'file');
  });

  it('are tried on a share of the requests, and promoted', async () => {
    const path = join(folder, 'v4.wasm');
    writeFileSync(path, image('v4'));
    const pushed = await sluice('push', path, '--name', 'mark', '--canary', '50%');
    assert.equal(pushed.code, 0, pushed.err);
    const hash = sha256Of(image('v4')).slice(0, 12);
    assert.match(pushed.out, new RegExp(`mark: ${hash} gets 50% of requests .* in \\S+ ms`));
    // 60 requests of which none, or each, meets the canary: 1 in 2^59.
    assert.deepEqual(await imagesSeen(60), new Set(['configured', 'v4']));
    assert.equal((await sluice('canary', 'mark', '99.99%')).code, 0);
    await untilTrue(async () => ((await view()).canary?.requests ?? 0) > 0);
    const { code, out } = await sluice('list');
    assert.equal(code, 0);
    assert.match(out, /^NAME +VERSION +SOURCE +ABI +STATE/);
    assert.match(out, /^mark +[0-9a-f]{12} +file +0\.2\.1 +canary/m);
    assert.match(out, new RegExp(`mark: canary ${hash} gets 99.99%; 0 of \\d+ requests failed`));
    assert.equal((await sluice('canary', 'mark', 'promote')).code, 0);
    assert.deepEqual(await imagesSeen(40), new Set(['v4']));
    const { endedCanaries, source } = await view();
    assert.deepEqual([endedCanaries[0]?.outcome, source], ['promoted', 'pushed']);
    assert.equal((await sluice('canary', 'mark', 'abort')).code, 1);
    assert.equal((await sluice('canary', 'mark', '100%')).code, 2);
  });

  it('lose a canary that traps by themselves', async () => {
    await push(image('broken', 'trap'), '?canary=30%25');
    const load = new Load({
      url: `${gateway.url}/load`,
      connections: 8,
      isGood: ({ status }) => status === 200 || status === 500 || status === 503,
    });
    await untilTrue(async () => (await view()).canary === null);
    // From here on nothing meets it any more.
    assert.deepEqual(await imagesSeen(40), new Set(['v4']));
    await load.stop();
    assert.deepEqual(load.failures, []);
    const { endedCanaries, state } = await view();
    assert.equal(state, 'running');
    assert.equal(endedCanaries[0]?.outcome, 'rolled-back');
    const { why } = endedCanaries[0];
    assert.match(why, /^it failed (\d+) of \d+ requests, the version before 0 of \d+/);
    assert.match(why, /; it trapped in proxy_on_request_headers: unreachable$/);
    assert.match(gateway.log(), /a canary was rolled back/);
    const metrics = parseExposition(await gateway.metrics());
    const value = (name: string, labels: Record<string, string>) =>
      sampleValue(metrics, `sluice_plugin_${name}`, labels) ?? 0;
    assert.equal(value('canaries_total', { outcome: 'rolled-back' }), 1);
    const traps = value('traps_total', { plugin: 'mark', cause: 'trap' });
    assert.ok(traps >= 5, `${traps} traps`);
    const code = 'GW_PLUGIN_TRAP';
    assert.ok(value('requests_failed_total', { plugin: 'mark', code }) >= 5);
    // Of this process, over both workers and all versions.
    assert.ok(value('counter_total', { plugin: 'mark', name: 'seen' }) >= 150);
    assert.ok(value('switch_duration_seconds_count', {}) > 0);
    const list = await sluice('list');
    assert.match(list.out, /mark: canary [0-9a-f]{12} was rolled-back at .*: it failed/);
  });

  it('keep a canary over a restart, and let the configuration pin a hash', async () => {
    await push(image('v5'), '?canary=50%25');
    assert.equal(await gateway.stop(), 0);
    await start();
    assert.deepEqual(await imagesSeen(60), new Set(['v4', 'v5']));
    const pin = { sha256: sha256Of(image('configured')) };
    assert.equal((await gateway.reload(config(pin))).taken, true);
    assert.deepEqual(await imagesSeen(40), new Set(['configured']));
    const { status, body } = await put(image('v6'));
    assert.deepEqual([status, body.code], [400, 'GW_PLUGIN_HASH']);
    assert.equal((await gateway.reload(config())).taken, true);
    assert.deepEqual(await imagesSeen(60), new Set(['v4', 'v5']));
  });

  it('tell which version trapped, and where', async () => {
    await push(image('broken', 'trap'));
    const { status } = await ask(`${gateway.url}/uws`);
    assert.equal(status, 500);
    const harm =
      / at \S+; 1 of \d+ requests failed, 1 trap, the last in proxy_on_request_headers: u/;
    await untilTrue(async () => harm.test((await sluice('list')).out));
    assert.equal((await sluice('rollback', 'mark')).code, 0);
  });

  it('start with the version before a damaged one, and say which is damaged', async () => {
    // One damaged file of one plugin refused the start of the whole gateway.
    const again = join(folder, 'again.wasm');
    writeFileSync(again, image('v4'));
    const first = await sluice('push', again, '--name', 'mark');
    assert.match(first.out, /runs already$/m);
    assert.equal(await gateway.stop(), 0);
    const module = join(store, 'modules', `${sha256Of(image('v4'))}.wasm`);
    writeFileSync(module, 'not what its name says');
    await start();
    assert.deepEqual(await imagesSeen(), new Set(['configured']));
    const damaged = `${module} is damaged: its bytes are`;
    assert.ok(gateway.log().includes(damaged), gateway.log());
    const [warning] = (await view()).warnings;
    assert.ok(warning!.includes(damaged), warning);
    assert.match((await sluice('list')).out, /mark: WARNING: what was pushed is damaged/);
    assert.equal(await gateway.stop(), 0);
    await assert.rejects(start({ strict: true }), /\.wasm is damaged: its bytes are/);
    writeFileSync(join(store, 'state', 'mark.json'), '{');
    await start();
    assert.deepEqual(await imagesSeen(), new Set(['configured']));
    assert.match((await sluice('list')).out, /mark: WARNING: .*mark\.json is damaged; delete it/);
    const recorded = await sluice('push', file, '--name', 'mark');
    assert.match(recorded.out, /runs already; from now on because it was pushed/);
    assert.deepEqual((await view()).warnings, []);
  });
});
