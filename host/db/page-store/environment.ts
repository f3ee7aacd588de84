// The door to LMDB: one environment with three tables of bytes. Everything that lmdb-js does by
// itself is off: no msgpack, no cache, no compression. Writes are synchronous transactions without
// overlapping sync: when one returns, fdatasync has been called and the meta page written through a
// descriptor that syncs (test/db/store-faults.test.ts looks); asynchronous ones with a callback
// never end on Node 20. LMDB pages of 4 KiB: larger ones write up to four times as much a fold.

import { join } from 'node:path';
import type { Database, RootDatabase } from 'lmdb';
import { GatewayError, isGatewayError } from '../../core/index.ts';
import { checkFile, LMDB_PAGE_SIZE_BYTES } from './file-check.ts';

/** Address space, not memory: the map is never moved under readers of other threads. */
const MAP_SIZE_BYTES_MIN = 1_073_741_824;
const MAP_SIZE_BYTES_MAX = 1_099_511_627_776;
/** Records, free pages and what a fold writes before it frees what was there. */
const MAP_SIZE_FACTOR = 4;
const BINARY = { encoding: 'binary', keyEncoding: 'binary', cache: false } as const;
const NO_ROOM = /MDB_MAP_FULL|ENOSPC|EDQUOT|EFBIG|no space left|file too large|quota|MapFull/i;
/** Of the errno in what lmdb-js throws: ENOSPC, EFBIG, EDQUOT, MDB_MAP_FULL; and EIO, which is what
 *  LMDB says of a write that the disk took half of, as one that becomes full does. */
const NO_ROOM_CODES: readonly unknown[] = [28, 27, 122, -30792, 5];

export type Table = Database<Buffer, Buffer>;

export interface EnvironmentOptions {
  readonly folder: string;
  readonly sizeBytesMax: number;
}

/** Fields of lmdb-js's statistics that it does not declare. */
interface EnvironmentStats {
  readonly pageSize: number;
  readonly lastPageNumber: number;
}

export class Environment {
  /** By page number: the newest version. */
  readonly current: Table;
  /** By page number and LSN: versions that a kept state needs. */
  readonly history: Table;
  readonly meta: Table;
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #folder: string;

  private constructor(folder: string, root: RootDatabase<Buffer, Buffer>) {
    this.#folder = folder;
    this.#root = root;
    this.current = root.openDB<Buffer, Buffer>('current', BINARY);
    this.history = root.openDB<Buffer, Buffer>('history', BINARY);
    this.meta = root.openDB<Buffer, Buffer>('meta', BINARY);
  }

  /** Opens the folder's environment, or makes it. Several threads of one process may have it open;
   *  one of them writes. Errors: DB_FORMAT for what LMDB does not take for its own. */
  static async open({ folder, sizeBytesMax }: EnvironmentOptions): Promise<Environment> {
    const open = await loadLmdb();
    const mapSize = Math.max(MAP_SIZE_BYTES_MIN, MAP_SIZE_FACTOR * sizeBytesMax);
    try {
      checkFile(join(folder, 'data.mdb'));
      const root = open<Buffer, Buffer>({
        ...BINARY,
        path: folder,
        noSubdir: false,
        maxDbs: 3,
        overlappingSync: false,
        mapSize: Math.min(
          MAP_SIZE_BYTES_MAX,
          Math.ceil(mapSize / LMDB_PAGE_SIZE_BYTES) * LMDB_PAGE_SIZE_BYTES,
        ),
        pageSize: LMDB_PAGE_SIZE_BYTES,
      });
      return new Environment(folder, root);
    } catch (error) {
      const detail = `${folder} is no page store: ${messageOf(error)}`;
      throw new GatewayError('DB_FORMAT', detail, error);
    }
  }

  /** Runs writes, all or none, durable when it returns. Errors: DB_STORE_FULL where the disk has no
   *  room, and what `work` throws; nothing has changed then. */
  write<T>(work: () => T): T {
    try {
      return this.#root.transactionSync(work);
    } catch (error) {
      throw this.#storeError(error);
    } finally {
      this.#root.resetReadTxn();
    }
  }

  /** Lets reads see what other threads have written. */
  refresh(): void {
    this.#root.resetReadTxn();
  }

  /** What the file takes. Units: bytes. */
  get fileSizeBytes(): number {
    const { pageSize, lastPageNumber } = this.#root.getStats() as EnvironmentStats;
    return (lastPageNumber + 1) * pageSize;
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  #storeError(error: unknown): unknown {
    if (isGatewayError(error)) return error;
    const code = (error as { code?: unknown } | null)?.code;
    if (!NO_ROOM_CODES.includes(code) && !NO_ROOM.test(messageOf(error))) return error;
    const detail = `the disk has no room for ${this.#folder}, or fails: ${messageOf(error)}`;
    return new GatewayError('DB_STORE_FULL', detail, error);
  }
}

/** Loaded when it is needed: a gateway without databases does not have it in memory.
 *  Errors: GW_INTERNAL where there is no LMDB for this platform; those of loadAddon. */
async function loadLmdb(): Promise<typeof import('lmdb').open> {
  try {
    return (await import('lmdb')).open;
  } catch (error) {
    if (isGatewayError(error)) throw error;
    throw new GatewayError('GW_INTERNAL', `LMDB cannot be loaded: ${messageOf(error)}`, error);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
