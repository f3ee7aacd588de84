// What a run leaves behind: one JSON file for each benchmark, and docs/BENCHMARKS.md made from all
// of the files, so that a partial run renews only its own rows.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { JOBS } from './database/jobs.ts';
import type { RecoveryResult } from './database/recovery.ts';
import { recoveryTables, recoveryText, recoveryVerdicts } from './database/recovery-report.ts';
import { databaseTable, databaseVerdicts } from './database/report.ts';
import type { DatabaseResult } from './database/suite.ts';
import { type DeltaResult, decodeWarmOf, deltaVerdicts } from './delta-table.ts';
import { formatOps, type KernelResult } from './kernel-suite.ts';
import {
  filterCostTable,
  filterTimesTable,
  filterVerdicts,
  swapTable,
  tenantTable,
} from './plugins/report.ts';
import type { FilterResult } from './plugins/suite.ts';
import { databaseVersions, deltaVersions, programVersions } from './programs.ts';
import { SCENARIOS } from './scenarios.ts';
import type { Spread } from './statistics.ts';
import type { ContenderResult, SystemResult } from './system-suite.ts';

export interface BenchRecord {
  readonly format: 1;
  readonly date: string;
  readonly command: string;
  readonly machine: string;
  readonly versions: Readonly<Record<string, string>>;
  /** What the machine did before the run: the average load of the last minute. */
  readonly loadBefore: number;
  readonly system: SystemResult | null;
  readonly kernel: KernelResult | null;
  /** Absent from records of before deltas were measured. */
  readonly deltas?: DeltaResult | null;
  /** Absent from records of anything else. */
  readonly databases?: DatabaseResult | null;
  /** The same. */
  readonly filters?: FilterResult | null;
  readonly recovery?: RecoveryResult | null;
}

/** The average load of the last minute; read it before the run adds its own. */
export function currentLoad(): number {
  return loadavg()[0]!;
}

/** Wraps a result with where, when and how it was measured. */
export function makeRecord(
  run: { command: string; loadBefore: number },
  result: Pick<BenchRecord, 'system' | 'kernel' | 'deltas' | 'databases' | 'filters' | 'recovery'>,
): BenchRecord {
  const processors = cpus();
  const gibibytes = (totalmem() / 1024 ** 3).toFixed(0);
  return {
    format: 1,
    date: new Date().toISOString(),
    ...run,
    machine:
      `${processors.length} x ${processors[0]?.model.trim() ?? 'unknown'}, ${gibibytes} GiB, ` +
      `${type()} ${release()} ${arch()}`,
    versions: versionsFor(result),
    ...result,
  };
}

function versionsFor({
  deltas,
  databases,
  recovery,
}: Pick<BenchRecord, 'deltas' | 'databases' | 'recovery'>): Record<string, string> {
  if (recovery !== undefined) return { node: process.version };
  if (databases !== undefined) return databaseVersions();
  return deltas === undefined ? programVersions() : deltaVersions();
}

export function writeRecord(folder: string, name: string, record: BenchRecord): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}.json`);
  writeFileSync(path, `${JSON.stringify(record, null, 2)}\n`);
  return path;
}

/** Every record of a folder but the local ones, in the order of the scenarios, kernels last. */
export function readRecords(folder: string): BenchRecord[] {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => /^(?!local-).*\.json$/.test(name));
  const records = names
    .sort()
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as BenchRecord);
  const place = ({ system }: BenchRecord) => {
    const index = SCENARIOS.findIndex(({ name }) => name === system?.scenario);
    return index === -1 ? SCENARIOS.length : index;
  };
  return records.sort((left, right) => place(left) - place(right));
}

/** A table of one scenario, for the terminal and the document alike. */
export function systemTable(result: SystemResult): string {
  const hasLatency = result.ratePerSecond !== null;
  const head = ['contender', 'CPU us/request', 'CPU over nginx', 'requests/s'];
  if (hasLatency) head.push('p50 us', 'p99 us', 'p99.9 us');
  const rows = result.contenders.map((one) => [
    one.name,
    spreadText(one.cpuUs, 1),
    one.cpuOverNginx === null ? '-' : spreadText(one.cpuOverNginx, 2),
    spreadText(one.ratePerSecond, 0),
    // Records from before p99.9 was measured have none.
    ...(hasLatency
      ? [one.p50Us, one.p99Us, one.p999Us].map((us) => (us == null ? '-' : spreadText(us, 0)))
      : []),
  ]);
  return markdownTable(head, rows);
}

function spreadText({ median, min, max }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)}..${max.toFixed(digits)})`;
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}

/** The bars of every record, with what was measured. */
export function barsTable(records: readonly BenchRecord[]): string {
  const rows: string[][] = [];
  for (const { system, kernel, deltas, databases, filters, recovery } of records) {
    if (system?.barOverNginx != null) rows.push(systemBar(system, system.barOverNginx));
    for (const bar of kernel?.bars ?? []) {
      const what = `${bar.over} over ${bar.under}`;
      rows.push([what, `>= ${bar.atLeast}`, bar.ratio.toFixed(2), bar.isMet ? 'pass' : 'miss']);
    }
    const verdicts = [
      ...(deltas == null ? [] : deltaVerdicts(deltas)),
      ...(databases == null ? [] : databaseVerdicts(databases)),
      ...(recovery == null ? [] : recoveryVerdicts(recovery)),
      ...(filters == null ? [] : filterVerdicts(filters)),
    ];
    for (const { what, bar, measured, isMet } of verdicts) {
      rows.push([what, bar, measured, isMet ? 'pass' : 'miss']);
    }
  }
  return markdownTable(['what', 'bar', 'measured', ''], rows);
}

function systemBar(system: SystemResult, bar: number): string[] {
  const ratioOf = (name: ContenderResult['name']) =>
    system.contenders.find((one) => one.name === name)?.cpuOverNginx ?? null;
  const ours = ratioOf('sluice');
  const floor = ratioOf('skeleton');
  const measured = ours === null ? 'not measured' : ours.median.toFixed(3);
  const skeleton = floor === null ? '' : ` (skeleton ${floor.median.toFixed(3)})`;
  const verdict = ours === null ? '-' : ours.median <= bar ? 'pass' : 'miss';
  return [`CPU over nginx: ${system.title}`, `<= ${bar}`, `${measured}${skeleton}`, verdict];
}

/** docs/BENCHMARKS.md as a whole. */
export function benchmarksDocument(records: readonly BenchRecord[]): string {
  const sections = records.map((record) => {
    const { date, command, machine, versions, loadBefore } = record;
    const title = titleOf(record);
    const facts = [
      `${date.slice(0, 10)} · \`${shownCommand(command)}\` · ${machine}`,
      Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(' · '),
    ];
    if (loadBefore > LOAD_QUIET_MAX) facts.push('', busyText(loadBefore));
    const body = sectionBody(record);
    return [`## ${title}`, '', ...facts, '', body].join('\n');
  });
  const parts = [INTRODUCTION, barsTable(records), '', LIMITS, '', sections.join('\n\n')];
  return `${parts.join('\n')}\n`;
}

function titleOf({ system, kernel, databases, filters, recovery }: BenchRecord): string {
  if (filters != null) return 'filters in their sandbox';
  if (recovery != null) return 'databases: recovery and memory';
  if (databases != null) return 'databases beside PostgreSQL';
  return (
    system?.title ?? (kernel == null ? 'deltas between real releases' : `kernel: ${kernel.file}`)
  );
}

/** A folder of the machine's own says nothing to a reader and cannot be run again. */
function shownCommand(command: string): string {
  return command.replace(/(?<=\s)\/\S*\/(?=\S+)/g, '.../');
}

function sectionBody({
  system,
  kernel,
  deltas,
  databases,
  filters,
  recovery,
}: BenchRecord): string {
  if (filters != null) return filterSection(filters);
  if (recovery != null) return recoverySection(recovery);
  if (databases != null) return databaseSection(databases);
  if (system !== null) return systemSection(system);
  return kernel === null ? deltaSection(deltas!) : kernelTable(kernel);
}

/** Others' work above this makes latencies and rates worthless and ratios wide. */
const LOAD_QUIET_MAX = 0.5;

/** A table from a busy machine must not pass for one from a quiet one. */
export function busyText(loadBefore: number): string {
  return (
    `**The machine was busy**: its load was ${loadBefore.toFixed(1)} on ` +
    `${availableParallelism()} cores before the run. Read the ratios with their span; ` +
    'rates and latencies say little.'
  );
}

function systemSection(system: SystemResult): string {
  const load =
    system.ratePerSecond === null
      ? `closed loop (${system.tool})`
      : `open loop at ${system.ratePerSecond}/s (${system.tool})`;
  const parts = [
    `${load}, ${system.connections} connections, ${system.rounds} alternating rounds of ` +
      `${system.roundMs / 1000} s for each contender. Medians, span in brackets.`,
    '',
    systemTable(system),
  ];
  if (system.leftOut.length > 0) parts.push('', `Left out: ${system.leftOut.join(', ')}.`);
  return parts.join('\n');
}

/** A table of each job, and memory. The pictures lie beside the document. */
export function databaseSection({ rows, ...run }: DatabaseResult): string {
  const seconds = run.roundMs / 1_000;
  const mebibytes = (sizeBytes: number) => `${Math.round(sizeBytes / 1_024 ** 2)} MiB`;
  const parts = [
    `Closed loop: each client sends its next statement when the last is answered, ${run.rounds} ` +
      `alternating rounds of ${seconds} s. Load on PostgreSQL: pgbench (C) with prepared ` +
      'statements; on sluice: a Hrana 2 client of ours (JavaScript, JSON, frames written by ' +
      'hand), the slower of the two. Both keep an acknowledged commit through a power cut.',
  ];
  for (const { name, title } of JOBS) {
    const own = rows.filter(({ job }) => job === name);
    if (own.length === 0) continue;
    const table = databaseTable(own);
    parts.push('', `### ${title}`, '', `![](images/databases-${name}.svg)`, '');
    parts.push(markdownTable(table.head, table.rows));
  }
  const [ours, theirs] = [run.sluiceRssBytes, run.postgresRssBytes].map(mebibytes);
  const memory = `sluice ${ours}, PostgreSQL ${theirs}`;
  parts.push('', `Resident memory at the end: ${memory} (shared pages count once a process).`);
  return parts.join('\n');
}

/** What filters cost, how long it takes to have one, and many of them at once. */
export function filterSection(result: FilterResult): string {
  const tables = [filterCostTable, filterTimesTable, tenantTable, swapTable].map((make) => {
    const { head, rows } = make(result);
    return markdownTable(head, rows);
  });
  return [
    [
      'CPU time that a filter adds to an exchange (11 and 5 headers, a body of 4 KiB in two',
      `chunks), ${result.exchangesCount} exchanges in each of ${result.rounds} alternating rounds,`,
      'without sockets. Metered is what a gateway runs; plain is the same logic in TypeScript in',
      'the same place. Metering is metered over unmetered, sandbox metered over plain.',
    ].join(' '),
    tables[0]!,
    'The header filter, times of the wall clock:',
    tables[1]!,
    'An instance of the header filter for each tenant, in one process:',
    tables[2]!,
    [
      `A gateway on one core with two io workers answers what ${result.swaps[0]!.tool} on the`,
      'other core asks, while images are pushed: proxied behind the header filter to an upstream,',
      'which shares the core of the load, or answered by a filter:',
    ].join(' '),
    tables[3]!,
  ].join('\n\n');
}

/** How long until a database answers, and what memory it takes. */
export function recoverySection(result: RecoveryResult): string {
  const tables = recoveryTables(result).map(({ head, rows }) => markdownTable(head, rows));
  return [recoveryText(result), ...tables].join('\n\n');
}

/** Sizes and times of every pair, and the ratios. */
export function deltaSection({ rows, ratios }: DeltaResult): string {
  const tools = ratios.map(({ tool }) => tool);
  const cells = rows.map(({ pair, newerSizeBytes, cells }) => [
    pair,
    String(newerSizeBytes),
    ...cells.map(({ sizeBytes, encodeMs, decodeMs }) => {
      return `${sizeBytes}; ${encodeMs.toFixed(0)}/${decodeMs.toFixed(0)} ms`;
    }),
  ]);
  const medians = ratios.map(({ tool, size, encode, decode }) => [
    tool,
    spreadText(size, 3),
    spreadText(encode, 2),
    spreadText(decode, 2),
    warmText(rows, tool),
  ]);
  return [
    'Bytes of the delta; processor time of encoding/decoding, compiling or starting included.',
    '',
    markdownTable(['pair', 'newer file', ...tools], cells),
    '',
    `Over ${tools[0]}, median of the pairs, span in brackets:`,
    '',
    markdownTable(
      ['tool', 'size', 'encoding, CPU', 'decoding, CPU', 'decoding in memory, MB/s'],
      medians,
    ),
  ].join('\n');
}

function warmText(rows: DeltaResult['rows'], tool: string): string {
  const { median, min, max } = decodeWarmOf(rows, tool);
  if (median === 0) return '';
  return spreadText({ median: median / 1e6, min: min / 1e6, max: max / 1e6 }, 0);
}

function kernelTable(kernel: KernelResult): string {
  const rows = kernel.figures.map(({ name, opsPerSecond }) => [name, formatOps(opsPerSecond)]);
  return markdownTable(['what', 'operations'], rows);
}

const INTRODUCTION = `# Benchmarks

This page is generated by \`npm run bench\` from the files in bench/results; do not edit it. Every
contender runs on the same core of the same machine in the same run, in turn. A ratio is taken
within a round, and the median of the rounds is given: it holds on other machines better than the
numbers it is made of.

## The bars
`;

const LIMITS = `## What is not measured

- Real networks: everything runs over loopback, where the kernel's share of a request is high and
  equal for all contenders. TLS, HTTP/2 and large bodies are not in these tables.
- More than one core: CPU per request of one worker says what a core can carry, not how well
  several share the work.
- Latency under saturation: the closed loop finds the most a contender can do; its own latencies
  are not shown, since they leave out the requests that would have waited.
- The upstream and the load generator share one core. Requests per second in saturation are
  therefore a lower bound; CPU per request is hardly affected by them.
- Skeleton is the floor of the architecture, not a gateway: no routes, no limits, no metrics, no
  request bodies, no strict parsing.`;
