import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { getEnvironmentData } from 'node:worker_threads';
import { loadAddon, provideAddon, UWS_ADDON } from '../../host/core/index.ts';
import { uwsAddonPath } from '../../scripts/binary/bundle.ts';
import { assertCarrier } from '../../scripts/binary/executable.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-parts-'));
after(() => rmSync(folder, { recursive: true }));

describe('the addon of the standalone binary', () => {
  it('is asked for only after it was provided', () => {
    assert.throws(() => loadAddon(UWS_ADDON), { code: 'GW_INTERNAL' });
  });

  it('goes into the first folder that takes it and leaves nothing there', () => {
    const missing = join(folder, 'missing');
    const bytes = readFileSync(uwsAddonPath());
    provideAddon(UWS_ADDON, bytes, [missing, folder]);
    assert.deepEqual(readdirSync(folder), []);
    const path = getEnvironmentData('sluice:uws.node') as string;
    assert.match(path, /^\/proc\/self\/fd\/\d+$/);
    assert.ok(readFileSync(path).equals(bytes));
    const addon = loadAddon(UWS_ADDON) as { App: unknown };
    assert.equal(typeof addon.App, 'function');
  });

  it('is refused with the words of every folder when none takes it', () => {
    const first = join(folder, 'first-missing');
    const second = join(folder, 'a-file');
    writeFileSync(second, '');
    assert.throws(() => provideAddon(UWS_ADDON, new Uint8Array(10), [first, second]), {
      code: 'GW_LISTEN',
      message: /set TMPDIR to one that may hold.*first-missing: ENOENT.*a-file: ENOTDIR/,
    });
    rmSync(second);
  });

  it('that is no program is refused with the words of the dynamic linker', () => {
    provideAddon(UWS_ADDON, Buffer.from('not a shared object at all, long enough to be read'), [
      folder,
    ]);
    assert.deepEqual(readdirSync(folder), []);
    assert.throws(() => loadAddon(UWS_ADDON), {
      code: 'GW_LISTEN',
      message: /cannot load the uWebSockets addon: .*\/proc\/self\/fd\/\d+/,
    });
  });
});

describe('a node that is to carry the program', () => {
  const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

  it('is refused by name when its program lies in libnode.so', () => {
    const path = join(folder, 'stub-node');
    writeFileSync(path, 'a small program that only loads libnode.so');
    chmodSync(path, 0o755);
    assert.throws(
      () => assertCarrier(path),
      /stub-node cannot carry a program: it has no NODE_SEA/,
    );
  });

  it('is refused by name when it already carries one', () => {
    const path = join(folder, 'full-node');
    writeFileSync(path, `x${fuse}:1y`);
    assert.throws(() => assertCarrier(path), /full-node already carries a program/);
    writeFileSync(path, `x${fuse}:0y`);
    assert.doesNotThrow(() => assertCarrier(path));
  });
});
