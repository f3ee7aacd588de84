// The databases' part of docs/BENCHMARKS.md: a table of each job, and the bars.

import { JOBS } from './jobs.ts';
import type { DatabaseFigures, DatabaseResult, DatabaseRow } from './suite.ts';

/** The number of clients that the bars of DESIGN section 6 speak of. */
const BAR_CLIENTS_COUNT = 64;

export interface Verdict {
  readonly what: string;
  readonly bar: string;
  readonly measured: string;
  readonly isMet: boolean;
}

/** What the bars say of a result; a job that was not measured with 64 clients has none. */
export function databaseVerdicts({ rows }: DatabaseResult): Verdict[] {
  const verdicts: Verdict[] = [];
  for (const job of JOBS) {
    const row = rows.find((one) => {
      return (
        one.job === job.name && one.transport === 'websocket' && one.clients === BAR_CLIENTS_COUNT
      );
    });
    if (row === undefined) continue;
    const where = `${job.title}, WebSocket, ${BAR_CLIENTS_COUNT} clients`;
    const add = (what: string, bar: string, measured: string, isMet: boolean) =>
      verdicts.push({ what: `${what}: ${where}`, bar, measured, isMet });
    const { rateAtLeast, rateOverPostgresAtLeast: ratio, cpuOverPostgresAtMost: cpu } = job;
    if (rateAtLeast !== null) {
      const rate = row.sluice.ratePerSecond.median;
      add('rate/s', `>= ${rateAtLeast}`, rate.toFixed(0), rate >= rateAtLeast);
    }
    if (ratio !== null) {
      const { median } = row.rateOverPostgres;
      add('rate over PostgreSQL', `>= ${ratio}`, median.toFixed(1), median >= ratio);
    }
    if (cpu !== null) {
      const { median } = row.cpuOverPostgres;
      add('server CPU over PostgreSQL', `<= ${cpu}`, median.toFixed(2), median <= cpu);
    }
  }
  return verdicts;
}

/** Head and rows of the table of one job. */
export function databaseTable(rows: readonly DatabaseRow[]): {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
} {
  const head = [
    'over',
    'clients',
    'sluice/s',
    'PostgreSQL/s',
    'rate over PostgreSQL',
    'CPU us, sluice',
    'CPU us, PostgreSQL',
    'CPU over PostgreSQL',
    'p50/p99/p99.9 us, sluice',
    'p50/p99/p99.9 us, PostgreSQL',
  ];
  const cells = rows.map((row) => [
    row.transport,
    String(row.clients),
    row.sluice.ratePerSecond.median.toFixed(0),
    row.postgres.ratePerSecond.median.toFixed(0),
    spread(row.rateOverPostgres),
    row.sluice.cpuUs.median.toFixed(1),
    row.postgres.cpuUs.median.toFixed(1),
    spread(row.cpuOverPostgres),
    latencies(row.sluice),
    latencies(row.postgres),
  ]);
  return { head, rows: cells };
}

function spread({ median, min, max }: { median: number; min: number; max: number }): string {
  return `${median.toFixed(2)} (${min.toFixed(2)}..${max.toFixed(2)})`;
}

function latencies({ p50Us, p99Us, p999Us }: DatabaseFigures): string {
  return [p50Us, p99Us, p999Us].map(({ median }) => median.toFixed(0)).join('/');
}
