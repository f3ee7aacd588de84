// The result of `sluice bench` as data, for programs that compare runs. Names end in their unit.

import type { BenchResult, Series } from './compare.ts';
import { latencyFigures } from './recorder.ts';
import { modeText, warningsOf } from './report-text.ts';

/** The document of `--json`. `format` changes when the meaning of a property does. */
export function reportJson(result: BenchResult): string {
  const { options } = result;
  const document = {
    format: 1,
    mode: options.rate === 'max' ? 'closed-loop' : 'open-loop',
    note: modeText(result),
    startedAt: new Date(result.startedWallMs).toISOString(),
    rate: options.rate,
    connections: options.connections,
    method: options.method,
    durationMs: options.durationMs,
    warmupMs: options.warmupMs,
    rounds: options.rounds,
    series: result.series.map((series) => seriesJson(series, options.rate)),
    ratios: result.ratios,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

function seriesJson({ target, total, rounds }: Series, rate: number | 'max'): object {
  return {
    url: target.url,
    warnings: warningsOf(total, rate),
    dueCount: total.dueCount,
    answeredCount: total.answeredCount,
    errorCount: total.errorCount,
    droppedCount: total.droppedCount,
    lateCount: total.lateCount,
    unfinishedCount: total.unfinishedCount,
    ratePerSecond: total.ratePerSecond,
    bodyBytes: total.bodyBytes,
    statuses: Object.fromEntries(total.statuses),
    reasons: Object.fromEntries(total.reasons),
    errors: Object.fromEntries(total.errors),
    latencyUs: latencyFigures(total.latency),
    serviceUs: latencyFigures(total.service),
    selfLagP99Ms: total.selfLagP99Ms,
    selfLagMaxMs: total.selfLagMaxMs,
    selfBusyRatio: total.selfBusyRatio,
    rounds,
  };
}
