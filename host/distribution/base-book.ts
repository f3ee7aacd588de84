// Which bases devices ask with, by channel: what a publisher makes deltas against. Old asking
// fades, so that releases that nobody has any more lose their place.

import type { Clock } from '../core/index.ts';
import { readBaseCounts, replaceBaseCounts } from './channel-state.ts';
import type { BaseReport } from './channel-view.ts';

/** Bases that are kept on the disk: the ones asked with most. */
export const BASES_KEPT_COUNT_MAX = 64;
/** In memory, so that one that is on its way up is not cut off each time. */
const BASES_COUNT_MAX = 1_024;
/** A count is worth half after this. */
const HALF_LIFE_MS = 7 * 86_400_000;
/** A base below this was asked with once, six weeks ago. */
const COUNT_MIN = 0.01;

export class BaseBook {
  readonly #clock: Clock;
  readonly #counts = new Map<string, Map<string, number>>();
  readonly #dirty = new Set<string>();
  #fadedMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#fadedMs = clock.wallMs();
  }

  /** Reads what was counted before. Errors: GW_DIST_CORRUPT. */
  async load(dir: string, channel: string): Promise<void> {
    const counts = await readBaseCounts(dir, channel);
    this.#counts.set(channel, new Map(Object.entries(counts)));
  }

  add(report: BaseReport): void {
    for (const [channel, bases] of report) {
      const counts = this.#counts.get(channel) ?? new Map<string, number>();
      this.#counts.set(channel, counts);
      for (const [base, count] of bases) counts.set(base, (counts.get(base) ?? 0) + count);
      if (counts.size > BASES_COUNT_MAX) this.#counts.set(channel, topOf(counts));
      this.#dirty.add(channel);
    }
  }

  /** The counts of the bases asked with most, in order. */
  top(channel: string): ReadonlyMap<string, number> {
    return topOf(this.#counts.get(channel) ?? new Map());
  }

  /** Fades what is old and writes what has changed. Errors: GW_DIST_DISK. */
  async save(dir: string): Promise<void> {
    const wallMs = this.#clock.wallMs();
    const share = 0.5 ** (Math.max(0, wallMs - this.#fadedMs) / HALF_LIFE_MS);
    this.#fadedMs = wallMs;
    for (const counts of this.#counts.values()) {
      for (const [base, count] of counts) {
        if (count * share < COUNT_MIN) counts.delete(base);
        else counts.set(base, count * share);
      }
    }
    for (const channel of [...this.#dirty]) {
      await replaceBaseCounts(dir, channel, Object.fromEntries(this.top(channel)));
      this.#dirty.delete(channel);
    }
  }
}

function topOf(counts: ReadonlyMap<string, number>): Map<string, number> {
  const sorted = [...counts].sort((left, right) => right[1] - left[1]);
  return new Map(sorted.slice(0, BASES_KEPT_COUNT_MAX));
}
