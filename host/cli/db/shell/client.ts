// What the shell asks of a database, wherever it is.

export type Cell = null | bigint | number | string | Uint8Array;

export interface Answer {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  readonly affectedCount: number;
}

export interface SqlClient {
  /** Runs one statement. Errors: StatementError for what the database says of it. */
  run(sql: string): Promise<Answer>;
  /** Whether a transaction is open. */
  readonly isInTransaction: boolean;
  /** Rolls back what is open. */
  close(): Promise<void>;
}

/** A statement that failed: the shell goes on. Check `name`, never `instanceof`. */
export class StatementError extends Error {
  override readonly name = 'StatementError';
  /** As clients of Hrana know it. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export function isStatementError(value: unknown): value is StatementError {
  return value instanceof Error && value.name === 'StatementError';
}
