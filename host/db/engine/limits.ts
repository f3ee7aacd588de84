// Bounds of the engine, each with a sentence of origin. Those that a configuration may move are
// EngineLimits; the others are fixed here.

import type { EngineLimits } from './engine-options.ts';

const MIB = 1_048_576;

export const ENGINE_LIMITS: EngineLimits = {
  /** Wasm memory of a database: page caches, dirty pages, sorters. A quarter of what the module
   *  can address, so that several large databases fit a machine. */
  heapSizeBytesMax: 512 * MIB,
  /** Pages that one transaction may change: dirty pages and their journal stand in the heap, then
   *  as staged pages beside it. VACUUM rewrites the whole database as one. */
  transactionSizeBytesMax: 128 * MIB,
  /** The database; SQLITE_FULL above. */
  databaseSizeBytesMax: 64 * 1024 * MIB,
  /** A value, a row and a statement's argument. */
  valueSizeBytesMax: 16 * MIB,
  /** All values of one statement's rows: what a client is sent is held in memory meanwhile. */
  resultSizeBytesMax: 64 * MIB,
  /** A statement's text, and a sequence's. */
  sqlSizeBytesMax: MIB,
  /** Connections lent at once: interactive transactions, mostly. */
  connectionsCountMax: 128,
  /** Connections that are kept open for the next to come: opening one costs some 200 µs. */
  idleConnectionsCountMax: 8,
  /** Page cache of one connection; a page that is not in it is a copy of 4 KiB away. */
  cacheSizeBytes: 2 * MIB,
  /** Pages of the page store that are kept unpacked, for all connections of a database. */
  pageCacheSizeBytes: 16 * MIB,
  /** Prepared statements that one connection keeps. */
  statementsCountMax: 128,
};

/** A text longer than this is prepared each time: such texts are made by programs, seldom twice. */
export const CACHED_SQL_LENGTH_MAX = 8_192;
/** Virtual-machine steps between two looks at the clock: some 50 µs. */
export const PROGRESS_STEPS = 4_096;
/** Room for arguments that are bound together; larger ones are allocated one by one. */
export const ARGUMENTS_SIZE_BYTES = 65_536;
/** SQLite's defaults for these are made for a trusted caller with a native stack. */
export const EXPRESSION_DEPTH_MAX = 500;
/** SELECT and COLLATE of one statement: SQLite calls itself some 5 times for each, and its limits
 *  of depth know nothing of common table expressions and collations. */
export const NESTING_WORDS_COUNT_MAX = 1_000;
export const COMPOUND_SELECT_COUNT_MAX = 200;
export const PROGRAM_STEPS_COUNT_MAX = 1_000_000;
export const LIKE_PATTERN_SIZE_BYTES_MAX = 4_096;
export const PARAMETERS_COUNT_MAX = 32_766;
export const TRIGGER_DEPTH_MAX = 100;
/** A journal while a file is written once more: a new database needs next to none. */
export const SCRATCH_SIZE_BYTES_MAX = 64 * MIB;
/** Stack of a thread that runs SQL: what passes all limits of nesting can still be some 50,000
 *  calls deep, in generated columns that are made of each other. Units: MB. */
export const THREAD_STACK_SIZE_MB = 32;
/** Stack of C, which the thread's own must end before: a call takes half as much here as there. */
export const C_STACK_SIZE_BYTES = 2 * THREAD_STACK_SIZE_MB * MIB;
