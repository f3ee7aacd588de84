// Brings a database from the state of its page store to the end of its log, or a follower from one
// group to the next: deltas become pages again, and whoever keeps the pages takes them commit by
// commit.

import { GatewayError } from '../../core/index.ts';
import { DB_PAGE_SIZE_BYTES, type LogGroup, type LogStore, type Lsn } from '../contract.ts';
import {
  type DecodedCommit,
  type DecodedPage,
  decodeCommits,
  type PageDelta,
} from './commit-codec.ts';

export interface ReplayedCommit {
  readonly lsn: Lsn;
  readonly pageCount: number;
  /** Valid only during the call. */
  readonly pages: readonly { readonly pageNumber: number; readonly after: Uint8Array }[];
}

/** Who keeps the pages: an Engine, for one. */
export interface ReplayTarget {
  /** Copies a page of the state so far. False: there is no such page. */
  readPage(pageNumber: number, into: Uint8Array): boolean;
  /** Takes the next commit. */
  replay(commit: ReplayedCommit): void;
}

/** Buffers kept from one commit to the next. */
const KEPT_PAGES_COUNT_MAX = 1_024;

export class Replay {
  readonly #pageDelta: PageDelta;
  readonly #target: ReplayTarget;
  readonly #pages: Uint8Array[] = [];

  constructor(pageDelta: PageDelta, target: ReplayTarget) {
    this.#pageDelta = pageDelta;
    this.#target = target;
  }

  /** Applies the commits of a group that are newer than `afterLsn`, up to `lastLsn`. Errors:
   *  DB_LOG_CORRUPT and DB_DELTA_CORRUPT where the group does not fit the pages; commits before it
   *  have been taken. */
  group(group: LogGroup, afterLsn: Lsn, lastLsn: Lsn = Number.POSITIVE_INFINITY): void {
    for (const commit of decodeCommits(group)) {
      if (commit.lsn > lastLsn) return;
      if (commit.lsn > afterLsn) this.#commit(commit);
    }
  }

  /** Applies all that the log has after `afterLsn`, which the target holds; returns the last LSN.
   *  Errors: as for group, and those of the log. */
  async log(log: LogStore, afterLsn: Lsn): Promise<Lsn> {
    let lastLsn = afterLsn;
    for await (const group of log.read(afterLsn + 1)) {
      this.group(group, lastLsn);
      lastLsn = group.lastLsn;
    }
    return lastLsn;
  }

  #commit({ lsn, pageCount, pages }: DecodedCommit): void {
    this.#target.replay({
      lsn,
      pageCount,
      pages: pages.map((page, index) => ({
        pageNumber: page.pageNumber,
        after: this.#pageAfter(lsn, page, index),
      })),
    });
    this.#pages.length = Math.min(this.#pages.length, KEPT_PAGES_COUNT_MAX);
  }

  #pageAfter(lsn: Lsn, page: DecodedPage, index: number): Uint8Array {
    this.#pages[index] ??= new Uint8Array(DB_PAGE_SIZE_BYTES);
    const bytes = this.#pages[index];
    if (page.hasBefore && !this.#target.readPage(page.pageNumber, bytes)) {
      const detail = `commit ${lsn} changes page ${page.pageNumber}, which is not there`;
      throw new GatewayError('DB_LOG_CORRUPT', detail);
    }
    this.#pageDelta.decodeDelta(page.hasBefore ? bytes : null, page.delta, bytes);
    return bytes;
  }
}
