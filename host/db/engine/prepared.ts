// Prepared statements of one connection, kept by their text; the least recently used go first.

import type { SqlColumn } from '../contract.ts';
import { STMTSTATUS_REPREPARE } from './sqlite-codes.ts';
import type { SqliteInstance } from './sqlite-instance.ts';

/** What preparing it has shown. */
export interface StatementFacts {
  readonly sql: string;
  readonly isKept: boolean;
  readonly beginsReadonly: boolean;
  readonly isPersonal: boolean;
  readonly changesRows: boolean;
}

export class PreparedStatement {
  readonly sql: string;
  readonly pointer: number;
  readonly parameterCount: number;
  readonly isReadonly: boolean;
  readonly isExplain: boolean;
  /** Whether it stays in the cache, to be run again. */
  readonly isKept: boolean;
  /** `BEGIN TRANSACTION READONLY`. */
  readonly beginsReadonly: boolean;
  /** It asks for what is kept for a connection. */
  readonly isPersonal: boolean;
  /** It changes rows, and so sets what changes() says. */
  readonly setsChanges: boolean;
  /** When it was last used, by the cache's count. */
  lastUse = 0;
  readonly #sqlite: SqliteInstance;
  #columns: readonly SqlColumn[] | null = null;
  #columnsPreparedCount = 0;
  #parameterNames: readonly (string | null)[] | null = null;
  #parameterPlaces: ReadonlyMap<string, readonly number[]> | null = null;

  constructor(sqlite: SqliteInstance, pointer: number, facts: StatementFacts) {
    const { exports } = sqlite;
    this.#sqlite = sqlite;
    this.pointer = pointer;
    this.sql = facts.sql;
    this.isKept = facts.isKept;
    this.beginsReadonly = facts.beginsReadonly;
    this.isPersonal = facts.isPersonal;
    this.parameterCount = exports.sqlite3_bind_parameter_count(pointer);
    this.isReadonly = exports.sqlite3_stmt_readonly(pointer) !== 0;
    this.isExplain = exports.sqlite3_stmt_isexplain(pointer) !== 0;
    this.setsChanges = facts.changesRows && !this.isExplain;
  }

  /** Names and declared types. A change of the schema makes SQLite prepare the statement anew, so
   *  they hold from a statement's first step on. Cost: one call where nothing has changed. */
  columns(): readonly SqlColumn[] {
    const { exports } = this.#sqlite;
    const preparedCount = exports.sqlite3_stmt_status(this.pointer, STMTSTATUS_REPREPARE, 0);
    if (this.#columns === null || this.#columnsPreparedCount !== preparedCount) {
      const count = exports.sqlite3_column_count(this.pointer);
      this.#columns = Array.from({ length: count }, (_, index) => ({
        name: this.#text(exports.sqlite3_column_name(this.pointer, index)),
        declaredType: this.#text(exports.sqlite3_column_decltype(this.pointer, index)),
      }));
      this.#columnsPreparedCount = preparedCount;
    }
    return this.#columns;
  }

  /** By place, from 0; null for a parameter without a name. */
  parameterNames(): readonly (string | null)[] {
    const { exports } = this.#sqlite;
    this.#parameterNames ??= Array.from({ length: this.parameterCount }, (_, index) =>
      this.#text(exports.sqlite3_bind_parameter_name(this.pointer, index + 1)),
    );
    return this.#parameterNames;
  }

  /** Places, from 1, by name with and without its prefix. */
  parameterPlaces(): ReadonlyMap<string, readonly number[]> {
    if (this.#parameterPlaces !== null) return this.#parameterPlaces;
    const places = new Map<string, number[]>();
    const add = (name: string, place: number): void => {
      const known = places.get(name);
      if (known === undefined) places.set(name, [place]);
      else known.push(place);
    };
    for (const [index, name] of this.parameterNames().entries()) {
      if (name === null) continue;
      add(name, index + 1);
      add(name.slice(1), index + 1);
    }
    this.#parameterPlaces = places;
    return places;
  }

  #text(pointer: number): string | null {
    return pointer === 0 ? null : this.#sqlite.cString(pointer);
  }
}

/** A cache by text. A use is a number, so that finding a statement changes nothing else; what was
 *  used longest ago is looked for only when one must go. */
export class PreparedStatements {
  readonly #byText = new Map<string, PreparedStatement>();
  readonly #countMax: number;
  readonly #finalize: (statement: PreparedStatement) => void;
  #usesCount = 0;

  constructor(countMax: number, finalize: (statement: PreparedStatement) => void) {
    this.#countMax = countMax;
    this.#finalize = finalize;
  }

  find(sql: string): PreparedStatement | undefined {
    const found = this.#byText.get(sql);
    if (found !== undefined) found.lastUse = ++this.#usesCount;
    return found;
  }

  /** Takes a new one. Cost: O(statements) where it is full. */
  add(statement: PreparedStatement): void {
    if (this.#byText.size >= this.#countMax) this.#dropOldest();
    statement.lastUse = ++this.#usesCount;
    this.#byText.set(statement.sql, statement);
  }

  clear(): void {
    for (const statement of this.#byText.values()) this.#finalize(statement);
    this.#byText.clear();
  }

  #dropOldest(): void {
    let oldest: PreparedStatement | null = null;
    for (const statement of this.#byText.values()) {
      if (oldest === null || statement.lastUse < oldest.lastUse) oldest = statement;
    }
    if (oldest === null) return;
    this.#byText.delete(oldest.sql);
    this.#finalize(oldest);
  }
}
