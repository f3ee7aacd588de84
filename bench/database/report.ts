// The databases' part of docs/BENCHMARKS.md: a table of each job, the bars, and the picture.

import { JOBS, type JobName } from './jobs.ts';
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

const WIDTH = 720;
const HEIGHT = 360;
const LEFT = 70;
const BOTTOM = 50;
const TOP = 40;
const RIGHT = 200;
const COLOURS = ['#0b6e4f', '#3fa34d', '#b23a48', '#e07a5f'];

/** A picture of rate over clients for one job: a line for each server and transport. Shape: SVG
 *  that needs nothing else. */
export function rateCurve(rows: readonly DatabaseRow[], name: JobName): string {
  const ofJob = rows.filter((row) => row.job === name);
  const clients = [...new Set(ofJob.map((row) => row.clients))].sort((a, b) => a - b);
  const lines: { readonly label: string; readonly points: readonly number[] }[] = [];
  for (const transport of [...new Set(ofJob.map((row) => row.transport))]) {
    const own = clients.map((count) => {
      return ofJob.find((row) => row.clients === count && row.transport === transport)!;
    });
    lines.push({ label: `sluice, ${transport}`, points: own.map(rateOf('sluice')) });
    lines.push({ label: `PostgreSQL (${transport} rounds)`, points: own.map(rateOf('postgres')) });
  }
  const top = Math.max(1, ...lines.flatMap(({ points }) => points)) * 1.1;
  const x = (index: number) =>
    LEFT + ((WIDTH - LEFT - RIGHT) * index) / Math.max(1, clients.length - 1);
  const y = (rate: number) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * rate) / top;
  const parts = [axes(clients, top, x, y)];
  for (const [index, { label, points }] of lines.entries()) {
    const colour = COLOURS[index % COLOURS.length]!;
    const path = points.map((rate, at) => `${x(at).toFixed(1)},${y(rate).toFixed(1)}`).join(' ');
    parts.push(`<polyline fill="none" stroke="${colour}" stroke-width="2" points="${path}"/>`);
    const place = TOP + 20 * index;
    parts.push(`<text x="${WIDTH - RIGHT + 20}" y="${place}" fill="${colour}">${label}</text>`);
  }
  const title = JOBS.find((job) => job.name === name)!.title;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" ` +
      'font-family="sans-serif" font-size="12">',
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="${LEFT}" y="20" font-size="14">${title}: statements per second over clients</text>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

function rateOf(server: 'sluice' | 'postgres'): (row: DatabaseRow) => number {
  return (row) => row[server].ratePerSecond.median;
}

function axes(
  clients: readonly number[],
  top: number,
  x: (index: number) => number,
  y: (rate: number) => number,
): string {
  const parts: string[] = [];
  for (const [index, count] of clients.entries()) {
    parts.push(
      `<text x="${x(index).toFixed(1)}" y="${HEIGHT - BOTTOM + 20}" text-anchor="middle">` +
        `${count}</text>`,
    );
  }
  for (let step = 0; step <= 4; step++) {
    const rate = (top * step) / 4;
    const at = y(rate).toFixed(1);
    parts.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}" stroke="#ddd"/>`,
      `<text x="${LEFT - 8}" y="${at}" text-anchor="end">${rate.toFixed(0)}</text>`,
    );
  }
  return parts.join('\n');
}
