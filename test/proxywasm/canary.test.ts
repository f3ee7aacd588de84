// Two versions of a plugin side by side on one thread: who gets which, what is counted of each, and
// what becomes of streams when one of them goes.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { headerValue, ManualClock, SeededRandom } from '../../host/core/index.ts';
import {
  loadModule,
  PluginBook,
  type PluginReport,
  pluginSpec,
  threadServices,
} from '../../host/proxywasm/index.ts';
import { ReportBook } from '../../host/proxywasm/report-book.ts';
import { image, sha256Of } from '../support/plugin-images.ts';
import { ManualTimers, PluginScene, REQUEST, Visited } from '../support/plugin-scene.ts';
import { testSeed } from '../support/seed.ts';

const OLD = image('old');
const NEW = image('new');
const BROKEN = image('broken', 'trap');

function scene(seed = 1) {
  const services = threadServices({
    clock: new ManualClock(),
    timers: new ManualTimers(),
    log: () => {},
    logLevel: 'error',
    services: null,
  });
  const book = new PluginBook(services, new SeededRandom(seed));
  const spec = pluginSpec({ name: 'a', reload: { baseMs: 0, maxMs: 0 } });
  const load = (bytes: Uint8Array<ArrayBuffer>) =>
    loadModule(bytes, { sha256: '', memorySizeBytesMax: 1_048_576, strictImports: false });
  const chain = book.chain(['a']);
  return {
    book,
    install: (bytes: Uint8Array<ArrayBuffer>) => book.install(spec, load(bytes)),
    canary: (bytes: Uint8Array<ArrayBuffer>, share: number) =>
      book.installCanary(spec, load(bytes), share),
    open: () => {
      const visited = new Visited(chain.open.bind(chain));
      visited.stream.requestHeaders([...REQUEST], true);
      return visited;
    },
    report: (bytes: Uint8Array) =>
      book.report().find(({ sha256 }) => sha256 === sha256Of(bytes)) as PluginReport,
  };
}

/** Lets a response through, and says who saw it. */
function answered(visited: Visited): string {
  visited.stream.responseHeaders([':status', '200'], true);
  const name = headerValue(visited.responseHead ?? [], 'x-image') ?? 'none';
  visited.end();
  return name;
}

describe('a canary beside a version', () => {
  it('gets its share of the streams, and what it gets is counted as its own', () => {
    const seed = testSeed('canary share');
    const made = scene(seed);
    made.install(OLD);
    made.canary(NEW, 0.2);
    const seen = { old: 0, new: 0 };
    for (let count = 0; count < 2_000; count++) seen[answered(made.open()) as 'old' | 'new'] += 1;
    // Six standard deviations of 2,000 draws.
    assert.ok(Math.abs(seen.new - 400) < 108, `${seen.new} of 2,000, seed ${seed}`);
    assert.equal(made.report(NEW).opened, seen.new);
    assert.equal(made.report(OLD).opened, seen.old);
    made.book.shareCanary('a', 0.999_999);
    assert.equal(answered(made.open()), 'new');
  });

  it('is promoted with the instance it has, and streams end where they began', () => {
    const made = scene();
    made.install(OLD);
    const old = made.open();
    made.canary(NEW, 0.5);
    const startedBefore = made.report(NEW).started;
    assert.equal(made.book.promoteCanary('a'), true);
    assert.equal(answered(old), 'old');
    for (let count = 0; count < 20; count++) assert.equal(answered(made.open()), 'new');
    assert.equal(made.report(NEW).started, startedBefore);
    assert.equal(made.report(OLD).instances, 0);
    assert.equal(made.book.promoteCanary('a'), false);
  });

  it('fails its own streams alone, and leaves nothing behind when it ends', () => {
    const made = scene();
    made.install(OLD);
    made.canary(BROKEN, 0.5);
    let failed = 0;
    for (let count = 0; count < 100; count++) {
      const visited = made.open();
      if (visited.failure !== '') failed += 1;
      else assert.equal(answered(visited), 'old');
      visited.end();
    }
    const { failedByCode, failedStreams, opened, traps } = made.report(BROKEN);
    assert.deepEqual([failedStreams, opened, traps], [failed, failed, failed]);
    assert.deepEqual(failedByCode, { GW_PLUGIN_TRAP: failed });
    assert.equal(made.report(OLD).failedStreams, 0);
    assert.equal(made.book.endCanary('a'), true);
    for (let count = 0; count < 50; count++) assert.equal(answered(made.open()), 'old');
    assert.equal(made.report(BROKEN).instances, 0);
    assert.equal(made.book.endCanary('a'), false);
  });

  it('that does not start changes nothing, and neither does one of nothing', () => {
    const made = scene();
    assert.throws(() => made.canary(NEW, 0.5), /no a runs/);
    made.install(OLD);
    made.canary(NEW, 0.5);
    assert.throws(() => made.canary(image('x', 'refuse'), 0.5), /proxy_on_configure/);
    const seen = new Set(Array.from({ length: 60 }, () => answered(made.open())));
    assert.deepEqual(seen, new Set(['old', 'new']));
  });
});

describe('reports of modules that are gone', () => {
  it('keep every count, told apart for the newest modules', () => {
    const book = new ReportBook();
    const counts = {
      instances: 0,
      streams: 0,
      opened: 1,
      started: 1,
      evicted: 0,
      traps: 0,
      lastTrap: '',
      stepsExceeded: 0,
      failedStreams: 1,
      failedByCode: { GW_PLUGIN_TRAP: 1 },
      skippedStreams: 0,
      stepsUsed: 10,
      logLinesDropped: 0,
    };
    for (let version = 1; version <= 40; version++) {
      book.add({ name: 'a', sha256: `${version % 30}`, version, ...counts });
    }
    const all = book.all([]);
    assert.ok(all.length <= 17, `${all.length} modules`);
    const sum = (count: (report: PluginReport) => number) =>
      all.reduce((total, report) => total + count(report), 0);
    assert.equal(
      sum(({ opened }) => opened),
      40,
    );
    assert.equal(
      sum(({ failedByCode }) => failedByCode.GW_PLUGIN_TRAP ?? 0),
      40,
    );
  });

  it('are forgotten with their plugin, though streams of it end later', () => {
    // Each name that a configuration ever had was kept, and posted each second.
    const alone = new PluginScene();
    alone.install(image('one'));
    const visited = alone.get();
    alone.book.remove('test');
    assert.equal(alone.book.report()[0]?.streams, 1);
    visited.end();
    assert.deepEqual(alone.book.report(), []);
  });
});
