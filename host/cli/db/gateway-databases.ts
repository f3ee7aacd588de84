// The databases of a gateway that runs, through its admin API. Files are read and written here, on
// the machine of who typed the command, and cross as they are.

import { createReadStream, constants as fileModes } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GatewayError } from '../../core/index.ts';
import {
  type CheckReport,
  checkSqliteFile,
  type DatabaseOverview,
  DB_PAGE_SIZE_BYTES,
  type Moment,
} from '../../db/index.ts';
import { type AdminAddress, AdminClient } from '../admin-client.ts';
import type { BackupReport, Databases, ListedDatabase, Progress } from './databases.ts';

export class GatewayDatabases implements Databases {
  readonly newFolder = null;
  readonly #client: AdminClient;

  constructor(address: AdminAddress) {
    this.#client = new AdminClient(address);
  }

  async list(): Promise<ListedDatabase[]> {
    const answer = await this.#client.ask({ method: 'GET', path: '/databases' });
    return (answer as { databases: ListedDatabase[] }).databases;
  }

  async names(): Promise<string[]> {
    return (await this.list()).map(({ name }) => name);
  }

  async overview(name: string): Promise<DatabaseOverview> {
    return (await this.#client.ask({ method: 'GET', path: pathOf(name) })) as DatabaseOverview;
  }

  async create(name: string): Promise<void> {
    await this.#client.ask({ method: 'PUT', path: pathOf(name) });
  }

  async importFile(name: string, path: string): Promise<void> {
    const { sizeBytes } = await checkSqliteFile(path);
    // A file of no bytes is an empty database of SQLite's.
    if (sizeBytes === 0) return this.create(name);
    const file = { stream: createReadStream(path), sizeBytes };
    await this.#client.ask({ method: 'PUT', path: pathOf(name), file });
  }

  async remove(name: string): Promise<void> {
    await this.#client.ask({ method: 'DELETE', path: pathOf(name) });
  }

  async check(name: string): Promise<CheckReport> {
    const path = `${pathOf(name)}/check`;
    return (await this.#client.ask({ method: 'POST', path })) as CheckReport;
  }

  async branch(name: string, as: string, moment: Moment | null): Promise<number> {
    const at =
      moment === null || 'lsn' in moment ? moment : { time: new Date(moment.timeMs).toISOString() };
    const path = `${pathOf(name)}/branch`;
    const answer = await this.#client.ask({ method: 'POST', path, json: { as, ...at } });
    return (answer as { lsn: number }).lsn;
  }

  async backup(name: string, path: string, onProgress: Progress): Promise<BackupReport> {
    if ((await stat(path).catch(() => null)) !== null)
      throw new GatewayError('DB_EXISTS', `the file ${path}, and none is replaced`);
    const response = await this.#client.open({ method: 'GET', path: `${pathOf(name)}/backup` });
    const sizeBytes = Number(response.headers['content-length']);
    const lsn = Number(response.headers['x-sluice-lsn']);
    await writeWhole(path, response as AsyncIterable<Uint8Array>, { sizeBytes, onProgress });
    return { lsn, pageCount: sizeBytes / DB_PAGE_SIZE_BYTES };
  }

  async promote(): Promise<number> {
    const answer = await this.#client.ask({ method: 'POST', path: '/replication/promote' });
    return (answer as { term: number }).term;
  }

  async close(): Promise<void> {}
}

/** The file has its name when all of it is on the disk. */
async function writeWhole(
  path: string,
  pieces: AsyncIterable<Uint8Array>,
  { sizeBytes, onProgress }: { readonly sizeBytes: number; readonly onProgress: Progress },
): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_DIRECTORY } = fileModes;
  try {
    const file = await open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      let doneBytes = 0;
      for await (const piece of pieces) {
        await file.writeFile(piece);
        doneBytes += piece.length;
        onProgress(Math.floor(doneBytes / DB_PAGE_SIZE_BYTES), sizeBytes / DB_PAGE_SIZE_BYTES);
      }
      if (doneBytes !== sizeBytes) throw new Error(`${doneBytes} of ${sizeBytes} bytes`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    const folder = await open(dirname(path), O_RDONLY | O_DIRECTORY);
    await folder.sync().finally(() => folder.close());
  } catch (error) {
    await rm(temporary, { force: true });
    if (error instanceof Error && 'syscall' in error && !/^E(CONN|PIPE)/.test(codeOf(error))) {
      throw error;
    }
    const detail = `the backup was cut off: ${(error as Error).message}`;
    throw new GatewayError('GW_ADMIN_UNREACHABLE', detail, error);
  }
}

function codeOf(error: Error): string {
  return String((error as NodeJS.ErrnoException).code);
}

function pathOf(name: string): string {
  return `/databases/${encodeURIComponent(name)}`;
}
