// A database of a catalog with its engine.

import type { Clock } from '../../core/index.ts';
import { PageCodec } from '../../kernels/index.ts';
import type { DatabaseCatalog } from '../catalog/index.ts';
import { deltaCodec } from '../commit-codec.ts';
import { Database } from '../database.ts';
import type { DatabaseOptions } from '../database-options.ts';
import type { SegmentLog } from '../log/index.ts';
import type { LmdbPageStore } from '../page-store/index.ts';
import type { Standing } from '../replication/index.ts';

export interface OpenDatabaseOptions
  extends Partial<Pick<DatabaseOptions, 'engineLimits' | 'limits' | 'report'>> {
  readonly catalog: DatabaseCatalog;
  readonly name: string;
  /** `compileSqlite`, and codec.wasm. */
  readonly sqlite: WebAssembly.Module;
  readonly codec: WebAssembly.Module;
  readonly clock: Clock;
  /** Of the gateway whose folder it is: only a primary's takes writes. */
  readonly standing: Standing;
}

/** Closing the database closes its pages. Errors: those of the catalog, and of Database.open. */
export async function openDatabaseOf({
  catalog,
  name,
  sqlite,
  codec,
  standing,
  ...options
}: OpenDatabaseOptions): Promise<{ readonly database: Database; readonly store: LmdbPageStore }> {
  const { store, close } = await catalog.openPages(name);
  try {
    const database = await Database.open({
      ...options,
      module: sqlite,
      codec: deltaCodec(new PageCodec(codec)),
      pages: store,
      closePages: close,
      refuseWrites: standing.refusal,
      openLog: () => openLogInTerm(catalog, { name, store, standing }),
    });
    return { database, store };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A primary writes its log with its own term, so that whoever has heard of that takes no group of
 *  a former one. Errors: those of the catalog and of the log. */
export async function openLogInTerm(
  catalog: DatabaseCatalog,
  {
    name,
    store,
    standing,
  }: {
    readonly name: string;
    readonly store: LmdbPageStore;
    readonly standing: Pick<Standing, 'role' | 'term'> | null;
  },
): Promise<SegmentLog> {
  const log = await catalog.openLog(name, store);
  try {
    const term = standing?.role === 'primary' ? standing.term : 0;
    if (log.epoch < term) await log.begin(term);
  } catch (error) {
    await log.close();
    throw error;
  }
  return log;
}
