// Packed channels: one tar, one delta, and a reader that takes nothing but what was packed.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Loader, LoaderStorage } from '../../client/api.ts';
import { memoryStorage } from '../../client/memory-storage.ts';
import { cutContents, fillContents, readTar, writeTar } from '../../client/tar.ts';
import { writePack } from '../../host/distribution/pack.ts';
import { builtInOf, script, testLoader } from '../support/loader.ts';
import { ReleaseOrigin } from '../support/release-origin.ts';
import {
  makeTar,
  ReleaseShelf,
  sha256,
  type TestFiles,
  tarHeader,
} from '../support/release-shelf.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';

const long = `${'deep/'.repeat(30)}ünïcode.js`;

function filesOf(version: number): TestFiles {
  const parts = Array.from({ length: 30 }, (_, index) => {
    return [`parts/${index}.js`, script(index % 10 === 0 ? version * 100 + index : index, 40)];
  });
  return { ...Object.fromEntries(parts), 'main.js': script(version), [long]: 'x', empty: '' };
}

describe('a packed channel', () => {
  const shelf = new ReleaseShelf();
  let origin: ReleaseOrigin;
  before(async () => {
    origin = await ReleaseOrigin.open(shelf);
  });
  after(async () => {
    await origin.close();
  });

  function open(storage: LoaderStorage): Loader {
    return testLoader(shelf, { origins: [origin.url], storage });
  }

  async function checkFiles(loader: Loader): Promise<void> {
    for (const [path, bytes] of shelf.newest('app')!.files) {
      assert.deepEqual(await loader.get(path), new Uint8Array(bytes), path);
    }
  }

  it('comes whole first and then by one delta, from a pack that was never kept', async () => {
    const storage = memoryStorage();
    shelf.publish('app', filesOf(1), { isPacked: true });
    const first = open(storage);
    await first.start();
    assert.equal((await first.update())[0]?.status, 'updated');
    await checkFiles(first);
    assert.equal(origin.count(/pack/), 1);
    assert.equal(origin.count(/\/v\//), 0);
    await first.close();
    for (let version = 2; version <= 3; version += 1) {
      const before = origin.requests.length;
      const two = shelf.publish('app', filesOf(version), { isPacked: true });
      const again = open(storage);
      await again.start();
      assert.equal((await again.update())[0]?.status, 'updated');
      await checkFiles(again);
      const asked = origin.requests.slice(before).filter(({ path }) => /pack|\/v\//.test(path));
      assert.deepEqual(
        asked.map(({ path }) => path),
        [`/app/pack/${two.version}`],
      );
      assert.notEqual(asked[0]?.base, null);
      assert.deepEqual(again.trail(), []);
      await again.close();
    }
  });

  it('of small files comes as one, whatever the headers of a tar take', async () => {
    // A tar has 512 bytes and more for each file, so "single files are less than half" was true of
    // every channel of small files: 300 of them came in 300 requests.
    const small = (version: number): TestFiles => {
      const each = Array.from({ length: 300 }, (_, index) => [`i/${index}.svg`, `<svg ${index}/>`]);
      return { ...Object.fromEntries(each), 'a.txt': `${version}` };
    };
    shelf.publish('app', small(1), { isPacked: true });
    origin.requests.length = 0;
    const loader = open(memoryStorage());
    await loader.start();
    assert.equal((await loader.update())[0]?.status, 'updated');
    await checkFiles(loader);
    assert.equal(origin.count(/pack/), 1);
    assert.equal(origin.count(/\/v\//), 0);
    await loader.close();
  });

  it('brings its idle files along', async () => {
    shelf.publish(
      'app',
      { ...filesOf(20), 'later.js': { bytes: script(21), priority: 'idle' } },
      { isPacked: true },
    );
    origin.requests.length = 0;
    const loader = open(memoryStorage());
    await loader.start();
    await loader.update();
    await loader.idle();
    await loader.close();
    assert.equal(origin.count(/\/v\//), 0);
  });

  it('that is built in is the base of the first update', async () => {
    // Only a pack that had come over the network was a base: the first update of each app, and
    // each after one that came as single files, took the whole.
    const builtIn = shelf.publish('app', filesOf(30), { isPacked: true });
    const two = shelf.publish('app', filesOf(31), { isPacked: true });
    origin.requests.length = 0;
    const loader = testLoader(shelf, {
      origins: [origin.url],
      storage: memoryStorage(),
      builtIn: { app: builtInOf(builtIn) },
    });
    await loader.start();
    assert.equal((await loader.update())[0]?.status, 'updated');
    await checkFiles(loader);
    const asked = origin.requests.filter(({ path }) => /pack|\/v\//.test(path));
    assert.deepEqual(
      asked.map(({ path, base }) => [path, base]),
      [[`/app/pack/${two.version}`, sha256(builtIn.pack!)]],
    );
    assert.deepEqual(loader.trail(), []);
    await loader.close();
  });

  it('that fails comes as single files, which are not asked for by delta', async () => {
    // Publishing makes no deltas of a packed channel's files: each was a request for nothing.
    const storage = memoryStorage();
    origin.options = { fault: ({ path }) => (/pack/.test(path) ? { kind: 'cut' } : null) };
    for (const version of [40, 41]) {
      shelf.publish('app', filesOf(version), { isPacked: true });
      const loader = open(storage);
      await loader.start();
      assert.equal((await loader.update())[0]?.status, 'updated');
      await checkFiles(loader);
      await loader.close();
    }
    assert.equal(origin.count(/\/v\/.*base=/), 0);
    origin.options = {};
    const three = shelf.publish('app', filesOf(42), { isPacked: true });
    origin.requests.length = 0;
    const loader = open(storage);
    await loader.start();
    assert.equal((await loader.update())[0]?.status, 'updated');
    await loader.close();
    const asked = origin.requests.filter(({ path }) => /pack|\/v\//.test(path));
    assert.equal(asked.length, 1);
    assert.notEqual(asked[0]?.base, null, `the pack of ${three.version} came whole`);
  });

  it('takes single files when the pack does not hold what was signed', async () => {
    const wrong = makeTar([{ path: 'other.js', bytes: Buffer.from('other') }]);
    const { createHash } = await import('node:crypto');
    const pack = {
      sha256: createHash('sha256').update(wrong).digest('hex'),
      sizeBytes: wrong.length,
    };
    const release = shelf.publish('app', filesOf(7), {
      alter: (document) => Object.assign(document, { pack }),
    });
    Object.assign(release, { pack: wrong });
    const loader = open(memoryStorage());
    await loader.start();
    assert.equal((await loader.update())[0]?.status, 'updated');
    await checkFiles(loader);
    assert.ok(loader.trail().some(({ code, what }) => code === 'LOADER_PACK' && what === 'pack'));
    await loader.close();
  });

  it('takes single files when the pack is broken', async () => {
    shelf.publish('app', filesOf(8), { isPacked: true });
    origin.options = { fault: ({ path }) => (/pack/.test(path) ? { kind: 'cut' } : null) };
    const loader = open(memoryStorage());
    await loader.start();
    assert.equal((await loader.update())[0]?.status, 'updated');
    await checkFiles(loader);
    await loader.close();
  });
});

describe('the tar reader', () => {
  const files = [
    { path: 'a.js', bytes: Buffer.from('one') },
    { path: 'b/empty', bytes: Buffer.alloc(0) },
    { path: 'c/block', bytes: Buffer.alloc(512, 7) },
    { path: long, bytes: Buffer.from('long') },
  ];
  const tar = makeTar(files);
  const refused = (bytes: Uint8Array): void => {
    assert.throws(() => readTar(bytes, 'kept'), { code: 'LOADER_PACK' });
  };

  it('finds every file, and makes the tar again from its skeleton', async () => {
    const entries = readTar(tar, 'kept');
    assert.deepEqual(
      entries.map(({ path, offset, sizeBytes }) => {
        return { path, bytes: Buffer.from(tar.subarray(offset, offset + sizeBytes)) };
      }),
      files,
    );
    const skeleton = cutContents(tar, entries);
    const read = async ({ path }: { readonly path: string }) => {
      return files.find((file) => file.path === path)?.bytes ?? null;
    };
    assert.deepEqual(Buffer.from((await fillContents(skeleton, read))!), Buffer.from(tar));
    assert.equal(await fillContents(skeleton, async () => null), null);
  });

  it('writes what the publisher writes', async () => {
    const paths = [long, 'a.js', `${'p'.repeat(96)}.txt`, `${'p'.repeat(97)}.txt`, 'ä'].sort();
    const all = paths.map((path, index) => ({ path, bytes: Buffer.alloc(index * 300, index) }));
    const sized = all.map(({ path, bytes }) => ({ path, sizeBytes: bytes.length }));
    const read = async (path: string) => all.find((one) => one.path === path)?.bytes ?? null;
    assert.deepEqual(Buffer.from((await writeTar(sized, read))!), Buffer.from(writePack(all)));
    assert.equal(await writeTar(sized, async () => null), null);
  });

  it('takes links, devices, folders, and other oddities for no pack', () => {
    for (const type of ['1', '2', '3', '4', '5', '6', '7', 'g', 'L', 'S']) {
      refused(Buffer.concat([tarHeader('a', type, 0), Buffer.alloc(1_024)]));
    }
    const twice = Buffer.concat([
      tarHeader('p', 'x', 9),
      Buffer.alloc(512),
      tarHeader('p', 'x', 9),
    ]);
    refused(Buffer.concat([twice, Buffer.alloc(2_048)]));
    const other = Buffer.alloc(512);
    other.write('11 mtime=0\n');
    refused(
      Buffer.concat([tarHeader('p', 'x', 11), other, tarHeader('a', '0', 0), Buffer.alloc(1_024)]),
    );
    refused(Buffer.concat([tarHeader('a', '0', 10), Buffer.alloc(512, 1), Buffer.alloc(1_024)]));
    refused(Buffer.concat([tarHeader('a', '0', 2 ** 32), Buffer.alloc(1_024)]));
    refused(Buffer.concat([tar, Buffer.from('tail')]));
    refused(Buffer.concat([tar, Buffer.alloc(512, 1)]));
    refused(tar.subarray(0, -512));
    refused(new Uint8Array(0));
  });

  it('fails in one way, whatever bytes come', () => {
    let state = testSeed('client tar');
    const random = (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const until = Date.now() + FUZZ_TIME_MS;
    let readCount = 0;
    while (Date.now() < until) {
      const bytes = Buffer.from(tar);
      for (let change = random(4); change >= 0; change -= 1) {
        bytes[random(bytes.length)] = random(256);
      }
      const cut = random(4) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
      for (const contents of ['kept', 'cut'] as const) {
        try {
          const entries = readTar(cut, contents);
          for (const { offset, sizeBytes } of entries) {
            assert.ok(contents === 'cut' || offset + sizeBytes <= cut.length);
          }
          readCount += 1;
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'LOADER_PACK', String(error));
        }
      }
    }
    assert.ok(readCount > 0);
  });
});
