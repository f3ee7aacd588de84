// A whole database that ends at any moment, on a disk that loses what was not synced: the histories
// are those of crash-histories.ts, run by two processes, without the hooks of the test runner.
// ROUNDS=n runs n of them; SEED=n with ROUNDS=1 repeats one.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { build } from 'esbuild';
import { testSeed } from '../support/seed.ts';

const SEEDS_COUNT = Number(process.env.ROUNDS ?? 1_000);
const PROCESSES_COUNT = Math.min(2, SEEDS_COUNT);
/** SQLite is compiled as far as it is called; most of the rest is the memory of its instances. */
const FAST_START = ['--wasm-lazy-compilation', '--liftoff-only', '--single-threaded-gc'];
const KINDS = ['write', 'sync', 'fold', 'trim', 'new segment', 'opening'];
const FAULTS = ['end-before', 'end-within', 'end-after', 'io-error', 'no-room'];

type Counts = Record<string, number>;

describe('a database on a disk that fails', { timeout: 900_000 }, () => {
  const folder = mkdtempSync('build/crash-');
  after(() => rmSync(folder, { recursive: true, force: true }));

  async function histories(program: string, firstSeed: number, count: number): Promise<Counts> {
    const argv = [...FAST_START, program, String(firstSeed), String(count)];
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].on('data', (data) => {
        said[name] += data;
      });
    }
    const [code] = await once(child, 'close');
    assert.equal(code, 0, said.stderr);
    return JSON.parse(said.stdout) as Counts;
  }

  it(`keeps every transfer that it acknowledged: ${SEEDS_COUNT} seeds`, async () => {
    const firstSeed = testSeed('database crashes');
    const program = join(folder, 'histories.mjs');
    await build({
      entryPoints: ['test/db/crash-histories.ts'],
      outfile: program,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      external: ['lmdb'],
      logLevel: 'warning',
    });
    const share = Math.ceil(SEEDS_COUNT / PROCESSES_COUNT);
    const parts = await Promise.all(
      Array.from({ length: PROCESSES_COUNT }, (_, index) =>
        histories(program, firstSeed + index * share, Math.min(share, SEEDS_COUNT - index * share)),
      ),
    );
    const counts: Counts = {};
    for (const part of parts) {
      for (const [what, count] of Object.entries(part)) {
        counts[what] = count + (counts[what] ?? 0);
      }
    }
    console.log(`# ${JSON.stringify(counts)}`);
    if (SEEDS_COUNT < 1_000) return;
    for (const kind of KINDS) {
      for (const fault of FAULTS) {
        const count = counts[`${kind} ${fault}`] ?? 0;
        assert.ok(count >= 5, `${kind} ${fault}: ${count} times`);
      }
    }
    assert.ok(counts['write short']! >= 5 && counts['flip told']! >= 100);
    assert.ok(counts.acknowledged! > 10_000 && counts['log-reopened']! > 50);
  });
});
