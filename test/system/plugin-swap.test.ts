// A plugin's image is replaced under load: the file changes, the gateway takes it, and no request
// fails: not those that come while it is replaced, and not those that have begun and wait.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ask, Load, untilTrue } from '../support/client.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { type Origin, startOrigin } from '../support/origin.ts';

const IMAGE = readFileSync('build/plugins/request-id.wasm');
const SWAPS_COUNT = 6;
/** Requests that wait for their answer during each switch: some on each worker. */
const HELD_COUNT = 8;

/** The same filter with a custom section behind it: another file with another hash. */
function image(version: number): Uint8Array {
  const name = Buffer.from('v');
  const content = Buffer.concat([Buffer.from([name.length]), name, Buffer.from(String(version))]);
  return Buffer.concat([IMAGE, Buffer.from([0, content.length]), content]);
}

describe('a plugin whose image is replaced', { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-swap-'));
  const file = join(folder, 'filter.wasm');
  let origin: Origin;
  let gateway: GatewayProcess;
  /** Requests for /held that the origin has not answered. */
  const held: ServerResponse[] = [];

  const config = (version: number, more: object = {}) => ({
    workers: { io: 2 },
    services: { origin: { endpoints: [origin.url] } },
    plugins: [
      { name: 'id', file, config: { securityHeaders: { 'x-image': `v${version}` } }, ...more },
    ],
    routes: [{ name: 'all', match: { path: '/*' }, to: 'origin', filters: ['id'] }],
  });
  const imageSeen = async () => (await ask(`${gateway.url}/x`)).headers['x-image'];

  before(async () => {
    origin = await startOrigin('one', ({ url }, response) => {
      if (url === '/held') held.push(response);
      else response.end('now');
    });
    writeFileSync(file, image(0));
    gateway = await startGateway({ config: config(0) });
  });
  after(async () => {
    assert.equal(await gateway.stop(), 0);
    await origin.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('serves every request while it is replaced again and again', async () => {
    assert.equal(await imageSeen(), 'v0');
    const load = new Load({
      url: `${gateway.url}/load`,
      connections: 16,
      // Behind the filter, whichever version it is.
      isGood: ({ status, headers }) => status === 200 && /^v\d$/.test(`${headers['x-image']}`),
    });
    await load.untilAnswered(100);
    for (let version = 1; version <= SWAPS_COUNT; version++) {
      const waiting = Array.from({ length: HELD_COUNT }, () => ask(`${gateway.url}/held`));
      await untilTrue(() => held.length === HELD_COUNT);
      writeFileSync(file, image(version));
      const { taken, issues } = await gateway.reload(config(version));
      assert.ok(taken, JSON.stringify(issues));
      // Each connection lands on either worker; every one of them has switched.
      for (let count = 0; count < 8; count++) assert.equal(await imageSeen(), `v${version}`);
      await load.untilAnswered(100);
      // What began before ends where it began.
      for (const response of held.splice(0)) response.end('late');
      for (const { status, headers, body } of await Promise.all(waiting)) {
        assert.deepEqual([status, body, headers['x-image']], [200, 'late', `v${version - 1}`]);
      }
    }
    await load.stop();
    assert.deepEqual(load.failures, []);
    console.log(`${load.answeredCount} requests over ${SWAPS_COUNT} images, none failed`);
  });

  it('keeps the version that runs when the next one is none', async () => {
    const before = await imageSeen();
    writeFileSync(file, 'not a module');
    const { taken, issues } = await gateway.reload(config(99));
    assert.equal(taken, false);
    assert.match(JSON.stringify(issues), /expected a WebAssembly module/);
    assert.equal(await imageSeen(), before);
    writeFileSync(file, image(100));
    const refused = await gateway.reload(config(100, { config: { header: 'a b' } }));
    assert.equal(refused.taken, false);
    assert.match(JSON.stringify(refused.issues), /config\.header: expected a header name/);
    assert.equal(await imageSeen(), before);
    assert.equal((await gateway.reload(config(101))).taken, true);
    await untilTrue(async () => (await imageSeen()) === 'v101');
  });
});
