// A database as one file of SQLite's own: written page by page from a state that is pinned for as
// long, and read back. Neither holds more than a chunk in memory. A file has its name when it is
// whole; until then it has another.

import { constants } from 'node:fs';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GatewayError } from '../../core/index.ts';
import { DB_PAGE_SIZE_BYTES, type FoldedPage, type Lsn } from '../contract.ts';
import { FILE_CHUNK_SIZE_BYTES } from './limits.ts';

// Source: SQLite database file format, section 1.3.
const MAGIC = 'SQLite format 3\0';
const HEADER_SIZE_BYTES = 100;
const PAGE_SIZE_OFFSET = 16;
const WRITE_VERSION_OFFSET = 18;
const READ_VERSION_OFFSET = 19;
const RESERVED_OFFSET = 20;
const ENCODING_OFFSET = 56;
const ENCODINGS_UTF16 = [2, 3];
const VERSION_ROLLBACK = 1;
const VERSION_WAL = 2;
const PAGE_SIZE_BYTES_MIN = 512;
const PAGE_SIZE_BYTES_MAX = 65_536;
/** What SQLite's checksum VFS reserves in each page. */
const CHECKSUM_SIZE_BYTES = 8;
const CHUNK_PAGES_COUNT = FILE_CHUNK_SIZE_BYTES / DB_PAGE_SIZE_BYTES;

/** What an export reads: a store, and a state of it. */
export interface ExportSource {
  readPage(pageNumber: number, atLsn: Lsn, into: Uint8Array): boolean;
  pin(atLsn: Lsn): { readonly lsn: Lsn; readonly pageCount: number; release(): void };
}

/** Writes the state at an LSN as a database file, which is durable when this resolves. Replaces
 *  nothing. Errors: DB_EXISTS; DB_PAGE_CORRUPT; DB_STORE_FULL where its disk has no room. */
export async function exportSqliteFile(
  source: ExportSource,
  atLsn: Lsn,
  path: string,
  onProgress: (doneCount: number, totalCount: number) => void = () => {},
): Promise<Lsn> {
  if (await exists(path))
    throw new GatewayError('DB_EXISTS', `the file ${path}, and none is replaced`);
  const pin = source.pin(atLsn);
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
    const file = await open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
    try {
      await writePages(source, pin, file, onProgress);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncFolder(dirname(path));
    return pin.lsn;
  } catch (error) {
    await rm(temporary, { force: true });
    throw fileError(error, path);
  } finally {
    pin.release();
  }
}

async function writePages(
  source: ExportSource,
  { lsn, pageCount }: { readonly lsn: Lsn; readonly pageCount: number },
  file: FileHandle,
  onProgress: (doneCount: number, totalCount: number) => void,
): Promise<void> {
  for (let first = 1; first <= pageCount; first += CHUNK_PAGES_COUNT) {
    await file.writeFile(readExportChunk(source, { lsn, pageCount }, first));
    onProgress(Math.min(first + CHUNK_PAGES_COUNT - 1, pageCount), pageCount);
  }
}

/** Bytes of a database file from a page on, as many as a chunk has; none behind the last page.
 *  Units: `first` counts from 1. Errors: DB_PAGE_CORRUPT. */
export function readExportChunk(
  source: Pick<ExportSource, 'readPage'>,
  { lsn, pageCount }: { readonly lsn: Lsn; readonly pageCount: number },
  first: number,
): Uint8Array<ArrayBuffer> {
  const count = Math.max(0, Math.min(CHUNK_PAGES_COUNT, pageCount - first + 1));
  const chunk = new Uint8Array(count * DB_PAGE_SIZE_BYTES);
  for (let index = 0; index < count; ++index) {
    const at = index * DB_PAGE_SIZE_BYTES;
    const into = chunk.subarray(at, at + DB_PAGE_SIZE_BYTES);
    // A page that was never written is one of zeros, such as that of SQLite's locks.
    if (!source.readPage(first + index, lsn, into)) into.fill(0);
  }
  return chunk;
}

/** A database file that has been looked at. */
export interface SqliteFile {
  readonly pageCount: number;
  /** Its pages in order, each valid until the next. */
  pages(): AsyncIterable<readonly FoldedPage[]>;
  close(): Promise<void>;
}

/** Opens a database file to read it. Nobody may write it meanwhile. Errors: as for
 *  checkSqliteFile, and DB_FORMAT for pages of another size than ours. */
export async function openSqliteFile(path: string): Promise<SqliteFile> {
  const file = await open(path, 'r');
  try {
    const { sizeBytes, pageSizeBytes } = await headOf(path, file);
    if (pageSizeBytes !== DB_PAGE_SIZE_BYTES) {
      const detail = `${path}: pages of ${pageSizeBytes} bytes, expected ${DB_PAGE_SIZE_BYTES}`;
      throw new GatewayError('DB_FORMAT', detail);
    }
    const pageCount = sizeBytes / DB_PAGE_SIZE_BYTES;
    return {
      pageCount,
      pages: () => readPages(path, file, pageCount),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** What makes a database without what is refused here. */
const DUMP = 'make another of it: sqlite3 OLD .dump | sqlite3 NEW';

export interface SqliteFileHead {
  readonly sizeBytes: number;
  readonly pageSizeBytes: number;
}

/** Whether a file can be imported. Errors: DB_FORMAT for what is no database, has texts in UTF-16
 *  (the module is built without) or checksums in its pages, or has changes beside it in a
 *  journal. */
export async function checkSqliteFile(path: string): Promise<SqliteFileHead> {
  const file = await open(path, 'r');
  try {
    return await headOf(path, file);
  } finally {
    await file.close();
  }
}

async function headOf(path: string, file: FileHandle): Promise<SqliteFileHead> {
  const { size: sizeBytes } = await file.stat();
  const header = Buffer.alloc(HEADER_SIZE_BYTES);
  const { bytesRead } = await file.read(header, 0, HEADER_SIZE_BYTES, 0);
  for (const suffix of ['-wal', '-journal']) {
    if ((await sizeOf(path + suffix)) === 0) continue;
    const detail = `${path}${suffix} holds changes that the file lacks: open it in sqlite3`;
    throw new GatewayError('DB_FORMAT', detail);
  }
  // A file of no bytes is an empty database of SQLite's.
  if (sizeBytes === 0) return { sizeBytes, pageSizeBytes: DB_PAGE_SIZE_BYTES };
  return { sizeBytes, pageSizeBytes: pageSizeIn(path, header.subarray(0, bytesRead), sizeBytes) };
}

function pageSizeIn(path: string, header: Buffer, size: number): number {
  const refused = (what: string): GatewayError => new GatewayError('DB_FORMAT', `${path}: ${what}`);
  if (header.length < HEADER_SIZE_BYTES || header.toString('latin1', 0, MAGIC.length) !== MAGIC) {
    throw refused('not a database of SQLite 3');
  }
  const stated = header.readUInt16BE(PAGE_SIZE_OFFSET);
  const pageSize = stated === 1 ? PAGE_SIZE_BYTES_MAX : stated;
  const isPower = (pageSize & (pageSize - 1)) === 0;
  if (!isPower || pageSize < PAGE_SIZE_BYTES_MIN) {
    const expected = `a power of two from ${PAGE_SIZE_BYTES_MIN} to ${PAGE_SIZE_BYTES_MAX}`;
    throw refused(`pages of ${pageSize} bytes, expected ${expected}`);
  }
  if (ENCODINGS_UTF16.includes(header.readUInt32BE(ENCODING_OFFSET))) {
    throw refused(`texts in UTF-16, which cannot be read here, expected UTF-8; ${DUMP}`);
  }
  if (header[RESERVED_OFFSET] === CHECKSUM_SIZE_BYTES) {
    const what = `${CHECKSUM_SIZE_BYTES} bytes reserved in each page`;
    throw refused(`${what}, as SQLite's checksum VFS does; ${DUMP}`);
  }
  const version = Math.max(header[WRITE_VERSION_OFFSET]!, header[READ_VERSION_OFFSET]!);
  if (version > VERSION_WAL) throw refused(`file format ${version}, expected 1 or 2`);
  if (size % pageSize !== 0) throw refused(`${size} bytes, which are not whole pages`);
  return pageSize;
}

async function* readPages(
  path: string,
  file: FileHandle,
  pageCount: number,
): AsyncIterable<readonly FoldedPage[]> {
  const chunk = new Uint8Array(CHUNK_PAGES_COUNT * DB_PAGE_SIZE_BYTES);
  for (let first = 1; first <= pageCount; first += CHUNK_PAGES_COUNT) {
    const count = Math.min(CHUNK_PAGES_COUNT, pageCount - first + 1);
    const size = count * DB_PAGE_SIZE_BYTES;
    await readWhole(path, file, chunk.subarray(0, size), (first - 1) * DB_PAGE_SIZE_BYTES);
    // Here there is no WAL beside the file, whatever it was used with.
    if (first === 1) chunk.fill(VERSION_ROLLBACK, WRITE_VERSION_OFFSET, READ_VERSION_OFFSET + 1);
    yield Array.from({ length: count }, (_, index) => {
      const at = index * DB_PAGE_SIZE_BYTES;
      return { pageNumber: first + index, bytes: chunk.subarray(at, at + DB_PAGE_SIZE_BYTES) };
    });
  }
}

async function readWhole(
  path: string,
  file: FileHandle,
  into: Uint8Array,
  position: number,
): Promise<void> {
  for (let done = 0; done < into.length; ) {
    const { bytesRead } = await file.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) throw new GatewayError('DB_FORMAT', `${path} became shorter while read`);
    done += bytesRead;
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => null))?.size ?? 0;
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function fileError(error: unknown, path: string): unknown {
  const code = (error as { code?: unknown } | null)?.code;
  if (code !== 'ENOSPC' && code !== 'EDQUOT' && code !== 'EFBIG') return error;
  return new GatewayError('DB_STORE_FULL', `${path}: ${(error as Error).message}`, error);
}
