// What there is to say of a database, without looking into its pages.

import type { LogStore, Lsn } from '../contract.ts';
import type { LmdbPageStore, PageStoreStats } from '../page-store/index.ts';
import { type Reach, reachOf } from './restore.ts';

export interface DatabaseOverview extends Omit<PageStoreStats, 'sizeBytesMax'> {
  readonly name: string;
  /** Of the last commit in the log. */
  readonly logLsn: Lsn;
  readonly logFirstLsn: Lsn;
  readonly branches: readonly string[];
  /** Commits to which it can be restored. */
  readonly reach: Reach;
}

/** Plain data, also for JSON and for another thread. */
export function overviewOf(
  name: string,
  parts: {
    readonly store: LmdbPageStore;
    readonly log: Pick<LogStore, 'nextLsn' | 'firstLsn'>;
    readonly branches: readonly string[];
  },
): DatabaseOverview {
  const { store, log, branches } = parts;
  const { sizeBytesMax: _, ...stats } = store.stats();
  const { nextLsn, firstLsn: logFirstLsn } = log;
  const reach = reachOf({ store, log });
  return { name, ...stats, logLsn: nextLsn - 1, logFirstLsn, branches, reach };
}
