// Opens a connection of SQLite with the settings that the page file relies on, and with what is not
// allowed switched off.

import { DB_PAGE_SIZE_BYTES } from '../contract.ts';
import type { EngineLimits } from './engine-options.ts';
import { failedCall, outOfMemory } from './faults.ts';
import {
  COMPOUND_SELECT_COUNT_MAX,
  EXPRESSION_DEPTH_MAX,
  LIKE_PATTERN_SIZE_BYTES_MAX,
  PARAMETERS_COUNT_MAX,
  PROGRAM_STEPS_COUNT_MAX,
  PROGRESS_STEPS,
  TRIGGER_DEPTH_MAX,
} from './limits.ts';
import type { PageFile } from './page-file.ts';
import type { Runtime } from './runtime.ts';
import {
  DBCONFIG_DEFENSIVE,
  DBCONFIG_DQS_DDL,
  DBCONFIG_DQS_DML,
  DBCONFIG_ENABLE_ATTACH_CREATE,
  DBCONFIG_ENABLE_FKEY,
  DBCONFIG_TRUSTED_SCHEMA,
  DBCONFIG_WRITABLE_SCHEMA,
  FUNCTION_INNOCUOUS,
  FUNCTION_UTF8,
  LIMIT_ATTACHED,
  LIMIT_COMPOUND_SELECT,
  LIMIT_EXPR_DEPTH,
  LIMIT_LENGTH,
  LIMIT_LIKE_PATTERN_LENGTH,
  LIMIT_PARSER_DEPTH,
  LIMIT_SQL_LENGTH,
  LIMIT_TRIGGER_DEPTH,
  LIMIT_VARIABLE_NUMBER,
  LIMIT_VDBE_OP,
  OPEN_CREATE,
  OPEN_READWRITE,
  SQLITE_OK,
} from './sqlite-codes.ts';

/** The handle of a new connection to `file`. Errors: SqlError. */
export function openDatabase(runtime: Runtime, file: PageFile): number {
  const { sqlite, scratch, limits } = runtime;
  const { exports } = sqlite;
  runtime.vfs.opening = file;
  const flags = OPEN_READWRITE | OPEN_CREATE;
  const code = exports.sqlite3_open_v2(runtime.fileName, scratch, flags, runtime.vfsName);
  const db = runtime.word(0);
  if (code !== SQLITE_OK) {
    const message = sqlite.cString(exports.sqlite3_errstr(code));
    exports.sqlite3_close_v2(db);
    throw failedCall({ resultCode: code, message, stop: null, fileError: null, refused: null });
  }
  exports.sqlite3_extended_result_codes(db, 1);
  setPragmas(runtime, db, limits);
  setLimits(runtime, db, limits);
  setProtections(runtime, db);
  if (!setFunctions(runtime, db)) {
    exports.sqlite3_close_v2(db);
    throw outOfMemory();
  }
  exports.sqlite3_set_authorizer(db, runtime.authorizerCallback, 0);
  exports.sqlite3_progress_handler(db, PROGRESS_STEPS, runtime.progressCallback, 0);
  return db;
}

/** The page file counts on the first four: see page-file.ts. */
function setPragmas(runtime: Runtime, db: number, limits: EngineLimits): void {
  const { sqlite } = runtime;
  const pagesMax = Math.floor(limits.databaseSizeBytesMax / DB_PAGE_SIZE_BYTES);
  const pragmas = [
    `page_size=${DB_PAGE_SIZE_BYTES}`,
    'journal_mode=MEMORY',
    'cache_spill=OFF',
    'temp_store=MEMORY',
    'synchronous=OFF',
    `cache_size=-${Math.ceil(limits.cacheSizeBytes / 1024)}`,
    `max_page_count=${Math.min(pagesMax, 0xffff_fffe)}`,
  ];
  const sql = sqlite.keepCString(pragmas.map((pragma) => `PRAGMA ${pragma};`).join(''));
  const code = runtime.exec(db, sql);
  sqlite.exports.free(sql);
  if (code === SQLITE_OK) return;
  const message = sqlite.cString(sqlite.exports.sqlite3_errmsg(db));
  sqlite.exports.sqlite3_close_v2(db);
  throw failedCall({ resultCode: code, message, stop: null, fileError: null, refused: null });
}

function setLimits({ sqlite }: Runtime, db: number, limits: EngineLimits): void {
  const settings: readonly (readonly [number, number])[] = [
    [LIMIT_LENGTH, limits.valueSizeBytesMax],
    [LIMIT_SQL_LENGTH, limits.sqlSizeBytesMax],
    [LIMIT_EXPR_DEPTH, EXPRESSION_DEPTH_MAX],
    [LIMIT_COMPOUND_SELECT, COMPOUND_SELECT_COUNT_MAX],
    [LIMIT_VDBE_OP, PROGRAM_STEPS_COUNT_MAX],
    // VACUUM needs one for itself.
    [LIMIT_ATTACHED, 1],
    [LIMIT_LIKE_PATTERN_LENGTH, LIKE_PATTERN_SIZE_BYTES_MAX],
    [LIMIT_VARIABLE_NUMBER, PARAMETERS_COUNT_MAX],
    [LIMIT_TRIGGER_DEPTH, TRIGGER_DEPTH_MAX],
    [LIMIT_PARSER_DEPTH, EXPRESSION_DEPTH_MAX],
  ];
  for (const [id, value] of settings) sqlite.exports.sqlite3_limit(db, id, value);
}

/** In place of SQLite's own, which know the connection and not its client. False: out of memory. */
function setFunctions(runtime: Runtime, db: number): boolean {
  const { exports } = runtime.sqlite;
  const flags = FUNCTION_UTF8 | FUNCTION_INNOCUOUS;
  return [
    [runtime.changesName, runtime.changesCallback] as const,
    [runtime.totalChangesName, runtime.totalChangesCallback] as const,
  ].every(([name, run]) => {
    return exports.sqlite3_create_function_v2(db, name, 0, flags, 0, run, 0, 0, 0) === SQLITE_OK;
  });
}

function setProtections({ sqlite }: Runtime, db: number): void {
  const settings: readonly (readonly [number, number])[] = [
    [DBCONFIG_DEFENSIVE, 1],
    [DBCONFIG_TRUSTED_SCHEMA, 0],
    [DBCONFIG_WRITABLE_SCHEMA, 0],
    [DBCONFIG_ENABLE_ATTACH_CREATE, 1],
    // As SQLite is built by default and sqld serves it, unlike this module.
    [DBCONFIG_DQS_DML, 1],
    [DBCONFIG_DQS_DDL, 1],
    [DBCONFIG_ENABLE_FKEY, 1],
  ];
  for (const [option, on] of settings) {
    sqlite.exports.sqlite3__wasm_db_config_ip(db, option, on, 0);
  }
}
