// The running SQLite of one engine: its instance, the callbacks that all connections share, and
// which connection is inside it. A trap breaks it for good: what its memory holds then is unknown.

import type { Clock } from '../../core/index.ts';
import { installCallbacks } from './callbacks.ts';
import type { Connection } from './connection.ts';
import type { EngineLimits } from './engine-options.ts';
import { brokenEngine } from './faults.ts';
import type { PageSpace } from './page-file.ts';
import { SqliteInstance } from './sqlite-instance.ts';
import { PageVfs } from './vfs.ts';

export interface RuntimeOptions {
  readonly module: WebAssembly.Module;
  readonly clock: Clock;
  readonly limits: EngineLimits;
  readonly space: PageSpace;
  readonly cancel: Int32Array | null;
}

const SCRATCH_SIZE_BYTES = 16;

export class Runtime {
  readonly sqlite: SqliteInstance;
  readonly vfs: PageVfs;
  readonly clock: Clock;
  readonly limits: EngineLimits;
  readonly space: PageSpace;
  readonly cancel: Int32Array | null;
  /** Room for what SQLite returns through pointers: four words. */
  readonly scratch: number;
  readonly progressCallback: number;
  readonly authorizerCallback: number;
  /** SQL functions: `changes` and `total_changes`. */
  readonly changesCallback: number;
  readonly totalChangesCallback: number;
  readonly changesName: number;
  readonly totalChangesName: number;
  readonly vfsName: number;
  readonly fileName: number;
  readonly rollback: number;
  /** The connection whose call is inside SQLite; calls do not nest. */
  current: Connection | null = null;
  #broken: unknown = null;

  constructor({ module, clock, limits, space, cancel }: RuntimeOptions) {
    const { heapSizeBytesMax } = limits;
    this.sqlite = new SqliteInstance({ module, clock, heapSizeBytesMax });
    this.vfs = new PageVfs(this.sqlite, clock);
    this.clock = clock;
    this.limits = limits;
    this.space = space;
    this.cancel = cancel;
    this.scratch = this.sqlite.allocate(SCRATCH_SIZE_BYTES);
    this.vfsName = this.sqlite.keepCString('sluice');
    this.fileName = this.sqlite.keepCString('/database');
    this.rollback = this.sqlite.keepCString('ROLLBACK');
    this.changesName = this.sqlite.keepCString('changes');
    this.totalChangesName = this.sqlite.keepCString('total_changes');
    const table = this.sqlite.exports.__indirect_function_table;
    const [progress, authorizer, changes, total] = installCallbacks(table, [
      { parameters: 'i', run: () => (this.current?.shouldStop() ? 1 : 0) },
      {
        parameters: 'iiiiii',
        run: (_, action, first, second, database) =>
          this.current?.authorizer.decide(action!, first!, second!, database!) ?? 0,
      },
      {
        parameters: 'iiiv',
        run: (context) => this.#answer(context!, this.current?.counters.changesCount() ?? 0),
      },
      {
        parameters: 'iiiv',
        run: (context) => this.#answer(context!, this.current?.counters.totalChangesCount() ?? 0),
      },
    ]);
    this.progressCallback = progress!;
    this.authorizerCallback = authorizer!;
    this.changesCallback = changes!;
    this.totalChangesCallback = total!;
  }

  get isBroken(): boolean {
    return this.#broken !== null;
  }

  /** Errors: DB_LOST where the instance is broken. */
  assertWhole(): void {
    if (this.#broken !== null) throw brokenEngine(this.#broken);
  }

  // Each of these may trap or run over its stack, which must not pass for an error of a statement.

  step(statement: number): number {
    try {
      return this.sqlite.exports.sqlite3_step(statement);
    } catch (error) {
      throw this.#break(error);
    }
  }

  reset(statement: number): void {
    try {
      this.sqlite.exports.sqlite3_reset(statement);
    } catch (error) {
      throw this.#break(error);
    }
  }

  /** The statement's pointer is left in the first word of `scratch`, the tail's in the second. */
  prepare(db: number, sql: number, sizeBytes: number, flags: number): number {
    const { scratch } = this;
    try {
      const { exports } = this.sqlite;
      return exports.sqlite3_prepare_v3(db, sql, sizeBytes, flags, scratch, scratch + 4);
    } catch (error) {
      throw this.#break(error);
    }
  }

  exec(db: number, sql: number): number {
    try {
      return this.sqlite.exports.sqlite3_exec(db, sql, 0, 0, 0);
    } catch (error) {
      throw this.#break(error);
    }
  }

  /** A word of `scratch`. */
  word(index: number): number {
    return this.sqlite.u32[(this.scratch >>> 2) + index]!;
  }

  /** The value of an SQL function. */
  #answer(context: number, value: number): void {
    this.sqlite.exports.sqlite3_result_int64(context, BigInt(value));
  }

  #break(cause: unknown): Error {
    this.#broken ??= cause;
    return brokenEngine(cause);
  }
}
