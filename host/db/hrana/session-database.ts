// The database and its bounds, as sessions see them.

import type { Clock } from '../../core/index.ts';
import type { ServedDatabase } from '../database.ts';
import type { SessionLimits } from './limits.ts';
import type { SqlStream } from './sql-stream.ts';
import type { Turn } from './turn.ts';

export type Access = 'read-write' | 'read-only';

/** Statements run on its connections, replies wait for it. */
export type SessionDatabase = Pick<
  ServedDatabase,
  'connect' | 'durableLsn' | 'whenDurable' | 'whenWriterFree' | 'stopWaiting'
>;

/** What a stream needs of the sessions of its database. */
export interface SessionHost {
  readonly database: SessionDatabase;
  readonly clock: Clock;
  readonly limits: SessionLimits;
  readonly turn: Turn;
  /** It is closed, whoever closed it. */
  left(stream: SqlStream): void;
  /** Takes a connection back from a stream that does not need it, or whose client is silent. */
  freeConnection(): boolean;
  refused(): void;
  /** A statement begins: the thread gets on. */
  begun(): void;
}
