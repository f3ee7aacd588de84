// Which release opens: crash loops, confirmation, the next start, newer built-in releases, and a
// state that is no state.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Loader, LoaderOptions, LoaderStorage } from '../../client/api.ts';
import { memoryStorage } from '../../client/memory-storage.ts';
import { builtInOf, clockAt, script, testLoader } from '../support/loader.ts';
import { ReleaseOrigin } from '../support/release-origin.ts';
import { ReleaseShelf, type TestRelease } from '../support/release-shelf.ts';

let shelf: ReleaseShelf;
let origin: ReleaseOrigin;
let storage: LoaderStorage;
let builtIn: TestRelease;

beforeEach(async () => {
  shelf = new ReleaseShelf();
  origin = await ReleaseOrigin.open(shelf);
  storage = memoryStorage();
  builtIn = shelf.publish('app', { 'main.js': script(1) });
});
afterEach(async () => {
  await origin.close();
});

function open(more: Partial<LoaderOptions> = {}): Loader {
  return testLoader(shelf, {
    origins: [origin.url],
    storage,
    builtIn: { app: builtInOf(builtIn) },
    ...more,
  });
}

/** One life of the app; `crashes` says whether it comes to confirm. */
async function live(
  does: 'crashes' | 'confirms',
  more: Partial<LoaderOptions> & { readonly update?: 'now' | 'next-start' } = {},
): Promise<string> {
  const { update, ...options } = more;
  const loader = open(options);
  const [release] = await loader.start();
  if (update !== undefined) await loader.update({ apply: update });
  if (does === 'confirms') await loader.confirm();
  await loader.idle();
  await loader.close();
  return `${release?.source} ${release?.version}`;
}

function outcomes(): string[] {
  return origin.outcomes.map((one) => {
    const { sequence, outcome, cause } = one as Record<string, unknown>;
    return `${sequence} ${outcome}${cause === undefined ? '' : ` ${cause}`}`;
  });
}

describe('a release that crashes', () => {
  it('is given up after three starts, reported, and not taken again', async () => {
    shelf.publish('app', { 'main.js': script(2) });
    await live('confirms', { update: 'now' });
    shelf.publish('app', { 'main.js': script(3) });
    assert.equal(await live('crashes', { update: 'next-start' }), 'current 1.2.0');
    assert.equal(await live('crashes'), 'current 1.3.0');
    assert.equal(await live('crashes'), 'current 1.3.0');
    assert.equal(await live('crashes'), 'current 1.3.0');
    origin.outcomes.length = 0;
    assert.equal(await live('crashes'), 'current 1.2.0');
    assert.deepEqual(outcomes(), ['3 failed crash']);
    const loader = open();
    await loader.start();
    const [update] = await loader.update();
    assert.deepEqual([update?.status, update?.version], ['failed', '1.3.0']);
    assert.equal(update?.error?.code, 'LOADER_CRASHED');
    assert.equal(loader.release()?.version, '1.2.0');
    shelf.publish('app', { 'main.js': script(4) });
    assert.equal((await loader.update())[0]?.status, 'updated');
    await loader.close();
  });

  it('counts the start in which it was swapped in', async () => {
    shelf.publish('app', { 'main.js': script(2) });
    const limits = { startsMax: 2 };
    assert.equal(await live('crashes', { update: 'now', limits }), 'builtIn 1.1.0');
    assert.equal(await live('crashes', { limits }), 'current 1.2.0');
    assert.equal(await live('crashes', { limits }), 'builtIn 1.1.0');
  });

  it('is good for ever once it was confirmed', async () => {
    shelf.publish('app', { 'main.js': script(2) });
    await live('confirms', { update: 'now' });
    for (let start = 0; start < 6; start += 1) assert.equal(await live('crashes'), 'current 1.2.0');
    assert.deepEqual(outcomes(), ['2 delivered', '2 applied', '2 opened']);
  });
});

describe('the start', () => {
  it('keeps what runs until the next one, when asked to', async () => {
    shelf.publish('app', { 'main.js': script(2) });
    const loader = open();
    await loader.start();
    const [update] = await loader.update({ apply: 'next-start' });
    assert.equal(update?.status, 'ready');
    assert.deepEqual(await loader.get('main.js'), new Uint8Array(script(1)));
    await loader.close();
    assert.equal(await live('confirms'), 'current 1.2.0');
  });

  it('prefers a built-in release that is newer than what was downloaded', async () => {
    const two = shelf.publish('app', { 'main.js': script(2) });
    await live('confirms', { update: 'now' });
    const three = shelf.publish('app', { 'main.js': script(3) });
    const newer = { builtIn: { app: builtInOf(three) } };
    assert.equal(await live('confirms', newer), 'builtIn 1.3.0');
    const older = shelf.head(two);
    origin.options = { answer: () => ({ status: 'update', head: older }) };
    const loader = open(newer);
    await loader.start();
    assert.equal((await loader.update())[0]?.status, 'failed');
    assert.ok(loader.trail().some(({ code }) => code === 'LOADER_OLDER'));
    await loader.close();
  });

  it('survives a state that is garbage, and says so', async () => {
    shelf.publish('app', { 'main.js': script(2) });
    await live('confirms', { update: 'now' });
    const good = (await storage.readState())!;
    for (const text of ['', 'x', good.slice(1), good.replace('"counter":', '"counter":1'), '\0']) {
      await storage.writeState(text);
      const loader = open();
      const [release] = await loader.start();
      assert.equal(release?.source, 'builtIn');
      assert.ok(loader.trail().some(({ level, what }) => level === 'disk' && what === 'state'));
      await loader.close();
    }
    await storage.writeState(good);
    assert.equal(await live('confirms'), 'current 1.2.0');
  });

  it('survives a storage that fails in everything, and says so', async () => {
    const fail = (): Promise<never> => Promise.reject(new Error('EIO'));
    const broken: LoaderStorage = {
      readState: fail,
      writeState: fail,
      read: fail,
      write: fail,
      missing: fail,
      remove: fail,
      list: fail,
      exclusive: fail,
    };
    shelf.publish('app', { 'main.js': script(2) });
    const loader = open({ storage: broken });
    assert.equal((await loader.start())[0]?.source, 'builtIn');
    assert.deepEqual(await loader.get('main.js'), new Uint8Array(script(1)));
    const [update] = await loader.update();
    assert.deepEqual([update?.status, update?.error?.failure], ['failed', 'disk']);
    assert.ok(loader.trail().every(({ detail }) => detail !== ''));
    await loader.close();
  });

  it('makes up an id once, where the app gives none', async () => {
    const ids: unknown[] = [];
    const asking: typeof fetch = async (input, init) => {
      const body = init?.body;
      if (String(input).endsWith('/check')) ids.push(JSON.parse(String(body)).device.id);
      return await fetch(input, init);
    };
    for (let life = 0; life < 2; life += 1) {
      const loader = open({ device: { platform: 'test' }, fetch: asking });
      await loader.check();
      await loader.close();
    }
    assert.match(String(ids[0]), /^[0-9a-f]{32}$/);
    assert.equal(ids[0], ids[1]);
  });

  const attributes = Array.from({ length: 33 }, (_, index) => [`a${index}`, 'x']);

  it('refuses options that are none, with their name', () => {
    // Only channels, origins, levels and limits were looked at: a clock without `after` was a
    // TypeError in the middle of the first request, and a storage that is a path hung up `start`.
    const clock = clockAt(0);
    const storage = memoryStorage();
    const fine = { manifest: '{}', read: async () => new Uint8Array(0) };
    const wrong: readonly (readonly [object, RegExp])[] = [
      [{ channels: [] }, /^channels is \[\]; expected a list of 1 to 64 names$/],
      [{ channels: 'app' }, /^channels is "app"/],
      [{ channels: ['App'] }, /App/],
      [{ channels: [7] }, /^channels is 7/],
      [{ channels: ['a', 'a'] }, /^channels/],
      [{ origins: undefined }, /^origins is missing/],
      [{ origins: ['ftp://x'] }, /ftp/],
      [{ origins: ['https://x/?a'] }, /^origins/],
      [{ origins: ['https://'] }, /^origins/],
      [{ origins: ['https://user:word@x/r'] }, /^origins/],
      [{ trustRoot: undefined }, /^trustRoot is missing/],
      [{ trustRoot: 7 }, /^trustRoot is 7/],
      [{ builtIn: [] }, /^builtIn is \[\]/],
      [{ builtIn: { other: fine } }, /^builtIn\.other/],
      [{ builtIn: { app: { read: fine.read } } }, /^builtIn\.app\.manifest is missing/],
      [{ builtIn: { app: { manifest: '{}' } } }, /^builtIn\.app\.read is missing/],
      [{ storage: '/var/lib/app' }, /^storage is "\/var\/lib\/app"/],
      [{ storage: { ...storage, list: undefined } }, /^storage\.list/],
      [{ device: 'device-1' }, /^device is "device-1"/],
      [{ device: { id: '' } }, /^device\.id/],
      [{ device: { id: 7 } }, /^device\.id is 7/],
      [{ device: { model: 'x' } }, /^device\.model/],
      [{ device: { region: 'x'.repeat(257) } }, /^device\.region/],
      [{ device: { attributes: { tier: 1 } } }, /^device\.attributes\.tier is 1/],
      [{ device: { attributes: Object.fromEntries(attributes) } }, /^device\.attributes is 33/],
      [{ levels: { disc: false } }, /^levels\.disc/],
      [{ levels: { disk: 0 } }, /^levels\.disk is 0/],
      [{ limits: { rounds: 0 } }, /^limits\.rounds is 0/],
      [{ limits: { rounds: '3' } }, /^limits\.rounds is "3"/],
      [{ limits: { rounds: 3n } }, /^limits\.rounds is 3n/],
      [{ limits: { stallTimeoutMs: 2 ** 31 } }, /^limits\.stallTimeoutMs is 2147483648/],
      [{ fetch: 'fetch' }, /^fetch is "fetch"/],
      [{ clock: Date }, /^clock is function Date/],
      [{ clock: Date.now }, /^clock is function now/],
      [{ clock: { nowMs: clock.nowMs, random: clock.random } }, /^clock\.after is missing/],
      [{ clock: { ...clock, random: 0.5 } }, /^clock\.random is 0\.5/],
      [{ clock: { ...clock, nowMs: () => 'now' } }, /^clock\.nowMs\(\) is "now"/],
      [{ chanels: [] }, /^chanels: no such option; there are channels, /],
    ];
    for (const [more, pattern] of wrong) {
      assert.throws(
        () => open(more as Partial<LoaderOptions>),
        (error: Error & { code?: string }) => {
          assert.match(error.message, pattern);
          return error.code === 'LOADER_OPTIONS';
        },
      );
    }
    open({ limits: { rounds: undefined } as never, levels: { disk: undefined } as never });
  });

  it('refuses what a clock or a call is given that is none', async () => {
    const after = (() => 7) as never;
    const loader = open({ clock: { ...clockAt(0), after }, device: { id: 'a' } });
    await loader.start();
    const [update] = await loader.update();
    assert.match(String(update?.error?.message), /clock\.after\(\) is 7/);
    const options = { code: 'LOADER_OPTIONS' };
    await assert.rejects(loader.update({ apply: 'later' as never }), options);
    await assert.rejects(loader.get('main.js', { priority: 'high' as never }), options);
    await assert.rejects(loader.check({ signal: new AbortController() as never }), options);
    await assert.rejects(loader.check({ signal: null as never }), options);
    await loader.close();
  });
});
