// The desk of plugins over workers that refuse, a folder that cannot be written, and a clock that
// is turned by hand: whatever fails on the way of a change leaves what ran.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { loadConfig, type PluginConfig } from '../../host/config/index.ts';
import { GatewayError, ManualClock } from '../../host/core/index.ts';
import type { PluginReport } from '../../host/proxywasm/index.ts';
import { publishedOf } from '../../host/workers/plugins/desk-entry.ts';
import { PluginDesk, type PluginDeskDeps } from '../../host/workers/plugins/plugin-desk.ts';
import { PluginStore } from '../../host/workers/plugins/plugin-store.ts';
import { type PluginTask, runPluginTask } from '../../host/workers/plugins/plugin-task.ts';
import type { PublishedPlugin } from '../../host/workers/plugins/published.ts';
import { image, sha256Of } from '../support/plugin-images.ts';
import { wat } from '../support/plugin-modules.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-desk-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function configOf(keys: string): readonly PluginConfig[] {
  const text = `listen: [{ port: 1 }]\nplugins: [{ name: a, file: a.wasm${keys} }]\n`;
  const loaded = loadConfig(text, join(folder, 'x.yaml'));
  assert.ok(loaded.ok);
  return loaded.config.plugins;
}

let foldersCount = 0;
function newFolder(): string {
  foldersCount += 1;
  return join(folder, `${foldersCount}`);
}

async function scene(keys = '', dir = newFolder()) {
  const configured = image('configured');
  let file = configured;
  const tasks: PluginTask[] = [];
  const lists: (readonly PublishedPlugin[])[] = [];
  const warned: string[] = [];
  const failed: string[] = [];
  const loads = { underWay: 0, most: 0 };
  const answers: string[][] = [];
  const forgotten: Parameters<PluginDeskDeps['forget']>[0][] = [];
  const log = () => {};
  const clock = new ManualClock();
  const desk = new PluginDesk({
    store: new PluginStore(dir),
    dir,
    clock,
    log: {
      debug: log,
      info: log,
      warn: (text) => warned.push(text),
      error: (text) => failed.push(text),
    },
    load: async (task) => {
      tasks.push(task);
      // The file is not there; what it holds is.
      const source =
        task.source.kind === 'configured'
          ? ({ kind: 'pushed', bytes: file, sha256: task.config.sha256 } as const)
          : task.source;
      loads.underWay += 1;
      loads.most = Math.max(loads.most, loads.underWay);
      const outcome = await runPluginTask({ ...task, source });
      loads.underWay -= 1;
      if (outcome.ok) return outcome.plugin;
      throw new GatewayError(outcome.code, outcome.detail);
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
    lastTrap: failedStreams > 0 ? 'proxy_on_log: unreachable' : '',
    stepsExceeded: 0,
    failedStreams,
    failedByCode: {},
    skippedStreams: 0,
    stepsUsed: 0,
    logLinesDropped: 0,
  });
  const made = { answers, clock, configured, desk, dir, forgotten, lists, push, report };
  const changeFile = (bytes: Uint8Array<ArrayBuffer>) => {
    file = bytes;
  };
  return { ...made, changeFile, failed, loads, tasks, told, warned };
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

  it('loads the most plugins that a file may have, a few at a time', async () => {
    // All were given to the compute pool at once: its queue takes 64, and a file with 67 plugins
    // did not start.
    const made = await scene();
    const [one] = configOf('');
    const configs = Array.from({ length: 256 }, (_, index) => ({ ...one!, name: `p${index}` }));
    const entries = await made.desk.prepare(configs);
    assert.deepEqual(
      [...entries.keys()],
      configs.map(({ name }) => name),
    );
    assert.ok(made.loads.most > 1 && made.loads.most <= 8, `${made.loads.most} at once`);
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
    const counts = 'it failed 12 of 30 requests, the version before 0 of 290 requests';
    const trap = 'it trapped in proxy_on_log: unreachable';
    assert.equal(after!.state.endedCanaries.at(-1)?.why, `${counts}; ${trap}`);
    assert.equal(made.desk.counts.canaries['rolled-back'], 1);
    // Its module is named by nobody any more.
    assert.deepEqual(readdirSync(join(made.dir, 'modules')), []);
  });

  it('refuses what its state does not allow', async () => {
    const pinned = await scene(`, sha256: ${sha256Of(image('configured'))}`);
    await assert.rejects(pinned.push(image('new')), { code: 'GW_PLUGIN_HASH' });
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
    const { endedCanaries, versions, canary } = made.desk.entries()[0]!.state;
    assert.deepEqual([endedCanaries.at(-1)?.outcome, canary], ['replaced', null]);
    for (let round = 0; round < 12; round++) await made.push(image(`c${round}`), 0.5);
    assert.equal(made.desk.entries()[0]!.state.endedCanaries.length, 10);
    await made.desk.abortCanary('a');
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
    await made.push(made.configured);
    const { endedCanaries, canary } = made.desk.entries()[0]!.state;
    assert.deepEqual([endedCanaries.at(-1)?.outcome, canary], ['replaced', null]);
    assert.deepEqual(made.told(), [sha256Of(made.configured), null]);
    await made.push(image('canary'), 0.5);
    assert.equal((await made.push(made.configured)).isUnchanged, true);
    assert.equal(made.desk.entries()[0]!.state.endedCanaries.length, 2);
    assert.deepEqual(made.told(), [sha256Of(made.configured), null]);
  });

  it('writes down a push of what the configuration names, for the file may change', async () => {
    // It was answered with "runs already" and forgotten: the next reload ran the changed file.
    const made = await scene();
    const first = made.configured;
    const { isUnchanged, previous, sha256 } = await made.push(first);
    assert.deepEqual([isUnchanged, previous, sha256], [false, sha256Of(first), sha256Of(first)]);
    assert.ok(made.tasks.at(-1)!.known.length > 0);
    assert.equal((await made.push(first)).isUnchanged, true);
    made.changeFile(image('changed'));
    made.desk.commit(await made.desk.prepare(configOf('')));
    await made.push(image('new'));
    await made.desk.rollback('a');
    const [entry] = made.desk.entries();
    assert.deepEqual([entry!.isPushed, made.told()], [true, [sha256Of(first), null]]);
    await made.desk.rollback('a');
    assert.deepEqual(made.told(), [sha256Of(image('changed')), null]);
    // A canary of what runs is none, and no push either.
    assert.equal((await made.push(image('changed'), 0.5)).isUnchanged, true);
    assert.equal(made.desk.entries()[0]!.isPushed, false);
  });

  it('warns of imports that the host does not have, and strictly refuses them', async () => {
    // They were told by the first call of one, and by inspect; never by what loaded the module.
    const made = await scene();
    const foreign = wat(`(module (import "env" "proxy_redis_init" (func (result i32)))
      (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1"))
      (func (export "malloc") (param i32) (result i32) (i32.const 64)))`);
    await made.push(foreign);
    const expected = [
      'it imports the function env.proxy_redis_init, which this host does not have',
    ];
    assert.deepEqual(made.desk.warnings(made.desk.entries()[0]!), expected);
    assert.deepEqual(made.warned, ['a plugin has warnings']);
    made.desk.commit(await made.desk.prepare(configOf(', priority: 1')));
    assert.equal(made.warned.length, 1);
    // A reload that makes the plugin strict is refused, and what runs runs on.
    await assert.rejects(made.desk.prepare(configOf(', strict: true')), {
      code: 'GW_PLUGIN_IMPORT',
    });
    const strict = await scene(', strict: true');
    await assert.rejects(strict.push(foreign), {
      code: 'GW_PLUGIN_IMPORT',
      detail: `plugin a: ${expected[0]}`,
    });
    assert.deepEqual(strict.told(), [sha256Of(strict.configured), null]);
    assert.equal(strict.lists.length, 0);
  });

  it('says when what the configuration names could not run below a push', async () => {
    // A wrong hash of a url was noticed by the rollback that needed it.
    const made = await scene();
    await made.push(image('new'));
    await made.desk.lookAtConfigured();
    const warnings = () => made.desk.warnings(made.desk.entries()[0]!);
    assert.deepEqual([warnings(), made.warned], [[], []]);
    made.changeFile(image('x', 'refuse'));
    await made.desk.lookAtConfigured();
    assert.match(warnings()[0]!, /could not run: plugin a: proxy_on_configure returned false/);
    assert.match(made.warned[0]!, /what the configuration names could not run/);
    made.changeFile(made.configured);
    await made.desk.lookAtConfigured();
    assert.deepEqual([warnings(), made.warned.length], [[], 1]);
  });
});

describe('a plugin folder that is damaged', () => {
  const moduleFile = (dir: string, bytes: Uint8Array) =>
    join(dir, 'modules', `${sha256Of(bytes)}.wasm`);

  it('costs a plugin what is damaged, and says so; what runs needs no file', async () => {
    // One damaged module refused the start of the whole gateway.
    const made = await scene();
    for (const name of ['v1', 'v2', 'v3']) await made.push(image(name));
    writeFileSync(moduleFile(made.dir, image('v3')), 'other bytes');
    rmSync(moduleFile(made.dir, image('v2')));
    made.desk.commit(await made.desk.prepare(configOf(', priority: 2')));
    assert.deepEqual([made.told(), made.failed], [[sha256Of(image('v3')), null], []]);

    const next = await scene('', made.dir);
    assert.deepEqual(next.told(), [sha256Of(image('v1')), null]);
    const [entry] = next.desk.entries();
    assert.equal(entry!.isPushed, true);
    const [warning] = next.desk.warnings(entry!);
    const path = moduleFile(made.dir, image('v3'));
    assert.ok(warning!.includes(`${path} is damaged: its bytes are`), warning);
    assert.equal(next.failed.length, 2);
    // It stays for whoever can bring the file back, and is forgotten with the next push.
    assert.equal(new PluginStore(made.dir).readState('a').versions.length, 3);
    await next.push(image('v3'));
    assert.deepEqual(next.desk.warnings(next.desk.entries()[0]!), []);
    await next.desk.rollback('a');
    assert.deepEqual(next.told(), [sha256Of(image('v1')), null]);
    writeFileSync(moduleFile(made.dir, image('v1')), '');
    const last = await scene('', made.dir);
    assert.deepEqual(last.told(), [sha256Of(last.configured), null]);
    assert.equal(last.desk.entries()[0]!.isPushed, false);
  });

  it('costs a plugin its canary, and its state', async () => {
    const made = await scene();
    await made.push(image('v1'));
    await made.push(image('v2'), 0.5);
    writeFileSync(moduleFile(made.dir, image('v2')), 'other bytes');
    const next = await scene('', made.dir);
    const [entry] = next.desk.entries();
    assert.deepEqual(next.told(), [sha256Of(image('v1')), null]);
    assert.equal(entry!.state.endedCanaries.at(-1)?.outcome, 'aborted');
    assert.match(entry!.state.endedCanaries.at(-1)!.why, /\.wasm is damaged/);
    writeFileSync(join(made.dir, 'state', 'a.json'), '{');
    const last = await scene('', made.dir);
    assert.deepEqual(last.told(), [sha256Of(last.configured), null]);
    assert.match(last.desk.warnings(last.desk.entries()[0]!)[0]!, /a\.json is damaged; delete it/);
    // Nobody knows what it named: no module is deleted.
    const kept = readdirSync(join(made.dir, 'modules'));
    assert.ok(kept.includes(`${sha256Of(image('v1'))}.wasm`), String(kept));
  });

  it('refuses the start of a plugin that is strict', async () => {
    const made = await scene();
    await made.push(image('v1'));
    await made.push(image('v2'));
    writeFileSync(moduleFile(made.dir, image('v2')), 'other bytes');
    await assert.rejects(scene(', strict: true', made.dir), /\.wasm is damaged/);
    writeFileSync(join(made.dir, 'state', 'a.json'), '{');
    await assert.rejects(scene(', strict: true', made.dir), /a\.json is damaged/);
  });
});
