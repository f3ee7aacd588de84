// A database of a catalog with its engine.

import type { Clock } from '../../core/index.ts';
import { PageCodec } from '../../kernels/index.ts';
import type { DatabaseCatalog } from '../catalog/index.ts';
import { deltaCodec } from '../commit-codec.ts';
import { Database } from '../database.ts';
import type { DatabaseOptions } from '../database-options.ts';
import type { LmdbPageStore } from '../page-store/index.ts';

export interface OpenDatabaseOptions
  extends Partial<Pick<DatabaseOptions, 'engineLimits' | 'limits' | 'report'>> {
  readonly catalog: DatabaseCatalog;
  readonly name: string;
  /** `compileSqlite`, and codec.wasm. */
  readonly sqlite: WebAssembly.Module;
  readonly codec: WebAssembly.Module;
  readonly clock: Clock;
}

/** Closing the database closes its pages. Errors: those of the catalog, and of Database.open. */
export async function openDatabaseOf({
  catalog,
  name,
  sqlite,
  codec,
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
      openLog: () => catalog.openLog(name, store),
    });
    return { database, store };
  } catch (error) {
    await close();
    throw error;
  }
}
