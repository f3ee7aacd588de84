// The database as sessions see it: connections to run statements on, and when what they have seen
// is durable.

import type { Lsn, SqlConnection } from '../contract.ts';
import type { HranaFault } from './hrana-error.ts';

export type Access = 'read-write' | 'read-only';

export interface SessionDatabase {
  /** Errors: SqlError DB_LIMIT where too many are lent, DB_STORAGE. */
  connect(access: Access): SqlConnection;
  /** Whether a statement that waited for the writer may be run again. */
  readonly isWriterFree: boolean;
  readonly durableLsn: Lsn;
  /** Calls back once: when `lsn` is durable, or with why it never will be. */
  whenDurable(lsn: Lsn, done: (failure: HranaFault | null) => void): void;
}
