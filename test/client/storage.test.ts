// What is kept: only what releases need, within its bound, shared between loaders, and on a disk
// that is full.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  promises,
  readdirSync,
  readlinkSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Loader, LoaderOptions, LoaderStorage } from '../../client/api.ts';
import { utf8 } from '../../client/bytes.ts';
import { memoryStorage } from '../../client/memory-storage.ts';
import { withLockFile } from '../../client/node-lock.ts';
import { fileStorage } from '../../client/node-storage.ts';
import { builtInOf, script, testLoader } from '../support/loader.ts';
import { ReleaseOrigin } from '../support/release-origin.ts';
import { ReleaseShelf, sha256, type TestRelease } from '../support/release-shelf.ts';

let shelf: ReleaseShelf;
let origin: ReleaseOrigin;
let builtIn: TestRelease;
let folder: string;

beforeEach(async () => {
  shelf = new ReleaseShelf();
  origin = await ReleaseOrigin.open(shelf);
  builtIn = shelf.publish('app', { 'main.js': script(1), 'a.txt': 'one' });
  folder = mkdtempSync(join(tmpdir(), 'loader-storage-'));
});
afterEach(async () => {
  await origin.close();
  rmSync(folder, { recursive: true });
});

function open(storage: LoaderStorage, more: Partial<LoaderOptions> = {}): Loader {
  return testLoader(shelf, {
    origins: [origin.url],
    storage,
    builtIn: { app: builtInOf(builtIn) },
    ...more,
  });
}

function contentOf({ manifest, files }: TestRelease): string[] {
  return [sha256(manifest), ...[...files.values()].map(sha256)];
}

describe('the storage', () => {
  it('keeps the current and the last good release, and nothing else', async () => {
    const storage = fileStorage(folder);
    const releases = [builtIn];
    for (let version = 2; version <= 5; version += 1) {
      releases.push(shelf.publish('app', { 'main.js': script(version), 'a.txt': `${version}` }));
      const loader = open(storage);
      await loader.start();
      assert.equal((await loader.update())[0]?.status, 'updated');
      if (version < 5) await loader.confirm();
      await loader.close();
    }
    const last = open(storage);
    await last.start();
    await last.update();
    await last.close();
    const kept = new Set([...contentOf(releases[3]!), ...contentOf(releases[4]!)]);
    assert.deepEqual((await storage.list()).sort(), [...kept].sort());
  });

  it('keeps what is open while somebody may read from it', async () => {
    const storage = fileStorage(folder);
    shelf.publish('app', { 'main.js': script(2), 'a.txt': 'two' });
    const loader = open(storage);
    await loader.start();
    await loader.update();
    shelf.publish('app', { 'main.js': script(3), 'a.txt': 'three' });
    await loader.update();
    const kept = new Set(await storage.list());
    for (const hash of contentOf(shelf.releases[1]!)) assert.ok(kept.has(hash));
    await loader.close();
  });

  it('takes no release that is more than its bound, and says the number', async () => {
    shelf.publish('app', { 'main.js': script(2), 'a.txt': 'two' });
    const loader = open(memoryStorage(), { limits: { storageSizeBytesMax: 1_000 } });
    await loader.start();
    const [update] = await loader.update();
    assert.equal(update?.error?.code, 'LOADER_LIMIT');
    assert.match(update?.error?.message ?? '', /1000/);
    await loader.close();
  });

  it('syncs a folder again for what was renamed while it was being synced', async () => {
    // A folder counted as synced from the end of its sync on, whatever had come in the meantime:
    // after a power cut the state named content that was not there.
    const { syncs, hold, restore } = await watchSyncs();
    try {
      const storage = fileStorage(folder);
      const [one, two] = [`ab${'1'.repeat(62)}`, `ab${'2'.repeat(62)}`];
      const at = join(folder, 'content', 'ab');
      await storage.write(one, utf8('one'));
      const holds = hold(at);
      const first = storage.writeState('names one');
      await holds.reached;
      await storage.write(two, utf8('two'));
      holds.release();
      await first;
      await storage.writeState('names two');
      assert.equal(syncs.filter((path) => path === at).length, 2);
    } finally {
      restore();
    }
  });

  it('keeps a folder for the next state when its sync fails', async () => {
    const { syncs, fail, restore } = await watchSyncs();
    try {
      const storage = fileStorage(folder);
      const at = join(folder, 'content', 'ab');
      await storage.write(`ab${'1'.repeat(62)}`, utf8('one'));
      fail(at);
      await assert.rejects(storage.writeState('names one'), /EIO/);
      await storage.writeState('names one');
      assert.equal(syncs.filter((path) => path === at).length, 2);
    } finally {
      restore();
    }
  });

  it('goes on from what an interrupted update has brought', async () => {
    const storage = fileStorage(folder);
    const files = Object.fromEntries(
      Array.from({ length: 20 }, (_, index) => [`part-${index}.js`, script(index + 50)]),
    );
    shelf.publish('app', files);
    const stop = new AbortController();
    const loader = open(storage, { limits: { concurrency: 1 } });
    await loader.start();
    loader.on('progress', ({ filesDone }) => {
      if (filesDone === 8) stop.abort();
    });
    await assert.rejects(loader.update({ signal: stop.signal }), { code: 'LOADER_ABORTED' });
    assert.equal(loader.release()?.version, '1.1.0');
    const asked = origin.count(/part-/);
    assert.ok(asked >= 8 && asked < 12, `${asked}`);
    assert.equal((await loader.update())[0]?.status, 'updated');
    assert.ok(origin.count(/part-/) - asked <= 12);
    await loader.close();
  });

  it('drops what an update left that never came to its end', async () => {
    const storage = fileStorage(folder);
    const two = shelf.publish('app', { 'main.js': script(2), 'a.txt': 'two', 'z.txt': 'never' });
    const loader = open(storage);
    await loader.start();
    origin.options = {
      fault: ({ path }) => (/z\.txt/.test(path) ? { kind: 'status', status: 403 } : null),
    };
    assert.equal((await loader.update())[0]?.status, 'failed');
    assert.ok((await storage.list()).includes(sha256(two.files.get('a.txt')!)));
    origin.options = {};
    const three = shelf.publish('app', { 'main.js': script(3), 'a.txt': 'three' });
    assert.equal((await loader.update())[0]?.status, 'updated');
    assert.deepEqual((await storage.list()).sort(), contentOf(three).sort());
    await loader.close();
  });

  it('counts the last good release, which must stay, into its bound', async () => {
    const storage = fileStorage(folder);
    const limits = { storageSizeBytesMax: Math.floor(script(2).length * 2.9) };
    for (const version of [2, 3]) {
      shelf.publish('app', { 'main.js': script(version) });
      const loader = open(storage, { limits });
      await loader.start();
      assert.equal((await loader.update())[0]?.status, 'updated');
      if (version === 2) await loader.confirm();
      await loader.close();
    }
    shelf.publish('app', { 'main.js': script(4) });
    const loader = open(storage, { limits });
    await loader.start();
    assert.equal((await loader.update())[0]?.error?.code, 'LOADER_LIMIT');
    // Confirmed, the second is the last good one, and the first goes.
    await loader.confirm();
    assert.equal((await loader.update())[0]?.status, 'updated');
    await loader.close();
  });

  it('serves two loaders at a time, which take turns', async () => {
    shelf.publish('app', { 'main.js': script(2), 'a.txt': 'two' });
    const loaders = [open(fileStorage(folder)), open(fileStorage(folder))];
    await Promise.all(loaders.map((loader) => loader.start()));
    const updates = await Promise.all(loaders.map((loader) => loader.update()));
    assert.deepEqual(
      updates.flat().map(({ status }) => status),
      ['updated', 'updated'],
    );
    for (const loader of loaders) {
      assert.deepEqual(await loader.get('main.js'), new Uint8Array(script(2)));
      await loader.close();
    }
    // The second found it there.
    assert.equal(origin.count(/\/v\//), 2);
  });
});

describe('the lock', () => {
  it('is taken over from a process that is gone, and not from one that lives', async () => {
    const path = join(folder, 'update.lock');
    mkdirSync(folder, { recursive: true });
    writeFileSync(path, String(spawnSync(process.execPath, ['-e', '0']).pid));
    assert.equal(await withLockFile(path, 0, async () => 'mine'), 'mine');
    writeFileSync(path, String(process.ppid));
    await assert.rejects(
      withLockFile(path, 0, async () => 'mine'),
      { code: 'LOADER_BUSY' },
    );
    // Its holder has not touched it for longer than any holder would.
    utimesSync(path, new Date(0), new Date(0));
    assert.equal(await withLockFile(path, 0, async () => 'mine'), 'mine');
    assert.deepEqual(readdirSync(join(folder, 'temporary')), []);
  });

  it('is held by one at a time', async () => {
    const path = join(folder, 'update.lock');
    let holderCount = 0;
    await Promise.all(
      Array.from({ length: 6 }, () => {
        return withLockFile(path, 10_000, async () => {
          holderCount += 1;
          assert.equal(holderCount, 1);
          await new Promise((resolve) => setTimeout(resolve, 5));
          holderCount -= 1;
        });
      }),
    );
  });
});

/** A storage whose n-th change finds no room, and every one after it. */
function fillingStorage(storage: LoaderStorage, changeCount: number): LoaderStorage {
  let left = changeCount;
  const spend = (): void => {
    left -= 1;
    if (left < 0) throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
  };
  return {
    ...storage,
    writeState: async (text) => {
      spend();
      await storage.writeState(text);
    },
    write: async (hash, bytes) => {
      spend();
      await storage.write(hash, bytes);
    },
  };
}

describe('a full disk', () => {
  it('at any change leaves what was there, and says so', async () => {
    shelf.publish('app', { 'main.js': script(2), 'a.txt': 'two' });
    for (let changeCount = 0; ; changeCount += 1) {
      const storage = memoryStorage();
      const loader = open(fillingStorage(storage, changeCount));
      await loader.start();
      const [update] = await loader.update();
      await loader.close();
      const isDone = update?.status === 'updated';
      const failure = update?.error?.failure;
      if (!isDone) assert.equal(failure, 'disk', `${changeCount}: ${update?.error?.message}`);
      const again = open(storage, { origins: [] });
      const [release] = await again.start();
      assert.equal(release?.version, isDone ? '1.2.0' : '1.1.0', `${changeCount} changes`);
      const expected = script(isDone ? 2 : 1);
      assert.deepEqual(await again.get('main.js'), new Uint8Array(expected));
      await again.close();
      if (isDone) break;
      assert.ok(changeCount < 20);
    }
  });

  it('of 96 KB takes no release of 400 KB, opens the old one, and recovers', async () => {
    // Mounting is root's; elsewhere the same disk is played by the storage.
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    const mount = ['-t', 'tmpfs', '-o', 'size=96k', 'tmpfs', disk];
    const isMounted = spawnSync('mount', mount).status === 0;
    try {
      shelf.publish('app', { 'main.js': script(2), 'a.txt': 'two' });
      const storage = fileStorage(disk);
      const loader = open(isMounted ? storage : fillingStorage(storage, 12));
      await loader.start();
      assert.equal((await loader.update())[0]?.status, 'updated');
      await loader.confirm();
      shelf.publish('app', { 'main.js': script(3, 6_000), 'a.txt': 'three' });
      const [update] = await loader.update();
      assert.equal(update?.error?.failure, 'disk');
      assert.deepEqual(await loader.get('main.js'), new Uint8Array(script(2)));
      await loader.close();
      const left = readdirSync(join(disk, 'temporary'));
      assert.deepEqual(left, []);
      shelf.publish('app', { 'main.js': script(4), 'a.txt': 'four' });
      const again = open(storage);
      assert.equal((await again.start())[0]?.version, '1.2.0');
      assert.equal((await again.update())[0]?.status, 'updated');
      assert.deepEqual(await again.get('main.js'), new Uint8Array(script(4)));
      await again.close();
    } finally {
      if (isMounted) spawnSync('umount', [disk]);
    }
  });
});

/** Watches each sync of a file or folder, and may hold one up or have it fail. */
async function watchSyncs() {
  const probe = await promises.open(folder, 'r');
  const prototype = Object.getPrototypeOf(probe) as { sync: () => Promise<void> };
  await probe.close();
  const real = prototype.sync;
  const syncs: string[] = [];
  let before = async (_path: string): Promise<void> => {};
  prototype.sync = async function (this: { readonly fd: number }) {
    const path = readlinkSync(`/proc/self/fd/${this.fd}`);
    syncs.push(path);
    await before(path);
    await real.call(this as never);
  };
  const once = (path: string, act: () => Promise<void>): void => {
    before = async (one) => {
      if (one !== path) return;
      before = async () => {};
      await act();
    };
  };
  const hold = (path: string) => {
    let reach = (): void => {};
    let release = (): void => {};
    const reached = new Promise<void>((resolve) => {
      reach = resolve;
    });
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    once(path, async () => {
      reach();
      await released;
    });
    return { reached, release };
  };
  const fail = (path: string): void => {
    once(path, async () => {
      throw new Error('EIO: the disk is gone');
    });
  };
  const restore = (): void => {
    prototype.sync = real;
  };
  return { syncs, hold, fail, restore };
}
