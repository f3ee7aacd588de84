// The main thread's part of distribution: heads and their counters, halts, what is made on demand,
// and what is remembered over restarts.

import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { distributionMetrics } from '../../host/cli/distribution-view.ts';
import { ManualClock, SeededRandom } from '../../host/core/index.ts';
import { BaseBook } from '../../host/distribution/base-book.ts';
import { BoundedCache } from '../../host/distribution/bounded-cache.ts';
import {
  readBaseCounts,
  readChannelState,
  replaceChannelState,
} from '../../host/distribution/channel-state.ts';
import type { ChannelView, Wanted } from '../../host/distribution/channel-view.ts';
import type { DistributionDesk } from '../../host/distribution/desk.ts';
import { openHead } from '../../host/distribution/documents.ts';
import { HeadSigner, readCounter } from '../../host/distribution/heads.ts';
import { MakeDesk } from '../../host/distribution/make-desk.ts';
import type { ReleaseManifest } from '../../host/distribution/model.ts';
import { offeredReleases } from '../../host/distribution/offered-releases.ts';
import { OutcomeBook } from '../../host/distribution/outcome-book.ts';
import { formOf } from '../../host/distribution/path-form.ts';
import { changeRule } from '../../host/distribution/release-changes.ts';
import { encodeReleaseIndex, ReleaseIndex } from '../../host/distribution/release-index.ts';
import { selectRelease } from '../../host/distribution/release-rules.ts';
import { changeChannelState } from '../../host/distribution/state-change.ts';
import { StoreLock } from '../../host/distribution/store-lock.ts';
import { DeliveryPlane } from '../support/delivery-plane.ts';
import { TestStore } from '../support/distribution.ts';
import { testSeed } from '../support/seed.ts';

const FILES = { 'main.js': 'one' };

function viewOf(plane: DeliveryPlane): ChannelView {
  const message = plane.desk.views();
  assert.ok(message.kind === 'channels');
  return message.views[0]!;
}

function counterOf(view: ChannelView, store: TestStore): number {
  const [text] = view.heads.values();
  return openHead(Buffer.from(text!), store.root).counter;
}

describe('heads', () => {
  it('have a counter that never goes back, over restarts and without the file', async () => {
    const clock = new ManualClock();
    const store = await TestStore.create(clock);
    const lost: string[] = [];
    const signer = () =>
      new HeadSigner({
        dir: store.dir,
        clock,
        signers: store.headSigners,
        expiryMs: 3_600_000,
        onLost: (channel) => lost.push(channel),
      });
    try {
      await store.publish({ version: '1', files: FILES, forms: 'none' });
      const state = (await readChannelState(store.dir, 'app'))!;
      const path = join(store.dir, 'channels/app/heads.json');
      let last = 0;
      for (let round = 0; round < 6; ++round) {
        clock.advance(60_000);
        if (round === 3) rmSync(path);
        if (round === 5)
          writeFileSync(path, readFileSync(path, 'utf8').replace(/counter":./, 'counter":9'));
        const signed = await signer().sign(state);
        assert.ok(signed.counter > last, `${signed.counter} after ${last}`);
        last = signed.counter;
        const head = openHead(Buffer.from(signed.heads.get(1)!), store.root);
        assert.equal(head.counter, signed.counter);
        assert.equal(head.expiresAtMs - head.issuedAtMs, 3_600_000);
        assert.equal(await readCounter(store.dir, 'app'), signed.counter);
      }
      assert.deepEqual(lost, ['app']);
    } finally {
      store.remove();
    }
  });

  it('go on above what devices saw when a store is brought back as it was once', async () => {
    // Devices refuse a lower counter: they took nothing new until it had caught up, week for week.
    const clock = new ManualClock();
    const store = await TestStore.create(clock);
    const signed = async () => {
      const { dir, headSigners: signers } = store;
      const signer = new HeadSigner({ dir, clock, signers, expiryMs: 1_000, onLost: () => {} });
      const state = (await readChannelState(dir, 'app'))!;
      return [await signer.sign(state), await signer.sign(state)] as const;
    };
    try {
      await store.publish({ version: '1', files: FILES, forms: 'none' });
      const path = join(store.dir, 'channels/app/heads.json');
      await signed();
      const backup = readFileSync(path);
      clock.advance(3_600_000);
      const [, seen] = await signed();
      writeFileSync(path, backup);
      clock.advance(3_600_000);
      const [first] = await signed();
      assert.ok(first.counter > seen.counter, `${first.counter} after ${seen.counter}`);
    } finally {
      store.remove();
    }
  });

  it('are on the disk before any leaves', async () => {
    const store = await TestStore.create();
    try {
      await store.publish({ version: '1', files: FILES, forms: 'none' });
      const state = (await readChannelState(store.dir, 'app'))!;
      const signer = new HeadSigner({
        dir: join(store.dir, 'objects', 'none\0such'),
        clock: store.clock,
        signers: store.headSigners,
        expiryMs: 1_000,
        onLost: () => {},
      });
      await assert.rejects(signer.sign(state));
    } finally {
      store.remove();
    }
  });

  it('are signed again at half of their time, and when something was published', async () => {
    const clock = new ManualClock();
    const store = await TestStore.create(clock);
    await store.publish({ version: '1', files: FILES, forms: 'none' });
    const plane = await DeliveryPlane.start({ engine: 'node', store, headExpiryMs: 60_000 });
    try {
      const first = counterOf(viewOf(plane), store);
      clock.advance(29_000);
      await plane.look();
      assert.equal(counterOf(viewOf(plane), store), first);
      clock.advance(2_000);
      await plane.look();
      const second = counterOf(viewOf(plane), store);
      assert.ok(second > first);
      await store.publish({ version: '2', files: FILES, forms: 'none' });
      await plane.look();
      const view = viewOf(plane);
      assert.ok(counterOf(view, store) > second);
      assert.equal(openHead(Buffer.from(view.heads.get(2)!), store.root).version, '2');
    } finally {
      await plane.stop();
      store.remove();
    }
  });

  it('exist for every release that any device can be told of', () => {
    const seed = testSeed('offered releases');
    const random = new SeededRandom(seed);
    const pick = <T>(list: readonly T[]): T => list[random.uint32() % list.length]!;
    for (let round = 0; round < 3_000; ++round) {
      const rules = Array.from({ length: 1 + (random.uint32() % 6) }, (_, index) => ({
        sequence: 20 - index,
        version: `${20 - index}`,
        salt: `${random.uint32()}`,
        state: pick(['active', 'active', 'paused', 'halted'] as const),
        rollout: pick([0, 1, 5_000, 9_999, 10_000]),
        schedule: pick([[], [{ atMs: 50, rollout: 10_000 }]]),
        targeting: pick([
          null,
          { appVersion: null, platforms: ['ios'], regions: null, devices: ['d1'], attributes: {} },
        ]),
        halt: null,
      }));
      const nowMs = pick([0, 100]);
      const device = {
        id: pick(['d1', 'd2', 'd3']),
        appVersion: null,
        platform: pick([null, 'ios']),
        region: null,
        attributes: {},
      };
      const chosen = selectRelease(rules, device, pick([0, 10, 15, 18, 20, 25]), nowMs);
      if (chosen === null) continue;
      const told = `seed ${seed} round ${round}`;
      assert.ok(offeredReleases(rules, nowMs).includes(chosen), told);
    }
  });
});

describe('the share of a release', () => {
  it('is told as it was set and as it is in force', async () => {
    const clock = new ManualClock(0, 1_000);
    const store = await TestStore.create(clock);
    const schedule = [{ atMs: 2_000, rollout: 5_000 }];
    const rule = { rollout: 1_000, schedule };
    await store.publish({ version: '1', files: FILES, forms: 'none', rule });
    const plane = await DeliveryPlane.start({ engine: 'node', store });
    try {
      const shares = () => {
        const [release] = plane.desk.report().channels[0]!.releases;
        return [release!.rollout, release!.rolloutInForce, release!.schedule.length];
      };
      assert.deepEqual(shares(), [1_000, 1_000, 1]);
      clock.advance(1_500);
      assert.deepEqual(shares(), [1_000, 5_000, 1]);
      const before = await plane.desk.change('app', '1', { rollout: 2_000 });
      assert.equal(before.schedule.length, 1);
      assert.deepEqual(shares(), [2_000, 2_000, 0]);
    } finally {
      await plane.stop();
      store.remove();
    }
  });
});

describe('halting', () => {
  const halt = { failureShare: 0.2, minimumCount: 10 };

  function report(plane: DeliveryPlane, outcome: 'applied' | 'failed', devices: readonly number[]) {
    const cause = outcome === 'failed' ? ('hash' as const) : null;
    const outcomes = devices.map((one) => ({
      deviceId: `d${one}`,
      channel: 'app',
      sequence: 2,
      outcome,
      cause,
    }));
    const counts = { droppedCount: 0, responses: [] };
    plane.desk.take({ kind: 'report', bases: new Map(), outcomes, ...counts }, () => {});
  }

  it('stops a release by itself, waits for the lock, and takes nothing from devices', async () => {
    const store = await TestStore.create();
    await store.publish({ version: '1', files: FILES, forms: 'none' });
    await store.publish({ version: '2', files: FILES, forms: 'none', rule: { halt } });
    const plane = await DeliveryPlane.start({ engine: 'node', store });
    const lock = await StoreLock.take(store.dir);
    try {
      report(plane, 'applied', [1, 2, 3, 4, 5, 6, 7]);
      report(plane, 'failed', [8]);
      for (let again = 0; again < 20; ++again) report(plane, 'failed', [8]);
      assert.equal(viewOf(plane).releases[0]!.state, 'active', 'one device is one failure');
      report(plane, 'failed', [9, 10]);
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal(viewOf(plane).releases[0]!.state, 'active', 'the store is locked');
      await lock.release();
      for (let turn = 0; turn < 500 && viewOf(plane).releases[0]!.state === 'active'; ++turn) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const view = viewOf(plane);
      assert.equal(view.releases[0]!.state, 'halted');
      assert.match(plane.lines.join('\n'), /a release was halted/);
      const device = {
        id: 'x',
        appVersion: null,
        platform: null,
        region: null,
        attributes: {},
      };
      assert.equal(selectRelease(view.releases, device, 0, 0)!.version, '1');
      assert.equal(selectRelease(view.releases, device, 2, 0)!.version, '2');
    } finally {
      await lock.release();
      await plane.stop();
      store.remove();
    }
  });

  // After a halt, `resume` was undone by the next report of any device: old failures still counted.
  // Now what counts is since the resumption, also over a restart, and a device may fail again.
  it('does not halt what was resumed for what failed before', async () => {
    const store = await TestStore.create();
    await store.publish({ version: '1', files: FILES, forms: 'none' });
    await store.publish({ version: '2', files: FILES, forms: 'none', rule: { halt } });
    const devices = Array.from({ length: 10 }, (_, index) => index);
    const haltedOf = async (plane: DeliveryPlane) => {
      for (let turn = 0; turn < 1500 && viewOf(plane).releases[0]!.state === 'active'; ++turn) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return viewOf(plane).releases[0]!.state;
    };
    try {
      const first = await DeliveryPlane.start({ engine: 'node', store });
      report(first, 'failed', devices);
      assert.equal(await haltedOf(first), 'halted');
      await first.desk.change('app', '2', { state: 'active' });
      report(first, 'failed', [20]);
      report(first, 'applied', devices.slice(1));
      await first.desk.look();
      assert.equal(viewOf(first).releases[0]!.state, 'active', 'one of ten has failed since');
      await first.stop();
      const second = await DeliveryPlane.start({ engine: 'node', store });
      const { counts, state } = second.desk.report().channels[0]!.releases[0]!;
      assert.equal(counts.failed.hash, 11, 'what is shown is all there was');
      report(second, 'failed', [0]);
      await second.desk.look();
      assert.equal(state, 'active');
      assert.equal(viewOf(second).releases[0]!.state, 'active', 'two of eleven');
      report(second, 'failed', [1, 2]);
      assert.equal(await haltedOf(second), 'halted', 'devices that failed before fail again');
      await second.stop();
      // Resumed by another process, while no gateway runs.
      await changeChannelState(store.dir, 'app', (before) =>
        changeRule(before, '2', { state: 'active' }, 0),
      );
      const third = await DeliveryPlane.start({ engine: 'node', store });
      report(third, 'failed', [30]);
      await third.desk.look();
      assert.equal(viewOf(third).releases[0]!.state, 'active');
      await third.stop();
    } finally {
      store.remove();
    }
  });

  it('keeps counts over a restart', async () => {
    const store = await TestStore.create();
    await store.publish({ version: '1', files: FILES, forms: 'none' });
    await store.publish({ version: '2', files: FILES, forms: 'none' });
    try {
      const first = await DeliveryPlane.start({ engine: 'node', store });
      report(first, 'failed', [1, 2]);
      report(first, 'applied', [3]);
      await first.stop();
      const second = await DeliveryPlane.start({ engine: 'node', store });
      const { counts } = second.desk.report().channels[0]!.releases[0]!;
      assert.equal(counts.failed.hash, 2);
      assert.equal(counts.applied, 1);
      await second.stop();
    } finally {
      store.remove();
    }
  });
});

describe('changes by other processes', () => {
  it('are seen, and a state that is damaged changes nothing', async () => {
    const store = await TestStore.create();
    const plane = await DeliveryPlane.start({ engine: 'node', store });
    try {
      assert.deepEqual(plane.desk.report().channels, []);
      await store.publish({ version: '1', files: FILES, forms: 'none' });
      for (let turn = 0; turn < 200 && plane.desk.report().channels.length === 0; ++turn) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      assert.equal(viewOf(plane).generation, 1);
      await changeChannelState(store.dir, 'app', (state) =>
        changeRule(state, '1', { state: 'paused' }, 0),
      );
      await plane.look();
      assert.equal(viewOf(plane).releases[0]!.state, 'paused');
      const path = join(store.dir, 'channels/app/state.json');
      const text = readFileSync(path, 'utf8');
      writeFileSync(path, text.replace('paused', 'active'));
      await plane.look();
      assert.equal(viewOf(plane).releases[0]!.state, 'paused');
      assert.match(plane.lines.join('\n'), /a channel cannot be read/);
      rmSync(join(store.dir, 'channels/app'), { recursive: true });
      await plane.look();
      assert.deepEqual(plane.desk.report().channels, []);
    } finally {
      await plane.stop();
      store.remove();
    }
  });
});

describe('many channels', () => {
  it('are all offered from the start, and a change in one is seen', async () => {
    const store = await TestStore.create();
    const plane = await (async () => {
      await store.publish({ version: '1', files: FILES, forms: 'none' });
      const state = (await readChannelState(store.dir, 'app'))!;
      for (let count = 0; count < 300; ++count) {
        await replaceChannelState(store.dir, { ...state, channel: `copy-${count}` });
      }
      return DeliveryPlane.start({ engine: 'node', store });
    })();
    try {
      const views = () => {
        const message = plane.desk.views();
        assert.ok(message.kind === 'channels');
        return message.views;
      };
      assert.equal(views().length, 301);
      for (const { channel, heads } of views()) {
        const head = openHead(Buffer.from(heads.get(1)!), store.root);
        assert.equal(head.channel, channel);
      }
      await store.publish({ channel: 'copy-7', version: '2', files: FILES, forms: 'none' });
      for (let turn = 0; turn < 3_000; ++turn) {
        if (views().some(({ heads }) => heads.has(2))) return;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      assert.fail('the change was not seen');
    } finally {
      await plane.stop();
      store.remove();
    }
  });
});

describe('making on demand', () => {
  const delta = (at: number): Wanted => ({
    kind: 'delta',
    target: 'a'.repeat(63) + at.toString(16),
    base: 'b'.repeat(64),
  });

  function deskOf(clock: ManualClock, make: (wanted: Wanted) => Promise<boolean>) {
    const refused: Wanted[] = [];
    const desk = new MakeDesk({
      clock,
      limits: { concurrency: 2, cpuMsPerMinute: 1_000 },
      make,
      onMade: () => {},
      onRefused: (wanted) => refused.push(wanted),
      onFault: () => {},
    });
    return { desk, refused };
  }

  it('makes each thing once, and no more at once than allowed', async () => {
    const clock = new ManualClock();
    const begun: Wanted[] = [];
    const ends: ((isMade: boolean) => void)[] = [];
    const { desk } = deskOf(clock, (wanted) => {
      begun.push(wanted);
      return new Promise((resolve) => ends.push(resolve));
    });
    for (let round = 0; round < 5; ++round) for (let at = 0; at < 4; ++at) desk.want(delta(at));
    assert.equal(begun.length, 2);
    ends[0]!(true);
    await new Promise(setImmediate);
    assert.equal(begun.length, 3);
    for (const end of ends) end(true);
    await new Promise(setImmediate);
    for (const end of ends) end(true);
    await new Promise(setImmediate);
    assert.equal(desk.counts.made, 4);
    assert.deepEqual(new Set(begun), new Set([0, 1, 2, 3].map(delta)));
    assert.equal(begun.length, 4);
  });

  it('stops when the minute is used up, and goes on as time passes', async () => {
    const clock = new ManualClock();
    let begun = 0;
    const { desk } = deskOf(clock, async () => {
      begun += 1;
      clock.advance(1_500);
      return true;
    });
    desk.want(delta(0));
    await new Promise(setImmediate);
    desk.want(delta(1));
    await new Promise(setImmediate);
    assert.equal(begun, 1);
    clock.advance(20_000);
    desk.tick();
    assert.equal(begun, 1, 'half a second is still owed');
    clock.advance(15_000);
    desk.tick();
    assert.equal(begun, 2);
  });

  it('does not try again soon what could not be made', async () => {
    const clock = new ManualClock();
    let tried = 0;
    const { desk, refused } = deskOf(clock, async () => {
      tried += 1;
      if (tried === 2) throw new Error('broken');
      return false;
    });
    for (const at of [0, 1, 0, 1]) {
      desk.want(delta(at));
      await new Promise(setImmediate);
    }
    assert.equal(tried, 2);
    assert.equal(refused.length, 4);
    clock.advance(600_001);
    desk.want(delta(0));
    await new Promise(setImmediate);
    assert.equal(tried, 3);
  });

  it('takes no more than its queue holds, and deltas first', async () => {
    const { desk } = deskOf(new ManualClock(), () => new Promise(() => {}));
    for (let at = 0; at < 3_000; ++at) {
      desk.want({ kind: 'delta', target: at.toString(16).padStart(64, '0'), base: 'b'.repeat(64) });
    }
    assert.equal(desk.counts.waiting, 1_024);
    assert.equal(desk.counts.dropped, 3_000 - 2 - 1_024);
  });
});

describe('what is remembered', () => {
  it('counts a device once, within bounds', () => {
    const book = new OutcomeBook();
    const one = { deviceId: 'd', channel: 'app', sequence: 1, cause: null } as const;
    assert.ok(book.add({ ...one, outcome: 'applied' }));
    assert.ok(!book.add({ ...one, outcome: 'applied' }));
    assert.ok(book.add({ ...one, outcome: 'opened' }));
    assert.ok(book.add({ ...one, sequence: 2, outcome: 'applied' }));
    assert.ok(book.add({ ...one, outcome: 'failed', cause: 'disk' }));
    assert.ok(!book.add({ ...one, outcome: 'failed', cause: 'hash' }));
    assert.equal(book.counts('app', 1).applied, 1);
    assert.equal(book.sinceResume('app', 1).failedCount, 1);
    for (let at = 0; at < 50_000; ++at) book.add({ ...one, deviceId: `x${at}`, outcome: 'opened' });
    assert.ok(!book.add({ ...one, outcome: 'applied' }), 'still remembered');
    for (let at = 0; at < 132_000; ++at)
      book.add({ ...one, deviceId: `y${at}`, outcome: 'opened' });
    assert.ok(book.add({ ...one, outcome: 'applied' }), 'forgotten: the memory is bounded');
  });

  it('keeps the bases asked with most, and lets old ones fade', async () => {
    const clock = new ManualClock();
    const store = await TestStore.create(clock);
    try {
      const book = new BaseBook(clock);
      const name = (at: number) => at.toString(16).padStart(64, '0');
      const bases = new Map(Array.from({ length: 200 }, (_, at) => [name(at), at + 1]));
      book.add(new Map([['app', bases]]));
      await book.save(store.dir);
      const counts = await readBaseCounts(store.dir, 'app');
      assert.equal(Object.keys(counts).length, 64);
      assert.equal(counts[name(199)], 200);
      assert.equal(counts[name(135)], undefined);
      clock.advance(7 * 86_400_000);
      book.add(new Map([['app', new Map([[name(0), 150]])]]));
      await book.save(store.dir);
      const later = new BaseBook(clock);
      await later.load(store.dir, 'app');
      const [first, second] = [...later.top('app')];
      assert.equal(first![0], name(199));
      assert.ok(Math.abs(first![1] - 100) < 1, `${first![1]}`);
      assert.equal(second![0], name(198));
    } finally {
      store.remove();
    }
  });

  it('keeps what was used last, within its room', () => {
    const cache = new BoundedCache<number>(10);
    cache.set('a', 1, 4);
    cache.set('b', 2, 4);
    assert.equal(cache.get('a'), 1);
    cache.set('c', 3, 4);
    assert.equal(cache.get('b'), undefined);
    assert.equal(cache.get('a'), 1);
    cache.set('huge', 4, 11);
    assert.equal(cache.get('huge'), undefined);
    assert.equal(cache.size, 8);
    cache.set('a', 5, 1);
    assert.equal(cache.size, 5);
  });
});

describe('the metrics', () => {
  it('tell of the newest releases and no end of them', () => {
    // Ten thousand channels were two million series.
    const counts = { delivered: 0, applied: 0, opened: 0, failed: {} };
    const channels = Array.from({ length: 1_000 }, (_, channel) => ({
      channel: `c${channel}`,
      bases: new Map(),
      releases: Array.from({ length: 20 }, (_, age) => ({
        version: `${20 - age}`,
        state: 'active',
        counts,
      })),
    }));
    const desk = { report: () => ({ channels, making: {}, responses: [] }) };
    const { releases } = distributionMetrics(desk as unknown as DistributionDesk)!;
    assert.equal(releases.length, 1_024);
    const newest = releases.filter(({ version }) => version === '20');
    assert.equal(new Set(newest.map(({ channel }) => channel)).size, 1_000);
    const one = { report: () => ({ channels: channels.slice(0, 1), making: {}, responses: [] }) };
    const few = distributionMetrics(one as unknown as DistributionDesk)!;
    assert.deepEqual(few.releases.map(({ version }) => version).slice(-1), ['5']);
  });
});

describe('the index of a release', () => {
  it('finds every path and no other, as a map does', () => {
    const seed = testSeed('release index');
    const random = new SeededRandom(seed);
    const letters = ['a', 'b', 'é', '\u{1f600}', '-', '0', '\uffee'];
    for (let round = 0; round < 100; ++round) {
      const paths = new Set<string>();
      const word = () =>
        Array.from({ length: 1 + (random.uint32() % 4) }, () => {
          return letters[random.uint32() % letters.length]!;
        }).join('');
      const count = random.uint32() % 40;
      for (let at = 0; at < count; ++at) paths.add(`${word()}/${word()}`);
      const files = [...paths].map((path, at) => {
        const sha256 = random.uint32().toString(16).padStart(64, '0');
        return { path, sha256, sizeBytes: at, priority: 'normal' as const };
      });
      const pack = round % 2 === 0 ? null : { sha256: 'f'.repeat(64), sizeBytes: 2 ** 31 + 5 };
      const manifest = { files, pack } as unknown as ReleaseManifest;
      const index = new ReleaseIndex(encodeReleaseIndex(manifest));
      for (const { path, sha256, sizeBytes } of files) {
        const isAlone = files.filter((one) => formOf(one.path) === formOf(path)).length === 1;
        const expected = { sha256, sizeBytes, isAlone };
        assert.deepEqual(index.find(path), expected, `seed ${seed}: ${path}`);
      }
      for (const path of ['', 'a', 'zz/zz', `${word()}/x`]) {
        assert.equal(index.find(path), null);
      }
      assert.deepEqual(index.pack(), pack === null ? null : { ...pack, isAlone: false });
    }
  });
});
