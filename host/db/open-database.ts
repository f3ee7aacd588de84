// A database in a folder: its log and its page store, and the engine over them.
//
//     NAME/log      segments of the log
//     NAME/pages    the page store

import { join } from 'node:path';
import type { Clock } from '../core/index.ts';
import { Codec, PageCodec } from '../kernels/index.ts';
import { deltaCodec } from './commit-codec.ts';
import { Database } from './database.ts';
import type { DatabaseEvent, DatabaseLimits } from './database-options.ts';
import type { EngineLimits } from './engine/index.ts';
import { SegmentLog } from './log/index.ts';
import { LmdbPageStore } from './page-store/index.ts';

/** What all databases of a thread share. */
export interface DatabaseModules {
  /** `compileSqlite`. */
  readonly sqlite: WebAssembly.Module;
  /** codec.wasm. */
  readonly codec: WebAssembly.Module;
  readonly codecBytes: Uint8Array<ArrayBuffer>;
}

export interface OpenDatabaseOptions {
  readonly folder: string;
  readonly modules: DatabaseModules;
  readonly clock: Clock;
  readonly engineLimits: Partial<EngineLimits>;
  readonly limits: Partial<DatabaseLimits>;
  /** How long a folded state stays readable. Units: ms. */
  readonly retentionMs: number;
  readonly storeSizeBytesMax: number;
  readonly report: (event: DatabaseEvent) => void;
}

/** Opens the database, or makes it. Errors: those of the log and of the page store. */
export async function openDatabase(options: OpenDatabaseOptions): Promise<Database> {
  const { folder, modules, clock } = options;
  const codec = Codec.create(modules.codecBytes);
  const pageCodec = new PageCodec(modules.codec);
  const pages = await LmdbPageStore.open({
    folder: join(folder, 'pages'),
    codecModule: modules.codec,
    clock,
    sizeBytesMax: options.storeSizeBytesMax,
    retentionMs: options.retentionMs,
  });
  try {
    return await Database.open({
      module: modules.sqlite,
      clock,
      codec: deltaCodec(pageCodec),
      pages,
      openLog: (durableLsn) =>
        SegmentLog.open({
          folder: join(folder, 'log'),
          xxh64: (bytes, seed) => codec.xxh64(bytes, seed),
          durableLsn,
        }),
      engineLimits: options.engineLimits,
      limits: options.limits,
      report: options.report,
    });
  } catch (error) {
    await pages.close();
    throw error;
  }
}
