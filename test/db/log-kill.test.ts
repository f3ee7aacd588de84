// A log whose process is killed with SIGKILL at chosen steps, on a real file system.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { build } from 'esbuild';
import { SeededRandom } from '../../host/core/index.ts';
import { testSeed } from '../support/seed.ts';

const random = new SeededRandom(testSeed('log kills'));
/** Steps that are tried, of all that the program takes. */
const KILLS_COUNT = 24;

describe('a log whose process is killed', { timeout: 280_000 }, () => {
  const root = mkdtempSync(join(tmpdir(), 'sluice-log-kill-'));
  const program = join(root, 'program.mjs');
  after(() => rmSync(root, { recursive: true, force: true }));

  before(async () => {
    await build({
      entryPoints: ['test/db/log-child.ts'],
      outfile: program,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      logLevel: 'warning',
    });
  });

  /** What a run said, and how it ended. */
  function run(folder: string, killAt: number) {
    const argv = [program, folder, String(killAt)];
    const { stdout, stderr, signal, status } = spawnSync(process.execPath, argv, {
      encoding: 'utf8',
    });
    const numbers = (word: string) =>
      [...stdout.matchAll(new RegExp(`^${word} (\\d+)$`, 'gm'))].map(([, digits]) =>
        Number(digits),
      );
    const found = numbers('found')[0] ?? null;
    return {
      found,
      durable: numbers('durable').at(-1) ?? found,
      steps: numbers('steps'),
      signal,
      status,
      stderr,
    };
  }

  it('has all that was durable, and goes on', () => {
    const used = join(root, 'used');
    assert.equal(run(used, 0).durable, 30);
    const counted = join(root, 'counted');
    cpSync(used, counted, { recursive: true });
    const [stepCount] = run(counted, 0).steps;
    assert.ok(stepCount! > 60, `${stepCount} steps`);
    let alive = used;
    let durable = 30;
    let killsCount = 0;
    for (let round = 0; round < KILLS_COUNT; ++round) {
      // The folder goes from one life to the next; at times it is an early one again.
      if (round % 10 === 9) {
        alive = join(root, `copy-${round}`);
        cpSync(counted, alive, { recursive: true });
        durable = 60;
      }
      const killAt = 1 + (random.uint32() % stepCount!);
      const ended = run(alive, killAt);
      const what = `killed at step ${killAt}: ${ended.stderr}`;
      // A run that finds spare segments takes fewer steps.
      if (ended.signal === null) assert.equal(ended.status, 0, what);
      else killsCount += 1;
      if (ended.found === null) continue;
      // A group more may be there: one that was written and not acknowledged.
      assert.ok(ended.found >= durable && ended.found <= durable + 1, `${what} ${ended.found}`);
      durable = ended.durable!;
    }
    const last = run(alive, 0);
    assert.equal(last.status, 0, last.stderr);
    assert.ok(last.found! >= durable);
    assert.ok(killsCount > KILLS_COUNT / 2, `${killsCount} kills`);
  });
});
