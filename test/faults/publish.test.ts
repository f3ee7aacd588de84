// What may happen to a publisher: it is killed at any step, or the disk is full. The old release
// stays visible and whole, the new one is visible as a whole or not at all, and the same command
// finishes what was begun.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { build } from 'esbuild';
import { ManualClock, SeededRandom } from '../../host/core/index.ts';
import { readChannelState, statePath } from '../../host/distribution/channel-state.ts';
import { initKeys } from '../../host/distribution/keys.ts';
import { collectGarbage, scanStore } from '../../host/distribution/maintenance.ts';
import { StoreWriter } from '../../host/distribution/store-writer.ts';
import { installRoots } from '../../host/distribution/trust-root-chain.ts';
import { publishScene } from '../support/publish-scene.ts';
import { testSeed } from '../support/seed.ts';
import { randomBytes, sourceText, storeAt, storeScene } from '../support/store-scene.ts';
import { codeOfAsync } from '../support/trust-scene.ts';

const seed = testSeed('publish faults');
const random = new SeededRandom(seed);
const text = sourceText(random, 20_000);
const image = randomBytes(random, 70_000);
/** Steps that are tried, of all that a publisher takes. */
const KILLS_MAX = 40;

describe('a publisher that is killed', { timeout: 280_000 }, () => {
  const scene = storeScene();
  const keys = join(scene.root, 'keys');
  const program = join(scene.root, 'publisher.mjs');
  const first = scene.tree('one', { 'a.js': text, 'b.png': image, 'lib/c.js': `${text}c` });
  const second = scene.tree('two', {
    'a.js': `${text}// changed`,
    'b.png': image,
    'lib/c.js': `${text}// c`,
    'd.js': 'new in this one',
  });
  after(() => scene.remove());

  before(async () => {
    await build({
      entryPoints: ['test/faults/publisher.ts'],
      outfile: program,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      logLevel: 'warning',
    });
    await initKeys(keys, 4_000_000_000_000);
    await installRoots(keys, scene.store.dir);
    assert.equal(run(scene.store.dir, first, '1').status, 0);
  });

  function run(dir: string, tree: string, version: string, env: NodeJS.ProcessEnv = {}) {
    const argv = ['--require', './test/faults/kill-at-step.cjs', program, dir, tree, version, keys];
    return spawnSync(process.execPath, argv, {
      env: { ...process.env, ...env },
      encoding: 'utf8',
    });
  }

  function copyOfStore(): string {
    const dir = mkdtempSync(join(scene.root, 'copy-'));
    cpSync(scene.store.dir, dir, { recursive: true });
    return dir;
  }

  /** The old state to the byte, or the new release; whole in any case. */
  async function checkVisible(dir: string, what: string): Promise<'old' | 'new'> {
    const state = await readChannelState(dir, 'app');
    const versions = state!.releases.map(({ version }) => version).join(' ');
    assert.match(versions, /^(2 )?1$/, what);
    if (versions === '1') {
      const [now, then] = [dir, scene.store.dir].map((one) => {
        return readFileSync(join(one, statePath('app')));
      });
      assert.deepEqual(now, then, what);
    }
    assert.deepEqual((await scanStore(storeAt(dir))).findings, [], what);
    return versions === '1' ? 'old' : 'new';
  }

  async function collect(dir: string, what: string): Promise<void> {
    const clock = new ManualClock(0, Date.now());
    const store = storeAt(dir);
    const writer = await StoreWriter.open({ store, diskBytesMax: 1e12, clock });
    await collectGarbage(writer, clock.wallMs());
    await writer.close();
    assert.deepEqual((await scanStore(store)).findings, [], `${what}, collected`);
    const leases = readdirSync(dir).includes('leases') ? readdirSync(join(dir, 'leases')) : [];
    assert.deepEqual(leases, [], what);
  }

  function checkFinished(dir: string, what: string): void {
    assert.deepEqual(readdirSync(join(dir, 'temporary')), [], what);
    assert.deepEqual(readdirSync(join(dir, 'leases')), [], what);
    assert.ok(!readdirSync(dir).includes('lock'), what);
  }

  it('at any step leaves the old release or the new one, and can be run again', async () => {
    const stepsFile = join(scene.root, 'steps');
    const counted = copyOfStore();
    assert.equal(run(counted, second, '2', { STEPS: stepsFile }).status, 0);
    assert.equal(await checkVisible(counted, 'without a kill'), 'new');
    const stepCount = Number(readFileSync(stepsFile, 'utf8'));
    assert.ok(stepCount > 50, `${stepCount} steps`);
    // All of the last, where the release becomes visible; of the others as many as time allows.
    const steps = new Set(Array.from({ length: 20 }, (_, index) => stepCount - index));
    while (steps.size < Math.min(KILLS_MAX, stepCount))
      steps.add(1 + (random.uint32() % stepCount));
    const seen = { old: 0, new: 0 };
    for (const step of steps) {
      const dir = copyOfStore();
      const what = `killed at step ${step} of ${stepCount}`;
      const { signal, status } = run(dir, second, '2', { KILL_AT: String(step) });
      // Folders are named after hashes, and the time is signed: a run may need one less.
      if (signal === null) assert.equal(status, 0, what);
      else assert.equal(signal, 'SIGKILL', what);
      const visible = await checkVisible(dir, what);
      seen[visible] += 1;
      // What it leased is free, for it is dead; what is visible is not.
      if (step % 2 === 0) await collect(dir, what);
      const again = run(dir, second, '2');
      if (visible === 'old') assert.equal(again.status, 0, `${what}: ${again.stderr}`);
      else assert.match(again.stderr, /GW_DIST_EXISTS/, what);
      assert.equal(await checkVisible(dir, `${what}, run again`), 'new');
      if (visible === 'old') checkFinished(dir, what);
      rmSync(dir, { recursive: true });
    }
    console.log(`# ${stepCount} steps, killed at ${steps.size}: ${JSON.stringify(seen)}`);
    assert.ok(seen.old > 0 && seen.new > 0, JSON.stringify(seen));
  });

  it('at any moment leaves the old release or the new one', async () => {
    const started = Date.now();
    assert.equal(run(copyOfStore(), second, '2').status, 0);
    const wholeMs = Date.now() - started;
    for (let round = 0; round < 12; ++round) {
      const dir = copyOfStore();
      const child = spawn(process.execPath, [program, dir, second, '2', keys], { stdio: 'ignore' });
      const afterMs = random.unit() * wholeMs;
      const timer = setTimeout(() => child.kill('SIGKILL'), afterMs);
      await once(child, 'exit');
      clearTimeout(timer);
      await checkVisible(dir, `killed after ${afterMs} ms`);
      run(dir, second, '2');
      assert.equal(await checkVisible(dir, `killed after ${afterMs} ms, run again`), 'new');
      rmSync(dir, { recursive: true });
    }
  });
});

describe('a full disk', { timeout: 280_000 }, () => {
  it('at any write leaves the old release, and the same command finishes later', async () => {
    const scene = publishScene();
    await scene.publish('1', { 'a.js': text });
    const state = JSON.stringify(await readChannelState(scene.store.dir, 'app'));
    const files = { 'a.js': `${text}// changed`, 'b.png': image, 'c.js': 'new' };
    const probe = await open('package.json');
    const prototype = Object.getPrototypeOf(probe);
    await probe.close();
    const original = prototype.writeFile;
    let failedCount = 0;
    try {
      for (let failAt = 1; ; ++failAt) {
        let count = 0;
        // Half of it is written, as a disk does that fills up.
        prototype.writeFile = async function (bytes: Uint8Array) {
          count += 1;
          if (count !== failAt) return original.call(this, bytes);
          await original.call(this, bytes.subarray(0, bytes.length >> 1));
          throw Object.assign(new Error('ENOSPC: no space left on device, write'), {
            code: 'ENOSPC',
          });
        };
        const code = await codeOfAsync(() => scene.publish('2', files));
        if (code === 'nothing was thrown') break;
        failedCount += 1;
        assert.equal(code, 'GW_DIST_DISK', `write ${failAt}`);
        assert.equal(JSON.stringify(await readChannelState(scene.store.dir, 'app')), state);
        assert.deepEqual(readdirSync(join(scene.store.dir, 'temporary')), [], `write ${failAt}`);
      }
    } finally {
      prototype.writeFile = original;
    }
    assert.ok(failedCount > 2, `${failedCount} writes failed`);
    assert.equal((await readChannelState(scene.store.dir, 'app'))!.releases[0]!.version, '2');
    assert.deepEqual((await scanStore(scene.store)).findings, []);
    scene.remove();
  });

  it('of a real file system leaves what there is, and room lets it go on', async () => {
    const root = mkdtempSync(join(tmpdir(), 'sluice-full-'));
    const small = join(root, 'small');
    mkdirSync(small);
    const isMounted = mount(small, '1m');
    // Without the right to mount, the store's own limit plays the disk.
    const scene = publishScene(small);
    const diskBytesMax = isMounted ? 1e12 : 700_000;
    const files = (count: number) =>
      Object.fromEntries(
        Array.from({ length: count }, (_, index) => [`${index}.bin`, randomBytes(random, 100_000)]),
      );
    try {
      await scene.publish('1', { 'a.js': text }, {}, diskBytesMax);
      const state = JSON.stringify(await readChannelState(scene.store.dir, 'app'));
      const tree = files(4);
      const full = { ...tree, ...files(12) };
      const code = await codeOfAsync(() => scene.publish('2', full, {}, diskBytesMax));
      assert.equal(code, 'GW_DIST_DISK');
      assert.equal(JSON.stringify(await readChannelState(scene.store.dir, 'app')), state);
      assert.deepEqual(readdirSync(join(scene.store.dir, 'temporary')), []);
      assert.deepEqual((await scanStore(scene.store)).findings, []);
      const clock = new ManualClock(0, Date.now());
      const writer = await StoreWriter.open({ store: scene.store, diskBytesMax, clock });
      assert.ok((await collectGarbage(writer, Date.now())).removedCount > 0);
      await writer.close();
      await scene.publish('2', tree, {}, diskBytesMax);
      assert.deepEqual((await scanStore(scene.store)).findings, []);
    } finally {
      if (isMounted) spawnSync('umount', [small]);
      scene.remove();
      rmSync(root, { recursive: true, force: true });
    }
    console.log(`# ${isMounted ? 'on a mounted file system' : 'by the limit of the store'}`);
  });
});

function mount(folder: string, size: string): boolean {
  if (process.getuid?.() !== 0) return false;
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'none', folder]).status === 0;
}
