// The databases of a running gateway as the admin API works with them: each command goes to the db
// worker that owns the database.

import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { AdminDatabases, DatabaseMoment } from '../admin/index.ts';
import { GatewayError, isGatewayError } from '../core/index.ts';
import type { DbFleet } from '../workers/index.ts';

/** Null where there are no databases. `sizeBytesMax`: of one that is imported. */
export function databasesView(fleet: DbFleet | null, sizeBytesMax: number): AdminDatabases | null {
  return fleet === null ? null : new DatabasesView(fleet, sizeBytesMax);
}

class DatabasesView implements AdminDatabases {
  readonly #fleet: DbFleet;
  readonly #sizeBytesMax: number;

  constructor(fleet: DbFleet, sizeBytesMax: number) {
    this.#fleet = fleet;
    this.#sizeBytesMax = sizeBytesMax;
  }

  async list(): Promise<unknown[]> {
    const found: unknown[] = [];
    for (const name of await this.#fleet.list()) {
      try {
        found.push(await this.overview(name));
      } catch (error) {
        // Removed meanwhile. One that cannot be opened must not hide the others.
        if (!isGatewayError(error)) throw error;
        if (error.code !== 'DB_NOT_FOUND') found.push({ name, error: error.message });
      }
    }
    return found;
  }

  overview(name: string): Promise<unknown> {
    return this.#fleet.command<'overview'>({ kind: 'overview', name });
  }

  async create(name: string): Promise<void> {
    await this.#fleet.command<'create'>({ kind: 'create', name });
  }

  /** The file is put beside the databases first: SQLite's are not read from front to back. */
  async importFile(name: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const path = this.#fleet.temporaryPath();
    try {
      await receive(path, pieces, this.#sizeBytesMax);
      await this.#fleet.importFile(name, path);
    } catch (error) {
      if (!isGatewayError(error)) throw error;
      // Whoever sent it does not know where it stands.
      const detail = error.detail.replaceAll(path, 'the file');
      throw new GatewayError(error.code, detail, error);
    } finally {
      await rm(path, { force: true });
    }
  }

  async remove(name: string): Promise<void> {
    const base = await this.#fleet.command<'remove'>({ kind: 'remove', name });
    if (base === null) return;
    const { parent, pin } = base;
    // It is gone all the same; who looks at the parent next makes up for it.
    await this.#fleet.command<'release'>({ kind: 'release', name: parent, pin }).catch(() => {});
  }

  check(name: string): Promise<unknown> {
    return this.#fleet.command<'check'>({ kind: 'check', name });
  }

  branch(
    name: string,
    { as, moment }: { readonly as: string; readonly moment: DatabaseMoment | null },
  ): Promise<number> {
    const at = moment ?? { lsn: Number.POSITIVE_INFINITY };
    return this.#fleet.command<'branch'>({ kind: 'branch', name, as, moment: at });
  }

  async backup(name: string) {
    const begun = await this.#fleet.command<'backup-begin'>({ kind: 'backup-begin', name });
    const { backup, lsn, sizeBytes } = begun;
    return { lsn, sizeBytes, pieces: new BackupPieces(this.#fleet, name, backup) };
  }
}

/** The backup ends with the last piece, with an error, or when it is returned, read or not. */
class BackupPieces implements AsyncIterableIterator<Uint8Array> {
  readonly #fleet: DbFleet;
  readonly #place: { readonly name: string; readonly backup: number };

  constructor(fleet: DbFleet, name: string, backup: number) {
    this.#fleet = fleet;
    this.#place = { name, backup };
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    try {
      const place = this.#place;
      const piece = await this.#fleet.command<'backup-read'>({ kind: 'backup-read', ...place });
      return piece === null ? this.return() : { done: false, value: piece };
    } catch (error) {
      await this.return();
      throw error;
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    // Where its worker has ended, so has the backup.
    await this.#fleet.command<'backup-end'>({ kind: 'backup-end', ...this.#place }).catch(() => {});
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

async function receive(
  path: string,
  pieces: AsyncIterable<Uint8Array>,
  sizeBytesMax: number,
): Promise<void> {
  let sizeBytes = 0;
  const bound = new Transform({
    transform(piece: Uint8Array, _encoding, done) {
      sizeBytes += piece.length;
      if (sizeBytes <= sizeBytesMax) return done(null, piece);
      const detail = `a file of more than ${sizeBytesMax} bytes, the limit of db.limits.size`;
      return done(new GatewayError('DB_STORE_FULL', detail));
    },
  });
  try {
    const file = createWriteStream(path, { flags: 'wx', mode: 0o600 });
    await pipeline(Readable.from(pieces, { objectMode: false }), bound, file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw new GatewayError('DB_STORE_FULL', `no room for the file: ${code}`, error);
    }
    if (code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ECONNRESET') {
      throw new GatewayError('GW_CLIENT_CLOSED', 'before the file ended', error);
    }
    throw error;
  }
}
