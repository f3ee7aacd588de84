// What an engine is made of.

import type { Clock } from '../../core/index.ts';
import type { CommitSink, PageSource } from '../contract.ts';
import type { SqlError } from '../sql-error.ts';

export interface EngineLimits {
  readonly heapSizeBytesMax: number;
  readonly transactionSizeBytesMax: number;
  readonly databaseSizeBytesMax: number;
  readonly valueSizeBytesMax: number;
  readonly resultSizeBytesMax: number;
  readonly sqlSizeBytesMax: number;
  readonly connectionsCountMax: number;
  readonly idleConnectionsCountMax: number;
  readonly cacheSizeBytes: number;
  readonly pageCacheSizeBytes: number;
  readonly statementsCountMax: number;
}

export interface EngineOptions {
  /** `compileSqlite`, once a process. */
  readonly module: WebAssembly.Module;
  readonly source: PageSource;
  /** Null where commits only need to be seen here. */
  readonly sink: CommitSink | null;
  /** Why nobody may write now, or null: asked when a transaction begins to write and when it
   *  commits. */
  readonly refuseWrites?: () => SqlError | null;
  readonly clock: Clock;
  readonly limits?: Partial<EngineLimits>;
  /** Another thread stops a statement by storing its connection's `ticket` in element 0. */
  readonly cancel?: Int32Array | null;
  /** Called when the writer has become free, inside the call that freed it: it must not call the
   *  engine. */
  readonly onWriterFree?: () => void;
}

/** `read-only`: whatever would write fails with SQLITE_READONLY, in the page file itself. */
export type Access = 'read-write' | 'read-only';
