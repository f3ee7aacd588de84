// SQL on a database of a folder that no gateway has: the engine runs here, and an answer is shown
// when what it shows is durable.

import { GatewayError, systemClock } from '../../../core/index.ts';
import {
  type Connection,
  compileSqlite,
  type Database,
  DatabaseCatalog,
  isSqlError,
  openDatabaseOf,
  type RowSink,
  standingOfFolder,
} from '../../../db/index.ts';
import { compileCodec } from '../../../kernels/index.ts';
import { type Answer, type Cell, type SqlClient, StatementError } from './client.ts';

/** Bytes of codec.wasm and sqlite3.wasm. */
interface Modules {
  readonly codec: Uint8Array<ArrayBuffer>;
  readonly sqlite: Uint8Array<ArrayBuffer>;
}

const SIZE_BYTES_MAX = 2 ** 50;

export class FolderClient implements SqlClient {
  readonly #catalog: DatabaseCatalog;
  readonly #database: Database;
  readonly #connection: Connection;

  private constructor(catalog: DatabaseCatalog, database: Database, connection: Connection) {
    this.#catalog = catalog;
    this.#database = database;
    this.#connection = connection;
  }

  /** Errors: DB_STORE_LOCKED while a gateway has the folder; DB_NOT_FOUND; DB_UNAVAILABLE where
   *  SQLite cannot open what is there. */
  static async open(folder: string, name: string, modules: Modules): Promise<FolderClient> {
    const codec = compileCodec(modules.codec);
    const catalog = await DatabaseCatalog.open({
      folder,
      codecModule: codec,
      clock: systemClock,
      sizeBytesMax: SIZE_BYTES_MAX,
      // What is kept for how long is the gateway's business.
      retentionMs: Number.POSITIVE_INFINITY,
    });
    try {
      const sqlite = compileSqlite(modules.sqlite);
      const clock = systemClock;
      const { database } = await openDatabaseOf({
        ...{ catalog, name, sqlite, codec, clock },
        standing: standingOfFolder(folder),
      });
      return new FolderClient(catalog, database, await connect(name, database));
    } catch (error) {
      await catalog.close();
      throw error;
    }
  }

  get isInTransaction(): boolean {
    return !this.#connection.isAutocommit;
  }

  async run(sql: string): Promise<Answer> {
    const collected = new Collector();
    let affectedCount: number;
    try {
      const statement = { sql, args: [], namedArgs: [], wantRows: true };
      affectedCount = this.#connection.run(statement, collected).affectedRowCount;
    } catch (error) {
      if (!isSqlError(error)) throw error;
      throw new StatementError(error.sqlCode, error.message);
    }
    await new Promise<void>((resolve, reject) => {
      this.#database.whenDurable(this.#connection.seenLsn, (error) => {
        if (error) reject(new GatewayError('DB_LOG_FAILED', error.message, error));
        else resolve();
      });
    });
    return { columns: collected.names, rows: collected.rows, affectedCount };
  }

  async close(): Promise<void> {
    this.#connection.release();
    try {
      await this.#database.close();
    } finally {
      await this.#catalog.close();
    }
  }
}

async function connect(name: string, database: Database): Promise<Connection> {
  try {
    return database.connect('read-write');
  } catch (error) {
    await database.close();
    if (!isSqlError(error)) throw error;
    const detail = `${name}: ${error.sqlCode}: ${error.message}`;
    throw new GatewayError('DB_UNAVAILABLE', detail, error);
  }
}

class Collector implements RowSink {
  readonly size = 0;
  names: string[] = [];
  readonly rows: Cell[][] = [];
  #row: Cell[] = [];

  columns(columns: readonly { readonly name: string | null }[]): void {
    this.names = columns.map(({ name }) => name ?? '');
  }

  beginRow(): void {
    this.#row = [];
  }

  nullValue(): void {
    this.#row.push(null);
  }

  integer(value: number | bigint): void {
    this.#row.push(BigInt(value));
  }

  float(value: number): void {
    this.#row.push(value);
  }

  text(utf8: Uint8Array): void {
    this.#row.push(new TextDecoder().decode(utf8));
  }

  blob(bytes: Uint8Array): void {
    this.#row.push(bytes.slice());
  }

  endRow(): void {
    this.rows.push(this.#row);
  }
}
