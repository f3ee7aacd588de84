// An origin that lies in every way there is: the loader goes on with what it has, says why, and
// takes the true thing when it comes.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { ChannelUpdate, Loader, LoaderLimits, LoaderOptions } from '../../client/api.ts';
import { isLoaderError } from '../../client/errors.ts';
import { memoryStorage } from '../../client/memory-storage.ts';
import { builtInOf, clockAt, QUICK_LIMITS, script, testLoader } from '../support/loader.ts';
import { answerFor, type OriginFault, ReleaseOrigin } from '../support/release-origin.ts';
import {
  FAR_MS,
  makeDcz,
  makeKey,
  ReleaseShelf,
  type TestRelease,
} from '../support/release-shelf.ts';

let shelf: ReleaseShelf;
let origin: ReleaseOrigin;
let builtIn: TestRelease;

beforeEach(async () => {
  shelf = new ReleaseShelf();
  builtIn = shelf.publish('app', { 'main.js': script(1), 'other.js': script(10) });
  origin = await ReleaseOrigin.open(shelf);
});
afterEach(async () => {
  await origin.close();
});

function open(more: Partial<LoaderOptions> = {}): Loader {
  return testLoader(shelf, {
    origins: [origin.url],
    builtIn: { app: builtInOf(builtIn) },
    ...more,
  });
}

/** Only what never comes is waited for briefly: the rest may come late on a busy machine. */
function limitsFor({ kind }: OriginFault): Partial<LoaderLimits> {
  return kind === 'slow' || kind === 'hang' ? QUICK_LIMITS : {};
}

function codeOf({ error }: ChannelUpdate): string | null {
  return isLoaderError(error) ? error.code : null;
}

/** The update fails with `code`, nothing of it is visible, and an honest origin mends it. */
async function refuses(code: string, cause: string, loader = open()): Promise<void> {
  await loader.start();
  const [update] = await loader.update();
  assert.deepEqual([update?.status, codeOf(update!)], ['failed', code], update?.error?.message);
  assert.equal(loader.release()?.version, '1.1.0');
  assert.deepEqual(await loader.get('main.js'), new Uint8Array(script(1)));
  assert.ok(loader.trail().some(({ failure }) => failure === cause));
  origin.options = {};
  const [again] = await loader.update();
  assert.equal(again?.status, 'updated', again?.error?.message);
  assert.deepEqual(await loader.get('main.js'), new Uint8Array(script(2)));
  await loader.close();
}

function answerWith(head: unknown): void {
  origin.options = { answer: () => ({ status: 'update', head }) };
}

describe('a head that lies', () => {
  let two: TestRelease;
  beforeEach(() => {
    two = shelf.publish('app', { 'main.js': script(2), 'other.js': script(10) });
  });

  it('is refused when a stranger signed it', async () => {
    answerWith(shelf.head(two, () => {}, [makeKey()]));
    await refuses('LOADER_SIGNATURE', 'signature');
  });

  it('is refused when the key of another role signed it', async () => {
    answerWith(shelf.head(two, () => {}, shelf.keys.release));
    await refuses('LOADER_SIGNATURE', 'signature');
  });

  it('is refused when it has expired, by the clock of the app', async () => {
    const clock = clockAt(5_000);
    answerWith(shelf.head(two, (head) => Object.assign(head, { expiresAtMs: 5_000 })));
    await refuses('LOADER_EXPIRED', 'expired', open({ clock }));
  });

  it('is refused when it is of another channel', async () => {
    const foreign = shelf.publish('maps', { 'main.js': script(9) }, { sequence: 9 });
    answerWith(shelf.head(foreign));
    await refuses('LOADER_MISMATCH', 'other');
  });

  it('is refused when it promises an older release', async () => {
    const old = shelf.head({ ...builtIn, sequence: 1 });
    const three = shelf.publish('app', { 'main.js': script(3) });
    const loader = open();
    await loader.start();
    assert.equal((await loader.update())[0]?.version, three.version);
    origin.options = { answer: () => ({ status: 'update', head: shelf.head(builtIn) }) };
    assert.equal(codeOf((await loader.update())[0]!), 'LOADER_OLDER');
    answerWith(old);
    assert.equal(codeOf((await loader.update())[0]!), 'LOADER_OLDER');
    assert.equal(loader.release()?.version, three.version);
    await loader.close();
  });

  it('is refused when a newer one was seen, also after a restart', async () => {
    const storage = memoryStorage();
    const old = shelf.head(two);
    const loader = open({ storage });
    await loader.start();
    await loader.check();
    await loader.close();
    answerWith(old);
    await refuses('LOADER_OLDER', 'older', open({ storage }));
  });

  it('is refused when the answer is no answer', async () => {
    for (const alter of [
      () => Buffer.from('<html>'),
      () => Buffer.from('{"nowMs":0}'),
      () => Buffer.alloc(400_000, 32),
      () => Buffer.from('{"nowMs":0,"channels":{"app":{"status":"update","head":7}}}'),
      () => Buffer.from('{"nowMs":0,"channels":{"app":{"status":"great"}}}'),
      () => Buffer.from('{"nowMs":0,"channels":{"__proto__":{"status":"none"}}}'),
    ]) {
      origin.options = {
        fault: ({ path }) => (path === '/check' ? { kind: 'bytes', alter } : null),
      };
      const loader = open();
      await loader.start();
      assert.equal((await loader.update())[0]?.status, 'failed');
      assert.equal(loader.release()?.version, '1.1.0');
      await loader.close();
    }
  });

  it('is not followed elsewhere with what the device says of itself', async () => {
    const other = await ReleaseOrigin.open(shelf);
    const to = `${other.url}/check`;
    origin.options = { fault: ({ path }) => (path === '/check' ? { kind: 'redirect', to } : null) };
    await refuses('LOADER_UNAVAILABLE', 'network');
    assert.equal(other.requests.length, 0);
    await other.close();
  });

  it('of one origin gives way to the true one of the next', async () => {
    const honest = await ReleaseOrigin.open(shelf);
    answerWith(shelf.head(two, () => {}, [makeKey()]));
    const loader = open({ origins: [origin.url, honest.url] });
    await loader.start();
    assert.equal((await loader.update())[0]?.status, 'updated');
    assert.ok(loader.trail().some(({ code }) => code === 'LOADER_SIGNATURE'));
    await loader.close();
    await honest.close();
  });
});

describe('a manifest that lies', () => {
  const files = { 'main.js': script(2), 'other.js': script(10) };
  const cases: readonly (readonly [string, string, () => void])[] = [
    [
      'a stranger signed it',
      'LOADER_SIGNATURE',
      () => {
        shelf.publish('app', files, { signers: [makeKey()] });
      },
    ],
    [
      'the head key signed it',
      'LOADER_SIGNATURE',
      () => {
        shelf.publish('app', files, { signers: shelf.keys.head });
      },
    ],
    [
      'it is of another channel',
      'LOADER_MISMATCH',
      () => {
        shelf.publish('app', files, { alter: (one) => Object.assign(one, { channel: 'maps' }) });
      },
    ],
    [
      'it is of another sequence',
      'LOADER_MISMATCH',
      () => {
        shelf.publish('app', files, { alter: (one) => Object.assign(one, { sequence: 1 }) });
      },
    ],
    [
      'a path leaves the release',
      'LOADER_DOCUMENT',
      () => {
        shelf.publish('app', { '../main.js': script(2) });
      },
    ],
  ];
  for (const [name, code, publish] of cases) {
    it(`is refused when ${name}`, async () => {
      publish();
      const loader = open();
      await loader.start();
      const [update] = await loader.update();
      assert.deepEqual([update?.status, codeOf(update!)], ['failed', code]);
      assert.equal(loader.release()?.version, '1.1.0');
      await loader.close();
    });
  }

  it('comes in the next round when the first copy was broken', async () => {
    shelf.publish('app', files);
    let count = 0;
    const alter = (bytes: Buffer) => bytes.subarray(1);
    origin.options = {
      fault: ({ path }) => {
        if (!/manifest/.test(path)) return null;
        count += 1;
        return count === 1 ? { kind: 'bytes', alter } : null;
      },
    };
    const loader = open();
    await loader.start();
    assert.equal((await loader.update())[0]?.status, 'updated');
    assert.equal(count, 2);
    // A hash in a URL has one spelling.
    const targets = origin.requests.map(({ target }) => target);
    assert.ok(targets.every((target) => !/manifest\/.*%/.test(target)));
    await loader.close();
  });

  it('is refused when its bytes are not those of the head', async () => {
    shelf.publish('app', files);
    const alter = (bytes: Buffer) => Buffer.concat([bytes, Buffer.from(' ')]);
    origin.options = {
      fault: ({ path }) => (/manifest/.test(path) ? { kind: 'bytes', alter } : null),
    };
    await refuses('LOADER_UNAVAILABLE', 'hash');
  });
});

function flip(bytes: Buffer): Buffer {
  const at = Math.floor(bytes.length / 2);
  bytes[at] = bytes[at]! ^ 1;
  return bytes;
}

describe('content that lies', () => {
  const whole: readonly (readonly [string, OriginFault, string])[] = [
    ['one bit is another', { kind: 'bytes', alter: flip }, 'hash'],
    ['it is truncated', { kind: 'bytes', alter: (bytes) => bytes.subarray(0, -1) }, 'hash'],
    ['it is empty', { kind: 'bytes', alter: () => Buffer.alloc(0) }, 'hash'],
    ['it is too long', { kind: 'bytes', alter: (bytes) => Buffer.concat([bytes, bytes]) }, 'hash'],
    ['the connection breaks', { kind: 'cut' }, 'network'],
    ['it trickles', { kind: 'slow' }, 'network'],
    ['it never comes', { kind: 'hang' }, 'network'],
    ['the origin refuses', { kind: 'status', status: 403 }, 'network'],
    ['the origin fails', { kind: 'status', status: 503 }, 'network'],
    ['it is not modified', { kind: 'status', status: 304 }, 'network'],
  ];
  for (const [name, fault, cause] of whole) {
    it(`is refused when ${name}`, async () => {
      shelf.publish('app', { 'main.js': script(2), 'other.js': script(10) });
      origin.options = { fault: ({ path }) => (/\/v\//.test(path) ? fault : null) };
      const loader = open({ levels: { delta: false }, limits: limitsFor(fault) });
      await refuses('LOADER_UNAVAILABLE', cause, loader);
      assert.ok(
        loader.trail().some(({ failure, what }) => failure === cause && what === 'main.js'),
      );
    });
  }

  it('that has no end is given up when it is longer than what was signed', async () => {
    shelf.publish('app', { 'main.js': script(2), 'other.js': script(10) });
    origin.options = { fault: ({ path }) => (/\/v\//.test(path) ? { kind: 'endless' } : null) };
    const loader = open({ levels: { delta: false } });
    await loader.start();
    const [update] = await loader.update();
    assert.equal(update?.error?.failure, 'hash', update?.error?.message);
    assert.match(update?.error?.message ?? '', /a body of more than [0-9]+ bytes/);
    await loader.close();
  });

  it('is followed to another place, where its hash is what counts', async () => {
    const other = await ReleaseOrigin.open(shelf);
    const two = shelf.publish('app', { 'main.js': script(2), 'other.js': script(10) });
    const to = `${other.url}/app/v/${two.version}/main.js`;
    origin.options = { fault: ({ path }) => (/main/.test(path) ? { kind: 'redirect', to } : null) };
    const loader = open({ levels: { delta: false } });
    await loader.start();
    assert.equal((await loader.update())[0]?.status, 'updated');
    await loader.close();
    await other.close();
  });
});

describe('a delta that lies', () => {
  const dcz = (alter: (bytes: Buffer) => Buffer): OriginFault => ({ kind: 'bytes', alter });
  const bomb = makeDcz(Buffer.alloc(50_000_000), script(1));
  const unchecked = (bytes: Buffer): Buffer => {
    // The frame header's checksum bit off, and the four bytes at the end gone.
    bytes[44] = bytes[44]! & ~4;
    return bytes.subarray(0, -4);
  };
  const cases: readonly (readonly [string, OriginFault])[] = [
    ['it is garbage', dcz((bytes) => Buffer.from(bytes.map((byte) => byte ^ 0x55)))],
    [
      'its frame is garbage',
      dcz((bytes) => Buffer.from(bytes.map((b, at) => (at < 44 ? b : b ^ 9)))),
    ],
    [
      'it names another base',
      dcz((bytes) => Buffer.from(bytes.map((b, at) => (at === 20 ? b ^ 1 : b)))),
    ],
    ['it was made for another target', dcz(() => Buffer.from(makeDcz(script(9), script(1))))],
    [
      'it was made from another base',
      dcz((bytes) => {
        return Buffer.concat([bytes.subarray(0, 40), makeDcz(script(2), script(5)).subarray(40)]);
      }),
    ],
    ['its header alone comes', dcz((bytes) => bytes.subarray(0, 40))],
    ['it is truncated', dcz((bytes) => bytes.subarray(0, -3))],
    ['it has no checksum', dcz(unchecked)],
    ['it holds 50 MB', dcz(() => Buffer.from(bomb))],
    ['it is longer than its target', dcz((bytes) => Buffer.concat([bytes, Buffer.alloc(100_000)]))],
    ['it breaks off', { kind: 'cut' }],
    ['it trickles', { kind: 'slow' }],
    ['the origin fails', { kind: 'status', status: 500 }],
  ];
  for (const [name, fault] of cases) {
    it(`is replaced by the whole, once, when ${name}`, async () => {
      shelf.publish('app', { 'main.js': script(2), 'other.js': script(10) });
      origin.options = { fault: ({ base }) => (base === null ? null : fault) };
      const loader = open({ limits: limitsFor(fault) });
      await loader.start();
      const [update] = await loader.update();
      assert.equal(update?.status, 'updated', update?.error?.message);
      assert.deepEqual(await loader.get('main.js'), new Uint8Array(script(2)));
      assert.equal(origin.count(/main\.js\?base/), 1);
      assert.equal(origin.count(/main\.js$/), 1);
      const noted = loader.trail().filter(({ level }) => level === 'delta');
      assert.equal(noted.length, 1, JSON.stringify(noted));
      assert.notEqual(noted[0]?.detail, '');
      await loader.close();
    });
  }

  it('is asked for once, however often the whole is tried', async () => {
    shelf.publish('app', { 'main.js': script(2), 'other.js': script(10) });
    const fault = { kind: 'status', status: 503 } as const;
    origin.options = { fault: ({ path }) => (/\/v\//.test(path) ? fault : null) };
    const loader = open({ limits: { rounds: 3 } });
    await loader.start();
    assert.equal((await loader.update())[0]?.status, 'failed');
    assert.equal(origin.count(/main\.js\?base/), 1);
    assert.equal(origin.count(/main\.js$/), 3);
    await loader.close();
  });

  it('is not asked for when the base here is damaged', async () => {
    shelf.publish('app', { 'main.js': script(2), 'other.js': script(10) });
    const broken = { ...builtInOf(builtIn), read: async () => Buffer.from('rotten') };
    const loader = open({ builtIn: { app: broken } });
    await loader.start();
    assert.equal((await loader.update())[0]?.status, 'updated');
    assert.equal(origin.count(/base=/), 0);
    await loader.close();
  });
});

describe('the trust root', () => {
  it('leads to a later one, step by step, and forgets the counters of old keys', async () => {
    const storage = memoryStorage();
    shelf.publish('app', { 'main.js': script(2), 'other.js': script(10) });
    const shipped = shelf.trustRoot;
    const fresh = () => ({ root: [makeKey()], release: [makeKey()], head: [makeKey()] });
    shelf.counter = 1_000;
    const first = open({ storage, trustRoot: shipped });
    await first.start();
    await first.update();
    await first.confirm();
    await first.close();
    shelf.rotate(fresh());
    shelf.rotate(fresh());
    shelf.counter = 0;
    const three = shelf.publish('app', { 'main.js': script(3), 'other.js': script(10) });
    const second = open({ storage, trustRoot: shipped });
    assert.equal((await second.start())[0]?.version, '1.2.0');
    const [update] = await second.update();
    assert.deepEqual([update?.status, update?.version], ['updated', three.version]);
    assert.equal(origin.count(/root\/4/), 1);
    await second.close();
    // What the old keys signed still opens here, and nothing new by them is taken.
    const third = open({ storage, trustRoot: shipped, origins: [] });
    assert.equal((await third.start())[0]?.version, three.version);
    await third.close();
  });

  it('is not replaced by one that its keys did not sign', async () => {
    shelf.publish('app', { 'main.js': script(2), 'other.js': script(10) });
    const forged = new ReleaseShelf();
    forged.rotate({ ...forged.keys });
    shelf.roots.set(2, forged.roots.get(2)!);
    const loader = open();
    await loader.start();
    assert.equal((await loader.update())[0]?.status, 'updated');
    const noted = loader.trail().filter(({ level }) => level === 'root');
    assert.deepEqual(
      noted.map(({ code }) => code),
      ['LOADER_SIGNATURE'],
    );
    await loader.close();
  });

  it('ends all updates when its time is over, and the app goes on', async () => {
    shelf.publish('app', { 'main.js': script(2), 'other.js': script(10) });
    const head = shelf.head(shelf.newest('app')!, (one) => {
      Object.assign(one, { expiresAtMs: FAR_MS * 2 });
    });
    answerWith(head);
    const loader = open({ clock: clockAt(FAR_MS) });
    await loader.start();
    assert.equal(codeOf((await loader.update())[0]!), 'LOADER_EXPIRED');
    assert.equal(loader.release()?.version, '1.1.0');
    await loader.close();
  });

  it('of the app itself must be good', async () => {
    const other = new ReleaseShelf();
    const text = JSON.parse(shelf.trustRoot);
    const wrong = { ...text, signatures: JSON.parse(other.trustRoot).signatures };
    await assert.rejects(open({ trustRoot: wrong }).start(), { code: 'LOADER_SIGNATURE' });
    assert.throws(() => open({ trustRoot: 7 as never }), { code: 'LOADER_OPTIONS' });
  });
});

describe('a platform without ed25519', () => {
  it('opens what is built in, takes no update and says why', async () => {
    shelf.publish('app', { 'main.js': script(2), 'other.js': script(10) });
    const { subtle } = globalThis.crypto;
    const original = subtle.importKey;
    subtle.importKey = () => Promise.reject(new Error('no such algorithm'));
    try {
      const loader = open();
      await loader.start();
      const [update] = await loader.update();
      assert.deepEqual([update?.status, codeOf(update!)], ['failed', 'LOADER_CRYPTO']);
      assert.deepEqual(await loader.get('main.js'), new Uint8Array(script(1)));
      assert.equal(origin.requests.length, 0);
      await loader.close();
    } finally {
      subtle.importKey = original;
    }
  });
});

describe('one check', () => {
  it('asks for many channels, and one that fails holds up no other', async () => {
    const maps = shelf.publish('maps', { 'map.bin': script(4) });
    shelf.publish('app', { 'main.js': script(2), 'other.js': script(10) });
    const forged = shelf.head(shelf.newest('app')!, () => {}, [makeKey()]);
    origin.options = {
      answer: (channel, sequence) => {
        return channel === 'app'
          ? { status: 'update', head: forged }
          : answerFor(shelf, channel, sequence);
      },
    };
    const loader = open({ channels: ['app', 'maps', 'none'] });
    await loader.start();
    const updates = await loader.update();
    const told = updates.map(({ channel, status }) => `${channel} ${status}`).sort();
    assert.deepEqual(told, ['app failed', 'maps updated', 'none none']);
    assert.equal(origin.count(/^\/check$/), 1);
    assert.deepEqual(
      await loader.get('map.bin', { channel: 'maps' }),
      new Uint8Array(maps.files.get('map.bin')!),
    );
    await loader.close();
  });
});
