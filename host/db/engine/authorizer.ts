// What SQL may not do here: reach outside its database, change how its pages are kept, or switch
// protections off. Asked by SQLite while it prepares a statement, so it costs nothing per run.

import {
  AUTH_ALTER_TABLE,
  AUTH_ATTACH,
  AUTH_CREATE_TEMP_FIRST,
  AUTH_CREATE_TEMP_LAST,
  AUTH_CREATE_VTABLE,
  AUTH_DELETE,
  AUTH_DENY,
  AUTH_DETACH,
  AUTH_DROP_VTABLE,
  AUTH_FUNCTION,
  AUTH_INSERT,
  AUTH_PRAGMA,
  AUTH_READ,
  AUTH_SCHEMA_LAST,
  AUTH_TRANSACTION,
  AUTH_UPDATE,
  SQLITE_OK,
} from './sqlite-codes.ts';
import type { SqliteInstance } from './sqlite-instance.ts';

/** Pragmas by what may be done with them. `ask`: the value may be read. `call`: the argument says
 *  what to look at. `store`: the value is the database's own and is kept in it. `session`: the
 *  value is the connection's, which is closed instead of lent again. */
type PragmaUse = 'ask' | 'call' | 'store' | 'session';

const PRAGMAS = new Map<string, PragmaUse>([
  ...uses('call', [
    'table_info',
    'table_xinfo',
    'table_list',
    'index_list',
    'index_info',
    'index_xinfo',
    'foreign_key_list',
    'foreign_key_check',
    'integrity_check',
    'quick_check',
    'incremental_vacuum',
    'optimize',
  ]),
  ...uses('store', ['user_version', 'application_id']),
  ...uses('session', [
    // What it sets is the connection's own until its next VACUUM, or the first table.
    'auto_vacuum',
    'foreign_keys',
    'defer_foreign_keys',
    'recursive_triggers',
    'legacy_alter_table',
    'reverse_unordered_selects',
    'automatic_index',
    'analysis_limit',
    'query_only',
  ]),
  ...uses('ask', [
    'busy_timeout',
    'cache_size',
    'collation_list',
    'compile_options',
    'data_version',
    'database_list',
    'encoding',
    'freelist_count',
    'function_list',
    'journal_mode',
    'max_page_count',
    'module_list',
    'page_count',
    'page_size',
    'pragma_list',
    'schema_version',
    'synchronous',
    'temp_store',
  ]),
]);

/** Not there in this build, most of them; refused by name for the day they are. */
const REFUSED_FUNCTIONS = new Set([
  'load_extension',
  'fts3_tokenizer',
  'readfile',
  'writefile',
  'edit',
  'zipfile',
  'fsdir',
  'lsmode',
  'sqlar_compress',
  'sqlar_uncompress',
]);
/** Pages of the file as a table, and statements of the connection: other clients' among them. */
const REFUSED_TABLES = new Set(['sqlite_dbpage', 'sqlite_stmt', 'bytecode', 'tables_used']);
/** What they answer is about the statements of one client, or compares with what was answered. */
const PERSONAL_FUNCTIONS = new Set(['changes', 'total_changes']);
const PERSONAL_PRAGMA = 'data_version';
const REFUSED_MODULES = new Set([...REFUSED_TABLES, 'csv', 'zipfile', 'fsdir']);

function uses(use: PragmaUse, names: readonly string[]): [string, PragmaUse][] {
  return names.map((name) => [name, use]);
}

/** What the preparation of a statement has shown. */
export class Authorizer {
  readonly #sqlite: SqliteInstance;
  /** What was refused; null where nothing was. */
  refused: string | null = null;
  /** The statement begins, commits or rolls back. */
  sawTransaction = false;
  /** The statement acts when prepared, so that it must be prepared each time. */
  sawPragma = false;
  /** The statement asks for what is kept for a connection: its client keeps it from then on. */
  sawPersonal = false;
  /** The statement changes rows, and sets what changes() says. */
  sawRowChange = false;
  sawSchemaChange = false;
  /** The connection is no longer like a new one. Never cleared. */
  isTainted = false;
  /** A statement runs: VACUUM then attaches a nameless database of its own. */
  isRunning = false;
  /** A statement is only described: it must not act. */
  isDescribing = false;

  constructor(sqlite: SqliteInstance) {
    this.#sqlite = sqlite;
  }

  reset(): void {
    this.refused = null;
    this.sawTransaction = false;
    this.sawPragma = false;
    this.sawPersonal = false;
    this.sawRowChange = false;
    this.sawSchemaChange = false;
  }

  /** Source: sqlite.org/c3ref/c_alter_table.html, for what the two arguments of an action are. */
  decide(action: number, first: number, second: number, database: number): number {
    this.#note(action, database);
    switch (action) {
      case AUTH_PRAGMA:
        return this.#pragma(this.#text(first).toLowerCase(), second);
      case AUTH_ATTACH:
        if (this.isRunning && this.#text(first) === '') return SQLITE_OK;
        return this.#refuse('ATTACH');
      case AUTH_DETACH:
        return this.#refuse('DETACH');
      case AUTH_FUNCTION:
        if (PERSONAL_FUNCTIONS.has(this.#text(second).toLowerCase())) this.sawPersonal = true;
        return this.#named(REFUSED_FUNCTIONS, second, 'function');
      case AUTH_READ:
      case AUTH_UPDATE:
        return this.#named(REFUSED_TABLES, first, 'table');
      case AUTH_CREATE_VTABLE:
        return this.#named(REFUSED_MODULES, second, 'module');
      case AUTH_TRANSACTION:
        this.sawTransaction = true;
        return SQLITE_OK;
      default:
        if (action >= AUTH_CREATE_TEMP_FIRST && action <= AUTH_CREATE_TEMP_LAST) {
          this.isTainted = true;
        }
        return SQLITE_OK;
    }
  }

  #note(action: number, database: number): void {
    // Virtual tables are made there by an INSERT into its schema alone.
    if (action !== AUTH_READ && this.#text(database) === 'temp') this.isTainted = true;
    if (action === AUTH_INSERT || action === AUTH_UPDATE || action === AUTH_DELETE) {
      this.sawRowChange = true;
    } else if (
      action <= AUTH_SCHEMA_LAST ||
      (action >= AUTH_ALTER_TABLE && action <= AUTH_DROP_VTABLE)
    ) {
      this.sawSchemaChange = true;
    }
  }

  #pragma(name: string, argument: number): number {
    this.sawPragma = true;
    if (name === PERSONAL_PRAGMA) this.sawPersonal = true;
    const use = PRAGMAS.get(name);
    if (use === undefined) return this.#refuse(`PRAGMA ${name}`);
    if (argument === 0 || use === 'call') return SQLITE_OK;
    if (use === 'ask') return this.#refuse(`PRAGMA ${name} with a value`);
    if (this.isDescribing) return this.#refuse(`PRAGMA ${name} cannot be described`);
    if (use === 'session') this.isTainted = true;
    return SQLITE_OK;
  }

  #named(refused: ReadonlySet<string>, pointer: number, kind: string): number {
    if (pointer === 0) return SQLITE_OK;
    const name = this.#text(pointer).toLowerCase();
    return refused.has(name) ? this.#refuse(`${kind} ${name}`) : SQLITE_OK;
  }

  #text(pointer: number): string {
    return this.#sqlite.cString(pointer);
  }

  #refuse(what: string): number {
    this.refused ??= what;
    return AUTH_DENY;
  }
}
