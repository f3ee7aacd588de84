// The metrics of plugins: what the host counts of them, and what they count themselves. Names that
// plugins give are labels, so that none can collide with another's or with ours.

import type { MetricName } from './metric-names.ts';
import { escapeLabel, head } from './prometheus-text.ts';

/** One plugin, over all io workers and versions. */
export interface PluginMetrics {
  readonly plugin: string;
  readonly instances: number;
  readonly started: number;
  readonly evicted: number;
  readonly requests: number;
  readonly active: number;
  readonly failedByCode: Readonly<Record<string, number>>;
  readonly skipped: number;
  readonly traps: number;
  readonly stepsExceeded: number;
  readonly steps: number;
  readonly logLinesDropped: number;
  /** 0 without a canary. */
  readonly canaryShare: number;
}

/** A metric that a plugin defined. */
export interface OwnMetric {
  readonly plugin: string;
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly name: string;
  readonly value: number;
  readonly count: number;
  readonly sum: number;
  /** One more than there are bounds. */
  readonly buckets: readonly number[];
}

export interface PluginsMetrics {
  readonly plugins: readonly PluginMetrics[];
  readonly own: Iterable<OwnMetric>;
  /** Upper bounds of every histogram's buckets. */
  readonly bounds: readonly number[];
  readonly pushes: Readonly<Record<string, number>>;
  readonly canaries: Readonly<Record<string, number>>;
  readonly rollbacks: number;
  readonly switches: { readonly count: number; readonly sumMs: number };
  readonly shared: {
    readonly entriesCount: number;
    readonly messagesCount: number;
    readonly usedSizeBytes: number;
    readonly refusedCount: number;
    readonly waitsCount: number;
    readonly timeoutsCount: number;
    readonly repairsCount: number;
  };
}

const COLUMNS: readonly (readonly [MetricName, (plugin: PluginMetrics) => number])[] = [
  ['sluice_plugin_instances', ({ instances }) => instances],
  ['sluice_plugin_instances_started_total', ({ started }) => started],
  ['sluice_plugin_evictions_total', ({ evicted }) => evicted],
  ['sluice_plugin_requests_total', ({ requests }) => requests],
  ['sluice_plugin_requests_active', ({ active }) => active],
  ['sluice_plugin_requests_skipped_total', ({ skipped }) => skipped],
  ['sluice_plugin_steps_total', ({ steps }) => steps],
  ['sluice_plugin_log_lines_dropped_total', ({ logLinesDropped }) => logLinesDropped],
  ['sluice_plugin_canary_share', ({ canaryShare }) => canaryShare],
];

const SHARED: readonly (readonly [MetricName, keyof PluginsMetrics['shared']])[] = [
  ['sluice_plugin_shared_entries', 'entriesCount'],
  ['sluice_plugin_shared_messages', 'messagesCount'],
  ['sluice_plugin_shared_bytes', 'usedSizeBytes'],
  ['sluice_plugin_shared_refused_total', 'refusedCount'],
  ['sluice_plugin_shared_lock_waits_total', 'waitsCount'],
  ['sluice_plugin_shared_lock_timeouts_total', 'timeoutsCount'],
  ['sluice_plugin_shared_repairs_total', 'repairsCount'],
];

export function* pluginLines(metrics: PluginsMetrics): Generator<string> {
  const { plugins, pushes, canaries, rollbacks, switches, shared } = metrics;
  for (const [name, value] of COLUMNS) {
    yield head(name);
    for (const plugin of plugins) yield `${name}{${labelOf(plugin)}} ${value(plugin)}\n`;
  }
  yield* causeLines(plugins);
  yield* outcomeLines('sluice_plugin_pushes_total', pushes);
  yield* outcomeLines('sluice_plugin_canaries_total', canaries);
  yield `${head('sluice_plugin_rollbacks_total')}sluice_plugin_rollbacks_total ${rollbacks}\n`;
  const duration: MetricName = 'sluice_plugin_switch_duration_seconds';
  yield `${head(duration)}${duration}_sum ${switches.sumMs / 1e3}\n`;
  yield `${duration}_count ${switches.count}\n`;
  for (const [name, key] of SHARED) yield `${head(name)}${name} ${shared[key]}\n`;
  yield* ownLines(metrics);
}

function* causeLines(plugins: readonly PluginMetrics[]): Generator<string> {
  yield head('sluice_plugin_traps_total');
  for (const plugin of plugins) {
    const causes = { trap: plugin.traps - plugin.stepsExceeded, steps: plugin.stepsExceeded };
    for (const [cause, count] of Object.entries(causes)) {
      yield `sluice_plugin_traps_total{${labelOf(plugin)},cause="${cause}"} ${count}\n`;
    }
  }
  const failed: MetricName = 'sluice_plugin_requests_failed_total';
  yield head(failed);
  for (const plugin of plugins) {
    for (const [code, count] of Object.entries(plugin.failedByCode)) {
      yield `${failed}{${labelOf(plugin)},code="${code}"} ${count}\n`;
    }
  }
}

function* outcomeLines(
  name: MetricName,
  counts: Readonly<Record<string, number>>,
): Generator<string> {
  yield head(name);
  for (const [outcome, count] of Object.entries(counts)) {
    yield `${name}{outcome="${outcome}"} ${count}\n`;
  }
}

function* ownLines({ own, bounds }: PluginsMetrics): Generator<string> {
  const listed = [...own];
  for (const [kind, name] of [
    ['counter', 'sluice_plugin_counter_total'],
    ['gauge', 'sluice_plugin_gauge'],
  ] as const) {
    yield head(name);
    for (const metric of listed) {
      if (metric.kind === kind) yield `${name}{${ownLabel(metric)}} ${metric.value}\n`;
    }
  }
  yield head('sluice_plugin_histogram');
  for (const metric of listed) {
    if (metric.kind === 'histogram') yield histogramLines(metric, bounds);
  }
}

/** The count is the sum of the buckets read, so that it always equals the last one. */
function histogramLines(metric: OwnMetric, bounds: readonly number[]): string {
  const label = ownLabel(metric);
  let lines = '';
  let seen = 0;
  for (const [index, count] of metric.buckets.entries()) {
    seen += count;
    lines += `sluice_plugin_histogram_bucket{${label},le="${bounds[index] ?? '+Inf'}"} ${seen}\n`;
  }
  lines += `sluice_plugin_histogram_sum{${label}} ${metric.sum}\n`;
  return `${lines}sluice_plugin_histogram_count{${label}} ${seen}\n`;
}

function labelOf({ plugin }: { readonly plugin: string }): string {
  return `plugin="${escapeLabel(plugin)}"`;
}

/** A name is what a guest wrote: any text. */
function ownLabel(metric: OwnMetric): string {
  const name = metric.name.replace(/\p{Surrogate}/gu, '\ufffd');
  return `${labelOf(metric)},name="${escapeLabel(name)}"`;
}
