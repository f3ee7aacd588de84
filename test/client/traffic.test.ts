// What goes over the wire, when, and how often: priorities, bounds, back-off, progress, reports.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Loader, LoaderOptions, Progress } from '../../client/api.ts';
import { DEFAULT_LIMITS } from '../../client/limits.ts';
import { memoryStorage } from '../../client/memory-storage.ts';
import { Notes } from '../../client/notes.ts';
import { Origins } from '../../client/origins.ts';
import { Scheduler } from '../../client/scheduler.ts';
import { clockAt, script, testLoader } from '../support/loader.ts';
import { ReleaseOrigin } from '../support/release-origin.ts';
import { ReleaseShelf } from '../support/release-shelf.ts';

let shelf: ReleaseShelf;
let origin: ReleaseOrigin;

beforeEach(async () => {
  shelf = new ReleaseShelf();
  origin = await ReleaseOrigin.open(shelf);
});
afterEach(async () => {
  await origin.close();
});

function open(more: Partial<LoaderOptions> = {}): Loader {
  return testLoader(shelf, { origins: [origin.url], ...more });
}

describe('a request in Node', () => {
  it('takes brotli over plain http too, which fetch alone does not', async () => {
    // Files came as gzip, a fifth larger, although Node decodes brotli whatever the scheme.
    shelf.publish('app', { 'main.js': script(1) });
    const loader = open();
    await loader.start();
    assert.equal((await loader.update())[0]?.status, 'updated');
    assert.deepEqual(await loader.get('main.js'), new Uint8Array(script(1)));
    for (const { encodings } of origin.requests) assert.equal(encodings, 'br, gzip');
    await loader.close();
  });
});

describe('an update that cannot be', () => {
  it('asks for no more files once one has come from nowhere', async () => {
    // Each of the others was tried as often, with the same timeouts: an origin that had gone kept
    // an update of 300 files for half an hour.
    const each = Array.from({ length: 60 }, (_, index) => [`${index}.txt`, `${index}`]);
    shelf.publish('app', Object.fromEntries(each));
    origin.options = {
      fault: ({ path }) => (/\/v\//.test(path) ? { kind: 'status', status: 503 } : null),
    };
    const loader = open({ limits: { concurrency: 4 } });
    await loader.start();
    assert.equal((await loader.update())[0]?.status, 'failed');
    // Two rounds of each that was under way.
    assert.ok(origin.count(/\/v\//) <= 8, `${origin.count(/\/v\//)} requests`);
    origin.options = {};
    assert.equal((await loader.update())[0]?.status, 'updated');
    await loader.close();
  });
});

describe('priorities', () => {
  it('bring critical files first and idle ones after the swap', async () => {
    shelf.publish('app', {
      'a-idle.js': { bytes: script(1), priority: 'idle' },
      'b-normal.js': { bytes: script(2), priority: 'normal' },
      'c-critical.js': { bytes: script(3), priority: 'critical' },
      'd-normal.js': { bytes: script(4), priority: 'normal' },
    });
    const loader = open({ limits: { concurrency: 1 } });
    await loader.start();
    loader.on('opened', () => {
      assert.equal(origin.count(/idle/), 0);
    });
    assert.equal((await loader.update())[0]?.status, 'updated');
    await loader.idle();
    const order = origin.requests.map(({ path }) => path.split('/').at(-1)).slice(3);
    assert.deepEqual(order.slice(0, 3), ['c-critical.js', 'b-normal.js', 'd-normal.js']);
    assert.equal(origin.count(/a-idle/), 1);
    await loader.get('a-idle.js');
    assert.equal(origin.count(/a-idle/), 1);
    await loader.close();
  });

  it('let what the app waits for go before what it preloads, within the bound', async () => {
    const scheduler = new Scheduler(2);
    const { signal } = new AbortController();
    const order: string[] = [];
    let runningCount = 0;
    const task = (name: string) => async () => {
      runningCount += 1;
      assert.ok(runningCount <= 2);
      order.push(name);
      await new Promise((resolve) => setTimeout(resolve, 2));
      runningCount -= 1;
    };
    const names = ['idle', 'idle', 'idle', 'normal', 'normal', 'critical', 'critical'] as const;
    await Promise.all(names.map((name) => scheduler.run(name, signal, task(name))));
    assert.deepEqual(order.slice(2), ['critical', 'critical', 'normal', 'normal', 'idle']);
  });

  it('let a task that waits be aborted, and none after it suffer', async () => {
    const scheduler = new Scheduler(1);
    const stop = new AbortController();
    const { signal } = new AbortController();
    let finish = (): void => {};
    const first = scheduler.run('normal', signal, () => {
      return new Promise<void>((resolve) => {
        finish = resolve;
      });
    });
    const waiting = scheduler.run('normal', stop.signal, async () => assert.fail('it was aborted'));
    const last = scheduler.run('idle', signal, async () => 'last');
    stop.abort();
    await assert.rejects(waiting, { code: 'LOADER_ABORTED' });
    finish();
    await first;
    assert.equal(await last, 'last');
  });
});

describe('a get', () => {
  beforeEach(() => {
    shelf.publish('app', {
      'main.js': script(1),
      'idle.js': { bytes: script(2), priority: 'idle' },
      'twin.js': { bytes: script(2), priority: 'idle' },
    });
  });

  it('shares one download between all who wait, and gives each bytes of its own', async () => {
    const loader = open({ levels: { memory: false, disk: false } });
    await loader.start();
    await loader.update();
    await loader.idle();
    const before = origin.count(/(idle|twin)\.js/);
    const [one, two, three] = await Promise.all([
      loader.get('idle.js'),
      loader.get('idle.js'),
      loader.get('twin.js'),
    ]);
    assert.equal(origin.count(/(idle|twin)\.js/) - before, 1);
    one.fill(0);
    assert.deepEqual(two, new Uint8Array(script(2)));
    assert.deepEqual(three, two);
    await loader.close();
  });

  it('cannot spoil what others get by writing into its bytes', async () => {
    const loader = open();
    await loader.start();
    await loader.update();
    (await loader.get('main.js')).fill(0);
    (await loader.get('main.js')).fill(0);
    assert.deepEqual(await loader.get('main.js'), new Uint8Array(script(1)));
    await loader.close();
  });

  it('that is aborted fails alone', async () => {
    const loader = open({ levels: { memory: false, disk: false } });
    await loader.start();
    await loader.update();
    await loader.idle();
    const stop = new AbortController();
    const stopped = loader.get('main.js', { signal: stop.signal });
    const other = loader.get('main.js');
    stop.abort();
    await assert.rejects(stopped, { code: 'LOADER_ABORTED' });
    assert.deepEqual(await other, new Uint8Array(script(1)));
    await loader.close();
  });

  it('that no level can serve says what each level said', async () => {
    const loader = open({ levels: { memory: false, disk: false } });
    await loader.start();
    await loader.update();
    await loader.idle();
    origin.options = { fault: () => ({ kind: 'status', status: 500 }) };
    await assert.rejects(loader.get('main.js'), (error: Error & Record<string, unknown>) => {
      assert.equal(error.code, 'LOADER_UNAVAILABLE');
      assert.equal(error.failure, 'network');
      assert.equal((error.trail as unknown[]).length, 2);
      return true;
    });
    await loader.close();
  });

  it('is preloaded once', async () => {
    const loader = open();
    await loader.start();
    await loader.update();
    await loader.preload(['idle.js', 'main.js', 'twin.js']);
    const asked = origin.count(/js/);
    await loader.get('idle.js');
    assert.equal(origin.count(/js/), asked);
    await assert.rejects(loader.preload(['none.js']), { code: 'LOADER_NOT_FOUND' });
    await loader.close();
  });
});

describe('back-off', () => {
  it('doubles up to its bound, half of it by chance', () => {
    const clock = clockAt(0);
    const notes = new Notes(clock);
    const limits = { ...DEFAULT_LIMITS, backoffMs: 100, backoffMsMax: 1_000 };
    const at = (random: number) => {
      const origins = new Origins([], { clock: { ...clock, random: () => random }, limits, notes });
      return [1, 2, 3, 4, 5, 50].map((round) => origins.backoffMs(round));
    };
    assert.deepEqual(at(0), [50, 100, 200, 400, 500, 500]);
    assert.deepEqual(at(1), [100, 200, 400, 800, 1_000, 1_000]);
  });

  it('ends after its rounds, and an origin that was down is asked last for a while', async () => {
    shelf.publish('app', { 'main.js': script(1) });
    const down = await ReleaseOrigin.open(shelf, { fault: () => ({ kind: 'refuse' }) });
    const clock = clockAt(1_000);
    const loader = open({ origins: [down.url, origin.url], clock });
    await loader.start();
    await loader.update();
    const asked = down.requests.length;
    // The root, and no more: it rests.
    assert.equal(asked, 1);
    clock.nowMsSet += 60_000;
    await loader.check();
    assert.equal(down.requests.length, asked + 1);
    await loader.close();
    const alone = open({ origins: [down.url], limits: { rounds: 3 } });
    await alone.start();
    const before = down.count(/check/);
    assert.equal((await alone.update())[0]?.status, 'failed');
    assert.equal(down.count(/check/) - before, 3);
    await alone.close();
    await down.close();
  });
});

describe('progress', () => {
  it('counts up to the whole, in files and in bytes', async () => {
    shelf.publish('app', { 'a.js': script(1), 'b.js': script(2), 'c.js': script(1) });
    const loader = open();
    const seen: Progress[] = [];
    loader.on('progress', (progress) => seen.push(progress));
    await loader.start();
    await loader.update();
    const last = seen.at(-1)!;
    assert.deepEqual([last.filesDone, last.filesTotal], [2, 2]);
    assert.equal(last.bytesDone, script(1).length + script(2).length);
    assert.equal(last.bytesTotal, last.bytesDone);
    assert.equal(last.bytesReceived, last.bytesDone);
    for (const [index, { bytesDone }] of seen.entries()) {
      assert.ok(index === 0 || bytesDone >= seen[index - 1]!.bytesDone);
    }
    await loader.close();
  });

  it('goes on when a listener throws', async () => {
    shelf.publish('app', { 'a.js': script(1) });
    const thrown: unknown[] = [];
    const clock = {
      ...clockAt(0),
      after: (ms: number, then: () => void) => {
        const guarded = (): void => {
          try {
            then();
          } catch (error) {
            thrown.push(error);
          }
        };
        const timer = setTimeout(guarded, ms);
        return () => clearTimeout(timer);
      },
    };
    const loader = open({ clock });
    loader.on('progress', () => {
      throw new Error('the app');
    });
    await loader.start();
    assert.equal((await loader.update())[0]?.status, 'updated');
    await loader.idle();
    assert.ok(thrown.length > 0);
    await loader.close();
  });
});

describe('reports', () => {
  beforeEach(() => {
    shelf.publish('app', { 'main.js': script(1) });
  });

  it('wait for a network, over restarts, and are told once', async () => {
    const storage = memoryStorage();
    origin.options = {
      fault: ({ path }) => (path === '/outcomes' ? { kind: 'status', status: 503 } : null),
    };
    const loader = open({ storage });
    await loader.start();
    await loader.update();
    await loader.confirm();
    await loader.close();
    assert.equal(loader.release()?.version, '1.1.0');
    origin.options = {};
    origin.outcomes.length = 0;
    const later = open({ storage });
    await later.start();
    await later.idle();
    const told = origin.outcomes.map((one) => (one as { outcome: string }).outcome);
    assert.deepEqual(told, ['delivered', 'applied', 'opened']);
    await later.close();
    origin.outcomes.length = 0;
    const last = open({ storage });
    await last.start();
    await last.confirm();
    await last.idle();
    assert.deepEqual(origin.outcomes, []);
    await last.close();
  });

  it('are dropped when the origin does not want them', async () => {
    const storage = memoryStorage();
    origin.options = {
      fault: ({ path }) => (path === '/outcomes' ? { kind: 'status', status: 400 } : null),
    };
    const loader = open({ storage });
    await loader.start();
    await loader.update();
    await loader.idle();
    assert.equal(origin.count(/outcomes/), 1);
    await loader.close();
    assert.match((await storage.readState())!, /"outcomes":\[\]/);
  });

  it('name the cause of a failure, and never blame for a head that nobody signed', async () => {
    origin.options = {
      fault: ({ path }) => {
        return path.includes('main.js') ? { kind: 'bytes', alter: () => Buffer.from('x') } : null;
      },
    };
    const loader = open();
    await loader.start();
    await loader.update();
    await loader.update();
    await loader.idle();
    const failed = { channel: 'app', sequence: 1, outcome: 'failed', cause: 'hash' };
    assert.deepEqual(origin.outcomes, [failed]);
    origin.outcomes.length = 0;
    const forged = new ReleaseShelf().head(shelf.newest('app')!);
    origin.options = { answer: () => ({ status: 'update', head: forged }) };
    await loader.update();
    await loader.idle();
    assert.deepEqual(origin.outcomes, []);
    await loader.close();
  });
});
