// The loader against a whole gateway: its publisher, its heads, its deltas, its outcomes.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Loader } from '../../client/api.ts';
import { loadDecoder } from '../../client/decoder.ts';
import { openLoader } from '../../client/loader.ts';
import { memoryStorage } from '../../client/memory-storage.ts';
import type { Bytes } from '../../client/model.ts';
import { nodeFetch } from '../../client/node-fetch.ts';
import { fileStorage } from '../../client/node-storage.ts';
import { script, TestStore } from '../support/distribution.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';

const CHANNELS = ['app', 'maps'];

describe('the loader through a gateway', () => {
  let store: TestStore;
  let gateway: GatewayProcess;
  let folder: string;
  const sent: string[] = [];

  before(async () => {
    store = await TestStore.create();
    folder = mkdtempSync(join(tmpdir(), 'loader-gateway-'));
    await store.publish({
      version: '1.0.0',
      files: { 'main.js': script(1), 'a b+ü.txt': 'x', 'app.3f2a.js': script(8) },
    });
    await store.publish({
      channel: 'maps',
      version: '7',
      files: { 'one.bin': script(3), 'two.bin': script(4) },
      isPacked: true,
    });
    gateway = await startGateway({
      config: {
        distribution: {
          dir: store.dir,
          headKey: store.keyFile('head'),
          signingKey: store.keyFile('release'),
        },
        routes: [{ name: 'resources', match: { path: '/r/*' }, distribution: {} }],
      },
    });
  });
  after(async () => {
    await gateway.stop();
    store.remove();
    rmSync(folder, { recursive: true });
  });

  function open(channels: readonly string[] = CHANNELS): Loader {
    const wasm = new Uint8Array(readFileSync('build/decoder.wasm')) as Bytes;
    const asking: typeof fetch = (input, init) => {
      sent.push(String(input).slice(gateway.url.length));
      return nodeFetch(input, init);
    };
    return openLoader(
      {
        channels,
        origins: [`${gateway.url}/r`],
        trustRoot: readFileSync(join(store.dir, 'roots/1.json')),
        storage: fileStorage(folder),
        device: { id: 'device-1', appVersion: '1.0.0', platform: 'test' },
        fetch: asking,
      },
      { storage: memoryStorage, decoder: () => loadDecoder(wasm), fetch: nodeFetch },
    );
  }

  it('brings releases, single files and packed, and reports', async () => {
    const loader = open();
    await loader.start();
    const updates = await loader.update();
    for (const { status, error } of updates) assert.equal(status, 'updated', error?.message);
    await loader.confirm();
    assert.equal(Buffer.from(await loader.get('main.js')).toString(), script(1));
    assert.equal(Buffer.from(await loader.get('a b+ü.txt')).toString(), 'x');
    const map = await loader.get('two.bin', { channel: 'maps' });
    assert.equal(Buffer.from(map).toString(), script(4));
    await loader.idle();
    await loader.close();
    assert.deepEqual(loader.trail(), []);
  });

  it('takes a packed channel of 300 small files in a handful of requests', async () => {
    // It came as 300 single files, and the next release asked for 300 deltas that nobody had made.
    const icons = (version: number) => {
      const each = Array.from({ length: 300 }, (_, index) => [
        `icons/${index}.svg`,
        `<svg><path d="M${index * 7} ${index < 20 ? version : 0}h9v9z"/></svg>`,
      ]);
      return Object.fromEntries(each) as Record<string, string>;
    };
    const channel = 'icons';
    await store.publish({ channel, version: '1', files: icons(1), isPacked: true });
    for (const version of ['1', '2']) {
      if (version === '2') await store.publish({ channel, version, files: icons(2) });
      const loader = open([channel]);
      await loader.start();
      for (let round = 0; round < 300 && loader.release()?.version !== version; round += 1) {
        sent.length = 0;
        const [update] = await loader.update();
        assert.notEqual(update?.status, 'failed', update?.error?.message);
        if (update?.status !== 'updated') await new Promise((resolve) => setTimeout(resolve, 100));
      }
      await loader.confirm();
      await loader.idle();
      for (const [path, text] of Object.entries(icons(Number(version)))) {
        assert.equal(Buffer.from(await loader.get(path)).toString(), text);
      }
      await loader.close();
      const contents = sent.filter((one) => /\/v\/|\/pack\//.test(one));
      assert.equal(contents.length, 1, contents.join('\n'));
      assert.match(contents[0]!, version === '1' ? /\/pack\/1$/ : /\/pack\/2\?base=/);
      // Root, check, manifest and pack; and reports, in one or more posts as time falls.
      const asked = sent.filter((one) => !one.endsWith('/outcomes'));
      assert.ok(asked.length <= 4 && sent.length <= 8, sent.join('\n'));
      assert.deepEqual(loader.trail(), []);
    }
  });

  it('comes to the next ones by deltas', async () => {
    await store.publish({
      version: '1.1.0',
      files: { 'main.js': script(2), 'a b+ü.txt': 'x', 'app.91bc.js': script(9) },
    });
    await store.publish({
      channel: 'maps',
      version: '8',
      files: { 'one.bin': script(5), 'two.bin': script(4) },
      isPacked: true,
    });
    sent.length = 0;
    const loader = open();
    await loader.start();
    for (let round = 0; round < 100; round += 1) {
      const updates = await loader.update();
      for (const { status, error } of updates) assert.notEqual(status, 'failed', error?.message);
      if (CHANNELS.every((one) => ['1.1.0', '8'].includes(loader.release(one)!.version))) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.equal(Buffer.from(await loader.get('main.js')).toString(), script(2));
    const map = await loader.get('one.bin', { channel: 'maps' });
    assert.equal(Buffer.from(map).toString(), script(5));
    await loader.confirm();
    await loader.idle();
    await loader.close();
    assert.deepEqual(loader.trail(), []);
    const contents = sent.filter((one) => /\/v\/|\/pack\//.test(one));
    assert.equal(contents.length, 3);
    for (const one of contents) assert.match(one, /\?base=[0-9a-f]{64}&else=whole$/);
  });
});
