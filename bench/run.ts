// `npm run bench [-- --quick] [--only NAME] [--sluice "COMMAND"] [--out FOLDER]`: kernels, then the
// system benchmarks, a table of each, the bars, the records. A full run renews bench/results and
// docs/BENCHMARKS.md; a quick one is for trying and writes to files that are not kept.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ContenderName } from './contenders.ts';
import { JOBS } from './database/jobs.ts';
import { jobPicture } from './database/picture.ts';
import { runRecovery } from './database/recovery.ts';
import { type DatabaseResult, runDatabases } from './database/suite.ts';
import { runDeltaTable } from './delta-table.ts';
import { kernelFiles, kernelText, runKernel } from './kernel-suite.ts';
import { saturationTool } from './load.ts';
import { PAIRS, pairPaths } from './pairs.ts';
import { runFilters } from './plugins/suite.ts';
import { killAllStarted } from './process-tree.ts';
import {
  barsTable,
  benchmarksDocument,
  currentLoad,
  databaseSection,
  deltaSection,
  filterSection,
  makeRecord,
  readRecords,
  recoverySection,
  systemTable,
  writeRecord,
} from './record.ts';
import { SCENARIOS } from './scenarios.ts';
import { runSystem } from './system-suite.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const kernelsFolder = join(root, 'bench', 'kernels');

const CONTENDERS: readonly ContenderName[] = ['nginx', 'haproxy', 'skeleton', 'sluice'];
const CONNECTIONS_COUNT = 32;
/** The pairs of large files take minutes. */
const QUICK_PAIRS_COUNT = 4;
const DELTA_TABLE = 'delta-table';
const DATABASES = 'databases';
const FILTERS = 'filters';
const FILTERS_FULL = { rounds: 9, exchangesCount: 50_000, tenantsCount: 5_000, loadMs: 12_000 };
const FILTERS_QUICK = { rounds: 3, exchangesCount: 5_000, tenantsCount: 500, loadMs: 2_000 };
const RECOVERY = 'databases-recovery';
const RECOVERY_FULL = { sizeBytes: 2 ** 30, smallCount: 1_000, rounds: 3, loadMs: 8_000 };
const RECOVERY_QUICK = { sizeBytes: 2 ** 24, smallCount: 10, rounds: 1, loadMs: 500 };
const DATABASE_CLIENTS = [1, 4, 16, 64, 256];
/** Fewer and longer than those of requests: a disk has moods of seconds. */
const DATABASE_FULL = { rounds: 3, roundMs: 4_000 };
const DATABASE_QUICK = { rounds: 1, roundMs: 1_000 };
const FULL = { rounds: 7, roundMs: 3000, sizeFactor: 1 };
const QUICK = { rounds: 3, roundMs: 1000, sizeFactor: 0.1 };

export interface BenchArguments {
  readonly isQuick: boolean;
  /** Part of the name of a scenario or kernel file; `''` runs everything. */
  readonly only: string;
  readonly sluiceCommand: readonly string[];
  readonly contenders: readonly ContenderName[];
  readonly outFolder: string;
}

/** Reads the arguments. Errors: an Error naming the argument and what is allowed. */
export function parseArguments(words: readonly string[]): BenchArguments {
  const values = new Map<string, string>();
  let isQuick = false;
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (word === '--quick') {
      isQuick = true;
      continue;
    }
    const value = words[++index];
    if (!['--only', '--sluice', '--contenders', '--out'].includes(word) || value === undefined) {
      throw new Error(
        `${word}: expected --quick, --only NAME, --sluice "COMMAND", --contenders a,b or ` +
          '--out FOLDER',
      );
    }
    values.set(word, value);
  }
  const contenders = values.get('--contenders')?.split(',') ?? CONTENDERS;
  const unknown = contenders.find((name) => !CONTENDERS.some((known) => known === name));
  if (unknown !== undefined) {
    throw new Error(`--contenders ${unknown}: one of ${CONTENDERS.join(', ')}`);
  }
  const script = join(root, 'dist', 'sluice.js');
  return {
    isQuick,
    only: values.get('--only') ?? '',
    sluiceCommand: values.get('--sluice')?.split(' ') ?? [process.execPath, script],
    contenders: contenders as readonly ContenderName[],
    outFolder: values.get('--out') ?? join(root, 'bench', 'results'),
  };
}

async function main(): Promise<void> {
  const given = parseArguments(process.argv.slice(2));
  const words = process.argv.slice(2);
  const command = ['npm run bench', ...(words.length > 0 ? ['--', ...words] : [])].join(' ');
  const run = { command, loadBefore: currentLoad() };
  const scenarios = SCENARIOS.filter(({ name }) => name.includes(given.only));
  const kernels = kernelFiles(kernelsFolder).filter((file) => file.includes(given.only));
  const hasDeltas = DELTA_TABLE.includes(given.only);
  const databaseJobs = JOBS.filter(({ name }) => `${DATABASES}-${name}`.includes(given.only));
  const hasFilters = FILTERS.includes(given.only);
  const hasRecovery = RECOVERY.includes(given.only);
  const others = scenarios.length + kernels.length + databaseJobs.length;
  if (others === 0 && !hasDeltas && !hasFilters && !hasRecovery) {
    const known = [
      ...JOBS.map(({ name }) => `${DATABASES}-${name}`),
      RECOVERY,
      DELTA_TABLE,
      FILTERS,
      ...SCENARIOS.map(({ name }) => name),
      ...kernelFiles(kernelsFolder),
    ];
    throw new Error(`--only ${given.only}: one of ${known.join(', ')}`);
  }
  const { rounds, roundMs, sizeFactor } = given.isQuick ? QUICK : FULL;
  const prefix = given.isQuick ? 'local-' : '';
  const log = (line: string) => console.error(line);
  for (const file of kernels) {
    const kernel = await runKernel(kernelsFolder, file, sizeFactor);
    console.log(`\n${kernelText(kernel)}`);
    const name = `${prefix}kernel-${file.replace(/\.bench\.ts$/, '')}`;
    writeRecord(given.outFolder, name, makeRecord(run, { kernel, system: null }));
  }
  for (const scenario of scenarios) {
    const { contenders, sluiceCommand } = given;
    const connections = CONNECTIONS_COUNT;
    const load = { rounds, roundMs, connections, tool: saturationTool() };
    const plan = { scenario, contenders, sluiceCommand, log, ...load };
    const system = await runSystem(plan);
    console.log(`\n${scenario.title}\n${systemTable(system)}`);
    const record = makeRecord(run, { kernel: null, system });
    writeRecord(given.outFolder, `${prefix}${scenario.name}`, record);
  }
  if (hasFilters) {
    const { sluiceCommand } = given;
    const size = given.isQuick ? FILTERS_QUICK : FILTERS_FULL;
    const filters = await runFilters({ ...size, sluiceCommand, log });
    console.log(`\n${filterSection(filters)}`);
    const record = makeRecord(run, { kernel: null, system: null, filters });
    writeRecord(given.outFolder, `${prefix}${FILTERS}`, record);
  }
  if (hasDeltas) {
    const pairs = given.isQuick ? PAIRS.slice(0, QUICK_PAIRS_COUNT) : PAIRS;
    const deltas = runDeltaTable(
      pairs.map((pair) => ({ name: pair.name, ...pairPaths(pair) })),
      log,
    );
    console.log(`\n${deltaSection(deltas)}`);
    const record = makeRecord(run, { kernel: null, system: null, deltas });
    writeRecord(given.outFolder, `${prefix}${DELTA_TABLE}`, record);
  }
  if (databaseJobs.length > 0) {
    const databases = await runDatabases({
      jobs: databaseJobs.map(({ name }) => name),
      transports: ['websocket', 'http'],
      clients: given.isQuick ? [1, 16] : DATABASE_CLIENTS,
      ...(given.isQuick ? DATABASE_QUICK : DATABASE_FULL),
      sluiceCommand: given.sluiceCommand,
      folder: tmpdir(),
      log,
    });
    console.log(`\n${databaseSection(databases)}`);
    const record = makeRecord(run, { kernel: null, system: null, databases });
    writeRecord(given.outFolder, `${prefix}${DATABASES}`, record);
    if (!given.isQuick) drawCurves(databases);
  }
  if (hasRecovery) {
    const { sluiceCommand } = given;
    const plan = given.isQuick ? RECOVERY_QUICK : RECOVERY_FULL;
    const recovery = await runRecovery({ ...plan, sluiceCommand, folder: tmpdir(), log });
    console.log(`\n${recoverySection(recovery)}`);
    const record = makeRecord(run, { kernel: null, system: null, recovery });
    writeRecord(given.outFolder, `${prefix}${RECOVERY}`, record);
  }
  finish(given);
}

function drawCurves({ rows }: DatabaseResult): void {
  const folder = join(root, 'docs', 'images');
  mkdirSync(folder, { recursive: true });
  for (const { name } of JOBS) {
    if (!rows.some(({ job }) => job === name)) continue;
    writeFileSync(join(folder, `databases-${name}.svg`), jobPicture(rows, name));
  }
}

function finish(given: BenchArguments): void {
  const records = readRecords(given.outFolder);
  if (records.length === 0) return;
  console.log(`\n${barsTable(records)}`);
  const docs = join(root, 'docs');
  if (given.isQuick || given.outFolder !== join(root, 'bench', 'results') || !existsSync(docs)) {
    return;
  }
  writeFileSync(join(docs, 'BENCHMARKS.md'), benchmarksDocument(records));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      killAllStarted();
      process.exit(1);
    });
  }
  try {
    await main();
  } catch (error) {
    console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}
