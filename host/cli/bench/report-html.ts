// The report as one HTML file that needs nothing else: tables and a percentile plot drawn as SVG.
// The horizontal axis is logarithmic in what lies above the percentile, because the tail is the
// point of the plot and a linear axis would press it into the last pixel.

import type { BenchResult, Series } from './compare.ts';
import { latencyFigures } from './recorder.ts';
import { formatMicroseconds, modeText, ROWS, warningsOf } from './report-text.ts';

const WIDTH = 860;
const HEIGHT = 360;
const MARGIN = { left: 80, right: 20, top: 16, bottom: 44 };
const PLOT_WIDTH = WIDTH - MARGIN.left - MARGIN.right;
const PLOT_HEIGHT = HEIGHT - MARGIN.top - MARGIN.bottom;
/** Points of a curve for each power of ten on the horizontal axis. */
const POINTS_PER_DECADE = 40;
const DECADES_MAX = 7;

/** The whole document. */
export function reportHtml(result: BenchResult): string {
  const warnings = result.series.flatMap(({ target, total }) =>
    warningsOf(total, result.options.rate).map((warning) => `${target.url}: ${warning}`),
  );
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sluice bench: ${escapeHtml(result.options.target.url)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>sluice bench</h1>
<p>${escapeHtml(modeText(result))}</p>
<p class="quiet">${escapeHtml(describe(result))}</p>
${warnings.length === 0 ? '' : `<ul class="warnings">${items(warnings)}</ul>`}
<h2>Latency by percentile</h2>
${plotSvg(result.series)}
<ul class="legend">${result.series.map(legend).join('')}</ul>
<h2>Figures</h2>
${figuresTable(result)}
${result.ratios.length === 0 ? '' : ratiosTable(result)}
<h2>Rounds</h2>
${roundsTable(result)}
</main>
</body>
</html>
`;
}

export function escapeHtml(text: string): string {
  const names: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replace(/[&<>"']/g, (character) => names[character]!);
}

function describe(result: BenchResult): string {
  const { options, startedWallMs } = result;
  const parts = [
    new Date(startedWallMs).toISOString(),
    `${options.method}, body ${options.body.length} bytes`,
    options.rounds === 1
      ? `${options.durationMs / 1000} s`
      : `${options.durationMs / 1000} s for each address in ${options.rounds} rounds`,
    options.warmupMs === 0 ? 'no warm-up' : `warm-up ${options.warmupMs / 1000} s`,
  ];
  return parts.join(' · ');
}

function items(texts: readonly string[]): string {
  return texts.map((text) => `<li>${escapeHtml(text)}</li>`).join('');
}

function legend(series: Series, index: number): string {
  return `<li class="series-${index}">&#9632; ${escapeHtml(series.target.url)}</li>`;
}

function figuresTable(result: BenchResult): string {
  const head = ['', ...result.series.map(({ target }) => target.url)];
  const rows = ROWS.map(([name, read]) => [name, ...result.series.map(read)]);
  return table(head, rows);
}

function ratiosTable(result: BenchResult): string {
  const rows = result.ratios.map(({ name, median, min, max }) => [
    name,
    median.toFixed(3),
    `${min.toFixed(3)}..${max.toFixed(3)}`,
  ]);
  return `<h2>Second over first</h2>${table(['', 'median of rounds', 'span'], rows)}`;
}

function roundsTable(result: BenchResult): string {
  const rows: string[][] = [];
  for (let index = 0; index < result.options.rounds; index++) {
    for (const { target, rounds } of result.series) {
      const round = rounds[index];
      if (round === undefined) continue;
      const { p50, p99, max } = round.latency;
      rows.push([
        `${index + 1} ${target.url}`,
        `${round.ratePerSecond.toFixed(1)}/s`,
        ...[p50, p99, max].map(formatMicroseconds),
      ]);
    }
  }
  return table(['round', 'rate', 'p50', 'p99', 'max'], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (row: readonly string[], tag: 'td' | 'th') =>
    row.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('');
  const body = rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('\n');
  return `<table><thead><tr>${cells(head, 'th')}</tr></thead><tbody>${body}</tbody></table>`;
}

/** Places on the plot, in SVG units. */
interface Scale {
  readonly decades: number;
  readonly maxUs: number;
}

function plotSvg(series: readonly Series[]): string {
  const counts = series.map(({ total }) => total.answeredCount);
  const decades = Math.min(
    DECADES_MAX,
    Math.max(1, Math.ceil(Math.log10(Math.max(10, ...counts)))),
  );
  const highestUs = Math.max(1, ...series.map(({ total }) => latencyFigures(total.latency).max));
  const scale = { decades, maxUs: niceCeiling(highestUs) };
  const curves = series.map((one, index) => curve(one, index, scale)).join('\n');
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="latency by percentile">
${percentileAxis(scale)}
${latencyAxis(scale)}
${curves}
</svg>`;
}

/** 1, 2 or 5 times a power of ten, at least the value. */
function niceCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value) ?? 10 * power;
}

function toX(decade: number, scale: Scale): number {
  return MARGIN.left + (decade / scale.decades) * PLOT_WIDTH;
}

function toY(valueUs: number, scale: Scale): number {
  return MARGIN.top + PLOT_HEIGHT * (1 - valueUs / scale.maxUs);
}

function percentileAxis(scale: Scale): string {
  const lines: string[] = [];
  for (let decade = 0; decade <= scale.decades; decade++) {
    const x = toX(decade, scale).toFixed(1);
    const label = decade === 0 ? '0' : Number((100 - 100 / 10 ** decade).toFixed(6)).toString();
    const bottom = MARGIN.top + PLOT_HEIGHT;
    // The last label has many nines, and the edge of the picture beside it.
    const anchor = decade === scale.decades ? 'end' : 'middle';
    lines.push(
      `<line class="grid" x1="${x}" y1="${MARGIN.top}" x2="${x}" y2="${bottom}"></line>`,
      `<text x="${x}" y="${bottom + 18}" text-anchor="${anchor}">${label}</text>`,
    );
  }
  const middle = MARGIN.left + PLOT_WIDTH / 2;
  lines.push(`<text x="${middle}" y="${HEIGHT - 6}" text-anchor="middle">percentile</text>`);
  return lines.join('\n');
}

function latencyAxis(scale: Scale): string {
  const lines: string[] = [];
  for (let step = 0; step <= 5; step++) {
    const valueUs = (scale.maxUs * step) / 5;
    const y = toY(valueUs, scale).toFixed(1);
    const right = MARGIN.left + PLOT_WIDTH;
    const label = tickText(valueUs);
    lines.push(
      `<line class="grid" x1="${MARGIN.left}" y1="${y}" x2="${right}" y2="${y}"></line>`,
      `<text x="${MARGIN.left - 8}" y="${y}" dy="4" text-anchor="end">${label}</text>`,
    );
  }
  return lines.join('\n');
}

/** A round number stays round: `20 ms`, not `20.00 ms`. */
function tickText(valueUs: number): string {
  const isMs = valueUs >= 1000;
  const value = Number((isMs ? valueUs / 1000 : valueUs).toPrecision(3));
  return valueUs === 0 ? '0' : `${value} ${isMs ? 'ms' : 'us'}`;
}

function curve(series: Series, index: number, scale: Scale): string {
  const { latency, answeredCount } = series.total;
  if (answeredCount === 0) return '';
  const points: string[] = [];
  const last = Math.min(scale.decades, Math.log10(answeredCount));
  const steps = Math.max(1, Math.ceil(last * POINTS_PER_DECADE));
  for (let step = 0; step <= steps; step++) {
    const decade = (last * step) / steps;
    const valueUs = latency.getValueAtPercentile(100 - 100 / 10 ** decade);
    const shownUs = Math.min(valueUs, scale.maxUs);
    points.push(`${toX(decade, scale).toFixed(1)},${toY(shownUs, scale).toFixed(1)}`);
  }
  return `<polyline class="series-${index}" points="${points.join(' ')}"></polyline>`;
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2733; --quiet: #5b6876; --paper: #ffffff;
  --grid: #d9dfe5; --one: #0b63c4; --two: #c2410c; --warn: #fff3d6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ee; --quiet: #9aa7b4;
  --paper: #14191f; --grid: #2c3640; --one: #6cb1ff; --two: #ff9a62; --warn: #43340f; } }
body { background: var(--paper); color: var(--ink); margin: 0;
  font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 900px; margin: 0 auto; padding: 24px; }
h1 { font-size: 22px; } h2 { font-size: 17px; margin-top: 28px; }
.quiet { color: var(--quiet); }
.warnings { background: var(--warn); padding: 12px 12px 12px 32px; border-radius: 6px; }
svg { width: 100%; height: auto; } svg text { fill: var(--quiet); font-size: 12px; }
.grid { stroke: var(--grid); stroke-width: 1; }
polyline { fill: none; stroke-width: 2; }
polyline.series-0 { stroke: var(--one); } polyline.series-1 { stroke: var(--two); }
li.series-0 { color: var(--one); } li.series-1 { color: var(--two); }
.legend { list-style: none; padding: 0; margin: 8px 0; }
li, th, td:first-child { overflow-wrap: anywhere; } th:first-child { min-width: 7em; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--grid); padding: 4px 10px; text-align: right; }
th:first-child, td:first-child { text-align: left; }
`;
