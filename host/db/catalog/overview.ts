// What there is to say of a database, without looking into its pages.

import type { LogStore, Lsn } from '../contract.ts';
import type { LmdbPageStore, PageStoreStats } from '../page-store/index.ts';

export interface DatabaseOverview extends Omit<PageStoreStats, 'sizeBytesMax'> {
  readonly name: string;
  /** Of the last commit in the log. */
  readonly logLsn: Lsn;
  readonly logFirstLsn: Lsn;
  readonly branches: readonly string[];
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
  return { name, ...stats, logLsn: log.nextLsn - 1, logFirstLsn: log.firstLsn, branches };
}
