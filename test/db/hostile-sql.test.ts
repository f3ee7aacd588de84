// SQL of a client that means harm: it must end, in an error or a result, and leave the engine and
// the connections of others as they were.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { SqlConnection } from '../../host/db/contract.ts';
import type { Engine } from '../../host/db/engine/index.ts';
import { assertIntact, fault, makeEngine, rows, run } from '../support/sql.ts';

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
