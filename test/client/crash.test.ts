// A device that is killed while it updates: whenever it is, the next start opens a release that is
// whole, and the next update goes through.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { build } from 'esbuild';
import type { Loader } from '../../client/api.ts';
import { fileStorage } from '../../client/node-storage.ts';
import { script, testLoader } from '../support/loader.ts';
import { ReleaseOrigin } from '../support/release-origin.ts';
import { ReleaseShelf } from '../support/release-shelf.ts';
import { testSeed } from '../support/seed.ts';

const shelf = new ReleaseShelf();
const folder = mkdtempSync(join(tmpdir(), 'loader-crash-'));
const template = join(folder, 'template');
const trustRoot = join(folder, 'root.json');
let origin: ReleaseOrigin;
let folderCount = 0;

function open(directory: string, origins: readonly string[]): Loader {
  return testLoader(shelf, { origins, storage: fileStorage(directory) });
}

/** Runs a device in a copy of the template; resolves with what it printed. */
function runChild(directory: string, env: Record<string, string>, killAfterMs?: number) {
  return new Promise<{ readonly output: string; readonly signal: string | null }>((resolve) => {
    const preload = join(folder, 'kill-at-call.js');
    const child = spawn(
      process.execPath,
      ['--import', preload, join(folder, 'update-child.js'), directory, origin.url, trustRoot],
      { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let output = '';
    child.stdout.on('data', (data) => {
      output += data;
    });
    if (killAfterMs !== undefined) setTimeout(() => child.kill('SIGKILL'), killAfterMs);
    child.on('close', (_code, signal) => resolve({ output, signal }));
  });
}

function freshCopy(): string {
  folderCount += 1;
  const directory = join(folder, `device-${folderCount}`);
  cpSync(template, directory, { recursive: true });
  return directory;
}

/** Opens without a network, reads every file, and then updates. */
async function checkDevice(directory: string, story: string): Promise<void> {
  const alone = open(directory, []);
  const [release] = await alone.start();
  assert.ok(release !== undefined, `${story}: nothing opens: ${JSON.stringify(alone.trail())}`);
  const expected = shelf.releases.find(({ version }) => version === release.version)!;
  for (const [path, bytes] of expected.files) {
    assert.deepEqual(await alone.get(path), new Uint8Array(bytes), `${story}: ${path}`);
  }
  await alone.close();
  const online = open(directory, [origin.url]);
  await online.start();
  const [update] = await online.update();
  assert.notEqual(update?.status, 'failed', `${story}: ${update?.error?.message}`);
  assert.equal(online.release()?.version, '1.2.0', story);
  for (const [path, bytes] of shelf.newest('app')!.files) {
    assert.deepEqual(await online.get(path), new Uint8Array(bytes), `${story}: ${path}`);
  }
  await online.confirm();
  await online.close();
  // Nothing half-written is left behind.
  const left = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  const rubbish = left.filter((name) => /^temporary.|lock/.test(name));
  assert.deepEqual(rubbish, [], story);
  rmSync(directory, { recursive: true });
}

before(async () => {
  origin = await ReleaseOrigin.open(shelf);
  writeFileSync(trustRoot, shelf.trustRoot);
  await build({
    entryPoints: ['test/support/update-child.ts', 'test/support/kill-at-call.ts'],
    outdir: folder,
    bundle: true,
    platform: 'node',
    format: 'esm',
    outExtension: { '.js': '.js' },
    logLevel: 'error',
  });
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  shelf.publish('app', { 'main.js': script(1), 'a.txt': 'one', 'b.txt': 'same' });
  const first = open(template, [origin.url]);
  await first.start();
  assert.equal((await first.update())[0]?.status, 'updated');
  await first.confirm();
  await first.close();
  shelf.publish('app', { 'main.js': script(2), 'a.txt': 'two', 'b.txt': 'same' });
});
after(async () => {
  await origin.close();
  rmSync(folder, { recursive: true });
});

/** What an update does that nobody kills, in order. */
async function tracedUpdate(): Promise<string[]> {
  const trace = join(folder, 'trace');
  rmSync(trace, { force: true });
  const directory = freshCopy();
  const { output } = await runChild(directory, { TRACE: trace });
  assert.match(output, /^updated/);
  rmSync(directory, { recursive: true });
  return readFileSync(trace, 'utf8').trim().split('\n');
}

/** Devices mostly wait for the disk: several at a time take no longer than one. */
async function inParallel(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const run = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      await work(next - 1);
    }
  };
  await Promise.all(Array.from({ length: 4 }, run));
}

describe('a device that is killed', () => {
  it('at any change of its files opens a whole release, and then updates', async () => {
    const callCount = Number((await tracedUpdate()).at(-1)?.replace('end ', ''));
    assert.ok(callCount > 40, `${callCount} calls`);
    await inParallel(callCount, async (index) => {
      const killAt = index + 1;
      const directory = freshCopy();
      const tear = killAt % 2 === 0 ? '1' : '0';
      const { signal } = await runChild(directory, { KILL_AT: String(killAt), TEAR: tear });
      // Parallel writes make the count vary by a few at the end.
      if (signal === null) assert.ok(killAt > callCount / 2, `call ${killAt} never came`);
      await checkDevice(directory, `killed at call ${killAt} of ${callCount}`);
    });
  });

  it('at any moment opens a whole release, and then updates', async () => {
    const seed = testSeed('client crash');
    await inParallel(12, async (index) => {
      const afterMs = 40 + ((Math.imul(seed + index, 2_654_435_761) >>> 8) % 400);
      const directory = freshCopy();
      await runChild(directory, {}, afterMs);
      await checkDevice(directory, `killed after ${afterMs} ms`);
    });
  });

  it('by the power has synced what its state may name before the state', async () => {
    // The state came before the name of a content whose folder was just being synced for another.
    // What is still being written while the state is, the state does not name.
    const synced = new Set<string>();
    const namesIn = new Map<string, string[]>();
    /** By folder, the names that were there when its sync began. */
    const syncing = new Map<string, readonly string[]>();
    const kept: string[] = [];
    let promised: readonly string[] = [];
    let stateCount = 0;
    for (const line of await tracedUpdate()) {
      const [, call, from = '', to = ''] = /^(done \w+|\w+) (.*?)(?: -> (.*))?$/.exec(line)!;
      if (call === 'kept') kept.push(from);
      if (call === 'state') promised = [...kept];
      if (call === 'sync') syncing.set(from, [from, ...(namesIn.get(from) ?? [])]);
      if (call === 'done sync') for (const path of syncing.get(from)!) synced.add(path);
      if (call === 'done rename') {
        namesIn.set(dirname(to), [...(namesIn.get(dirname(to)) ?? []), basename(to)]);
      }
      if (call !== 'rename') continue;
      assert.ok(synced.has(from), `${from} was renamed before it was synced`);
      if (!/state$/.test(to)) continue;
      stateCount += 1;
      for (const hash of promised) {
        assert.ok(synced.has(hash), `the state came before the name of ${hash}`);
      }
    }
    assert.ok(kept.length > 2 && stateCount > 2 && promised.length === kept.length);
  });
});
