// The desk of plugins over workers that refuse, a folder that cannot be written, and a clock that
// is turned by hand: whatever fails on the way of a change leaves what ran.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { loadConfig, type PluginConfig } from '../../host/config/index.ts';
import { ManualClock } from '../../host/core/index.ts';
import type { PluginReport } from '../../host/proxywasm/index.ts';
import {
  PluginDesk,
  type PluginDeskDeps,
  publishedOf,
} from '../../host/workers/plugins/plugin-desk.ts';
import { PluginStore } from '../../host/workers/plugins/plugin-store.ts';
import { type PluginTask, runPluginTask } from '../../host/workers/plugins/plugin-task.ts';
import type { PublishedPlugin } from '../../host/workers/plugins/published.ts';
import { image, sha256Of } from '../support/plugin-images.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-desk-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function configOf(keys: string): readonly PluginConfig[] {
  const text = `listen: [{ port: 1 }]\nplugins: [{ name: a, file: a.wasm${keys} }]\n`;
  const loaded = loadConfig(text, join(folder, 'x.yaml'));
  assert.ok(loaded.ok);
  return loaded.config.plugins;
}

let foldersCount = 0;

async function scene(keys = '') {
  foldersCount += 1;
  const dir = join(folder, `${foldersCount}`);
  const configured = image('configured');
  const tasks: PluginTask[] = [];
  const lists: (readonly PublishedPlugin[])[] = [];
  const warned: string[] = [];
  const answers: string[][] = [];
  const forgotten: Parameters<PluginDeskDeps['forget']>[0][] = [];
  const log = () => {};
  const clock = new ManualClock();
  const desk = new PluginDesk({
    store: new PluginStore(dir),
    dir,
    clock,
    log: { debug: log, info: log, warn: (text) => warned.push(text), error: log },
    load: async (task) => {
      tasks.push(task);
      // The file is not there; what it holds is.
      const source =
        task.source.kind === 'configured'
          ? ({ kind: 'pushed', bytes: configured, sha256: task.config.sha256 } as const)
          : task.source;
      const outcome = await runPluginTask({ ...task, source });
      if (outcome.ok) return outcome.plugin;
      throw new Error(`${outcome.code} ${outcome.detail}`);
    },
    switchAll: async (plugins) => {
      lists.push(plugins);
      return answers.shift() ?? [];
    },
    inTurn: (change) => change(),
    forget: (gone) => forgotten.push(gone),
  });
  after(() => desk.stop());
  const entries = await desk.prepare(configOf(keys));
  desk.commit(entries);
  /** What the workers were last told: the version, and the canary. */
  const told = () => {
    const [one] = lists.at(-1) ?? publishedOf(entries);
    return [one!.module.report.sha256, one!.canary?.module.report.sha256 ?? null];
  };
  const push = (bytes: Uint8Array, canaryShare: number | null = null) =>
    desk.push('a', bytes, { canaryShare, sha256: '' });
  const report = (bytes: Uint8Array, opened: number, failedStreams: number): PluginReport => ({
    name: 'a',
    sha256: sha256Of(bytes),
    instances: 1,
    streams: 0,
    opened,
    started: 1,
    evicted: 0,
    traps: failedStreams,
    stepsExceeded: 0,
    failedStreams,
    failedByCode: {},
    skippedStreams: 0,
    stepsUsed: 0,
    logLinesDropped: 0,
  });
  const made = { answers, clock, configured, desk, dir, forgotten, lists, push, report };
  return { ...made, tasks, told, warned };
}

describe('the desk of plugins', () => {
  it('goes back on all workers when one of them refuses', async () => {
    const made = await scene();
    made.answers.push(['a: no memory']);
    await assert.rejects(made.push(image('new')), /an io worker refused it: a: no memory/);
    assert.equal(made.lists.length, 2);
    assert.deepEqual(made.told(), [sha256Of(made.configured), null]);
    assert.equal(made.desk.entries()[0]!.isPushed, false);
    assert.deepEqual(made.desk.counts.pushesRefused, 1);
  });

  it('goes back on all workers when the change cannot be written down', async () => {
    const made = await scene();
    mkdirSync(join(made.dir, 'state', `a.json.${process.pid}.temporary`), { recursive: true });
    await assert.rejects(made.push(image('new')), /a\.json: EISDIR/);
    assert.deepEqual(made.told(), [sha256Of(made.configured), null]);
    assert.equal(made.desk.entries()[0]!.current.module.report.sha256, sha256Of(made.configured));
    await made.push(image('new'));
    assert.deepEqual(made.told(), [sha256Of(image('new')), null]);
  });

  it('compiles no module twice', async () => {
    const made = await scene();
    await made.push(image('new'));
    await made.desk.rollback('a');
    await made.push(image('new'));
    await made.push(image('newer'));
    await made.desk.rollback('a');
    const configured = sha256Of(made.configured);
    const isKnown = made.tasks.map(({ known }, index) => {
      const wanted = [configured, 'new', configured, 'new', 'newer', 'new'][index]!;
      const sha256 = wanted === configured ? configured : sha256Of(image(wanted));
      return known.some(({ report }) => report.sha256 === sha256);
    });
    // The second push of the same bytes says no hash, so that nobody can know what they are.
    assert.deepEqual(isKnown, [false, false, true, false, false, true]);
  });

  it('judges a canary by what both served since it began, and worker by worker', async () => {
    const made = await scene();
    const [old, next] = [made.configured, image('next')];
    // Before the canary: of no account.
    made.desk.takeReport(0, [made.report(old, 1_000, 900), made.report(next, 50, 50)]);
    await made.push(next, 0.1);
    assert.deepEqual(made.told(), [sha256Of(old), sha256Of(next)]);
    made.desk.takeReport(0, [made.report(old, 1_100, 900), made.report(next, 60, 53)]);
    made.desk.tally.workerGone(0);
    made.desk.takeReport(1, [made.report(old, 90, 0), made.report(next, 10, 1)]);
    const [entry] = made.desk.entries();
    assert.deepEqual(made.desk.trialsOf(entry!, entry!.canary!), {
      canary: { requests: 20, failures: 4 },
      current: { requests: 190, failures: 0 },
    });
    assert.notEqual(entry!.canary, null);
    made.desk.takeReport(1, [made.report(old, 190, 0), made.report(next, 20, 9)]);
    await new Promise((resolve) => setImmediate(resolve));
    const [after] = made.desk.entries();
    assert.equal(after!.canary, null);
    assert.deepEqual(made.told(), [sha256Of(old), null]);
    assert.deepEqual(made.warned, ['a canary was rolled back']);
    const { lastCanary } = after!.state;
    assert.equal(
      lastCanary?.why,
      'it failed 12 of 30 requests, the version before 0 of 290 requests',
    );
    assert.equal(made.desk.counts.canaries['rolled-back'], 1);
    // Its module is named by nobody any more.
    assert.deepEqual(readdirSync(join(made.dir, 'modules')), []);
  });

  it('refuses what its state does not allow', async () => {
    const pinned = await scene(`, sha256: ${sha256Of(image('configured'))}`);
    await assert.rejects(pinned.push(image('new')), /GW_PLUGIN_HASH/);
    const other = { canaryShare: null, sha256: 'f'.repeat(64) };
    await assert.rejects(pinned.desk.push('a', image('new'), other), /pins a to/);
    const made = await scene();
    await assert.rejects(made.desk.push('b', image('new'), other), /no plugin "b"/);
    for (const change of [
      made.desk.promoteCanary('a'),
      made.desk.abortCanary('a'),
      made.desk.shareCanary('a', 0.5),
    ]) {
      await assert.rejects(change, /a has no canary/);
    }
    await assert.rejects(made.desk.rollback('a'), /nothing to go back to/);
    assert.equal(made.lists.length, 0);
  });

  it('forgets the oldest of many pushes, and ends a canary with the next', async () => {
    const made = await scene();
    for (let version = 0; version < 12; version++) await made.push(image(`v${version}`));
    assert.equal(made.desk.entries()[0]!.state.versions.length, 10);
    await made.push(image('canary'), 0.5);
    await made.push(image('urgent'));
    const { lastCanary, versions, canary } = made.desk.entries()[0]!.state;
    assert.deepEqual([lastCanary?.outcome, canary], ['replaced', null]);
    assert.equal(versions.at(-1)?.sha256, sha256Of(image('urgent')));
    assert.deepEqual(made.told(), [sha256Of(image('urgent')), null]);
  });

  it('forgets a plugin a minute after it has left the configuration', async (context) => {
    context.mock.timers.enable({ apis: ['setTimeout'] });
    const made = await scene();
    made.desk.takeReport(0, [made.report(made.configured, 9, 0)]);
    made.desk.tally.workerGone(0);
    made.desk.commit(await made.desk.prepare(configOf('')));
    assert.equal(made.desk.tally.all()[0]?.opened, 9);
    context.mock.timers.tick(60_000);
    assert.equal(made.forgotten[0]?.isPluginGone('a'), false);
    made.desk.commit(new Map());
    assert.deepEqual(made.desk.tally.all(), []);
    context.mock.timers.tick(59_999);
    assert.equal(made.forgotten.length, 1);
    context.mock.timers.tick(1);
    assert.equal(made.forgotten[1]?.isPluginGone('a'), true);
  });

  it('ends a canary with a push of what runs', async () => {
    // Such a push was answered with "runs already", and the canary went on taking its requests.
    const made = await scene();
    await made.push(image('canary'), 0.5);
    assert.equal((await made.push(made.configured)).isUnchanged, true);
    const { lastCanary, canary } = made.desk.entries()[0]!.state;
    assert.deepEqual([lastCanary?.outcome, canary], ['replaced', null]);
    assert.deepEqual(made.told(), [sha256Of(made.configured), null]);
  });
});
