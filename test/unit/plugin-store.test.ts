// The plugin folder: what is read back, what is refused, what is tidied up.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { PluginConfig } from '../../host/config/index.ts';
import { type ErrorCode, isGatewayError } from '../../host/core/index.ts';
import { configuredModule } from '../../host/workers/plugins/module-source.ts';
import { PluginStore } from '../../host/workers/plugins/plugin-store.ts';
import { NOTHING_PUSHED, type PluginState } from '../../host/workers/plugins/pushed-state.ts';
import { sha256Of } from '../support/plugin-images.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-plugin-store-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function withCode(code: ErrorCode, detail: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(isGatewayError(error), String(error));
    assert.equal(error.code, code);
    assert.match(error.detail, detail);
    return true;
  };
}

let foldersCount = 0;
function newStore(): { dir: string; store: PluginStore } {
  const dir = join(folder, `deep/${foldersCount}`);
  foldersCount += 1;
  return { dir, store: new PluginStore(dir) };
}

const BYTES = new TextEncoder().encode('a module');
const SHA256 = sha256Of(BYTES);

const STATE: PluginState = {
  versions: [{ sha256: SHA256, pushedMs: 1 }],
  canary: { sha256: 'b'.repeat(64), pushedMs: 2, share: 0.05 },
  endedCanaries: [
    { sha256: 'd'.repeat(64), outcome: 'replaced', why: '', endedMs: 2 },
    { sha256: 'c'.repeat(64), outcome: 'rolled-back', why: 'it failed', endedMs: 3 },
  ],
};

describe('the plugin folder', () => {
  it('gives back what was written, and nothing where nothing was', () => {
    const { store } = newStore();
    assert.equal(store.readModule(SHA256), null);
    assert.deepEqual(store.readState('auth'), NOTHING_PUSHED);
    store.writeModule(SHA256, BYTES);
    store.writeState('auth', STATE);
    assert.deepEqual(store.readModule(SHA256), BYTES);
    assert.deepEqual(store.readState('auth'), STATE);
  });

  it('refuses what is damaged, by its name', () => {
    const { dir, store } = newStore();
    store.writeModule(SHA256, BYTES);
    store.writeState('auth', STATE);
    writeFileSync(join(dir, 'modules', `${SHA256}.wasm`), 'other bytes');
    assert.throws(() => store.readModule(SHA256), withCode('GW_PLUGIN_STORE', /\.wasm is damaged/));
    const text = JSON.stringify({ format: 2, ...STATE });
    for (const bad of [
      '',
      text.slice(0, -1),
      text.replace('"format":2', '"format":3'),
      text.replace('"format":2', '"format":1'),
      text.replace('endedCanaries', 'lastCanary'),
      text.replace(SHA256, '../x'),
      text.replace('0.05', '1'),
      text.replace('rolled-back', 'gone'),
      text.replace('"pushedMs":1', '"pushedMs":"1"'),
    ]) {
      writeFileSync(join(dir, 'state', 'auth.json'), bad);
      assert.throws(() => store.readState('auth'), withCode('GW_PLUGIN_STORE', /auth\.json is/));
    }
  });

  it('reads a state of the format before, which had the last canary alone', () => {
    const { dir, store } = newStore();
    store.writeState('auth', NOTHING_PUSHED);
    const { versions, canary, endedCanaries } = STATE;
    for (const lastCanary of [endedCanaries[1]!, null]) {
      const text = JSON.stringify({ format: 1, versions, canary, lastCanary });
      writeFileSync(join(dir, 'state', 'auth.json'), text);
      const expected = lastCanary === null ? [] : [lastCanary];
      assert.deepEqual(store.readState('auth'), { ...STATE, endedCanaries: expected });
    }
  });

  it('keeps what a state or the configuration names, and nothing else', () => {
    const { dir, store } = newStore();
    const named = ['1', '2', '3', '4'].map((text) => new TextEncoder().encode(text));
    for (const bytes of [BYTES, ...named]) store.writeModule(sha256Of(bytes), bytes);
    writeFileSync(join(dir, 'modules', `${SHA256}.wasm.7.temporary`), 'half');
    writeFileSync(join(dir, 'modules', 'theirs.wasm'), 'of somebody else');
    store.writeState('auth', {
      versions: [{ sha256: sha256Of(named[0]!), pushedMs: 1 }],
      canary: { sha256: sha256Of(named[1]!), pushedMs: 2, share: 0.5 },
      endedCanaries: [],
    });
    store.collect(new Set([sha256Of(named[2]!)]));
    const kept = named.slice(0, 3).map((bytes) => `${sha256Of(bytes)}.wasm`);
    const left = readdirSync(join(dir, 'modules')).sort();
    assert.deepEqual(left, [...kept, 'theirs.wasm'].sort());
    writeFileSync(join(dir, 'state', 'auth.json'), 'damaged');
    store.collect(new Set());
    assert.equal(readdirSync(join(dir, 'modules')).length, 4);
  });

  it('says which file cannot be written, and keeps the one before', () => {
    const { dir, store } = newStore();
    store.writeState('auth', STATE);
    const temporary = join(dir, 'state', `auth.json.${process.pid}.temporary`);
    mkdirSync(temporary);
    assert.throws(
      () => store.writeState('auth', NOTHING_PUSHED),
      withCode('GW_PLUGIN_STORE', /auth\.json: EISDIR/),
    );
    assert.deepEqual(store.readState('auth'), STATE);
    store.writeState('auth', NOTHING_PUSHED);
    assert.deepEqual(store.readState('auth'), NOTHING_PUSHED);
  });
});

describe('a module from a url', () => {
  async function served(listener: RequestListener) {
    const server = createServer(listener);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    after(() => server.closeAllConnections());
    after(() => server.close());
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  const configOf = (url: string) => ({ file: '', url, sha256: SHA256 }) as PluginConfig;

  it('is fetched over redirects and failures, and then never again', async () => {
    let count = 0;
    const url = await served(({ url: path }, response) => {
      count += 1;
      if (path === '/old') response.writeHead(302, { location: '/new' }).end();
      else if (count < 3) response.writeHead(503).end();
      else response.end(BYTES);
    });
    const { store } = newStore();
    const fetched = await configuredModule(configOf(`${url}/old`), store);
    assert.deepEqual(fetched, { bytes: BYTES, isKept: false });
    assert.equal(count, 4);
    store.writeModule(SHA256, BYTES);
    const kept = await configuredModule(configOf('http://127.0.0.1:1/gone'), store);
    assert.deepEqual(kept, { bytes: BYTES, isKept: true });
  });

  it('is fetched again where what was kept is damaged', async () => {
    // A damaged copy refused the start, though the URL had the module.
    const url = await served((_request, response) => void response.end(BYTES));
    const { dir, store } = newStore();
    store.writeModule(SHA256, BYTES);
    writeFileSync(join(dir, 'modules', `${SHA256}.wasm`), 'other bytes');
    const fetched = await configuredModule(configOf(url), store);
    assert.deepEqual(fetched, { bytes: BYTES, isKept: false });
  });

  it('is refused when it is not there, too large or does not come', async () => {
    const piece = Buffer.alloc(1_048_576);
    const url = await served(({ url: path }, response) => {
      if (path !== '/large') {
        response.writeHead(path === '/none' ? 404 : 500).end();
        return;
      }
      const more = () => {
        while (!response.destroyed && response.write(piece));
      };
      response.on('drain', more);
      more();
    });
    const { store } = newStore();
    for (const [path, code, detail] of [
      ['/none', 'GW_PLUGIN_FILE', /status 404, expected 200/],
      ['/failing', 'GW_PLUGIN_FILE', /status 500/],
      ['/large', 'GW_PLUGIN_LIMIT', /the limit is 67108864/],
    ] as const) {
      await assert.rejects(configuredModule(configOf(url + path), store), withCode(code, detail));
    }
    const refused = configuredModule(configOf('http://127.0.0.1:1/'), store);
    await assert.rejects(refused, withCode('GW_PLUGIN_FILE', /127\.0\.0\.1:1/));
  });
});
