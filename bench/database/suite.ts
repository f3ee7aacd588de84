// Sluice's databases beside PostgreSQL: both servers on one core, the load on another, the same
// jobs with the same numbers of clients, in alternating rounds.

import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import {
  freePort,
  processTree,
  type StartedProcess,
  stopProcess,
  treeCpuSeconds,
} from '../process-tree.ts';
import { requirePrograms } from '../programs.ts';
import { ratioOfPairs, type Spread, spreadOf } from '../statistics.ts';
import { type Gateway, loadGateway, runSql, startGateway } from './gateway.ts';
import { JOBS, type Job, type JobName, type Transport } from './jobs.ts';
import type { LoadResult } from './load-result.ts';
import { loadPostgres, type Postgres, startPostgres } from './postgres.ts';

export interface DatabasePlan {
  readonly jobs: readonly JobName[];
  readonly transports: readonly Transport[];
  readonly clients: readonly number[];
  readonly rounds: number;
  readonly roundMs: number;
  readonly sluiceCommand: readonly string[];
  /** Where both keep their files: one disk. */
  readonly folder: string;
  readonly log: (line: string) => void;
}

/** One server under one load. */
export interface DatabaseFigures {
  readonly ratePerSecond: Spread;
  /** Processor time of the server's process tree for each statement. Units: us. */
  readonly cpuUs: Spread;
  readonly p50Us: Spread;
  readonly p99Us: Spread;
  readonly p999Us: Spread;
}

export interface DatabaseRow {
  readonly job: JobName;
  readonly transport: Transport;
  readonly clients: number;
  readonly sluice: DatabaseFigures;
  readonly postgres: DatabaseFigures;
  /** Ours over PostgreSQL's of the same round. */
  readonly rateOverPostgres: Spread;
  readonly cpuOverPostgres: Spread;
}

export interface DatabaseResult {
  readonly rows: readonly DatabaseRow[];
  readonly rounds: number;
  readonly roundMs: number;
  /** Resident memory after everything. Units: bytes. */
  readonly sluiceRssBytes: number;
  readonly postgresRssBytes: number;
}

interface Samples {
  readonly results: LoadResult[];
  readonly cpuUs: number[];
}

const SERVER_CORE = 0;
const WARMUP_MS = 1_000;

/** Errors: a missing program, an answer that is an error, a stock that does not add up. */
export async function runDatabases(plan: DatabasePlan): Promise<DatabaseResult> {
  requirePrograms(['taskset', 'postgres', 'initdb', 'pgbench', 'psql']);
  if (availableParallelism() < 2) throw new Error('two cores are needed, this machine has 1');
  const folder = mkdtempSync(join(plan.folder, 'sluice-bench-db-'));
  // PostgreSQL runs as a user of its own, who must get through.
  chmodSync(folder, 0o711);
  const started: StartedProcess[] = [];
  try {
    const postgres = await startPostgres(join(folder, 'postgres'), await freePort(), SERVER_CORE);
    started.push(postgres.process);
    const ports = { listen: await freePort(), admin: await freePort() };
    const place = join(folder, 'sluice');
    const gateway = await startGateway(place, ports, SERVER_CORE, plan.sluiceCommand);
    started.push(gateway.process);
    const rows = await runAll(plan, gateway, postgres);
    return {
      rows,
      rounds: plan.rounds,
      roundMs: plan.roundMs,
      sluiceRssBytes: treeMemoryBytes(gateway.process.pid, 'VmRSS'),
      postgresRssBytes: treeMemoryBytes(postgres.process.pid, 'VmRSS'),
    };
  } finally {
    for (const process of started.reverse()) await stopProcess(process);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runAll(
  plan: DatabasePlan,
  gateway: Gateway,
  postgres: Postgres,
): Promise<DatabaseRow[]> {
  const rows: DatabaseRow[] = [];
  for (const name of plan.jobs) {
    const job = JOBS.find((one) => one.name === name)!;
    for (const transport of plan.transports) {
      for (const clients of plan.clients) {
        rows.push(await measureRow(plan, job, transport, clients, gateway, postgres));
      }
    }
  }
  return rows;
}

async function measureRow(
  plan: DatabasePlan,
  job: Job,
  transport: Transport,
  clients: number,
  gateway: Gateway,
  postgres: Postgres,
): Promise<DatabaseRow> {
  const core = availableParallelism() - 1;
  const load = { clients, durationMs: plan.roundMs, core, transport };
  const ours: Samples = { results: [], cpuUs: [] };
  const theirs: Samples = { results: [], cpuUs: [] };
  await loadGateway(gateway, job, { ...load, durationMs: Math.min(WARMUP_MS, plan.roundMs) });
  for (let round = 1; round <= plan.rounds; round++) {
    const check = await stockCheck(job, gateway);
    await sample(ours, gateway.process.pid, async () => {
      const outcome = await loadGateway(gateway, job, load);
      check.acknowledged(outcome.changedCount);
      return outcome;
    });
    await check.verify();
    await sample(theirs, postgres.process.pid, () => loadPostgres(postgres, job, load));
  }
  plan.log(`  ${job.name}, ${transport}, ${clients} clients: ${plan.rounds} rounds`);
  const rate = ({ results }: Samples) => results.map((result) => result.ratePerSecond);
  return {
    job: job.name,
    transport,
    clients,
    sluice: figuresOf(ours),
    postgres: figuresOf(theirs),
    rateOverPostgres: ratioOfPairs(rate(ours), rate(theirs)),
    cpuOverPostgres: ratioOfPairs(ours.cpuUs, theirs.cpuUs),
  };
}

/** A fast wrong answer must not win: each acknowledged decrement is in the stock, and no other. */
async function stockCheck(job: Job, gateway: Gateway) {
  if (job.name !== 'hot-row') return { acknowledged() {}, async verify() {} };
  const sql = ['SELECT left_count FROM stock WHERE id = 1'];
  const before = Number(await runSql(gateway.url, sql));
  let changedCount = 0;
  return {
    acknowledged(count: number) {
      changedCount = count;
    },
    async verify() {
      const after = Number(await runSql(gateway.url, sql));
      if (before - after === changedCount && changedCount > 0) return;
      throw new Error(`the stock fell by ${before - after}, acknowledged were ${changedCount}`);
    },
  };
}

async function sample(into: Samples, pid: number, run: () => Promise<LoadResult>): Promise<void> {
  const beforeSeconds = treeCpuSeconds(pid);
  const result = await run();
  const spentSeconds = treeCpuSeconds(pid) - beforeSeconds;
  if (result.answeredCount === 0) throw new Error('no statement was answered');
  into.results.push(result);
  into.cpuUs.push((spentSeconds * 1e6) / result.answeredCount);
}

function figuresOf({ results, cpuUs }: Samples): DatabaseFigures {
  const spread = (read: (result: LoadResult) => number) => spreadOf(results.map(read));
  return {
    ratePerSecond: spread((result) => result.ratePerSecond),
    cpuUs: spreadOf(cpuUs),
    p50Us: spread((result) => result.p50Us),
    p99Us: spread((result) => result.p99Us),
    p999Us: spread((result) => result.p999Us),
  };
}

/** Memory of a process and its children. Source: proc(5), status. Shared pages count once for each
 *  process that has them. */
export function treeMemoryBytes(pid: number, field: 'VmRSS' | 'RssAnon'): number {
  let total = 0;
  for (const member of processTree(pid)) {
    const status = readOrNone(`/proc/${member}/status`);
    total += Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1_024;
  }
  return total;
}

function readOrNone(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
