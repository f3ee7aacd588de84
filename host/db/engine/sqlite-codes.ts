// Numbers of SQLite's C interface (sqlite3.h of 3.53.4) and the names of its result codes.

export const SQLITE_OK = 0;
export const SQLITE_BUSY = 5;
export const SQLITE_NOMEM = 7;
export const SQLITE_READONLY = 8;
export const SQLITE_INTERRUPT = 9;
export const SQLITE_IOERR = 10;
export const SQLITE_FULL = 13;
export const SQLITE_CANTOPEN = 14;
export const SQLITE_NOTFOUND = 12;
export const SQLITE_TOOBIG = 18;
export const SQLITE_AUTH = 23;
export const SQLITE_ROW = 100;
export const SQLITE_DONE = 101;
export const SQLITE_BUSY_SNAPSHOT = 517;
export const SQLITE_IOERR_READ = 266;
export const SQLITE_IOERR_SHORT_READ = 522;
export const SQLITE_IOERR_WRITE = 778;
export const SQLITE_IOERR_FSYNC = 1034;

const PRIMARY_NAMES = [
  ...['OK', 'ERROR', 'INTERNAL', 'PERM', 'ABORT', 'BUSY', 'LOCKED', 'NOMEM', 'READONLY'],
  ...['INTERRUPT', 'IOERR', 'CORRUPT', 'NOTFOUND', 'FULL', 'CANTOPEN', 'PROTOCOL', 'EMPTY'],
  ...['SCHEMA', 'TOOBIG', 'CONSTRAINT', 'MISMATCH', 'MISUSE', 'NOLFS', 'AUTH', 'FORMAT', 'RANGE'],
  ...['NOTADB', 'NOTICE', 'WARNING'],
];

/** Extended names by primary code, in the order of their numbers: primary + 256 × place. */
const EXTENDED_NAMES: Readonly<Record<number, string>> = {
  1: 'MISSING_COLLSEQ RETRY SNAPSHOT',
  4: '- ROLLBACK',
  5: 'RECOVERY SNAPSHOT TIMEOUT',
  6: 'SHAREDCACHE VTAB',
  8: 'RECOVERY CANTLOCK ROLLBACK DBMOVED CANTINIT DIRECTORY',
  10:
    'READ SHORT_READ WRITE FSYNC DIR_FSYNC TRUNCATE FSTAT UNLOCK RDLOCK DELETE BLOCKED NOMEM ' +
    'ACCESS CHECKRESERVEDLOCK LOCK CLOSE DIR_CLOSE SHMOPEN SHMSIZE SHMLOCK SHMMAP SEEK ' +
    'DELETE_NOENT MMAP GETTEMPPATH CONVPATH VNODE AUTH BEGIN_ATOMIC COMMIT_ATOMIC ' +
    'ROLLBACK_ATOMIC DATA CORRUPTFS',
  11: 'VTAB SEQUENCE INDEX',
  14: 'NOTEMPDIR ISDIR FULLPATH CONVPATH - SYMLINK',
  19:
    'CHECK COMMITHOOK FOREIGNKEY FUNCTION NOTNULL PRIMARYKEY TRIGGER UNIQUE VTAB ROWID PINNED ' +
    'DATATYPE',
};

/** The name of the primary part of a result code. */
export function primaryName(code: number): string {
  return `SQLITE_${PRIMARY_NAMES[code & 0xff] ?? 'ERROR'}`;
}

/** The name of an extended result code; '' where there is none. */
export function extendedName(code: number): string {
  const place = (code >>> 8) - 1;
  const name = EXTENDED_NAMES[code & 0xff]?.split(' ')[place];
  return name === undefined || name === '-' ? '' : `${primaryName(code)}_${name}`;
}

// Open flags.
export const OPEN_READONLY = 0x1;
export const OPEN_READWRITE = 0x2;
export const OPEN_CREATE = 0x4;
export const OPEN_MAIN_DB = 0x100;

// Locks of a database file.
export const LOCK_NONE = 0;
export const LOCK_SHARED = 1;
export const LOCK_RESERVED = 2;

// File controls.
export const FCNTL_SYNC = 21;
export const FCNTL_COMMIT_PHASETWO = 22;

// Device characteristics: what is written in order stays so, and nothing beside it is touched.
export const IOCAP_SAFE_APPEND = 0x200;
export const IOCAP_SEQUENTIAL = 0x400;
export const IOCAP_UNDELETABLE_WHEN_OPEN = 0x800;
export const IOCAP_POWERSAFE_OVERWRITE = 0x1000;

// sqlite3_db_config.
export const DBCONFIG_ENABLE_FKEY = 1002;
export const DBCONFIG_DEFENSIVE = 1010;
export const DBCONFIG_WRITABLE_SCHEMA = 1011;
export const DBCONFIG_DQS_DML = 1013;
export const DBCONFIG_DQS_DDL = 1014;
export const DBCONFIG_TRUSTED_SCHEMA = 1017;
export const DBCONFIG_ENABLE_ATTACH_CREATE = 1020;

// sqlite3_limit.
export const LIMIT_LENGTH = 0;
export const LIMIT_SQL_LENGTH = 1;
export const LIMIT_EXPR_DEPTH = 3;
export const LIMIT_COMPOUND_SELECT = 4;
export const LIMIT_VDBE_OP = 5;
export const LIMIT_ATTACHED = 7;
export const LIMIT_LIKE_PATTERN_LENGTH = 8;
export const LIMIT_VARIABLE_NUMBER = 9;
export const LIMIT_TRIGGER_DEPTH = 10;
export const LIMIT_PARSER_DEPTH = 12;

// Counters.
export const DBSTATUS_CACHE_USED = 1;
export const STMTSTATUS_FULLSCAN_STEP = 1;
export const STMTSTATUS_REPREPARE = 5;

// Column types.
export const TYPE_INTEGER = 1;
export const TYPE_FLOAT = 2;
export const TYPE_TEXT = 3;
export const TYPE_BLOB = 4;

// Authorizer actions.
export const AUTH_DENY = 1;
export const AUTH_CREATE_TEMP_FIRST = 3;
export const AUTH_CREATE_TEMP_LAST = 6;
export const AUTH_DELETE = 9;
export const AUTH_INSERT = 18;
export const AUTH_PRAGMA = 19;
export const AUTH_READ = 20;
export const AUTH_TRANSACTION = 22;
export const AUTH_UPDATE = 23;
export const AUTH_ATTACH = 24;
export const AUTH_DETACH = 25;
export const AUTH_CREATE_VTABLE = 29;
export const AUTH_FUNCTION = 31;
/** Creating and dropping, but for tables of modules, lie below it. */
export const AUTH_SCHEMA_LAST = 17;
export const AUTH_ALTER_TABLE = 26;
export const AUTH_DROP_VTABLE = 30;

// Of a function.
export const FUNCTION_UTF8 = 0x1;
/** It may be used in triggers and views. */
export const FUNCTION_INNOCUOUS = 0x20_0000;

export const PREPARE_PERSISTENT = 1;
/** The value's bytes stay where they are until the next reset. */
export const BIND_STATIC = 0;
