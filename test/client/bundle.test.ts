// The bundle for Node as it is shipped: one file, with the decoder inside. Needs `npm run build`.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import type * as Node from '../../client/node.ts';
import { script } from '../support/loader.ts';
import { ReleaseOrigin } from '../support/release-origin.ts';
import { ReleaseShelf } from '../support/release-shelf.ts';

describe('the bundle for Node', () => {
  it('updates by delta from a folder inside the app, standing alone', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'loader-bundle-'));
    const shelf = new ReleaseShelf();
    const origin = await ReleaseOrigin.open(shelf);
    try {
      // Elsewhere, so that nothing of this checkout is beside it.
      const bundle = join(folder, 'loader.mjs');
      writeFileSync(bundle, readFileSync('dist/client/sluice-loader.node.js'));
      const { createLoader, fileStorage, builtInFolder, isLoaderError }: typeof Node = await import(
        pathToFileURL(bundle).href
      );
      const one = shelf.publish('app', { 'main.js': script(1) });
      writeFileSync(join(folder, 'main.js'), script(1));
      writeFileSync(join(folder, 'manifest.json'), one.manifest);
      shelf.publish('app', { 'main.js': script(2) });
      const loader = createLoader({
        channels: ['app'],
        origins: [origin.url],
        trustRoot: shelf.trustRoot,
        builtIn: { app: builtInFolder(folder, join(folder, 'manifest.json')) },
        storage: fileStorage(join(folder, 'releases')),
      });
      assert.equal((await loader.start())[0]?.source, 'builtIn');
      assert.equal((await loader.update())[0]?.status, 'updated');
      assert.deepEqual(await loader.get('main.js'), new Uint8Array(script(2)));
      assert.equal(origin.count(/main\.js\?base=/), 1);
      assert.equal(origin.count(/main\.js$/), 0);
      assert.deepEqual(loader.trail(), []);
      await assert.rejects(loader.get('none'), (error) => isLoaderError(error));
      await loader.close();
    } finally {
      await origin.close();
      rmSync(folder, { recursive: true });
    }
  });

  it('has types that name what it exports', () => {
    const types = readFileSync('dist/client/types/client/node.d.ts', 'utf8');
    for (const name of ['createLoader', 'fileStorage', 'memoryStorage', 'builtInFolder']) {
      assert.match(types, new RegExp(`\\b${name}\\b`));
    }
    const bundle = readFileSync('dist/client/sluice-loader.browser.js', 'utf8');
    assert.doesNotMatch(bundle, /from ?"node:/);
  });
});
