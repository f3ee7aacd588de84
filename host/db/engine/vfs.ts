// The VFS: SQLite's calls, turned into calls of a file. It knows the one that it was told to open
// next, a database, and refuses every other: journals and temporary files stay in memory, by
// SQLite's own settings or as what `scratch` makes.

import type { Clock } from '../../core/index.ts';
import { secretBytes } from '../../core/index.ts';
import { DB_PAGE_SIZE_BYTES } from '../contract.ts';
import { type Callback, installCallbacks } from './callbacks.ts';
import {
  IOCAP_POWERSAFE_OVERWRITE,
  IOCAP_SAFE_APPEND,
  IOCAP_SEQUENTIAL,
  IOCAP_UNDELETABLE_WHEN_OPEN,
  OPEN_MAIN_DB,
  SQLITE_CANTOPEN,
  SQLITE_IOERR,
  SQLITE_OK,
} from './sqlite-codes.ts';
import type { SqliteInstance } from './sqlite-instance.ts';

/** What the database is called where SQLite shows a file name. */
export const DATABASE_FILE_NAME = '/database';

// struct sqlite3_vfs, 32-bit pointers: version, file size, path size, next, name, data, methods.
const VFS_SIZE_BYTES = 88;
// struct sqlite3_io_methods: version, methods.
const IO_SIZE_BYTES = 76;
// struct sqlite3_file: | methods, 4 bytes | our number of the file, 4 bytes |
const FILE_SIZE_BYTES = 8;
const FILE_NUMBER_OFFSET = 4;
const PATH_SIZE_BYTES_MAX = 64;
const UNIX_EPOCH_JULIAN_MS = 210_866_760_000_000n;
const DAY_MS = 86_400_000;
const UNIX_EPOCH_JULIAN_DAYS = 2_440_587.5;

/** What SQLite does with a file. Each answers a result code, but for `sizeBytes`. */
export interface VfsFile {
  read(into: Uint8Array, offset: number): number;
  write(bytes: Uint8Array, offset: number): number;
  truncate(sizeBytes: number): number;
  sizeBytes(): number;
  lock(level: number): number;
  unlock(level: number): number;
  control(operation: number): number;
  close(): number;
}

export class PageVfs {
  readonly pointer: number;
  readonly #sqlite: SqliteInstance;
  readonly #clock: Clock;
  /** By our number, which is kept in SQLite's file. */
  readonly #files: (VfsFile | null)[] = [];
  readonly #ioMethods: number;
  /** The database that is opened next. */
  opening: VfsFile | null = null;
  /** Makes a file that is no database, such as a journal; null where there are none. */
  scratch: (() => VfsFile) | null = null;

  constructor(sqlite: SqliteInstance, clock: Clock) {
    this.#sqlite = sqlite;
    this.#clock = clock;
    const { exports } = sqlite;
    // The module's own: they reach for files.
    for (let other = exports.sqlite3_vfs_find(0); other !== 0; ) {
      exports.sqlite3_vfs_unregister(other);
      other = exports.sqlite3_vfs_find(0);
    }
    this.#ioMethods = this.#makeIoMethods();
    this.pointer = this.#makeVfs();
    exports.sqlite3_vfs_register(this.pointer, 1);
  }

  #makeVfs(): number {
    const pointer = this.#sqlite.allocate(VFS_SIZE_BYTES);
    const methods: (Callback | null)[] = [
      { parameters: 'iiiii', run: (_vfs, name, file, flags) => this.#open(name!, file!, flags!) },
      { parameters: 'iii', run: () => SQLITE_OK }, // delete: there is nothing to delete
      { parameters: 'iiii', run: (_vfs, _name, _flags, out) => this.#put(out!, 0) },
      { parameters: 'iiii', run: (_vfs, name, room, out) => this.#fullPath(name!, room!, out!) },
      ...[null, null, null, null], // dynamic libraries
      { parameters: 'iii', run: (_vfs, count, out) => this.#random(count!, out!) },
      { parameters: 'ii', run: () => SQLITE_OK }, // sleep: this thread must not
      { parameters: 'ii', run: (_vfs, out) => this.#julianDay(out!) },
      { parameters: 'iii', run: () => SQLITE_OK }, // last error
      { parameters: 'ii', run: (_vfs, out) => this.#julianMs(out!) },
    ];
    const header = [2, FILE_SIZE_BYTES, PATH_SIZE_BYTES_MAX, 0];
    const name = this.#sqlite.keepCString('sluice');
    this.#fill(pointer, VFS_SIZE_BYTES, [...header, name, 0], methods);
    return pointer;
  }

  #makeIoMethods(): number {
    const pointer = this.#sqlite.allocate(IO_SIZE_BYTES);
    const characteristics =
      IOCAP_SAFE_APPEND |
      IOCAP_SEQUENTIAL |
      IOCAP_UNDELETABLE_WHEN_OPEN |
      IOCAP_POWERSAFE_OVERWRITE;
    const methods: Callback[] = [
      { parameters: 'i', run: (file) => this.#close(file!) },
      {
        parameters: 'iiij',
        run: (file, at, size, offset) => this.#read(file!, at!, size!, offset!),
      },
      {
        parameters: 'iiij',
        run: (file, at, size, offset) => this.#write(file!, at!, size!, offset!),
      },
      { parameters: 'ij', run: (file, size) => this.#file(file!).truncate(size!) },
      { parameters: 'ii', run: () => SQLITE_OK }, // sync: the file control before it has done it
      { parameters: 'ii', run: (file, out) => this.#sizeOf(file!, out!) },
      { parameters: 'ii', run: (file, level) => this.#file(file!).lock(level!) },
      { parameters: 'ii', run: (file, level) => this.#file(file!).unlock(level!) },
      { parameters: 'ii', run: (_file, out) => this.#put(out!, 0) }, // reserved by others
      { parameters: 'iii', run: (file, operation) => this.#control(file!, operation!) },
      { parameters: 'i', run: () => DB_PAGE_SIZE_BYTES },
      { parameters: 'i', run: () => characteristics },
    ];
    this.#fill(pointer, IO_SIZE_BYTES, [1], methods);
    return pointer;
  }

  /** Writes a struct: words, then a pointer per method, then zeros. */
  #fill(
    pointer: number,
    sizeBytes: number,
    words: readonly number[],
    methods: readonly (Callback | null)[],
  ): void {
    const table = this.#sqlite.exports.__indirect_function_table;
    const indexes = installCallbacks(
      table,
      methods.filter((method) => method !== null),
    );
    let next = 0;
    const pointers = methods.map((method) => (method === null ? 0 : indexes[next++]!));
    // In bounds: the struct was allocated with `sizeBytes`.
    this.#sqlite.u8.fill(0, pointer, pointer + sizeBytes);
    this.#sqlite.u32.set([...words, ...pointers], pointer >>> 2);
  }

  #file(pointer: number): VfsFile {
    return this.#files[this.#sqlite.u32[(pointer + FILE_NUMBER_OFFSET) >>> 2]!]!;
  }

  /** Stores an int where SQLite asked for it. */
  #put(pointer: number, value: number): number {
    this.#sqlite.u32[pointer >>> 2] = value;
    return SQLITE_OK;
  }

  #open(name: number, pointer: number, flags: number): number {
    this.#put(pointer, 0);
    const file = this.#fileFor(name, flags);
    if (file === null) return SQLITE_CANTOPEN;
    const free = this.#files.indexOf(null);
    const number = free < 0 ? this.#files.length : free;
    this.#files[number] = file;
    this.#put(pointer, this.#ioMethods);
    return this.#put(pointer + FILE_NUMBER_OFFSET, number);
  }

  #fileFor(name: number, flags: number): VfsFile | null {
    if ((flags & OPEN_MAIN_DB) === 0) return this.scratch?.() ?? null;
    const file = this.opening;
    this.opening = null;
    return name === 0 ? null : file;
  }

  #close(pointer: number): number {
    const number = this.#sqlite.u32[(pointer + FILE_NUMBER_OFFSET) >>> 2]!;
    const file = this.#files[number]!;
    this.#files[number] = null;
    return file.close();
  }

  #read(file: number, at: number, sizeBytes: number, offset: number): number {
    // In bounds: the buffer is SQLite's own, of the size that it says.
    return this.#file(file).read(this.#sqlite.u8.subarray(at, at + sizeBytes), offset);
  }

  #write(file: number, at: number, sizeBytes: number, offset: number): number {
    // In bounds: as above.
    return this.#file(file).write(this.#sqlite.u8.subarray(at, at + sizeBytes), offset);
  }

  #control(file: number, operation: number): number {
    try {
      return this.#file(file).control(operation);
    } catch {
      return SQLITE_IOERR;
    }
  }

  #sizeOf(file: number, out: number): number {
    this.#sqlite.view.setBigInt64(out, BigInt(this.#file(file).sizeBytes()), true);
    return SQLITE_OK;
  }

  #fullPath(name: number, roomBytes: number, out: number): number {
    const bytes = this.#sqlite.cBytes(name);
    if (bytes.length + 1 > roomBytes) return SQLITE_CANTOPEN;
    this.#sqlite.u8.set(bytes, out);
    this.#sqlite.u8[out + bytes.length] = 0;
    return SQLITE_OK;
  }

  #random(sizeBytes: number, out: number): number {
    this.#sqlite.u8.set(secretBytes(sizeBytes), out);
    return sizeBytes;
  }

  #julianDay(out: number): number {
    const days = this.#clock.wallMs() / DAY_MS + UNIX_EPOCH_JULIAN_DAYS;
    this.#sqlite.view.setFloat64(out, days, true);
    return SQLITE_OK;
  }

  #julianMs(out: number): number {
    const ms = BigInt(Math.floor(this.#clock.wallMs())) + UNIX_EPOCH_JULIAN_MS;
    this.#sqlite.view.setBigInt64(out, ms, true);
    return SQLITE_OK;
  }
}
