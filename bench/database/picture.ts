// The pictures of the databases' part of docs/BENCHMARKS.md: for one job, the rate and the latency
// over the number of clients, a line for each server and transport.
//
//     title
//     | rate, linear |   | latency, logarithmic |   legend

import { JOBS, type JobName, type Transport } from './jobs.ts';
import type { DatabaseFigures, DatabaseRow } from './suite.ts';

const WIDTH = 960;
const HEIGHT = 360;
const TOP = 60;
const BOTTOM = 50;
const RATE_LEFT = 60;
const LATENCY_LEFT = 450;
const PANEL_WIDTH = 310;
const LEGEND_LEFT = LATENCY_LEFT + PANEL_WIDTH + 20;
const LEGEND_LINE = 20;
const TICKS_COUNT = 5;
const COLOURS = ['#0b6e4f', '#5fbf6b', '#b23a48', '#e59a82'];
const DASHES = '6 4';

interface Line {
  readonly label: string;
  readonly colour: string;
  readonly figures: readonly DatabaseFigures[];
}

/** A part of the picture with axes of its own; `at` gives the height of a value. */
interface Panel {
  readonly title: string;
  readonly left: number;
  readonly ticks: readonly number[];
  at(value: number): number;
}

/** Rate and latency over clients for one job. Shape: SVG that needs nothing else. */
export function jobPicture(rows: readonly DatabaseRow[], name: JobName): string {
  const ofJob = rows.filter((row) => row.job === name);
  const clients = [...new Set(ofJob.map((row) => row.clients))].sort((a, b) => a - b);
  const lines = linesOf(ofJob, clients);
  const rate = ratePanel(lines);
  const latency = latencyPanel(lines);
  const x = (panel: Panel, index: number) =>
    panel.left + (PANEL_WIDTH * index) / Math.max(1, clients.length - 1);
  const drawn = (panel: Panel, value: (figures: DatabaseFigures) => number, dashes = '') =>
    lines.map(({ colour, figures }) => {
      const places = figures.map(
        (each, index) => [x(panel, index), panel.at(value(each))] as const,
      );
      return polyline(places, colour, dashes);
    });
  const { title } = JOBS.find((job) => job.name === name)!;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" ` +
      `aria-label="${title}: rate and latency over clients" font-family="sans-serif" ` +
      'font-size="12">',
    `<title>${title}: rate and latency over clients</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    text(RATE_LEFT, 22, `${title}, over the number of clients`, 'font-size="15"'),
    ...[rate, latency].map((panel) => axes(panel, clients, (index) => x(panel, index))),
    ...drawn(rate, ({ ratePerSecond }) => ratePerSecond.median),
    ...drawn(latency, ({ p50Us }) => p50Us.median),
    ...drawn(latency, ({ p99Us }) => p99Us.median, DASHES),
    ...legend(lines),
    '</svg>',
    '',
  ].join('\n');
}

function linesOf(rows: readonly DatabaseRow[], clients: readonly number[]): Line[] {
  const of = (transport: Transport, server: 'sluice' | 'postgres') =>
    clients.map((count) => {
      return rows.find((row) => row.clients === count && row.transport === transport)![server];
    });
  const transports = [...new Set(rows.map((row) => row.transport))];
  const labels = [
    ...transports.map((each) => ({ label: `sluice, ${each}`, figures: of(each, 'sluice') })),
    ...transports.map((each, index) => ({
      label: `PostgreSQL, round ${index + 1}`,
      figures: of(each, 'postgres'),
    })),
  ];
  return labels.map((line, index) => ({ ...line, colour: COLOURS[index % COLOURS.length]! }));
}

function ratePanel(lines: readonly Line[]): Panel {
  const rates = lines.flatMap(({ figures }) => figures.map((each) => each.ratePerSecond.median));
  const step = roundStep(Math.max(1, ...rates) / TICKS_COUNT);
  const top = step * Math.ceil(Math.max(1, ...rates) / step);
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, index) => index * step);
  return {
    title: 'statements per second',
    left: RATE_LEFT,
    ticks,
    at: (value) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * value) / top,
  };
}

/** The next of 1, 2, 5, 10, 20, … */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  return power * ([1, 2, 5].find((factor) => factor * power >= step) ?? 10);
}

function latencyPanel(lines: readonly Line[]): Panel {
  const all = lines.flatMap(({ figures }) =>
    figures.flatMap(({ p50Us, p99Us }) => [p50Us.median, p99Us.median]),
  );
  const low = Math.floor(Math.log10(Math.max(1, Math.min(...all))));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...all))));
  const ticks = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index));
  return {
    title: 'microseconds: 50 in 100 (line), 99 in 100 (dashes)',
    left: LATENCY_LEFT,
    ticks,
    at: (value) => {
      const share = (Math.log10(Math.max(1, value)) - low) / (high - low);
      return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share;
    },
  };
}

function axes(panel: Panel, clients: readonly number[], x: (index: number) => number): string {
  const end = panel.left + PANEL_WIDTH;
  const across = panel.ticks.flatMap((tick) => {
    const y = panel.at(tick).toFixed(1);
    return [
      `<line x1="${panel.left}" x2="${end}" y1="${y}" y2="${y}" stroke="#ddd"/>`,
      text(panel.left - 8, y, tick.toLocaleString('en'), 'text-anchor="end" dy="4"'),
    ];
  });
  const below = clients.map((count, index) =>
    text(x(index).toFixed(1), HEIGHT - BOTTOM + 20, String(count), 'text-anchor="middle"'),
  );
  const title = text(panel.left, TOP - 16, panel.title, 'fill="#555"');
  const what = text(panel.left + PANEL_WIDTH / 2, HEIGHT - 10, 'clients', 'text-anchor="middle"');
  return [title, ...across, ...below, what].join('\n');
}

function legend(lines: readonly Line[]): string[] {
  return lines.map(({ label, colour }, index) =>
    text(LEGEND_LEFT, TOP + LEGEND_LINE * index, label, `fill="${colour}" font-weight="bold"`),
  );
}

function polyline(
  places: readonly (readonly [number, number])[],
  colour: string,
  dashes: string,
): string {
  const points = places.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' ');
  const stroke = dashes === '' ? '' : ` stroke-dasharray="${dashes}"`;
  return `<polyline fill="none" stroke="${colour}" stroke-width="2"${stroke} points="${points}"/>`;
}

function text(x: number | string, y: number | string, words: string, attributes: string): string {
  return `<text x="${x}" y="${y}" ${attributes}>${words}</text>`;
}
