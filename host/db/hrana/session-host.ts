// What a stream needs of the sessions of its database.

import type { Clock } from '../../core/index.ts';
import type { HranaError } from './hrana-error.ts';
import type { SessionLimits } from './limits.ts';
import type { SessionDatabase } from './session-database.ts';
import type { SqlStream } from './sql-stream.ts';

export interface SessionHost {
  readonly database: SessionDatabase;
  readonly clock: Clock;
  readonly limits: SessionLimits;
  /** Puts a stream into the writer's queue. Not null: why it may not wait. */
  waitForWriter(stream: SqlStream): HranaError | null;
  /** Some of its jobs have run: the writer may have changed hands. */
  ranOn(stream: SqlStream): void;
  /** It waits for the writer no longer. */
  left(stream: SqlStream): void;
  /** Takes a connection back from a stream that does not need it. */
  freeConnection(): boolean;
}
