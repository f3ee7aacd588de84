// Metrics that plugins define, one value for all threads, so that a scrape costs the io workers
// nothing and a value read by a guest is everybody's. Values are 64-bit integers, changed by one
// atomic instruction each; the lock is taken to define, never to count.
//
// A place is given to another metric when the plugin that had it is gone. An id names the life of
// its place too, so that an instance that outlives its plugin counts for nobody:
//
//   an id   | life, 19 bits | place, 12 bits |       a kind's word   | life | kind, 2 bits |

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
const KIND_BITS = 2;
const KIND_MASK = 3;
const LIVES_COUNT = 2 ** 19;
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
    const known = this.#ids.get(label) ?? -1;
    const id = this.#isMetric(known) ? known : this.#findOrMake(plugin, label, KINDS.indexOf(kind));
    if (id < 0) return -1;
    // Names of plugins that are gone are never asked for again.
    if (this.#ids.size >= METRICS_COUNT_MAX) this.#ids.clear();
    this.#ids.set(label, id);
    return this.#kind(id) === kind ? id : -1;
  }

  record(id: number, value: number): boolean {
    if (!this.#isMetric(id)) return false;
    const { cells } = this.#view;
    const at = placeOf(id) * METRIC_CELLS;
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
    const at = placeOf(id) * METRIC_CELLS + CELL_VALUE;
    Atomics.add(this.#view.cells, at, BigInt(Math.trunc(delta)));
    return true;
  }

  value(id: number): number | undefined {
    return this.#isMetric(id) ? this.#cell(id, CELL_VALUE) : undefined;
  }

  /** All there are. For the thread that frees them: see free(). */
  *all(): Generator<SharedMetric> {
    const count = Atomics.load(this.#view.head, HEAD_METRICS);
    for (let id = 0; id < count; id++) {
      const label = this.#label(id);
      if (label === null) continue;
      yield {
        plugin: label.plugin,
        name: label.name,
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

  /** Frees what plugins defined that are gone; whoever still has an id of theirs finds nothing.
   *  Returns how many. Only on one thread. Cost: one look at each metric. */
  free(isGone: (plugin: string) => boolean): number {
    if (!this.#lock.take()) return 0;
    try {
      const { head, metrics } = this.#view;
      let freed = 0;
      for (let place = 0; place < head[HEAD_METRICS]!; place++) {
        const label = this.#label(place);
        if (label === null || !isGone(label.plugin)) continue;
        const at = place * METRIC_WORDS;
        const record = metrics[at + METRIC_NAME]!;
        const life = (lifeIn(metrics[at + METRIC_KIND]!) + 1) % LIVES_COUNT;
        // With this word the ids of its life end.
        Atomics.store(metrics, at + METRIC_KIND, life << KIND_BITS);
        Atomics.store(metrics, at + METRIC_NAME, 0);
        this.#blocks.free(record);
        freed += 1;
      }
      return freed;
    } finally {
      this.#lock.release();
    }
  }

  #findOrMake(plugin: string, label: string, kind: number): number {
    const { head, metrics } = this.#view;
    const bytes = this.#encoder.encode(label);
    const owner = this.#encoder.encode(`${plugin}\n`);
    if (!this.#lock.take()) return -1;
    try {
      const count = head[HEAD_METRICS]!;
      let free = count;
      let ownCount = 0;
      for (let place = 0; place < count; place++) {
        const record = metrics[place * METRIC_WORDS + METRIC_NAME]!;
        if (record === 0) free = Math.min(free, place);
        else if (isNamed(this.#blocks, record, bytes)) return this.#idOf(place);
        else if (this.#blocks.begins(record, owner)) ownCount += 1;
      }
      if (free >= METRICS_COUNT_MAX || ownCount >= PLUGIN_METRICS_COUNT_MAX) return -1;
      const record = makeName(this.#blocks, bytes);
      if (record === 0) return -1;
      this.#put(free, kind, record);
      return this.#idOf(free);
    } finally {
      this.#lock.release();
    }
  }

  /** Makes a place somebody's. Under the lock. */
  #put(place: number, kind: number, record: number): void {
    const { cells, head, metrics } = this.#view;
    const at = place * METRIC_WORDS;
    cells.fill(0n, place * METRIC_CELLS, (place + 1) * METRIC_CELLS);
    const life = lifeIn(metrics[at + METRIC_KIND]!);
    metrics[at + METRIC_KIND] = (life << KIND_BITS) | kind;
    // From this word on it is one of them, or from the next where it is the last.
    Atomics.store(metrics, at + METRIC_NAME, record);
    if (place === head[HEAD_METRICS]) Atomics.store(head, HEAD_METRICS, place + 1);
  }

  #isMetric(id: number): boolean {
    const place = placeOf(id);
    if (!Number.isInteger(id) || id < 0 || place >= Atomics.load(this.#view.head, HEAD_METRICS)) {
      return false;
    }
    const { metrics } = this.#view;
    const at = place * METRIC_WORDS;
    if (Atomics.load(metrics, at + METRIC_NAME) === 0) return false;
    return lifeIn(metrics[at + METRIC_KIND]!) === Math.floor(id / METRICS_COUNT_MAX);
  }

  #idOf(place: number): number {
    const life = lifeIn(this.#view.metrics[place * METRIC_WORDS + METRIC_KIND]!);
    return life * METRICS_COUNT_MAX + place;
  }

  /** Null for a place that is free. */
  #label(place: number): { readonly plugin: string; readonly name: string } | null {
    const record = this.#view.metrics[place * METRIC_WORDS + METRIC_NAME]!;
    if (record === 0) return null;
    const sizeBytes = this.#blocks.word(record, RECORD_KEY_SIZE);
    const label = new TextDecoder().decode(this.#blocks.read(record, 0, sizeBytes));
    const end = label.indexOf('\n');
    return { plugin: label.slice(0, end), name: label.slice(end + 1) };
  }

  #kind(id: number): MetricKind {
    return KINDS[this.#view.metrics[placeOf(id) * METRIC_WORDS + METRIC_KIND]! & KIND_MASK]!;
  }

  #cell(id: number, cell: number): number {
    return Number(Atomics.load(this.#view.cells, placeOf(id) * METRIC_CELLS + cell));
  }
}

function placeOf(id: number): number {
  return id % METRICS_COUNT_MAX;
}

function lifeIn(kindWord: number): number {
  return kindWord >>> KIND_BITS;
}
