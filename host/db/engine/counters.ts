// What SQL may ask of the statements before it: changes(), total_changes(), last_insert_rowid().
// They are a client's, while connections pass from client to client between two statements.

import type { SqliteExports } from './sqlite-exports.ts';

/** The counters of one user of connections, as they were when it last gave one back. */
export class SessionCounters {
  lastInsertRowid = 0n;
  changesCount = 0;
  totalChangesCount = 0;
}

/** The counters of a connection, told apart by who uses it. */
export class ConnectionCounters {
  readonly #exports: SqliteExports;
  readonly #db: number;
  /** Of who has the connection now, or had it last. */
  #user = new SessionCounters();
  /** What SQLite counted when it passed to them. */
  #changesBefore = 0;
  #totalChangesBefore = 0;
  /** A statement that changes rows has run since. */
  hasChanged = false;

  constructor(exports: SqliteExports, db: number) {
    this.#exports = exports;
    this.#db = db;
  }

  /** Before the first statement of a user. */
  passTo(user: SessionCounters): void {
    if (user === this.#user) return;
    const exports = this.#exports;
    const db = this.#db;
    const former = this.#user;
    const totalChangesCount = this.totalChangesCount();
    former.changesCount = this.changesCount();
    former.totalChangesCount = totalChangesCount;
    former.lastInsertRowid = exports.sqlite3_last_insert_rowid(db);
    this.#user = user;
    this.#changesBefore = exports.sqlite3_changes(db);
    this.#totalChangesBefore = exports.sqlite3_total_changes(db);
    this.hasChanged = false;
    exports.sqlite3_set_last_insert_rowid(db, user.lastInsertRowid);
  }

  /** changes() of SQL, for the present user. Exact but in a trigger whose statement is the user's
   *  first on this connection: there a count of its own that equals the former user's is not seen
   *  to be its own. */
  changesCount(): number {
    const count = this.#exports.sqlite3_changes(this.#db);
    const isTheirs = this.hasChanged || count !== this.#changesBefore;
    return isTheirs ? count : this.#user.changesCount;
  }

  /** total_changes() of SQL, for the present user. */
  totalChangesCount(): number {
    const count = this.#exports.sqlite3_total_changes(this.#db);
    return this.#user.totalChangesCount + count - this.#totalChangesBefore;
  }
}
