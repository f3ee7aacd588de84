// What `sluice bench` prints: a progress line while it runs and one table at the end. What makes
// the figures doubtful (drops, errors, a lagging generator) is said before the figures, in words.

import type { BenchResult, Progress, Series } from './compare.ts';
import {
  BACKLOG_COUNT_MAX,
  SELF_BUSY_RATIO_MAX,
  SELF_LAG_MS_MAX,
  SELF_LAG_P99_MS_MAX,
} from './limits.ts';
import { latencyFigures, type Recorder } from './recorder.ts';

/** How the load was made, in words that no reader can take for the other kind. */
export function modeText(result: Pick<BenchResult, 'options'>): string {
  const { rate, connections } = result.options;
  const over = `${connections} connection${connections === 1 ? '' : 's'}`;
  return rate === 'max'
    ? `closed loop over ${over}: saturation, its latencies are not those of users`
    : `open loop at ${rate}/s over ${over}: latency from the scheduled send time`;
}

/** Units: us in, ms or us out. */
export function formatMicroseconds(valueUs: number): string {
  if (valueUs < 1000) return `${valueUs.toFixed(0)} us`;
  return valueUs < 100_000
    ? `${(valueUs / 1000).toFixed(2)} ms`
    : `${(valueUs / 1000).toFixed(0)} ms`;
}

/** One line about what runs now. */
export function progressText(progress: Progress): string {
  const { recorder, target, phase, round } = progress;
  const parts = [
    `${phase}${round > 1 ? ` ${round}` : ''} ${target.url}`,
    `${(recorder.elapsedMs / 1000).toFixed(1)} s`,
    `${recorder.answeredCount} answers`,
    `${recorder.ratePerSecond.toFixed(0)}/s`,
    // Only these two: each figure scans the histogram on the thread that makes the load.
    `p50 ${formatMicroseconds(recorder.latency.getValueAtPercentile(50))}`,
    `p99 ${formatMicroseconds(recorder.latency.getValueAtPercentile(99))}`,
  ];
  if (recorder.errorCount > 0) parts.push(`${recorder.errorCount} errors`);
  return parts.join('  ');
}

/** Everything that makes the figures of one address doubtful, one sentence each. */
export function warningsOf(recorder: Recorder, rate: number | 'max'): string[] {
  const warnings: string[] = [];
  if (recorder.droppedCount > 0) {
    warnings.push(
      `${recorder.droppedCount} of ${recorder.dueCount} requests were DROPPED: more than ` +
        `${BACKLOG_COUNT_MAX} waited for a connection, so the percentiles look better than it was`,
    );
  }
  if (recorder.unfinishedCount > 0) {
    warnings.push(
      `${recorder.unfinishedCount} requests were never answered and are in no percentile`,
    );
  }
  const answered = recorder.answeredCount;
  if (recorder.lateCount > answered / 100) {
    warnings.push(
      `${recorder.lateCount} of ${answered} requests were sent LATE (over 1 ms): the target, ` +
        'the number of connections or the generator does not keep up with this rate',
    );
  }
  for (const [kind, count] of recorder.errors) {
    warnings.push(`${count} errors "${kind}", the first: ${recorder.errorSamples.get(kind) ?? ''}`);
  }
  if (recorder.refusedCount > 0) {
    warnings.push(
      `${recorder.refusedCount} of ${answered} answers were not 2xx and are in the percentiles`,
    );
  }
  const { selfLagP99Ms, selfLagMaxMs, selfBusyRatio } = recorder;
  if (selfLagP99Ms > SELF_LAG_P99_MS_MAX || selfLagMaxMs > SELF_LAG_MS_MAX) {
    warnings.push(
      `the generator itself LAGGED: p99 ${selfLagP99Ms.toFixed(1)} ms, at most ` +
        `${selfLagMaxMs.toFixed(1)} ms behind its schedule; that time is in the percentiles`,
    );
  }
  if (rate === 'max' && selfBusyRatio > SELF_BUSY_RATIO_MAX) {
    warnings.push(
      `the generator was ${(selfBusyRatio * 100).toFixed(0)} % busy: the rate may be its own limit`,
    );
  }
  return warnings;
}

/** The final report. */
export function finalText(result: BenchResult): string {
  const lines = ['', modeText(result)];
  for (const series of result.series) {
    for (const warning of warningsOf(series.total, result.options.rate)) {
      lines.push(`! ${series.target.url}: ${warning}`);
    }
  }
  lines.push('', ...tableText(result));
  if (result.ratios.length > 0) {
    lines.push('', `second over first, medians of ${result.options.rounds} rounds (span)`);
    for (const { name, median, min, max } of result.ratios) {
      lines.push(`${name.padEnd(6)} ${median.toFixed(3)}  (${min.toFixed(3)}..${max.toFixed(3)})`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** Rows of the table: a name and how to read it. */
export const ROWS: readonly (readonly [string, (series: Series) => string])[] = [
  ['answers', ({ total }) => String(total.answeredCount)],
  ['errors', ({ total }) => String(total.errorCount)],
  ['dropped', ({ total }) => String(total.droppedCount)],
  ['late', ({ total }) => String(total.lateCount)],
  ['not 2xx', ({ total }) => String(total.refusedCount)],
  ['rate', ({ total }) => `${total.ratePerSecond.toFixed(1)}/s`],
  ['p50', ({ total }) => formatMicroseconds(latencyFigures(total.latency).p50)],
  ['p90', ({ total }) => formatMicroseconds(latencyFigures(total.latency).p90)],
  ['p99', ({ total }) => formatMicroseconds(latencyFigures(total.latency).p99)],
  ['p99.9', ({ total }) => formatMicroseconds(latencyFigures(total.latency).p999)],
  ['p99.99', ({ total }) => formatMicroseconds(latencyFigures(total.latency).p9999)],
  ['max', ({ total }) => formatMicroseconds(latencyFigures(total.latency).max)],
  ['mean', ({ total }) => formatMicroseconds(latencyFigures(total.latency).mean)],
  ['p99 of service', ({ total }) => formatMicroseconds(latencyFigures(total.service).p99)],
  ['statuses', ({ total }) => countsText(total.statuses)],
  ['reasons', ({ total }) => countsText(total.reasons)],
  ['error kinds', ({ total }) => countsText(total.errors)],
];

function countsText(counts: ReadonlyMap<string, number>): string {
  if (counts.size === 0) return '-';
  return [...counts].map(([key, times]) => `${key}: ${times}`).join(', ');
}

function tableText(result: BenchResult): string[] {
  const rows = [
    ['', ...result.series.map(({ target }) => target.url)],
    ...ROWS.map(([name, read]) => [name, ...result.series.map(read)]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!),
      )
      .join('  ')
      .trimEnd(),
  );
}
