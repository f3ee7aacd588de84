// The databases of a folder that no gateway has: its lock is held for as long as this is open, so
// that nothing is touched that a running gateway owns.

import { stat } from 'node:fs/promises';
import { GatewayError, isGatewayError, systemClock } from '../../core/index.ts';
import {
  type CheckReport,
  checkLog,
  compileSqlite,
  DatabaseCatalog,
  type DatabaseOverview,
  exportSqliteFile,
  type Moment,
  repage,
  type Standing,
  standingOfFolder,
  withOwnPages,
} from '../../db/index.ts';
import { compileCodec } from '../../kernels/index.ts';
import type { BackupReport, Databases, ListedDatabase, Progress } from './databases.ts';
import type { ReadModule } from './read-module.ts';

/** What a store may take while only commands use it: nothing that a gateway wrote is refused. */
const SIZE_BYTES_MAX = 2 ** 50;
/** Commands forget no state: how long they are kept is the gateway's business. */
const RETENTION_MS = Number.POSITIVE_INFINITY;

export interface FolderOptions {
  readonly folder: string;
  readonly read: ReadModule;
  /** A folder that is not there has no databases; only what makes one makes it. */
  readonly missing: 'make' | 'refuse';
}

interface OpenedFolder extends Pick<FolderOptions, 'folder' | 'read'> {
  readonly isNew: boolean;
}

export class FolderDatabases implements Databases {
  readonly newFolder: string | null;
  readonly #catalog: DatabaseCatalog;
  readonly #standing: Standing;
  readonly #read: ReadModule;

  private constructor(catalog: DatabaseCatalog, standing: Standing, options: OpenedFolder) {
    this.#catalog = catalog;
    this.#standing = standing;
    this.#read = options.read;
    this.newFolder = options.isNew ? options.folder : null;
  }

  /** Errors: DB_STORE_LOCKED while another process has the folder; DB_NOT_FOUND. */
  static async open({ folder, read, missing }: FolderOptions): Promise<FolderDatabases> {
    const isNew = !(await isFolder(folder));
    if (isNew && missing === 'refuse') {
      const detail = `there is no folder ${folder}: --dir is db.dir of the configuration`;
      throw new GatewayError('DB_NOT_FOUND', detail);
    }
    const catalog = await DatabaseCatalog.open({
      folder,
      codecModule: compileCodec(read('codec.wasm')),
      clock: systemClock,
      sizeBytesMax: SIZE_BYTES_MAX,
      retentionMs: RETENTION_MS,
    });
    try {
      return new FolderDatabases(catalog, standingOfFolder(folder), { folder, read, isNew });
    } catch (error) {
      await catalog.close();
      throw error;
    }
  }

  async list(): Promise<ListedDatabase[]> {
    const found: ListedDatabase[] = [];
    for (const name of await this.#catalog.list()) {
      try {
        found.push(await this.overview(name));
      } catch (error) {
        if (!isGatewayError(error)) throw error;
        found.push({ name, error: error.message });
      }
    }
    return found;
  }

  async promote(): Promise<number> {
    throw new GatewayError('DB_STANDING', 'a gateway is promoted while it runs');
  }

  names(): Promise<string[]> {
    return this.#catalog.list();
  }

  overview(name: string): Promise<DatabaseOverview> {
    return this.#catalog.overview(name);
  }

  async create(name: string): Promise<void> {
    this.#assertPrimary();
    return this.#catalog.create(name);
  }

  async importFile(name: string, path: string): Promise<void> {
    this.#assertPrimary();
    const catalog = this.#catalog;
    await catalog.assertFree(name);
    const conversion = {
      temporaryPath: () => catalog.temporaryPath(),
      repage: (source: string, target: string): void => {
        const module = compileSqlite(this.#read('sqlite3.wasm'));
        const sizeBytesMax = SIZE_BYTES_MAX;
        repage({ module, clock: systemClock, source, target, sizeBytesMax });
      },
    };
    await withOwnPages(path, conversion, (file) => catalog.importFile(name, file));
  }

  remove(name: string): Promise<void> {
    return this.#catalog.delete(name);
  }

  async check(name: string): Promise<CheckReport> {
    const { store, close } = await this.#catalog.openWhole(name);
    try {
      const report = await store.check();
      const log = await this.#catalog.openLog(name, store);
      try {
        return { ...report, lsn: store.lsn, groupsCount: await checkLog(log) };
      } finally {
        await log.close();
      }
    } finally {
      await close();
    }
  }

  async branch(name: string, as: string, moment: Moment | null): Promise<number> {
    this.#assertPrimary();
    return this.#catalog.branchAt(name, as, moment ?? { lsn: Number.POSITIVE_INFINITY });
  }

  async backup(name: string, path: string, onProgress: Progress): Promise<BackupReport> {
    const { store, close } = await this.#catalog.openWhole(name);
    try {
      const lsn = await exportSqliteFile(store, store.lsn, path, onProgress);
      return { lsn, pageCount: store.pageCount };
    } finally {
      await close();
    }
  }

  close(): Promise<void> {
    return this.#catalog.close();
  }

  /** A follower throws away what its primary does not have. */
  #assertPrimary(): void {
    const { role, explanation } = this.#standing;
    if (role !== 'primary') throw new GatewayError('DB_STANDING', explanation);
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() === true;
}
