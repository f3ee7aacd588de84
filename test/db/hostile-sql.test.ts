// SQL of a client that means harm: it must end, in an error or a result, and leave the engine and
// the connections of others as they were.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { SqlConnection } from '../../host/db/contract.ts';
import { type Engine, THREAD_STACK_SIZE_MB } from '../../host/db/engine/index.ts';
import { assertIntact, fault, makeEngine, rows, run } from '../support/sql.ts';
import { startWorker } from '../support/worker.ts';

let engine: Engine;
let db: SqlConnection;

beforeEach(() => {
  engine = makeEngine();
  db = engine.connect('read-write');
  db.runSequence('CREATE TABLE t(id INTEGER PRIMARY KEY, b); INSERT INTO t VALUES (1, 1)');
});

afterEach(() => {
  db.release();
  assertIntact(engine);
  engine.close();
});

describe('a text with a NUL', () => {
  // SQLite ends the text there and says that it has read up to it: whoever asked for the statement
  // behind was told the same for ever, and one byte of SQL held the thread of all databases.
  for (const sql of ['\0', '-- a\n\0', 'SELECT 1;\0SELECT 2', 'SELECT 1\0', "SELECT 'a\0b'"]) {
    it(`is refused: ${JSON.stringify(sql)}`, () => {
      for (const call of [() => run(db, sql), () => db.runSequence(sql), () => db.describe(sql)]) {
        assert.equal(fault(call).sqlCode, 'SQLITE_ERROR');
      }
      assert.deepEqual(rows(db, 'SELECT b FROM t'), [[1n]]);
    });
  }
});

describe('statements that nest', () => {
  /** Common table expressions, each of the one before it. */
  const chain = (count: number) =>
    `WITH a0 AS (SELECT 1 AS x)${Array.from(
      { length: count },
      (_, index) => `, a${index + 1} AS (SELECT x FROM a${index})`,
    ).join('')} SELECT x FROM a${count}`;

  // SQLite's limits of depth do not count these: its stack ran over, the engine began anew, and
  // every client of the database lost its transaction.
  it('as common table expressions or collations are counted', () => {
    const other = engine.connect('read-write');
    run(other, 'BEGIN');
    const collated = `SELECT 'a'${' COLLATE NOCASE'.repeat(50_000)}`;
    for (const sql of [chain(20_000), collated, `SELECT 1; ${collated}`]) {
      assert.equal(fault(() => run(db, sql)).sqlCode, 'SQLITE_TOOBIG');
      assert.equal(fault(() => db.runSequence(sql)).sqlCode, 'SQLITE_TOOBIG');
    }
    run(other, 'COMMIT');
    other.release();
    assert.deepEqual(rows(db, chain(900)), [[1n]]);
  });

  it('and words in texts, names and comments are not, nor those of other statements', () => {
    const word = 'select ';
    const texts = ["'", '"', '`'].map((quote) => `${quote}${word.repeat(400)}${quote}`);
    run(db, `SELECT ${texts[0]} AS ${texts[1]}, 1 AS ${texts[2]} /* ${word.repeat(400)} */`);
    db.runSequence('SELECT 1;'.repeat(2_000));
  });

  // The C stack of SQLite's module has 512 KiB and no guard: half a megabyte of generated columns
  // wrote over the data below it, and whatever ran next ran on that.
  it('as generated columns run into a limit, in a thread like that of a db worker', async () => {
    const thread = startWorker(new URL('./deep-sql-thread.ts', import.meta.url), null, {
      stackSizeMb: THREAD_STACK_SIZE_MB,
    });
    const [told] = (await once(thread, 'message')) as [unknown];
    await thread.terminate();
    assert.deepEqual(told, { code: 'DB_LIMIT', rows: [[1n]], changedCount: 0 });
  });
});

describe('a memory that temporary tables have filled', () => {
  // A text that no longer fitted was a RangeError: an internal error to its client, whose stream
  // was stuck with it, and an end of the thread where the statement had waited for the writer.
  it('is out of memory for other clients, and room again when its client goes', () => {
    const small = makeEngine({ limits: { heapSizeBytesMax: 64 * 1_048_576 } });
    const hog = small.connect('read-only');
    run(hog, 'CREATE TEMP TABLE hog(b)');
    for (let size = 1_048_576; size >= 1_024; size /= 8) {
      const error = fault(() => {
        for (;;) run(hog, `INSERT INTO hog VALUES (zeroblob(${size}))`);
      });
      assert.equal(error.sqlCode, 'SQLITE_NOMEM');
    }
    const text = `SELECT '${'x'.repeat(900_000)}'`;
    const borrowed = (call: (connection: SqlConnection) => unknown) => () => {
      const connection = small.connect('read-write');
      try {
        call(connection);
      } finally {
        connection.release();
      }
    };
    for (const call of [
      borrowed((connection) => run(connection, text)),
      borrowed((connection) => connection.runSequence(text)),
      borrowed((connection) => connection.describe(text)),
      borrowed((connection) => run(connection, 'SELECT ?', 'x'.repeat(500_000))),
    ]) {
      assert.equal(fault(call).sqlCode, 'SQLITE_NOMEM');
    }
    hog.release();
    borrowed((connection) => run(connection, text))();
    assertIntact(small);
    small.close();
  });
});
