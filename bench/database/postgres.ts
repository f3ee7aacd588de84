// Debian's PostgreSQL 15 as the rival: a cluster in a folder of its own, on loopback, as durable as
// it comes (fsync, synchronous_commit), with memory enough for every row. Load: pgbench.

import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'hdr-histogram-js';
import { type StartedProcess, startPinned, waitForPort } from '../process-tree.ts';
import { programPath } from '../programs.ts';
import { type Job, NOTE_SQL, ROWS_COUNT, SCHEMA } from './jobs.ts';
import type { LoadResult } from './load-result.ts';

const execute = promisify(execFile);
const USER = 'postgres';
const DATABASE = 'postgres';
/** pgbench is given this long beyond its duration. */
const GRACE_MS = 30_000;
const LATENCY_US_MAX = 60_000_000;

/** Settings that differ from Debian's defaults. Nothing here trades durability for speed. */
const SETTINGS = [
  'listen_addresses=127.0.0.1',
  'shared_buffers=256MB',
  'max_connections=300',
  'fsync=on',
  'synchronous_commit=on',
  'wal_sync_method=fdatasync',
  'autovacuum=on',
];

export interface Postgres {
  readonly process: StartedProcess;
  readonly port: number;
  readonly folder: string;
}

/** Root may not run PostgreSQL: it gives itself up for the user that Debian's package makes. */
function asUser(words: readonly string[]): readonly string[] {
  if (process.getuid?.() !== 0) return words;
  return ['/usr/bin/setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', ...words];
}

function runAsUser(words: readonly string[]): void {
  const [program, ...rest] = asUser(words);
  execFileSync(program!, rest, { cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Makes a cluster, starts it on a core and fills it. Errors: what its programs say. */
export async function startPostgres(folder: string, port: number, core: number): Promise<Postgres> {
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o777);
  const data = join(folder, 'data');
  runAsUser([programPath('initdb'), '-D', data, '-A', 'trust', '-U', USER, '--no-sync']);
  const settings = [...SETTINGS, `port=${port}`, `unix_socket_directories=${folder}`];
  const words = settings.flatMap((setting) => ['-c', setting]);
  const command = asUser([programPath('postgres'), '-D', data, ...words]);
  const process = startPinned('postgres', core, command);
  await waitForPort(process, port);
  const rows = `generate_series(1, ${ROWS_COUNT}) AS i`;
  const fill = `INSERT INTO items SELECT i, i, ${NOTE_SQL} FROM ${rows}`;
  // The server takes connections a moment after it listens.
  await untilReady(port);
  runSql(port, [...SCHEMA, fill, 'VACUUM ANALYZE', 'CHECKPOINT']);
  return { process, port, folder };
}

async function untilReady(port: number): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      runSql(port, ['SELECT 1']);
      return;
    } catch (error) {
      if (attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** The last value that the statements give, as text. */
export function runSql(port: number, statements: readonly string[]): string {
  const commands = statements.flatMap((statement) => ['-c', statement]);
  const where = ['-h', '127.0.0.1', '-p', String(port), '-U', USER, '-d', DATABASE];
  const words = ['-X', '-q', '-t', '-A', '-v', 'ON_ERROR_STOP=1', ...where, ...commands];
  const text = execFileSync(programPath('psql'), words, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return text.trim().split('\n').at(-1)!;
}

/** A closed loop of pgbench with prepared statements; every transaction's latency is logged. */
export async function loadPostgres(
  postgres: Postgres,
  job: Job,
  load: { readonly clients: number; readonly durationMs: number; readonly core: number },
): Promise<LoadResult> {
  const logs = join(postgres.folder, 'logs');
  rmSync(logs, { recursive: true, force: true });
  mkdirSync(logs);
  const script = join(logs, 'job.sql');
  writeFileSync(script, `${job.script}\n`);
  const seconds = Math.max(1, Math.round(load.durationMs / 1_000));
  const words = [
    '-h',
    '127.0.0.1',
    '-p',
    String(postgres.port),
    '-U',
    USER,
    '-n',
    '-M',
    'prepared',
  ];
  const size = ['-c', String(load.clients), '-j', '1', '-T', String(seconds)];
  await execute(
    programPath('taskset'),
    [
      '-c',
      String(load.core),
      programPath('pgbench'),
      ...words,
      ...size,
      '-l',
      '-f',
      script,
      DATABASE,
    ],
    { cwd: logs, timeout: load.durationMs + GRACE_MS, maxBuffer: 1 << 20 },
  );
  return readLogs(logs, seconds);
}

/** Shape of a line: `client transaction latency_us script epoch epoch_us`. */
function readLogs(folder: string, seconds: number): LoadResult {
  const histogram = build({
    highestTrackableValue: LATENCY_US_MAX,
    numberOfSignificantValueDigits: 3,
  });
  for (const name of readdirSync(folder)) {
    if (!name.startsWith('pgbench_log.')) continue;
    for (const line of readFileSync(join(folder, name), 'latin1').split('\n')) {
      const latencyUs = Number(line.split(' ')[2]);
      if (latencyUs > 0) histogram.recordValue(Math.min(latencyUs, LATENCY_US_MAX));
    }
  }
  const answeredCount = histogram.totalCount;
  const at = (percentile: number) => histogram.getValueAtPercentile(percentile);
  return {
    answeredCount,
    errorCount: 0,
    ratePerSecond: answeredCount / seconds,
    p50Us: at(50),
    p99Us: at(99),
    p999Us: at(99.9),
  };
}
