// A whole database whose process is killed with SIGKILL: at chosen points of commits, folds, trims,
// branches and recovery (test/support/kill-points.ts), or at any time. Each life begins with what
// the one before left, holds it against the rules, and ends the same way. KILLS=n tries n of them,
// SEED=n the same ones again.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { build } from 'esbuild';
import { SeededRandom } from '../../host/core/index.ts';
import type { KillPhase, KillPlan } from '../support/kill-points.ts';
import { testSeed } from '../support/seed.ts';

const KILLS_COUNT = Number(process.env.KILLS ?? 44);
/** As many as there are processors for. */
const LANES_COUNT = 2;
/** Then a folder has grown large, and a new one is begun. */
const LIVES_COUNT_MAX = 12;
const IDS_PER_LIFE = 1_000;
/** SQLite is compiled as far as it is called: a third less of each life. */
const FAST_START = ['--wasm-lazy-compilation', '--liftoff-only'];
const PHASES: readonly KillPhase[] = ['before', 'within', 'after'];

interface Group {
  readonly points: readonly string[];
  /** Calls at a point that one life has for certain, or nearly so. */
  readonly nthMax: number;
}

/** What must not matter, wherever it ends. Groups are aimed at in turn, in each of their phases. */
const GROUPS: Readonly<Record<string, Group>> = {
  write: { points: ['service write segment'], nthMax: 12 },
  sync: { points: ['service sync segment'], nthMax: 12 },
  fold: { points: ['service fold'], nthMax: 4 },
  collect: { points: ['service collect'], nthMax: 2 },
  trim: { points: ['service trim keep', 'service trim drop'], nthMax: 1 },
  'new segment': {
    points: [
      'service create fresh segment',
      'service write fresh segment',
      'service sync fresh segment',
      'service rename segment',
    ],
    nthMax: 1,
  },
  snapshot: {
    points: [
      'service pin',
      'service catalog mkdir',
      'service write made state',
      'service catalog rename',
    ],
    nthMax: 1,
  },
  recovery: {
    points: ['recovery write segment', 'recovery sync segment', 'recovery sync folder'],
    nthMax: 1,
  },
  'fold of a recovery': { points: ['recovery fold'], nthMax: 1 },
  closing: {
    points: ['closing fold', 'closing write state', 'closing rename state', 'closing sync state'],
    nthMax: 1,
  },
};
const TIMER = 'any time';
const AIMS = [...Object.keys(GROUPS), TIMER];

interface Life {
  readonly aim: string;
  readonly plan: KillPlan | null;
  /** When the process is killed from outside, where no plan says it. Units: ms. */
  readonly killMs: number | null;
  readonly seed: number;
}

function lifeOf(random: SeededRandom, number: number): Life {
  const aim = AIMS[number % AIMS.length]!;
  const seed = random.uint32();
  if (aim === TIMER) return { aim, plan: null, killMs: random.unit() * 1_000, seed };
  const { points, nthMax } = GROUPS[aim]!;
  const plan: KillPlan = {
    point: points[random.uint32() % points.length]!,
    phase: PHASES[Math.floor(number / AIMS.length) % PHASES.length]!,
    nth: 1 + (random.uint32() % nthMax),
    delayUs: random.uint32() % 1_500,
  };
  return { aim, plan, killMs: null, seed };
}

/** What a folder is known to hold. */
class Ledger {
  readonly folder: string;
  /** Transfers that were acknowledged or seen. */
  readonly known = new Set<number>();
  livesCount = 0;

  constructor(root: string) {
    this.folder = mkdtempSync(join(root, 'lane-'));
  }

  found(ids: readonly number[]): void {
    const found = new Set(ids);
    assert.equal(found.size, ids.length);
    for (const id of this.known) assert.ok(found.has(id), `transfer ${id} is lost`);
    for (const id of found) {
      assert.ok(id < this.livesCount * IDS_PER_LIFE, `nobody asked for transfer ${id}`);
      this.known.add(id);
    }
  }
}

describe('a database whose process is killed', { timeout: 1_700_000 }, () => {
  const root = mkdtempSync(join(tmpdir(), 'sluice-kill-'));
  // Within the checkout, where the page store finds its addon.
  const built = mkdtempSync('build/kill-');
  const program = join(built, 'child.mjs');
  after(() => {
    for (const folder of [root, built]) rmSync(folder, { recursive: true, force: true });
  });

  before(async () => {
    await build({
      entryPoints: ['test/db/kill-child.ts'],
      outfile: program,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      external: ['lmdb'],
      logLevel: 'warning',
    });
  });

  /** One life. Returns whether it was killed. */
  async function live(ledger: Ledger, { plan, killMs, seed }: Life): Promise<boolean> {
    const firstId = ledger.livesCount * IDS_PER_LIFE;
    ledger.livesCount += 1;
    const argv = [
      ...FAST_START,
      program,
      ledger.folder,
      String(seed),
      String(firstId),
      JSON.stringify(plan),
    ];
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    const closed = once(child, 'close');
    const timer = killMs === null ? null : setTimeout(() => child.kill('SIGKILL'), killMs);
    let errors = '';
    child.stderr.on('data', (data) => {
      errors += data;
    });
    const done: number[] = [];
    let isWhole = false;
    for await (const line of createInterface(child.stdout)) {
      const [word, rest = ''] = line.split(' ');
      if (word === 'found') ledger.found(JSON.parse(rest) as number[]);
      else if (word === 'done') done.push(Number(rest));
      else isWhole = word === 'passed';
    }
    const [code, signal] = await closed;
    if (timer !== null) clearTimeout(timer);
    assert.ok(signal === 'SIGKILL' || (code === 0 && isWhole), `${code} ${signal}\n${errors}`);
    for (const id of done) ledger.known.add(id);
    return signal === 'SIGKILL';
  }

  it(`has lost nothing and has nothing by half: ${KILLS_COUNT} kills`, async () => {
    const firstSeed = testSeed('database kills');
    const counts: Record<string, number> = {};
    const missed: number[] = [];
    let nextNumber = 0;
    let begun = 0;
    let kills = 0;
    let acknowledged = 0;
    const lane = async (): Promise<void> => {
      while (kills < KILLS_COUNT) {
        const ledger = new Ledger(root);
        const lives: Life[] = [];
        try {
          while (ledger.livesCount < LIVES_COUNT_MAX && kills < KILLS_COUNT) {
            const number = missed.pop() ?? nextNumber++;
            const life = lifeOf(new SeededRandom(firstSeed + begun), number);
            begun += 1;
            lives.push(life);
            const isKilled = await live(ledger, life);
            const phase = life.plan === null ? '' : ` ${life.plan.phase}`;
            const key = isKilled ? `${life.aim}${phase}` : `${life.aim} not reached`;
            counts[key] = 1 + (counts[key] ?? 0);
            if (isKilled) kills += 1;
            // Another life is aimed there, but not for ever.
            else if (begun < 2 * KILLS_COUNT) missed.push(number);
          }
          const last: Life = { aim: '', plan: null, killMs: null, seed: 1 };
          assert.equal(await live(ledger, last), false);
        } catch (error) {
          console.log(`# SEED=${firstSeed}; the lives of the folder: ${JSON.stringify(lives)}`);
          throw error;
        }
        acknowledged += ledger.known.size;
        rmSync(ledger.folder, { recursive: true, force: true });
      }
    };
    await Promise.all(Array.from({ length: LANES_COUNT }, lane));
    console.log(`# ${kills} kills of ${begun} lives, ${acknowledged} transfers`);
    console.log(`# ${JSON.stringify(counts)}`);
    assert.ok(acknowledged > kills);
    if (KILLS_COUNT < 44) return;
    const least = Math.max(1, Math.floor(KILLS_COUNT / AIMS.length / PHASES.length / 4));
    for (const aim of Object.keys(GROUPS)) {
      for (const phase of PHASES) {
        const count = counts[`${aim} ${phase}`] ?? 0;
        assert.ok(count >= least, `${aim} ${phase}: ${count} kills, at least ${least} are wanted`);
      }
    }
    assert.ok((counts[TIMER] ?? 0) >= least);
  });
});
