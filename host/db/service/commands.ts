// What an operator asks a db worker to do with the databases that it owns, while their clients go
// on. Commands that make or remove a database run one after the other; those that only read run
// beside them. A database that is worked with stays open for as long.

import { GatewayError, isGatewayError } from '../../core/index.ts';
import { type DatabaseOverview, type Moment, overviewOf } from '../catalog/index.ts';
import { DB_PAGE_SIZE_BYTES, type LogStore, type Lsn, type PagePin } from '../contract.ts';
import { isHranaError } from '../hrana/index.ts';
import { type BranchBase, readExportChunk, type StoreReport } from '../page-store/index.ts';
import { isSqlError } from '../sql-error.ts';
import type { ReplicationDesk } from './replication-desk.ts';
import type { DatabaseShelf, OpenedDatabase } from './shelf.ts';

/** Plain data, for it comes from another thread. `name`: of a database that this worker owns. */
export type DatabaseCommand =
  | { readonly kind: 'overview'; readonly name: string }
  | { readonly kind: 'create'; readonly name: string }
  /** Of a file of SQLite's, which nobody writes meanwhile. */
  | { readonly kind: 'import'; readonly name: string; readonly path: string }
  /** The state that it was based on is let go of with `release`, by the owner of its parent. */
  | { readonly kind: 'remove'; readonly name: string }
  | { readonly kind: 'release'; readonly name: string; readonly pin: string }
  | { readonly kind: 'check'; readonly name: string }
  | {
      readonly kind: 'branch';
      readonly name: string;
      readonly as: string;
      readonly moment: Moment;
    }
  | { readonly kind: 'backup-begin'; readonly name: string }
  | { readonly kind: 'backup-read'; readonly name: string; readonly backup: number }
  | { readonly kind: 'backup-end'; readonly name: string; readonly backup: number };

/** What each kind of command gives. */
export interface DatabaseOutcomes {
  readonly overview: DatabaseOverview;
  readonly create: null;
  readonly import: null;
  readonly remove: BranchBase | null;
  readonly release: null;
  readonly check: CheckReport;
  /** The state that the branch begins with. */
  readonly branch: Lsn;
  readonly 'backup-begin': BackupPlace;
  /** The next bytes of the file; null at its end. */
  readonly 'backup-read': Uint8Array<ArrayBuffer> | null;
  readonly 'backup-end': null;
}

export interface CheckReport extends StoreReport {
  /** Of the page store. */
  readonly lsn: Lsn;
  /** Groups of the log that were read, and checked against their sums and each other. */
  readonly groupsCount: number;
}

export interface BackupPlace {
  readonly backup: number;
  readonly lsn: Lsn;
  readonly sizeBytes: number;
}

interface Backup {
  readonly opened: OpenedDatabase;
  readonly pin: PagePin;
  readonly end: () => void;
  nextPage: number;
}

const CHANGES: readonly DatabaseCommand['kind'][] = ['create', 'import', 'remove', 'branch'];
/** Each keeps a state, and with it old versions of pages. */
const BACKUPS_COUNT_MAX = 8;

export class DatabaseCommands {
  readonly #shelf: DatabaseShelf;
  readonly #replication: ReplicationDesk | null;
  readonly #backups = new Map<number, Backup>();
  #backupNumber = 0;
  #changes: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  /** `replication`: null where databases have no copies at other gateways. */
  constructor(shelf: DatabaseShelf, replication: ReplicationDesk | null = null) {
    this.#shelf = shelf;
    this.#replication = replication;
  }

  /** Errors: a GatewayError with the code of what was refused. */
  async run(command: DatabaseCommand): Promise<DatabaseOutcomes[DatabaseCommand['kind']]> {
    if (this.#isClosed) throw new GatewayError('DB_UNAVAILABLE', 'the gateway is shutting down');
    try {
      return await this.#run(command);
    } catch (error) {
      throw asGatewayError(error);
    }
  }

  /** A gateway that is no primary has the databases of another one: it makes none. A follower
   *  throws a copy away and fetches it anew. Errors: DB_STANDING. */
  #assertChanges(kind: DatabaseCommand['kind']): void {
    const standing = this.#replication?.standing;
    if (standing === undefined || standing.role === 'primary') return;
    if (!CHANGES.includes(kind) || (kind === 'remove' && standing.role === 'follower')) return;
    throw new GatewayError('DB_STANDING', standing.explanation);
  }

  #run(command: DatabaseCommand): Promise<DatabaseOutcomes[DatabaseCommand['kind']]> {
    const { name } = command;
    const { catalog } = this.#shelf;
    this.#assertChanges(command.kind);
    switch (command.kind) {
      case 'overview':
        return this.#overview(name);
      case 'create':
        return this.#change(() => catalog.create(name).then(() => null));
      case 'import':
        return this.#change(() => catalog.importFile(name, command.path).then(() => null));
      case 'remove':
        return this.#change(() => this.#remove(name));
      case 'release':
        return this.#change(() => catalog.release({ parent: name, ...command }).then(() => null));
      case 'check':
        return this.#shelf.use(name, checkOpened);
      case 'branch':
        return this.#change(() => this.#branch(name, command.as, command.moment));
      case 'backup-begin':
        return this.#beginBackup(name);
      case 'backup-read':
        return this.#readBackup(command.backup);
      case 'backup-end':
        this.#backups.get(command.backup)?.end();
        return Promise.resolve(null);
    }
  }

  /** Ends what reads, and waits for what changes something. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { end } of [...this.#backups.values()]) end();
    await this.#changes;
  }

  #change<T>(job: () => Promise<T>): Promise<T> {
    const done = this.#changes.then(job);
    this.#changes = done.catch(() => {});
    return done;
  }

  /** One that is not open is looked at without an engine. */
  async #overview(name: string): Promise<DatabaseOverview> {
    const { catalog } = this.#shelf;
    if (!this.#shelf.isTaken(name)) {
      return this.#shelf.alone(name, () => catalog.overview(name));
    }
    return this.#shelf.use(name, async ({ store, database }) => {
      const branches = await catalog.branchesOf(name);
      return overviewOf(name, { store, log: database.log, branches });
    });
  }

  /** What the log holds beyond the page store is folded first, so that a branch of now has nothing
   *  to replay. */
  #branch(name: string, as: string, moment: Moment): Promise<Lsn> {
    return this.#shelf.use(name, async ({ database }) => {
      if ('lsn' in moment && moment.lsn > database.durableLsn) await database.checkpoint();
      return this.#shelf.catalog.branchWith(database.log, name, as, moment);
    });
  }

  /** Nobody loses a connection to what cannot be removed. */
  async #remove(name: string): Promise<BranchBase | null> {
    const { catalog } = this.#shelf;
    if (this.#replication?.standing.role === 'follower') {
      await this.#replication.drop(name);
      return null;
    }
    await catalog.assertRemovable(name);
    return this.#shelf.alone(name, () => catalog.remove(name));
  }

  // --- backups -----------------------------------------------------------------------------------

  async #beginBackup(name: string): Promise<BackupPlace> {
    if (this.#backups.size >= BACKUPS_COUNT_MAX) {
      const detail = `${this.#backups.size} backups run, the limit is ${BACKUPS_COUNT_MAX}`;
      throw new GatewayError('DB_BUSY', detail);
    }
    this.#backupNumber += 1;
    const backup = this.#backupNumber;
    return new Promise((resolve, reject) => {
      const hold = async (opened: OpenedDatabase): Promise<void> => {
        const { database, store } = opened;
        await database.checkpoint();
        const pin = store.pin(store.lsn);
        await new Promise<void>((end) => {
          this.#backups.set(backup, { opened, pin, end, nextPage: 1 });
          resolve({ backup, lsn: pin.lsn, sizeBytes: pin.pageCount * DB_PAGE_SIZE_BYTES });
        });
        this.#backups.delete(backup);
        pin.release();
      };
      this.#shelf.use(name, hold).catch(reject);
    });
  }

  async #readBackup(number: number): Promise<Uint8Array<ArrayBuffer> | null> {
    const backup = this.#backups.get(number);
    if (backup === undefined) throw new GatewayError('DB_UNAVAILABLE', 'the backup has ended');
    const { opened, pin } = backup;
    const chunk = readExportChunk(opened.store, pin, backup.nextPage);
    backup.nextPage += chunk.length / DB_PAGE_SIZE_BYTES;
    return chunk.length === 0 ? null : chunk;
  }
}

/** Reads every record of the store and every group of the log. What commits meanwhile is folded
 *  when the store has been read. */
async function checkOpened({ database, store }: OpenedDatabase): Promise<CheckReport> {
  await database.checkpoint();
  const report = await store.check();
  return { ...report, lsn: store.lsn, groupsCount: await checkLog(database.log) };
}

/** Reads all groups of a log, which are checked by that. Returns how many there are. Errors:
 *  DB_LOG_CORRUPT with file and place. */
export async function checkLog(log: LogStore): Promise<number> {
  let groupsCount = 0;
  if (log.firstLsn >= log.nextLsn) return 0;
  for await (const _ of log.read(log.firstLsn)) groupsCount += 1;
  return groupsCount;
}

const CODES = {
  DATABASE_NOT_FOUND: 'DB_NOT_FOUND',
  DATABASE_UNAVAILABLE: 'DB_UNAVAILABLE',
} as const;

function asGatewayError(error: unknown): unknown {
  if (isGatewayError(error)) return error;
  if (isSqlError(error)) return new GatewayError('DB_UNAVAILABLE', error.message, error);
  if (!isHranaError(error)) return error;
  // Whoever may command may know what clients are not told.
  if (isGatewayError(error.cause)) return error.cause;
  const code = CODES[error.code as keyof typeof CODES] ?? 'DB_UNAVAILABLE';
  return new GatewayError(code, error.message);
}
