// What a database is made of, and its bounds.

import type { Clock } from '../core/index.ts';
import type { CommitRecord, LogGroup, LogStore, Lsn, PageStore } from './contract.ts';
import type { EngineLimits, ReplayedCommit } from './engine/index.ts';
import type { SqlError } from './sql-error.ts';

/** Collects the commits of one group: CommitEncoder of host/db/log. */
export interface GroupEncoder {
  readonly sizeBytes: number;
  /** No further commit may be added. */
  readonly isFull: boolean;
  /** Errors: DB_LOG_COMMIT_SIZE, and then nothing is added. */
  add(record: CommitRecord): void;
  /** The payload is valid until `clear`. */
  encoded(): { readonly firstLsn: Lsn; readonly lastLsn: Lsn; readonly payload: Uint8Array } | null;
  clear(): void;
}

/** Applies groups to whoever keeps the pages: Replay of host/db/log. */
export interface GroupReplay {
  /** Applies the commits that are newer than `afterLsn`. */
  group(group: LogGroup, afterLsn: Lsn): void;
}

export interface ReplayTarget {
  readPage(pageNumber: number, into: Uint8Array): boolean;
  replay(commit: ReplayedCommit): void;
}

export interface CommitCodec {
  newEncoder(): GroupEncoder;
  newReplay(target: ReplayTarget): GroupReplay;
}

export interface DatabaseOptions {
  /** `compileSqlite`, once a process. */
  readonly module: WebAssembly.Module;
  readonly clock: Clock;
  readonly codec: CommitCodec;
  readonly pages: PageStore;
  /** How the page store is closed, where others may have it open too. */
  readonly closePages?: () => Promise<void>;
  /** Opens the log, at first and after each of its failures. `durableLsn`: what the log must hold
   *  at least, or have trimmed. */
  readonly openLog: (durableLsn: Lsn) => Promise<LogStore>;
  readonly engineLimits?: Partial<EngineLimits>;
  readonly limits?: Partial<DatabaseLimits>;
  readonly cancel?: Int32Array | null;
  /** Why nobody may write now, or null. */
  readonly refuseWrites?: () => SqlError | null;
  /** Up to where the log may be trimmed that is folded up to an LSN; without it, up to there. */
  readonly trimLsn?: (foldedLsn: Lsn) => Lsn;
  /** What an operator should know of. */
  readonly report?: (event: DatabaseEvent) => void;
}

export type DatabaseEvent =
  | { readonly kind: 'log-failed'; readonly durableLsn: Lsn; readonly error: unknown }
  | { readonly kind: 'log-reopened'; readonly durableLsn: Lsn }
  | { readonly kind: 'reopen-failed'; readonly error: unknown }
  /** By its owner: there is no database that could say it. */
  | { readonly kind: 'open-failed'; readonly error: unknown }
  | { readonly kind: 'checkpoint'; readonly lsn: Lsn }
  | { readonly kind: 'checkpoint-failed'; readonly error: unknown };

export interface DatabaseLimits {
  readonly foldSizeBytes: number;
  readonly foldIntervalMs: number;
  readonly logSizeBytesMax: number;
  readonly overlaySizeBytesMax: number;
  readonly writersWaitingCountMax: number;
  readonly writerWaitMsMax: number;
  readonly transactionMs: number;
}

export const DATABASE_LIMITS: DatabaseLimits = {
  /** Changed pages that start a checkpoint: some seconds of hot rows, folded once each. */
  foldSizeBytes: 33_554_432,
  /** Changes older than this are folded, so that an opening has little to replay. */
  foldIntervalMs: 30_000,
  /** The log that is kept for restores to the past, beyond what an opening needs. */
  logSizeBytesMax: 1_073_741_824,
  /** Changed pages and old versions; above, writers are refused until a checkpoint has caught up
   *  or a reader has let its snapshot go. */
  overlaySizeBytesMax: 536_870_912,
  /** Statements that wait for the writer; further ones are answered at once. */
  writersWaitingCountMax: 1_024,
  /** The longest wait for the writer; sqld's. */
  writerWaitMsMax: 10_000,
  /** How long a transaction may keep the writer while others wait for it; sqld's. */
  transactionMs: 5_000,
};

/** The pause before a log that could not be opened is tried again: at first, and at most. */
export const REOPEN_MS_MIN = 50;
export const REOPEN_MS_MAX = 5_000;
