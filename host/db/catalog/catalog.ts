// The databases of a folder: made, listed, opened, branched and deleted. A database is there whole
// or not at all: it is made beside its place and renamed, and renamed away before it is deleted.
//
//   {folder}/lock               the process that has them (folder-lock.ts)
//   {folder}/{name}/pages/      the page store: LMDB
//   {folder}/{name}/log/        the log: segments
//   {folder}/.temporary/        databases that are being made, or deleted

import { constants } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, GatewayError, secretBytes } from '../../core/index.ts';
import { PageCodec } from '../../kernels/index.ts';
import type { LogStore, Lsn } from '../contract.ts';
import { CHAIN_START, SegmentLog } from '../log/index.ts';
import {
  type BranchBase,
  LmdbPageStore,
  openSqliteFile,
  type PageStoreOptions,
} from '../page-store/index.ts';
import { FolderLock } from './folder-lock.ts';
import { checkDatabaseName, isDatabaseName } from './names.ts';
import { type DatabaseOverview, overviewOf } from './overview.ts';
import { beginningOf, type Moment, replayUpTo } from './restore.ts';

const TEMPORARY_FOLDER = '.temporary';
const PAGES_FOLDER = 'pages';
const LOG_FOLDER = 'log';
/** LMDB's file can be read by all of a machine, what it holds is the gateway's user's. */
const FOLDER_MODE = 0o700;
/** Durable pins of branches, so that other pins can have any name. */
const BRANCH_PIN = 'branch ';

export interface CatalogOptions {
  /** Made where it is not there. */
  readonly folder: string;
  /** codec.wasm, compiled. */
  readonly codecModule: WebAssembly.Module;
  readonly clock: Clock;
  /** Of each page store. Units: bytes. */
  readonly sizeBytesMax: number;
  readonly retentionMs: number;
  readonly stateSpacingMs?: number;
  /** `held`: another thread of this process has taken the folder. */
  readonly lock?: 'take' | 'held';
}

/** A database's page store, shared by all that use it. */
export interface OpenedPages {
  readonly store: LmdbPageStore;
  close(): Promise<void>;
}

/** Where a log begins. */
interface LogBase {
  readonly lsn: Lsn;
  readonly chain: bigint;
  readonly epoch: number;
}

/** A database of another gateway's, at an LSN. */
export interface ReceivedCopy extends LogBase {
  readonly id: string;
  /** Brings the empty store to that LSN. */
  readonly fill: (store: LmdbPageStore) => Promise<void>;
}

interface Shelf {
  readonly opening: Promise<{ readonly store: LmdbPageStore; readonly parent: OpenedPages | null }>;
  usesCount: number;
}

export class DatabaseCatalog {
  readonly #options: CatalogOptions;
  readonly #lock: FolderLock | null;
  readonly #codec: PageCodec;
  readonly #shelves = new Map<string, Shelf>();
  /** Branches that are being made: their pins stand before they do. */
  readonly #branching = new Set<string>();

  private constructor(options: CatalogOptions, lock: FolderLock | null) {
    this.#options = options;
    this.#lock = lock;
    this.#codec = new PageCodec(options.codecModule);
  }

  /** Takes a folder of databases. Errors: DB_STORE_LOCKED while another process has it. */
  static async open(options: CatalogOptions): Promise<DatabaseCatalog> {
    await mkdir(join(options.folder, TEMPORARY_FOLDER), { recursive: true });
    if (options.lock === 'held') return new DatabaseCatalog(options, null);
    const lock = await FolderLock.take(options.folder);
    const catalog = new DatabaseCatalog(options, lock);
    for (const rest of await readdir(join(options.folder, TEMPORARY_FOLDER))) {
      await rm(join(options.folder, TEMPORARY_FOLDER, rest), { recursive: true, force: true });
    }
    return catalog;
  }

  /** Names, in order. */
  async list(): Promise<string[]> {
    const entries = await readdir(this.#options.folder, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() && isDatabaseName(entry.name))
      .map(({ name }) => name)
      .sort();
  }

  /** Errors: DB_NAME, DB_EXISTS. */
  async assertFree(name: string): Promise<void> {
    checkDatabaseName(name);
    if ((await this.list()).includes(name)) throw new GatewayError('DB_EXISTS', name);
  }

  /** Makes an empty database. Errors: DB_NAME, DB_EXISTS. */
  create(name: string): Promise<void> {
    return this.#make(name, null, async () => {});
  }

  /** Makes a database of a file of SQLite's that has our pages (own-pages.ts). Errors: DB_NAME,
   *  DB_EXISTS, DB_FORMAT, DB_STORE_FULL. */
  async importFile(name: string, path: string): Promise<void> {
    const file = await openSqliteFile(path);
    try {
      await this.#make(name, null, (store) => store.load(1, file.pageCount, file.pages()));
    } finally {
      await file.close();
    }
  }

  /** Makes a copy of another gateway's database, in the place of one that is here. It is to be
   *  closed before that. Errors: DB_NAME, DB_STORE_LOCKED, and those of `fill`. */
  async receive(
    name: string,
    copy: ReceivedCopy,
    place: (replace: () => Promise<void>) => Promise<void>,
  ): Promise<void> {
    checkDatabaseName(name);
    const { id, epoch, lsn, chain, fill } = copy;
    const folder = this.temporaryPath();
    try {
      await mkdir(join(folder, PAGES_FOLDER), { recursive: true, mode: FOLDER_MODE });
      const store = await this.#openStoreIn(folder, { copyOf: { id, epoch } });
      try {
        await fill(store);
        await (await this.#openLogIn(folder, store, { lsn, chain, epoch })).close();
      } finally {
        await store.close();
      }
      await syncFolder(folder);
      await place(async () => {
        if ((await this.list()).includes(name)) await this.remove(name);
        await rename(folder, this.pathOf(name));
        await syncFolder(this.#options.folder);
      });
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Makes a database that begins as another's state at an LSN, at once and without a copy; the
   *  other keeps that state as long as the branch is there. `fill` may bring it further before it
   *  is there. Errors: DB_NAME, DB_EXISTS, DB_NOT_FOUND, DB_NO_STATE, and those of `fill`. */
  async branch(
    parentName: string,
    name: string,
    atLsn: Lsn,
    fill: (store: LmdbPageStore) => Promise<void> = async () => {},
  ): Promise<void> {
    await this.assertFree(name);
    const parent = await this.openPages(parentName);
    try {
      await this.#unpinGone(parent.store);
      const pin = `${BRANCH_PIN}${name}`;
      const lsn = parent.store.pinDurably(pin, atLsn);
      this.#branching.add(name);
      try {
        await this.#make(name, { parent: parentName, lsn, pin }, fill, parent.store);
      } catch (error) {
        parent.store.unpinDurably(pin);
        throw error;
      }
    } finally {
      this.#branching.delete(name);
      await parent.close();
    }
  }

  /** Deletes a database. Errors: DB_NOT_FOUND; DB_HAS_BRANCHES, with their names; DB_STORE_LOCKED
   *  while it is open. */
  async delete(name: string): Promise<void> {
    const base = await this.remove(name);
    if (base !== null) await this.release(base);
  }

  /** Deletes a database and leaves its parent as it is, which another thread may own: `release`
   *  there is the other half, and who looks at the parent later makes up for it. Returns what it
   *  was a branch of. Errors: as for delete. */
  async remove(name: string): Promise<BranchBase | null> {
    const base = await this.assertRemovable(name);
    if (this.#shelves.has(name)) throw new GatewayError('DB_STORE_LOCKED', `${name} is in use`);
    const aside = this.temporaryPath();
    await rename(this.pathOf(name), aside);
    await syncFolder(this.#options.folder);
    await rm(aside, { recursive: true, force: true });
    return base;
  }

  /** Returns what the database is a branch of. Errors: DB_HAS_BRANCHES, with their names. */
  async assertRemovable(name: string): Promise<BranchBase | null> {
    const { base, branches } = await this.#look(name);
    if (branches.length === 0) return base;
    throw new GatewayError('DB_HAS_BRANCHES', `${name} has ${branches.join(', ')}`);
  }

  /** Lets go of the state that a branch, which is gone, was based on. */
  async release({ parent: name, pin }: Pick<BranchBase, 'parent' | 'pin'>): Promise<void> {
    const parent = await this.openPages(name);
    try {
      parent.store.unpinDurably(pin);
      await parent.store.collect();
    } finally {
      await parent.close();
    }
  }

  /** Opens a database's page store, and those it is a branch of. Errors: DB_NOT_FOUND,
   *  DB_FORMAT. */
  async openPages(name: string): Promise<OpenedPages> {
    await this.#assertThere(name);
    let shelf = this.#shelves.get(name);
    if (shelf === undefined) {
      shelf = { opening: this.#openChain(name), usesCount: 0 };
      this.#shelves.set(name, shelf);
      shelf.opening.catch(() => this.#shelves.delete(name));
    }
    shelf.usesCount += 1;
    const taken = shelf;
    const { store } = await shelf.opening;
    let isOpen = true;
    const close = async (): Promise<void> => {
      if (isOpen) await this.#closeShelf(name, taken);
      isOpen = false;
    };
    return { store, close };
  }

  /** Opens a database's page store, brought to the end of its log: what no engine has folded yet is
   *  folded. Not while an engine has the database. Errors: as for openPages, and those of the
   *  log. */
  async openWhole(name: string): Promise<OpenedPages> {
    const pages = await this.openPages(name);
    try {
      const log = await this.openLog(name, pages.store);
      try {
        await replayUpTo(pages.store, log, this.#codec, { lsn: Number.POSITIVE_INFINITY });
      } finally {
        await log.close();
      }
      return pages;
    } catch (error) {
      await pages.close();
      throw error;
    }
  }

  /** Makes a branch that is the database at a moment of its past; an infinite LSN is now. Returns
   *  its LSN. Errors: as for branch; DB_NO_STATE for a moment that is not kept any more or has not
   *  come yet, with those that can be reached. */
  async branchAt(parentName: string, name: string, moment: Moment): Promise<Lsn> {
    const { store, close } = await this.openPages(parentName);
    try {
      const log = await this.openLog(parentName, store);
      try {
        return await this.branchWith(log, parentName, name, moment);
      } finally {
        await log.close();
      }
    } finally {
      await close();
    }
  }

  /** As branchAt, with the parent's log, which its engine goes on writing. */
  async branchWith(log: LogStore, parentName: string, name: string, moment: Moment): Promise<Lsn> {
    const { store, close } = await this.openPages(parentName);
    try {
      let reachedLsn: Lsn = 0;
      const nowMs = this.#options.clock.wallMs();
      const beginning = beginningOf({ store, log, nowMs }, moment);
      await this.branch(parentName, name, beginning, async (branch) => {
        reachedLsn = await replayUpTo(branch, log, this.#codec, moment);
      });
      return reachedLsn;
    } finally {
      await close();
    }
  }

  /** What there is to say of a database that no engine has. Errors: as for openPages, and those of
   *  the log. */
  async overview(name: string): Promise<DatabaseOverview> {
    const { store, close } = await this.openPages(name);
    try {
      const log = await this.openLog(name, store);
      try {
        return overviewOf(name, { store, log, branches: await this.branchesOf(name) });
      } finally {
        await log.close();
      }
    } finally {
      await close();
    }
  }

  /** Opens a database's log. Errors: those of SegmentLog. */
  openLog(name: string, store: LmdbPageStore): Promise<SegmentLog> {
    return this.#openLogIn(this.pathOf(name), store);
  }

  /** Names of the databases that are branches of this one. */
  async branchesOf(name: string): Promise<string[]> {
    return (await this.#look(name)).branches;
  }

  pathOf(name: string): string {
    checkDatabaseName(name);
    return join(this.#options.folder, name);
  }

  async close(): Promise<void> {
    const open = [...this.#shelves.keys()];
    if (open.length > 0) throw new Error(`still in use: ${open.join(', ')}`);
    await this.#lock?.release();
  }

  /** Says who can be asked while the folder is locked. Not where another thread has the lock. */
  async announce(adminUrl: string): Promise<void> {
    await this.#lock?.announce(adminUrl);
  }

  async #make(
    name: string,
    base: BranchBase | null,
    fill: (store: LmdbPageStore) => Promise<void>,
    parent?: LmdbPageStore,
  ): Promise<void> {
    await this.assertFree(name);
    const folder = this.temporaryPath();
    try {
      await mkdir(join(folder, PAGES_FOLDER), { recursive: true, mode: FOLDER_MODE });
      const branch = base === null ? {} : { base, parent: parent! };
      const store = await this.#openStoreIn(folder, branch);
      try {
        await fill(store);
        await (await this.#openLogIn(folder, store)).close();
      } finally {
        await store.close();
      }
      await syncFolder(folder);
      await rename(folder, this.pathOf(name)).catch((error: unknown) => {
        // Another thread was faster: a folder never replaces one that has something in it.
        const { code } = error as NodeJS.ErrnoException;
        if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
        throw new GatewayError('DB_EXISTS', name, error);
      });
      await syncFolder(this.#options.folder);
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  async #openChain(
    name: string,
  ): Promise<{ readonly store: LmdbPageStore; readonly parent: OpenedPages | null }> {
    const base = await LmdbPageStore.baseOf(this.#storeOptions(this.pathOf(name)));
    if (base === null)
      return { store: await this.#openStoreIn(this.pathOf(name), {}), parent: null };
    const parent = await this.openPages(base.parent);
    try {
      const store = await this.#openStoreIn(this.pathOf(name), { parent: parent.store });
      return { store, parent };
    } catch (error) {
      await parent.close();
      throw error;
    }
  }

  async #closeShelf(name: string, shelf: Shelf): Promise<void> {
    shelf.usesCount -= 1;
    if (shelf.usesCount > 0) return;
    this.#shelves.delete(name);
    const { store, parent } = await shelf.opening;
    await store.close();
    await parent?.close();
  }

  #openStoreIn(
    folder: string,
    origin: Pick<PageStoreOptions, 'base' | 'parent' | 'copyOf'>,
  ): Promise<LmdbPageStore> {
    return LmdbPageStore.open({ ...this.#storeOptions(folder), ...origin });
  }

  #storeOptions(folder: string) {
    const { codecModule, clock, sizeBytesMax, retentionMs, stateSpacingMs = 0 } = this.#options;
    const pages = join(folder, PAGES_FOLDER);
    return { folder: pages, codecModule, clock, sizeBytesMax, retentionMs, stateSpacingMs };
  }

  #openLogIn(
    folder: string,
    store: LmdbPageStore,
    base: LogBase = { lsn: store.lsn, chain: CHAIN_START, epoch: store.epoch },
  ): Promise<SegmentLog> {
    return SegmentLog.open({
      folder: join(folder, LOG_FOLDER),
      // The seed is what tells groups of one life of a segment's file from those of another.
      xxh64: (bytes, seed) => this.#codec.xxh64(bytes, seed),
      durableLsn: store.lsn,
      base,
    });
  }

  async #look(name: string): Promise<{ base: BranchBase | null; branches: string[] }> {
    const { store, close } = await this.openPages(name);
    try {
      await this.#unpinGone(store);
      const branches = store.durablePins
        .filter((pin) => pin.name.startsWith(BRANCH_PIN))
        .map((pin) => pin.name.slice(BRANCH_PIN.length));
      return { base: store.base, branches };
    } finally {
      await close();
    }
  }

  /** Takes away pins of branches that are not there: the process ended between the two. */
  async #unpinGone(store: LmdbPageStore): Promise<void> {
    const names = await this.list();
    for (const pin of store.durablePins) {
      if (!pin.name.startsWith(BRANCH_PIN)) continue;
      const branch = pin.name.slice(BRANCH_PIN.length);
      if (!names.includes(branch) && !this.#branching.has(branch)) store.unpinDurably(pin.name);
    }
  }

  async #assertThere(name: string): Promise<void> {
    checkDatabaseName(name);
    if (!(await this.list()).includes(name)) throw new GatewayError('DB_NOT_FOUND', name);
  }

  /** A name that nothing has, in the folder of what is being made. */
  temporaryPath(): string {
    const unique = Buffer.from(secretBytes(8)).toString('hex');
    return join(this.#options.folder, TEMPORARY_FOLDER, unique);
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
