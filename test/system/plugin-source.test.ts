// Where a gateway takes plugins from: a URL once, a file again whenever it changes, and nothing
// anew that is the same.

import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { PluginView } from '../../host/admin/index.ts';
import { ask, untilTrue } from '../support/client.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { type Origin, startOrigin } from '../support/origin.ts';
import { image, sha256Of } from '../support/plugin-images.ts';
import { parseExposition, sampleValue } from '../support/prometheus-parser.ts';

describe('the sources of plugins', { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-source-'));
  const file = join(folder, 'watched.wasm');
  const remote = image('remote');
  let registry: Server;
  let fetchedCount = 0;
  let origin: Origin;
  let gateway: GatewayProcess;

  const config = (sha256 = sha256Of(remote), more: object = {}) => ({
    pluginStore: join(folder, 'store'),
    services: { origin: { endpoints: [origin.url] } },
    plugins: [
      { name: 'far', url: `http://127.0.0.1:${portOf(registry)}/far.wasm`, sha256, ...more },
      { name: 'near', file, watch: true },
    ],
    routes: [
      { name: 'far', match: { path: '/far' }, to: 'origin', filters: ['far'] },
      { name: 'near', match: { path: '/near' }, to: 'origin', filters: ['near'] },
    ],
  });
  const imageOf = async (path: string) => (await ask(gateway.url + path)).headers['x-image'];
  const view = async (name: string): Promise<PluginView> =>
    (await fetch(`${gateway.adminUrl}/plugins/${name}`)).json() as Promise<PluginView>;

  before(async () => {
    writeFileSync(file, image('first'));
    origin = await startOrigin('one');
    registry = createServer((_request, response) => {
      fetchedCount += 1;
      response.end(remote);
    });
    await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve));
  });
  after(async () => {
    assert.equal(await gateway.stop(), 0);
    await origin.stop();
    registry.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('fetches a url, refuses other bytes than its hash says, and fetches it once', async () => {
    const wrong = startGateway({ config: config('0'.repeat(64)) });
    await assert.rejects(wrong, /it is [0-9a-f]{64}, expected 0{64}/);
    gateway = await startGateway({ config: config() });
    assert.equal(await imageOf('/far'), 'remote');
    assert.equal((await view('far')).source, 'url');
    assert.equal(fetchedCount, 2);
    assert.equal(await gateway.stop(), 0);
    gateway = await startGateway({ config: config() });
    assert.equal(await imageOf('/far'), 'remote');
    assert.equal((await gateway.reload(config(undefined, { priority: 1 }))).taken, true);
    assert.equal(fetchedCount, 2);
  });

  it('leaves alone what a reload does not change', async () => {
    const started = async () => {
      const metrics = parseExposition(await gateway.metrics());
      const name = 'sluice_plugin_instances_started_total';
      return ['far', 'near'].map((plugin) => sampleValue(metrics, name, { plugin }));
    };
    // An instance in each of two workers, and one more of each where its priority changed.
    await untilTrue(async () => String(await started()) === '4,2');
    const { since } = await view('near');
    for (const round of [1, 2]) {
      const { taken } = await gateway.reload(config(undefined, { priority: 1 }));
      assert.ok(taken, `reload ${round}`);
    }
    assert.equal((await gateway.reload(config(undefined, { priority: 2 }))).taken, true);
    await untilTrue(async () => String(await started()) === '6,2');
    assert.equal((await view('near')).since, since);
  });

  it('takes a push in place of a url, and goes back to the url', async () => {
    const url = `${gateway.adminUrl}/plugins/far`;
    const pushed = await fetch(url, { method: 'PUT', body: image('pushed') });
    assert.equal(pushed.status, 200, await pushed.text());
    assert.equal(await imageOf('/far'), 'pushed');
    assert.equal((await gateway.reload(config(undefined, { priority: 3 }))).taken, true);
    assert.equal(await imageOf('/far'), 'pushed');
    assert.equal(fetchedCount, 2);
    // A wrong hash was noticed by the rollback that needed the url.
    assert.equal((await gateway.reload(config('0'.repeat(64)))).taken, true);
    await untilTrue(async () => /expected 0{64}$/.test((await view('far')).warnings[0] ?? ''));
    assert.match(gateway.log(), /what the configuration names could not run/);
    assert.equal((await gateway.reload(config(undefined, { priority: 3 }))).taken, true);
    await untilTrue(async () => (await view('far')).warnings.length === 0);
    assert.equal(await imageOf('/far'), 'pushed');
    assert.equal((await fetch(`${url}/rollback`, { method: 'POST' })).status, 200);
    assert.equal(await imageOf('/far'), 'remote');
  });

  it('takes a watched file when it changes, and keeps what runs when it is no plugin', async () => {
    writeFileSync(file, image('second'));
    await untilTrue(async () => (await imageOf('/near')) === 'second');
    writeFileSync(file, image('broken').subarray(0, 100));
    await untilTrue(() => gateway.log().includes('reload refused'));
    assert.equal(await imageOf('/near'), 'second');
    // As a compiler or an editor writes it.
    writeFileSync(`${file}.new`, image('third'));
    renameSync(`${file}.new`, file);
    await untilTrue(async () => (await imageOf('/near')) === 'third');
    assert.equal(await imageOf('/far'), 'remote');
  });
});

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
