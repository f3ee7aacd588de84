// What may happen beside a publisher that takes minutes: rules are changed, garbage is collected,
// others publish. Nobody waits for it, and nothing of anybody's is lost.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ManualClock, SeededRandom } from '../../host/core/index.ts';
import { sha256Of } from '../../host/distribution/artefact-file.ts';
import { readChannelState } from '../../host/distribution/channel-state.ts';
import { collectGarbage, scanStore } from '../../host/distribution/maintenance.ts';
import { type PublishJobs, publish } from '../../host/distribution/publish.ts';
import { PublishLease } from '../../host/distribution/publish-lease.ts';
import { changeRule } from '../../host/distribution/release-changes.ts';
import { changeChannelState } from '../../host/distribution/state-change.ts';
import { StoreWriter } from '../../host/distribution/store-writer.ts';
import { FormJobsHere } from '../support/form-jobs.ts';
import { type PublishScene, publishScene } from '../support/publish-scene.ts';
import { testSeed } from '../support/seed.ts';
import { sourceText } from '../support/store-scene.ts';
import { codeOfAsync } from '../support/trust-scene.ts';

const random = new SeededRandom(testSeed('publish beside'));
const text = sourceText(random, 20_000);
const changed = `${text.slice(0, 9000)}/* changed */${text.slice(9050)}`;

/** Jobs that do something before each form. */
function jobsThat(before: () => Promise<void>): PublishJobs {
  const jobs = new FormJobsHere();
  return {
    makeVariant: async (task) => {
      await before();
      return jobs.makeVariant(task);
    },
    makeDelta: async (task) => {
      await before();
      return jobs.makeDelta(task);
    },
  };
}

async function collect({ store }: PublishScene): Promise<number> {
  const clock = new ManualClock(0, Date.now());
  const writer = await StoreWriter.open({ store, diskBytesMax: 1e12, clock }, 30_000);
  try {
    return (await collectGarbage(writer, clock.wallMs())).removedCount;
  } finally {
    await writer.close();
  }
}

async function versionsOf({ store }: PublishScene): Promise<string[]> {
  const state = await readChannelState(store.dir, 'app');
  return state!.releases.map(({ sequence, version }) => `${sequence} ${version}`);
}

describe('beside a publisher', () => {
  // The lock was held for as long as forms were made: a pause had to wait for five minutes.
  // Now rules change at any moment of it, and the release that comes does not undo them.
  it('rules are changed at once, and stay', async () => {
    const scene = publishScene();
    await scene.publish('1', { 'a.js': text });
    let changeCount = 0;
    let changing = Promise.resolve();
    const change = async () => {
      changeCount += 1;
      const rollout = changeCount;
      const state = changeCount % 2 === 0 ? 'active' : 'paused';
      await changeChannelState(scene.store.dir, 'app', (before) =>
        changeRule(before, '1', { rollout, state }, 0),
      );
    };
    // Forms are made several at once; an operator does one thing after the other.
    const jobs = jobsThat(() => {
      changing = changing.then(change);
      return changing;
    });
    const deltas = { askedCountMax: 1, latestCountMax: 1 };
    await scene.publish('2', { 'a.js': changed }, { jobs, deltas });
    assert.ok(changeCount > 3, `${changeCount} changes`);
    const [, first] = (await readChannelState(scene.store.dir, 'app'))!.releases;
    assert.equal(first!.rollout, changeCount);
    assert.equal(first!.state, changeCount % 2 === 0 ? 'active' : 'paused');
    assert.deepEqual(await versionsOf(scene), ['2 2', '1 1']);
    scene.remove();
  });

  // A collection takes what no release names, and that is all that a publisher has put so far.
  // What it found there already is as much at risk: nobody else may need it any more.
  it('garbage is collected at any step, and nothing of it is taken', async () => {
    const scene = publishScene();
    const source = { 'a.js': text, 'b.js': `${text}b`, 'c.js': 'c' };
    await scene.publish('1', { 'other.js': changed });
    const put = await scene.contentWriter();
    const found = Buffer.from(`${text}b`);
    await put.putObject(sha256Of(found), found);
    let collectedCount = 0;
    const collectFirst = async () => {
      collectedCount += 1;
      await collect(scene);
    };
    const options = await scene.options('2', source, { writer: put, isPacked: false });
    const { read } = options.source;
    const report = await publish({
      ...options,
      jobs: jobsThat(collectFirst),
      source: {
        ...options.source,
        read: async (file) => {
          await collectFirst();
          return read(file);
        },
      },
    });
    assert.ok(collectedCount >= 6, `${collectedCount} collections`);
    assert.equal(report.newContentCount, 2, 'what was there is there');
    assert.deepEqual((await scanStore(scene.store)).findings, []);
    for (const { sha256 } of report.manifest.files) {
      assert.ok(await scene.store.has({ kind: 'object', sha256 }));
    }
    assert.equal(await collect(scene), 0);
    assert.deepEqual(readdirSync(join(scene.store.dir, 'leases')), []);
    scene.remove();
  });

  it('others publish, and each release has a number of its own', async () => {
    const scene = publishScene();
    await scene.publish('1', { 'a.js': text });
    let isOutrun = false;
    const jobs = jobsThat(async () => {
      if (isOutrun) return;
      isOutrun = true;
      await scene.publish('faster', { 'a.js': `${text}f` });
    });
    const report = await scene.publish('slower', { 'a.js': changed }, { jobs });
    assert.equal(report.manifest.sequence, 3);
    assert.deepEqual(await versionsOf(scene), ['3 slower', '2 faster', '1 1']);
    const faster = report.olds.map(({ entry }) => entry.version);
    assert.deepEqual(faster, ['faster', '1'], 'deltas are made from the other one too');
    assert.deepEqual((await scanStore(scene.store)).findings, []);
    const atOnce = ['a', 'b', 'c', 'd'].map((name) => scene.publish(name, { 'a.js': text + name }));
    await Promise.all(atOnce);
    const versions = (await versionsOf(scene)).map((one) => one.split(' '));
    assert.deepEqual(
      versions.map(([sequence]) => sequence),
      ['7', '6', '5', '4', '3', '2', '1'],
    );
    const names = versions.slice(0, 4).map(([, name]) => name);
    assert.deepEqual(names.sort(), ['a', 'b', 'c', 'd']);
    scene.remove();
  });

  it('another of the same version is the only one, and the loser is told', async () => {
    const scene = publishScene();
    await scene.publish('1', { 'a.js': text });
    const jobs = jobsThat(async () => {
      if ((await versionsOf(scene)).length === 1) await scene.publish('2', { 'a.js': `${text}f` });
    });
    const late = () => scene.publish('2', { 'a.js': changed }, { jobs });
    assert.equal(await codeOfAsync(late), 'GW_DIST_EXISTS');
    assert.deepEqual(await versionsOf(scene), ['2 2', '1 1']);
    await collect(scene);
    const left = Buffer.from(changed);
    assert.equal(await scene.store.has({ kind: 'object', sha256: sha256Of(left) }), false);
    scene.remove();
  });
});

describe('a lease', () => {
  it('dies with its process, and holds as long as that lives', async () => {
    const scene = publishScene();
    const writer = await scene.contentWriter();
    const bytes = Buffer.from(text);
    const sha256 = sha256Of(bytes);
    await writer.putObject(sha256, bytes);
    const lease = await PublishLease.take(scene.store.dir, [sha256], Date.now());
    const folder = join(scene.store.dir, 'leases');
    const path = join(folder, readdirSync(folder)[0]!);
    const own = JSON.parse(readFileSync(path, 'utf8'));
    assert.equal(await collect(scene), 0);
    // As a publisher of another machine would leave it: it cannot be seen, and is believed.
    const elsewhere = { ...own, holder: { ...own.holder, host: 'elsewhere', pid: 1 } };
    writeFileSync(path, JSON.stringify(elsewhere));
    assert.equal(await collect(scene), 0);
    assert.equal(await codeOfAsync(() => lease.assertHeld()), 'GW_DIST_LOCKED');
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    writeFileSync(path, JSON.stringify({ ...own, holder: { ...own.holder, pid } }));
    assert.equal(await collect(scene), 1);
    assert.equal(existsSync(path), false);
    for (const bad of ['', '{', 'null', '{"contents":["../x"]}', '{"contents":[]}']) {
      writeFileSync(path, bad);
      await collect(scene);
      assert.equal(existsSync(path), false, bad);
    }
    scene.remove();
  });

  it('that was taken away lets nothing become visible', async () => {
    const scene = publishScene();
    await scene.publish('1', { 'a.js': text });
    const folder = join(scene.store.dir, 'leases');
    const jobs = jobsThat(async () => {
      for (const name of readdirSync(folder)) writeFileSync(join(folder, name), '');
    });
    const run = () => scene.publish('2', { 'a.js': changed }, { jobs });
    assert.equal(await codeOfAsync(run), 'GW_DIST_LOCKED');
    assert.deepEqual(await versionsOf(scene), ['1 1']);
    scene.remove();
  });
});
