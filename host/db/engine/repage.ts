// A database file of SQLite's whose pages have any size, written once more with ours: SQLite's own
// VACUUM INTO, in an instance that sees these two files and nothing else. Pages cannot be copied
// one by one, for each tree is made for their size. It holds its thread until it is done, so a
// gateway has its compute pool do it.

import { closeSync, fstatSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { type Clock, GatewayError } from '../../core/index.ts';
import { DB_PAGE_SIZE_BYTES } from '../contract.ts';
import { SCRATCH_SIZE_BYTES_MAX } from './limits.ts';
import {
  DBCONFIG_DEFENSIVE,
  DBCONFIG_DQS_DDL,
  DBCONFIG_DQS_DML,
  DBCONFIG_TRUSTED_SCHEMA,
  OPEN_READONLY,
  SQLITE_FULL,
  SQLITE_IOERR_READ,
  SQLITE_IOERR_SHORT_READ,
  SQLITE_IOERR_WRITE,
  SQLITE_NOTFOUND,
  SQLITE_OK,
} from './sqlite-codes.ts';
import { SqliteInstance } from './sqlite-instance.ts';
import { PageVfs, type VfsFile } from './vfs.ts';

export interface Repaging {
  /** `compileSqlite`. */
  readonly module: WebAssembly.Module;
  readonly clock: Clock;
  /** Nobody may write it meanwhile, and no journal may stand beside it. */
  readonly source: string;
  /** Not there yet; removed again where this fails. */
  readonly target: string;
  /** Of the target. Units: bytes. */
  readonly sizeBytesMax: number;
}

/** Of the instance: its page caches, and SQLite's own. */
const HEAP_SIZE_BYTES_MAX = 134_217_728;
const SETTINGS: readonly (readonly [number, number])[] = [
  [DBCONFIG_DEFENSIVE, 1],
  [DBCONFIG_TRUSTED_SCHEMA, 0],
  // As the engine has them: texts in double quotes stand in many a schema.
  [DBCONFIG_DQS_DML, 1],
  [DBCONFIG_DQS_DDL, 1],
];
const SQL = `PRAGMA temp_store=MEMORY; PRAGMA synchronous=OFF; PRAGMA cache_size=-16384;
PRAGMA page_size=${DB_PAGE_SIZE_BYTES}; VACUUM INTO '/target'`;

/** Errors: DB_FORMAT with what SQLite says of the source; DB_STORE_FULL where the target has no
 *  room; those of the file system. Cost: some 10 s a GiB, more for small pages. */
export function repage({ module, clock, source, target, sizeBytesMax }: Repaging): void {
  const from = new DiskFile(openSync(source, 'r'), 0);
  try {
    const to = new DiskFile(openSync(target, 'wx+', 0o600), sizeBytesMax);
    try {
      const message = vacuumInto({ module, clock }, from, to);
      if (message !== null) throw failure(source, message, from.error ?? to.error);
    } catch (error) {
      rmSync(target, { force: true });
      throw error;
    } finally {
      to.end();
    }
  } finally {
    from.end();
  }
}

/** Null where it is done, else what SQLite says. */
function vacuumInto(
  { module, clock }: Pick<Repaging, 'module' | 'clock'>,
  from: DiskFile,
  to: DiskFile,
): string | null {
  const sqlite = new SqliteInstance({ module, clock, heapSizeBytesMax: HEAP_SIZE_BYTES_MAX });
  const { exports } = sqlite;
  const vfs = new PageVfs(sqlite, clock);
  vfs.scratch = () => new ScratchFile();
  vfs.opening = from;
  const out = sqlite.allocate(4);
  const name = sqlite.keepCString('/source');
  // Nothing is closed: the instance goes with everything in it.
  try {
    const opened = exports.sqlite3_open_v2(name, out, OPEN_READONLY, 0);
    // In bounds: four bytes were allocated there.
    const db = sqlite.u32[out >>> 2]!;
    if (opened !== SQLITE_OK) return sqlite.cString(exports.sqlite3_errstr(opened));
    for (const [option, on] of SETTINGS) exports.sqlite3__wasm_db_config_ip(db, option, on, 0);
    vfs.opening = to;
    const code = exports.sqlite3_exec(db, sqlite.keepCString(SQL), 0, 0, 0);
    return code === SQLITE_OK ? null : sqlite.cString(exports.sqlite3_errmsg(db));
  } catch (error) {
    // A trap, or a stack that ran over.
    if (error instanceof WebAssembly.RuntimeError || error instanceof RangeError) {
      return `SQLite broke down over it: ${error.message}`;
    }
    throw error;
  }
}

function failure(path: string, message: string, cause: unknown): unknown {
  if (cause === null) return new GatewayError('DB_FORMAT', `${path}: ${message}`);
  const { code } = cause as NodeJS.ErrnoException;
  if (code !== 'ENOSPC' && code !== 'EDQUOT' && code !== 'EFBIG') return cause;
  return new GatewayError('DB_STORE_FULL', `no room to convert ${path}: ${code}`, cause);
}

// Source: SQLite database file format, section 1.3.
const WRITE_VERSION_OFFSET = 18;
const READ_VERSION_OFFSET = 19;
const VERSION_ROLLBACK = 1;

class DiskFile implements VfsFile {
  readonly #descriptor: number;
  readonly #sizeBytesMax: number;
  /** Why the last call failed that did. */
  error: unknown = null;

  constructor(descriptor: number, sizeBytesMax: number) {
    this.#descriptor = descriptor;
    this.#sizeBytesMax = sizeBytesMax;
  }

  read(into: Uint8Array, offset: number): number {
    let done = 0;
    try {
      while (done < into.length) {
        const left = into.length - done;
        const count = readSync(this.#descriptor, into, done, left, offset + done);
        if (count === 0) break;
        done += count;
      }
    } catch (error) {
      this.error = error;
      return SQLITE_IOERR_READ;
    }
    into.fill(0, done);
    // There is no WAL beside the file, whatever it was used with.
    for (const place of [WRITE_VERSION_OFFSET, READ_VERSION_OFFSET]) {
      const inner = place - offset;
      if (inner >= 0 && inner < done) into[inner] = VERSION_ROLLBACK;
    }
    return done === into.length ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
  }

  write(bytes: Uint8Array, offset: number): number {
    if (offset + bytes.length > this.#sizeBytesMax) {
      const detail = `it would have more than ${this.#sizeBytesMax} bytes, the limit`;
      this.error = new GatewayError('DB_STORE_FULL', detail);
      return SQLITE_FULL;
    }
    try {
      for (let done = 0; done < bytes.length; ) {
        const left = bytes.length - done;
        done += writeSync(this.#descriptor, bytes, done, left, offset + done);
      }
      return SQLITE_OK;
    } catch (error) {
      this.error = error;
      return SQLITE_IOERR_WRITE;
    }
  }

  /** A new database is never made shorter. */
  truncate(): number {
    return SQLITE_IOERR_WRITE;
  }

  sizeBytes(): number {
    return fstatSync(this.#descriptor).size;
  }

  lock(): number {
    return SQLITE_OK;
  }

  unlock(): number {
    return SQLITE_OK;
  }

  control(): number {
    return SQLITE_NOTFOUND;
  }

  /** SQLite closes what it opened; the descriptor is its owner's. */
  close(): number {
    return SQLITE_OK;
  }

  end(): void {
    closeSync(this.#descriptor);
  }
}

/** A journal: of a new database it has not much more than a head. */
class ScratchFile implements VfsFile {
  #bytes = new Uint8Array(4_096);
  #sizeBytes = 0;

  read(into: Uint8Array, offset: number): number {
    const found = this.#bytes.subarray(offset, Math.min(offset + into.length, this.#sizeBytes));
    into.fill(0).set(found);
    return found.length === into.length ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
  }

  write(bytes: Uint8Array, offset: number): number {
    const end = offset + bytes.length;
    if (end > SCRATCH_SIZE_BYTES_MAX) return SQLITE_FULL;
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, offset);
    this.#sizeBytes = Math.max(this.#sizeBytes, end);
    return SQLITE_OK;
  }

  truncate(sizeBytes: number): number {
    this.#bytes.fill(0, sizeBytes);
    this.#sizeBytes = Math.min(this.#sizeBytes, sizeBytes);
    return SQLITE_OK;
  }

  sizeBytes(): number {
    return this.#sizeBytes;
  }

  lock(): number {
    return SQLITE_OK;
  }

  unlock(): number {
    return SQLITE_OK;
  }

  control(): number {
    return SQLITE_NOTFOUND;
  }

  close(): number {
    return SQLITE_OK;
  }
}
