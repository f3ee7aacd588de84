// Names to slots, on the main thread. A name keeps its slot over reloads, so its counters go on. A
// name that a new configuration lacks keeps its slot until every worker has left the old one:
// only then is it zeroed and given to another, for a late request must not count for a stranger.

import { STATS_OFFSET } from '../../assembly/shared/memory-map.ts';
import * as layout from '../../assembly/shared/stats-layout.ts';
import { StatsReader } from './stats.ts';

export type SeriesKind = 'route' | 'service' | 'endpoint';

export interface Series {
  readonly name: string;
  readonly slot: number;
  /** Counts for many: those that found no slot, or requests that no route matched. */
  readonly isShared: boolean;
}

const OVERFLOW_NAME = '(overflow)';
const NO_ROUTE_NAME = '(none)';

const KINDS = {
  route: {
    count: layout.STATS_ROUTES_COUNT_MAX,
    offset: layout.STATS_ROUTES_OFFSET,
    sizeBytes: layout.STATS_ROUTE_SIZE_BYTES,
    firstFree: layout.STATS_ROUTE_SLOT_NONE + 1,
  },
  service: {
    count: layout.STATS_SERVICES_COUNT_MAX,
    offset: layout.STATS_SERVICES_OFFSET,
    sizeBytes: layout.STATS_SERVICE_SIZE_BYTES,
    firstFree: layout.STATS_SLOT_OVERFLOW + 1,
  },
  endpoint: {
    count: layout.STATS_ENDPOINTS_COUNT_MAX,
    offset: layout.STATS_ENDPOINTS_OFFSET,
    sizeBytes: layout.STATS_ENDPOINT_SIZE_BYTES,
    firstFree: layout.STATS_SLOT_OVERFLOW + 1,
  },
} as const;

/** The slots of one kind of series. */
export class SeriesRegistry {
  readonly #kind: SeriesKind;
  readonly #memory: WebAssembly.Memory;
  readonly #reader: StatsReader;
  readonly #slots = new Map<string, number>();
  /** Names that the newest configuration lacks, with the generation that dropped them. */
  readonly #leaving = new Map<string, number>();
  readonly #free: number[] = [];
  #next: number;

  constructor(kind: SeriesKind, memory: WebAssembly.Memory) {
    this.#kind = kind;
    this.#memory = memory;
    this.#reader = new StatsReader(memory);
    this.#next = KINDS[kind].firstFree;
  }

  /** The slots of a configuration's names, in their order; STATS_SLOT_OVERFLOW for those that
   *  find none. `generation` rises with each configuration. */
  assign(generation: number, names: readonly string[]): Int32Array<ArrayBuffer> {
    const wanted = new Set(names);
    for (const name of this.#slots.keys()) {
      if (wanted.has(name)) this.#leaving.delete(name);
      else if (!this.#leaving.has(name)) this.#leaving.set(name, generation);
    }
    const slots = new Int32Array(names.length);
    for (const [index, name] of names.entries()) slots[index] = this.#slotFor(name);
    return slots;
  }

  /** Frees what `generation` or an earlier one dropped. Call it when every worker runs that
   *  generation and no request of an earlier one is in flight. */
  retire(generation: number): void {
    for (const [name, droppedIn] of this.#leaving) {
      if (droppedIn > generation) continue;
      const slot = this.#slots.get(name)!;
      this.#leaving.delete(name);
      this.#slots.delete(name);
      this.#zero(slot);
      this.#free.push(slot);
    }
  }

  /** The slot of a name that has one of its own, or of the route series `(none)`. */
  slotOf(name: string): number | undefined {
    const own = this.#slots.get(name);
    if (own !== undefined) return own;
    const isNone = this.#kind === 'route' && name === NO_ROUTE_NAME;
    return isNone ? layout.STATS_ROUTE_SLOT_NONE : undefined;
  }

  /** Every series that counts, the shared ones first. */
  series(): Series[] {
    const listed: Series[] = [share(OVERFLOW_NAME, layout.STATS_SLOT_OVERFLOW)];
    if (this.#kind === 'route') {
      listed.push(share(NO_ROUTE_NAME, layout.STATS_ROUTE_SLOT_NONE));
    }
    for (const [name, slot] of this.#slots) listed.push({ name, slot, isShared: false });
    return listed;
  }

  #slotFor(name: string): number {
    const known = this.#slots.get(name);
    if (known !== undefined) return known;
    const slot = this.#free.pop() ?? this.#fresh();
    if (slot !== layout.STATS_SLOT_OVERFLOW) this.#slots.set(name, slot);
    return slot;
  }

  #fresh(): number {
    if (this.#next === KINDS[this.#kind].count) return layout.STATS_SLOT_OVERFLOW;
    return this.#next++;
  }

  /** Writes only where something was counted: a write would make an untouched page real, and the
   *  histograms of routes that come and go unused would fill the memory. */
  #zero(slot: number): void {
    const { offset, sizeBytes } = KINDS[this.#kind];
    const words = new Uint32Array(this.#memory.buffer);
    let hasCounted = false;
    for (const worker of this.#reader.usedWorkers()) {
      const start =
        STATS_OFFSET + worker * layout.STATS_SHARD_SIZE_BYTES + offset + slot * sizeBytes;
      const record = words.subarray(start >>> 2, (start + sizeBytes) >>> 2);
      if (record.every((word) => word === 0)) continue;
      record.fill(0);
      hasCounted = true;
    }
    if (this.#kind !== 'route' || !hasCounted) return;
    const start =
      STATS_OFFSET + layout.STATS_HISTOGRAMS_OFFSET + slot * layout.STATS_HISTOGRAM_SIZE_BYTES;
    words.fill(0, start >>> 2, (start + layout.STATS_HISTOGRAM_SIZE_BYTES) >>> 2);
  }
}

function share(name: string, slot: number): Series {
  return { name, slot, isShared: true };
}
