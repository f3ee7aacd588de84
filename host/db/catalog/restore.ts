// A database's state at a moment: the newest folded state before it, and the log from there.

import { GatewayError } from '../../core/index.ts';
import { DB_PAGE_SIZE_BYTES, type LogStore, type Lsn } from '../contract.ts';
import { type PageDelta, Replay } from '../log/index.ts';
import type { ReplayedCommit } from '../log/replay.ts';
import type { LmdbPageStore } from '../page-store/index.ts';

/** Pages held before they are folded: a long log does not have to fit the memory. */
const HELD_PAGES_COUNT_MAX = 8_192;

/** Up to which commit: its LSN, or those of groups sealed up to a time. */
export type Moment = { readonly lsn: Lsn } | { readonly timeMs: number };

/** What a restore is made of. */
export interface Past {
  readonly store: Pick<LmdbPageStore, 'states'>;
  readonly log: Pick<LogStore, 'firstLsn' | 'nextLsn'>;
  readonly nowMs: number;
}

/** How far back a restore reaches: every commit from the first on. Further back only states that
 *  stand by themselves, as those of branches do. */
export interface Reach {
  readonly firstLsn: Lsn;
  /** When the first state was folded. */
  readonly firstMs: number;
  readonly lastLsn: Lsn;
}

/** The oldest state from which the log leads on without a gap. */
export function reachOf({ store, log }: Omit<Past, 'nowMs'>): Reach {
  const first = store.states.find(({ lsn }) => lsn + 1 >= log.firstLsn) ?? store.states.at(-1)!;
  return { firstLsn: first.lsn, firstMs: first.foldedAtMs, lastLsn: log.nextLsn - 1 };
}

/** The folded state to begin with. Errors: DB_NO_STATE, with what can be reached. */
export function beginningOf(past: Past, moment: Moment): Lsn {
  const { states } = past.store;
  const { firstLsn, firstMs, lastLsn } = reachOf(past);
  if ('timeMs' in moment) {
    const { timeMs } = moment;
    const found = states.findLast(({ lsn, foldedAtMs }) => lsn >= firstLsn && foldedAtMs <= timeMs);
    if (found !== undefined && timeMs <= past.nowMs) return found.lsn;
    const range = `from ${isoOf(firstMs)} to now, ${isoOf(past.nowMs)}`;
    throw new GatewayError('DB_NO_STATE', `${isoOf(timeMs)}; what can be reached is ${range}`);
  }
  const { lsn } = moment;
  const isNow = lsn === Number.POSITIVE_INFINITY;
  const found = states.findLast((state) => state.lsn <= lsn);
  const isWithin = lsn >= firstLsn && (lsn <= lastLsn || isNow);
  if (found !== undefined && (isWithin || found.lsn === lsn)) return found.lsn;
  const range = `from ${firstLsn} (${isoOf(firstMs)}) to ${lastLsn}`;
  const alone = states.filter((state) => state.lsn < firstLsn).map((state) => state.lsn);
  const others = alone.length === 0 ? '' : `, and the states ${alone.slice(-8).join(', ')}`;
  throw new GatewayError('DB_NO_STATE', `lsn ${lsn}; what can be reached is ${range}${others}`);
}

function isoOf(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString();
}

/** Brings a store forward with the groups of a log, up to a moment. Returns the LSN it has then.
 *  Errors: those of the log, of the deltas and of folds. */
export async function replayUpTo(
  store: LmdbPageStore,
  log: LogStore,
  pageDelta: PageDelta,
  moment: Moment,
): Promise<Lsn> {
  const lastLsn = 'lsn' in moment ? moment.lsn : Number.POSITIVE_INFINITY;
  const overlay = new Overlay(store);
  const replay = new Replay(pageDelta, overlay);
  // What came meanwhile need not be there to be read.
  if (store.lsn < lastLsn && store.lsn + 1 < log.nextLsn) {
    for await (const group of log.read(store.lsn + 1)) {
      if ('timeMs' in moment && group.sealedAtMs > moment.timeMs) break;
      replay.group(group, overlay.lsn, lastLsn);
      if (overlay.heldCount > HELD_PAGES_COUNT_MAX) await overlay.fold();
      if (group.lastLsn >= lastLsn) break;
    }
  }
  await overlay.fold();
  return store.lsn;
}

class Overlay {
  readonly #store: LmdbPageStore;
  readonly #pages = new Map<number, Uint8Array>();
  #pageCount: number;
  lsn: Lsn;

  constructor(store: LmdbPageStore) {
    this.#store = store;
    this.#pageCount = store.pageCount;
    this.lsn = store.lsn;
  }

  get heldCount(): number {
    return this.#pages.size;
  }

  readPage(pageNumber: number, into: Uint8Array): boolean {
    const held = this.#pages.get(pageNumber);
    if (held === undefined) return this.#store.readPage(pageNumber, this.#store.lsn, into);
    into.set(held);
    return true;
  }

  replay({ lsn, pageCount, pages }: ReplayedCommit): void {
    for (const { pageNumber, after } of pages) {
      const held = this.#pages.get(pageNumber) ?? new Uint8Array(DB_PAGE_SIZE_BYTES);
      held.set(after);
      this.#pages.set(pageNumber, held);
    }
    // A later commit may have them again, but not what stood in them.
    for (const pageNumber of this.#pages.keys()) {
      if (pageNumber > pageCount) this.#pages.delete(pageNumber);
    }
    this.#pageCount = pageCount;
    this.lsn = lsn;
  }

  async fold(): Promise<void> {
    if (this.lsn === this.#store.lsn) return;
    const pages = [...this.#pages].map(([pageNumber, bytes]) => ({ pageNumber, bytes }));
    await this.#store.fold(this.lsn, this.#pageCount, pages);
    this.#pages.clear();
  }
}
