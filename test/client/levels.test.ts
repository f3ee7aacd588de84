// The levels of the loader, in order, each switched off in turn: what serves, and what is noted.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { LevelSwitches, Loader, LoaderStorage } from '../../client/api.ts';
import { memoryStorage } from '../../client/memory-storage.ts';
import { builtInOf, script, testLoader } from '../support/loader.ts';
import { type OriginOptions, ReleaseOrigin } from '../support/release-origin.ts';
import { ReleaseShelf, sha256, type TestFiles } from '../support/release-shelf.ts';

const shelf = new ReleaseShelf();
const one = shelf.publish('app', { 'main.js': script(1), 'lib/a.js': 'a', 'same.txt': 'same' });
let first: ReleaseOrigin;
let second: ReleaseOrigin;

before(async () => {
  first = await ReleaseOrigin.open(shelf);
  second = await ReleaseOrigin.open(shelf);
});
after(async () => {
  await first.close();
  await second.close();
});

function loaderWith(
  storage: LoaderStorage,
  levels: Partial<LevelSwitches> = {},
  hasBuiltIn: 'built-in' | 'none' = 'built-in',
): Loader {
  return testLoader(shelf, {
    origins: [first.url, second.url],
    storage,
    levels,
    builtIn: hasBuiltIn === 'built-in' ? { app: builtInOf(one) } : {},
  });
}

async function text(loader: Loader, path: string): Promise<string> {
  return Buffer.from(await loader.get(path)).toString('utf8');
}

describe('the levels of the loader', () => {
  it('opens the built-in release without any network', async () => {
    const loader = testLoader(shelf, { origins: [], builtIn: { app: builtInOf(one) } });
    const [open] = await loader.start();
    assert.deepEqual([open?.source, open?.version], ['builtIn', '1.1.0']);
    assert.equal(await text(loader, 'lib/a.js'), 'a');
    const response = await loader.getResponse('main.js');
    assert.equal(response.headers.get('content-type'), 'text/javascript; charset=utf-8');
    await assert.rejects(loader.get('nothing.js'), { code: 'LOADER_NOT_FOUND' });
    await loader.close();
    await assert.rejects(loader.get('main.js'), { code: 'LOADER_CLOSED' });
  });

  it('says so when there is nothing to open', async () => {
    const loader = testLoader(shelf, { origins: [] });
    assert.deepEqual(await loader.start(), []);
    await assert.rejects(loader.get('main.js'), { code: 'LOADER_NO_RELEASE' });
    const [update] = await loader.update();
    assert.equal(update?.status, 'failed');
    await loader.close();
  });

  it('opens the built-in release with every level off', async () => {
    const off = { memory: false, disk: false, delta: false, full: false };
    const loader = loaderWith(memoryStorage(), { ...off, origins: false, lastGood: false });
    const [open] = await loader.start();
    assert.equal(open?.source, 'builtIn');
    assert.deepEqual(await loader.get('main.js'), new Uint8Array(script(1)));
    await loader.close();
  });
});

describe('an update', () => {
  const two = { 'main.js': script(2), 'lib/a.js': 'b', 'same.txt': 'same' };

  before(() => {
    shelf.publish('app', two);
  });

  it('comes by delta from what is built in, and stays', async () => {
    const storage = memoryStorage();
    const loader = loaderWith(storage);
    await loader.start();
    const progress: number[] = [];
    loader.on('progress', ({ bytesReceived }) => progress.push(bytesReceived));
    const [update] = await loader.update();
    assert.equal(update?.status, 'updated', update?.error?.message);
    assert.equal(first.count(/main\.js\?base=/), 1);
    assert.equal(first.count(/main\.js$/), 0);
    assert.equal(first.count(/same\.txt/), 0);
    assert.ok(progress.at(-1)! > 0 && progress.at(-1)! < script(2).length / 4);
    assert.deepEqual(await loader.get('main.js'), new Uint8Array(script(2)));
    await loader.confirm();
    await loader.close();
    const later = loaderWith(storage, {}, 'none');
    const [open] = await later.start();
    assert.deepEqual([open?.source, open?.version], ['current', '1.2.0']);
    const asked = first.requests.length;
    assert.equal(await text(later, 'same.txt'), 'same');
    assert.equal(first.requests.length, asked);
    await later.close();
  });

  const cases: readonly (readonly [string, Partial<LevelSwitches>, RegExp])[] = [
    ['memory', { memory: false }, /main\.js\?base=/],
    ['disk', { disk: false }, /main\.js\?base=/],
    ['delta', { delta: false }, /main\.js$/],
    ['full', { full: false }, /main\.js\?base=/],
    ['origins', { origins: false }, /main\.js\?base=/],
    ['lastGood', { lastGood: false }, /main\.js\?base=/],
    ['memory and disk', { memory: false, disk: false }, /main\.js\?base=/],
  ];
  for (const [name, levels, pattern] of cases) {
    it(`comes with ${name} off`, async () => {
      const before = first.count(pattern);
      const loader = loaderWith(memoryStorage(), levels);
      await loader.start();
      const [update] = await loader.update();
      assert.equal(update?.status, 'updated', update?.error?.message);
      assert.ok(first.count(pattern) > before);
      assert.deepEqual(await loader.get('main.js'), new Uint8Array(script(2)));
      await loader.close();
    });
  }

  it('is not possible with delta and full off, and says why', async () => {
    const loader = loaderWith(memoryStorage(), { delta: false, full: false });
    await loader.start();
    const [update] = await loader.update();
    assert.equal(update?.status, 'failed');
    assert.match(update?.error?.message ?? '', /the full level is off/);
    assert.equal(loader.release()?.source, 'builtIn');
    await loader.close();
  });

  it('comes from the second origin when the first is down, and says so', async () => {
    first.options = { fault: () => ({ kind: 'refuse' }) };
    const loader = loaderWith(memoryStorage());
    await loader.start();
    const [update] = await loader.update();
    first.options = {};
    assert.equal(update?.status, 'updated', update?.error?.message);
    const noted = loader.trail().filter(({ origin }) => origin === first.url);
    assert.ok(noted.length > 0);
    assert.ok(noted.every(({ failure, code }) => failure === 'network' && code !== undefined));
    await loader.close();
  });

  it('takes the whole when there is no delta, and says so', async () => {
    first.options = {
      fault: ({ base }) => (base === null ? null : { kind: 'status', status: 404 }),
    };
    const loader = loaderWith(memoryStorage());
    await loader.start();
    const [update] = await loader.update();
    first.options = {};
    assert.equal(update?.status, 'updated');
    const noted = loader.trail().filter(({ level }) => level === 'delta');
    assert.deepEqual([...new Set(noted.map(({ code }) => code))], ['LOADER_DELTA']);
    await loader.close();
  });

  it('takes the last good release when the current one is damaged', async () => {
    const storage = memoryStorage();
    const loader = loaderWith(storage);
    await loader.start();
    await loader.update();
    await loader.confirm();
    shelf.publish('app', { ...two, 'main.js': script(3) });
    await loader.update();
    await loader.close();
    const three = shelf.newest('app')!;
    const files = JSON.parse(
      Buffer.from(JSON.parse(Buffer.from(three.manifest).toString()).payload, 'base64').toString(),
    ).files as { path: string; sha256: string; sizeBytes: number }[];
    const main = files.find(({ path }) => path === 'main.js')!;
    const rotten = new Uint8Array(main.sizeBytes);
    await storage.write(main.sha256, rotten);
    const again = loaderWith(storage);
    const [open] = await again.start();
    assert.deepEqual([open?.source, open?.version], ['lastGood', '1.2.0']);
    const noted = again.trail().map(({ level, code }) => `${level} ${code}`);
    assert.deepEqual(noted, ['disk LOADER_HASH', 'current LOADER_DISK']);
    // And the next update mends it.
    const [update] = await again.update();
    assert.equal(update?.status, 'updated', update?.error?.message);
    assert.deepEqual(await again.get('main.js'), new Uint8Array(script(3)));
    await again.close();
    const off = loaderWith(storage, { lastGood: false });
    assert.equal((await off.start())[0]?.source, 'current');
    await off.close();
  });
});

describe('the base of a delta', () => {
  const named = (version: number): TestFiles => ({
    [`app.${version}f2a.js`]: script(version),
    [`assets/chunk-${version}1b9c3d4.js`]: script(version + 20, 200),
  });

  async function updated(more: Partial<OriginOptions>, versions: readonly number[]) {
    const shelf = new ReleaseShelf();
    const origin = await ReleaseOrigin.open(shelf, more);
    const storage = memoryStorage();
    const trails: string[] = [];
    const builtIn = shelf.publish('app', named(versions[0]!));
    for (const version of versions.slice(1)) {
      const release = shelf.publish('app', named(version));
      origin.requests.length = 0;
      const loader = testLoader(shelf, {
        origins: [origin.url],
        storage,
        builtIn: { app: builtInOf(builtIn) },
      });
      await loader.start();
      assert.equal((await loader.update())[0]?.status, 'updated');
      for (const [path, bytes] of release.files) {
        assert.deepEqual(await loader.get(path), new Uint8Array(bytes));
      }
      trails.push(...loader.trail().map(({ level, code }) => `${level} ${code}`));
      await loader.confirm();
      await loader.close();
    }
    await origin.close();
    const asked = origin.requests.filter(({ path }) => /\/v\//.test(path));
    return { asked, trails, releases: shelf.releases };
  }

  it('is found although names hold hashes', async () => {
    // Only the same path was a base: what builds name by its hash came whole each time, although
    // publishing had made the delta.
    const { asked, trails, releases } = await updated({}, [1, 2]);
    const old = [...releases[0]!.files.values()].map((bytes) => [sha256(bytes)]);
    assert.deepEqual(asked.map(({ bases }) => bases).sort(), old.sort());
    assert.deepEqual(trails, []);
  });

  it('that the origin has no delta from costs no request of its own', async () => {
    // Each file took two requests: one for a delta that was not there, and one for the whole.
    const { asked, trails } = await updated({ hasDelta: () => false }, [1, 2]);
    assert.equal(asked.length, 2);
    assert.deepEqual(trails, ['delta LOADER_DELTA', 'delta LOADER_DELTA']);
  });

  it('may be the second of two, in one request', async () => {
    const builtIn = [script(1), script(21, 200)].map(sha256);
    const { asked, trails } = await updated(
      { hasDelta: (base) => builtIn.includes(base) },
      [1, 2, 3],
    );
    assert.deepEqual(
      asked.map(({ bases }) => bases.length),
      [2, 2],
    );
    assert.deepEqual(trails, []);
  });

  it('is passed over by a gateway that knows no other way, and the whole comes then', async () => {
    const { asked } = await updated({ isOld: true, hasDelta: () => false }, [1, 2]);
    assert.deepEqual(asked.map(({ bases }) => bases.length).sort(), [0, 0, 1, 1]);
  });
});
