// The databases of a folder that no gateway has: its lock is held for as long as this is open, so
// that nothing is touched that a running gateway owns.

import { stat } from 'node:fs/promises';
import { GatewayError, systemClock } from '../../core/index.ts';
import {
  type CheckReport,
  checkLog,
  DatabaseCatalog,
  type DatabaseOverview,
  exportSqliteFile,
  type Moment,
  type Standing,
  standingOfFolder,
} from '../../db/index.ts';
import { compileCodec } from '../../kernels/index.ts';
import type { BackupReport, Databases, Progress } from './databases.ts';

/** What a store may take while only commands use it: nothing that a gateway wrote is refused. */
const SIZE_BYTES_MAX = 2 ** 50;
/** Commands forget no state: how long they are kept is the gateway's business. */
const RETENTION_MS = Number.POSITIVE_INFINITY;

export interface FolderOptions {
  readonly folder: string;
  /** codec.wasm. */
  readonly codec: Uint8Array<ArrayBuffer>;
  /** A folder that is not there has no databases; only what makes one makes it. */
  readonly missing: 'make' | 'refuse';
}

export class FolderDatabases implements Databases {
  readonly #catalog: DatabaseCatalog;
  readonly #standing: Standing;

  private constructor(catalog: DatabaseCatalog, standing: Standing) {
    this.#catalog = catalog;
    this.#standing = standing;
  }

  /** Errors: DB_STORE_LOCKED while another process has the folder; DB_NOT_FOUND. */
  static async open({ folder, codec, missing }: FolderOptions): Promise<FolderDatabases> {
    if (missing === 'refuse') await assertFolder(folder);
    const catalog = await DatabaseCatalog.open({
      folder,
      codecModule: compileCodec(codec),
      clock: systemClock,
      sizeBytesMax: SIZE_BYTES_MAX,
      retentionMs: RETENTION_MS,
    });
    try {
      return new FolderDatabases(catalog, standingOfFolder(folder));
    } catch (error) {
      await catalog.close();
      throw error;
    }
  }

  async list(): Promise<DatabaseOverview[]> {
    const found: DatabaseOverview[] = [];
    for (const name of await this.#catalog.list()) found.push(await this.overview(name));
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
    return this.#catalog.importFile(name, path);
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

async function assertFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => null);
  if (found?.isDirectory() === true) return;
  throw new GatewayError('DB_NOT_FOUND', `there is no folder ${folder}`);
}
