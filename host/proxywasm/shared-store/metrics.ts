// Metrics that plugins define, one value for all threads, so that a scrape costs the io workers
// nothing and a value read by a guest is everybody's. Values are 64-bit integers, changed by one
// atomic instruction each; the lock is taken to define, never to count.

import type { MetricKind, PluginMetrics } from '../contract.ts';
import { METRICS_COUNT_MAX, PLUGIN_METRICS_COUNT_MAX } from '../limits.ts';
import { Blocks } from './blocks.ts';
import {
  HEAD_METRICS,
  METRIC_CELLS,
  METRIC_WORDS,
  RECORD_KEY_SIZE,
  type StoreView,
} from './layout.ts';
import type { StoreLock } from './lock.ts';
import { isNamed, makeName } from './names.ts';

export const METRIC_NAME = 0;
const METRIC_KIND = 1;
const CELL_VALUE = 0;
const CELL_COUNT = 1;
const CELL_SUM = 2;
const CELL_BUCKETS = 3;
const KINDS: readonly MetricKind[] = ['counter', 'gauge', 'histogram'];

/** Upper bounds of the buckets of every histogram, in whatever unit the plugin records: Envoy's,
 *  which are made for ms. */
export const HISTOGRAM_BOUNDS: readonly number[] = [
  1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000,
  1_800_000, 3_600_000,
];

export interface SharedMetric {
  readonly plugin: string;
  readonly kind: MetricKind;
  readonly name: string;
  readonly value: number;
  /** Of a histogram: how often, all of it together, and how often in each bucket. */
  readonly count: number;
  readonly sum: number;
  readonly buckets: readonly number[];
}

export class SharedMetrics implements PluginMetrics {
  readonly #view: StoreView;
  readonly #lock: StoreLock;
  readonly #blocks: Blocks;
  readonly #encoder = new TextEncoder();
  readonly #ids = new Map<string, number>();

  constructor(view: StoreView, lock: StoreLock) {
    this.#view = view;
    this.#lock = lock;
    this.#blocks = new Blocks(view);
  }

  define(plugin: string, kind: MetricKind, name: string): number {
    const label = `${plugin}\n${name}`;
    const id = this.#ids.get(label) ?? this.#findOrMake(plugin, label, KINDS.indexOf(kind));
    if (id < 0) return -1;
    this.#ids.set(label, id);
    return this.#kind(id) === kind ? id : -1;
  }

  record(id: number, value: number): boolean {
    if (!this.#isMetric(id)) return false;
    const { cells } = this.#view;
    const at = id * METRIC_CELLS;
    const given = BigInt(Math.trunc(value));
    Atomics.store(cells, at + CELL_VALUE, given);
    if (this.#kind(id) !== 'histogram') return true;
    let bucket = 0;
    while (bucket < HISTOGRAM_BOUNDS.length && value > HISTOGRAM_BOUNDS[bucket]!) bucket += 1;
    Atomics.add(cells, at + CELL_BUCKETS + bucket, 1n);
    Atomics.add(cells, at + CELL_SUM, given);
    Atomics.add(cells, at + CELL_COUNT, 1n);
    return true;
  }

  increment(id: number, delta: number): boolean {
    if (!this.#isMetric(id)) return false;
    // A counter never goes down.
    if (this.#kind(id) === 'counter' && delta <= 0) return true;
    Atomics.add(this.#view.cells, id * METRIC_CELLS + CELL_VALUE, BigInt(Math.trunc(delta)));
    return true;
  }

  value(id: number): number | undefined {
    return this.#isMetric(id) ? this.#cell(id, CELL_VALUE) : undefined;
  }

  /** All there are, in the order in which they were defined. */
  *all(): Generator<SharedMetric> {
    const count = Atomics.load(this.#view.head, HEAD_METRICS);
    for (let id = 0; id < count; id++) {
      const record = this.#view.metrics[id * METRIC_WORDS + METRIC_NAME]!;
      const sizeBytes = this.#blocks.word(record, RECORD_KEY_SIZE);
      const label = new TextDecoder().decode(this.#blocks.read(record, 0, sizeBytes));
      const end = label.indexOf('\n');
      yield {
        plugin: label.slice(0, end),
        name: label.slice(end + 1),
        kind: this.#kind(id),
        value: this.#cell(id, CELL_VALUE),
        count: this.#cell(id, CELL_COUNT),
        sum: this.#cell(id, CELL_SUM),
        buckets: Array.from({ length: HISTOGRAM_BOUNDS.length + 1 }, (_, index) =>
          this.#cell(id, CELL_BUCKETS + index),
        ),
      };
    }
  }

  #findOrMake(plugin: string, label: string, kind: number): number {
    const { head, metrics } = this.#view;
    const bytes = this.#encoder.encode(label);
    const owner = this.#encoder.encode(`${plugin}\n`);
    if (!this.#lock.take()) return -1;
    try {
      const count = head[HEAD_METRICS]!;
      let ownCount = 0;
      for (let id = 0; id < count; id++) {
        const record = metrics[id * METRIC_WORDS + METRIC_NAME]!;
        if (isNamed(this.#blocks, record, bytes)) return id;
        if (this.#blocks.begins(record, owner)) ownCount += 1;
      }
      if (count >= METRICS_COUNT_MAX || ownCount >= PLUGIN_METRICS_COUNT_MAX) return -1;
      const record = makeName(this.#blocks, bytes);
      if (record === 0) return -1;
      metrics[count * METRIC_WORDS + METRIC_KIND] = kind;
      metrics[count * METRIC_WORDS + METRIC_NAME] = record;
      // From this word on it is one of them.
      Atomics.store(head, HEAD_METRICS, count + 1);
      return count;
    } finally {
      this.#lock.release();
    }
  }

  #isMetric(id: number): boolean {
    return Number.isInteger(id) && id >= 0 && id < Atomics.load(this.#view.head, HEAD_METRICS);
  }

  #kind(id: number): MetricKind {
    return KINDS[this.#view.metrics[id * METRIC_WORDS + METRIC_KIND]!]!;
  }

  #cell(id: number, cell: number): number {
    return Number(Atomics.load(this.#view.cells, id * METRIC_CELLS + cell));
  }
}
