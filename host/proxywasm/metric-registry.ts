// Metrics that the plugins of one thread defined, for one that exports them.

import type { MetricKind, PluginMetrics } from './contract.ts';
import { METRICS_COUNT_MAX } from './limits.ts';

export interface PluginMetric {
  readonly plugin: string;
  readonly kind: MetricKind;
  readonly name: string;
  /** A histogram's last value. */
  value: number;
  /** Of a histogram: how often, and all of it together. */
  count: number;
  sum: number;
}

export class MetricRegistry implements PluginMetrics {
  readonly #metrics: PluginMetric[] = [];
  readonly #ids = new Map<string, number>();

  define(plugin: string, kind: MetricKind, name: string): number {
    const key = `${plugin}\n${name}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return this.#metrics[known]!.kind === kind ? known : -1;
    if (this.#metrics.length >= METRICS_COUNT_MAX) return -1;
    const id = this.#metrics.length;
    this.#metrics.push({ plugin, kind, name, value: 0, count: 0, sum: 0 });
    this.#ids.set(key, id);
    return id;
  }

  record(id: number, value: number): boolean {
    const metric = this.#metrics[id];
    if (metric === undefined) return false;
    metric.value = value;
    metric.count += 1;
    metric.sum += value;
    return true;
  }

  increment(id: number, delta: number): boolean {
    const metric = this.#metrics[id];
    if (metric === undefined) return false;
    // A counter never goes down.
    if (metric.kind !== 'counter' || delta > 0) metric.value += delta;
    return true;
  }

  value(id: number): number | undefined {
    return this.#metrics[id]?.value;
  }

  all(): readonly PluginMetric[] {
    return this.#metrics;
  }
}
