// SQL through the engine: values, arguments, outcomes, descriptions, errors.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ManualClock } from '../../host/core/index.ts';
import type { SqlConnection } from '../../host/db/contract.ts';
import type { Engine } from '../../host/db/engine/index.ts';
import { assertIntact, fault, makeEngine, rows, run, runNamed } from '../support/sql.ts';

let engine: Engine;
let db: SqlConnection;

beforeEach(() => {
  engine = makeEngine();
  db = engine.connect('read-write');
});

afterEach(() => {
  db.release();
  assertIntact(engine);
  engine.close();
});

describe('values', () => {
  const values = [
    null,
    0n,
    -1n,
    2n ** 53n,
    -(2n ** 63n),
    2n ** 63n - 1n,
    0.5,
    1e300,
    Number.NEGATIVE_INFINITY,
    '',
    'ascii',
    'ünï ☃ 𝄞',
    'x'.repeat(200),
    '☃'.repeat(40_000),
    new Uint8Array(),
    Uint8Array.of(0, 255, 7),
    new Uint8Array(300_000).fill(9),
  ];

  it('come back as they were bound', () => {
    for (const value of values) assert.deepEqual(rows(db, 'SELECT ?', value), [[value]]);
  });

  it('keep their type in a table', () => {
    run(db, 'CREATE TABLE t(v)');
    for (const value of values) run(db, 'INSERT INTO t VALUES (?)', value);
    assert.deepEqual(
      rows(db, 'SELECT v FROM t ORDER BY rowid'),
      values.map((value) => [value]),
    );
  });

  it('a NaN becomes NULL, and an unpaired surrogate U+FFFD', () => {
    assert.deepEqual(rows(db, 'SELECT ?, ?', Number.NaN, '\ud800'), [[null, '\ufffd']]);
  });

  it('a large argument of one run is not the next one’s', () => {
    const large = 'y'.repeat(100_000);
    assert.deepEqual(rows(db, 'SELECT length(?)', large), [[100_000n]]);
    assert.deepEqual(rows(db, 'SELECT length(?)', 'z'), [[1n]]);
  });
});

describe('arguments', () => {
  it('are found by name with any prefix and without', () => {
    const sql = 'SELECT :a, @b, $c, ?4';
    const bare = runNamed(db, 'SELECT :a, @b, $c', { a: 1n, '@b': 2n, $c: 3n });
    assert.deepEqual(bare.rows, [[1n, 2n, 3n]]);
    assert.deepEqual(rows(db, sql, 1n, 2n, 3n, 4n), [[1n, 2n, 3n, 4n]]);
    assert.deepEqual(runNamed(db, 'SELECT :x + $x', { x: 4n }).rows, [[8n]]);
  });

  it('must fit the parameters', () => {
    const cases: [() => unknown, string, RegExp][] = [
      [() => run(db, 'SELECT ?'), 'ARGS_INVALID', /0 arguments given, the statement takes 1/],
      [() => run(db, 'SELECT 1', 1n), 'ARGS_INVALID', /1 arguments given, the statement takes 0/],
      [() => runNamed(db, 'SELECT :a', { b: 1n }), 'ARGS_INVALID', /no parameter "b"/],
      [() => runNamed(db, 'SELECT :a, :b', { a: 1n }), 'ARGS_INVALID', /":b" has no argument/],
      [() => runNamed(db, 'SELECT :a', { a: 1n, ':a': 1n }), 'ARGS_INVALID', /given twice/],
      [() => run(db, 'SELECT ?', 2n ** 63n), 'ARGS_INVALID', /does not fit 64 bits/],
    ];
    for (const [call, sqlCode, message] of cases) {
      const error = fault(call);
      assert.equal(error.code, 'DB_ARGS');
      assert.equal(error.sqlCode, sqlCode);
      assert.match(error.message, message);
    }
    const both = {
      sql: 'SELECT ?',
      args: [1n],
      namedArgs: [{ name: 'a', value: 1n }],
      wantRows: true,
    };
    assert.equal(fault(() => db.run(both, null)).sqlCode, 'ARGS_BOTH_POSITIONAL_AND_NAMED');
  });
});

describe('outcomes', () => {
  it('count what the statement itself changed', () => {
    run(db, 'CREATE TABLE t(id INTEGER PRIMARY KEY, n)');
    const inserted = run(db, 'INSERT INTO t(n) VALUES (1), (2), (3)').outcome;
    assert.equal(inserted.affectedRowCount, 3);
    assert.equal(inserted.lastInsertRowid, 3n);
    assert.equal(run(db, 'SELECT * FROM t').outcome.affectedRowCount, 0);
    assert.equal(run(db, 'UPDATE t SET n = 0 WHERE n > 1').outcome.affectedRowCount, 2);
    assert.equal(run(db, 'UPDATE t SET n = 0 WHERE n = 77').outcome.affectedRowCount, 0);
  });

  it('count the rows that triggers wrote apart', () => {
    db.runSequence(`
      CREATE TABLE t(n); CREATE TABLE log(n);
      CREATE TRIGGER after_t AFTER INSERT ON t BEGIN
        INSERT INTO log VALUES (new.n); INSERT INTO log VALUES (-new.n);
      END;`);
    const { outcome } = run(db, 'INSERT INTO t VALUES (5)');
    assert.equal(outcome.affectedRowCount, 1);
    assert.equal(outcome.rowsWritten, 3);
  });

  it('RETURNING gives rows', () => {
    run(db, 'CREATE TABLE stock(id INTEGER PRIMARY KEY, left INTEGER)');
    run(db, 'INSERT INTO stock VALUES (1, 2)');
    const sell = 'UPDATE stock SET left = left - 1 WHERE id = ? AND left > 0 RETURNING left';
    assert.deepEqual(rows(db, sell, 1n), [[1n]]);
    assert.deepEqual(rows(db, sell, 1n), [[0n]]);
    assert.deepEqual(rows(db, sell, 1n), []);
  });

  it('unwanted rows are stepped over', () => {
    run(db, 'CREATE TABLE t(n)');
    const sql = 'INSERT INTO t VALUES (1), (2) RETURNING n';
    db.run({ sql, args: [], namedArgs: [], wantRows: false }, null);
    assert.deepEqual(rows(db, 'SELECT count(*) FROM t'), [[2n]]);
  });
});

describe('columns and descriptions', () => {
  it('have names and declared types, after a change of the schema too', () => {
    run(db, 'CREATE TABLE t(id INTEGER PRIMARY KEY, name VARCHAR(20))');
    const select = 'SELECT *, 1 + 1 AS two FROM t';
    assert.deepEqual(run(db, select).columns, [
      { name: 'id', declaredType: 'INTEGER' },
      { name: 'name', declaredType: 'VARCHAR(20)' },
      { name: 'two', declaredType: null },
    ]);
    run(db, 'ALTER TABLE t ADD COLUMN extra BLOB');
    assert.deepEqual(
      run(db, select).columns.map(({ name }) => name),
      ['id', 'name', 'extra', 'two'],
    );
  });

  it('describe says what a statement is', () => {
    run(db, 'CREATE TABLE t(a INT)');
    assert.deepEqual(db.describe('SELECT a FROM t WHERE a = :low OR a = ?'), {
      parameters: [{ name: ':low' }, { name: null }],
      columns: [{ name: 'a', declaredType: 'INT' }],
      isExplain: false,
      isReadonly: true,
    });
    assert.equal(db.describe('EXPLAIN SELECT 1').isExplain, true);
    assert.equal(db.describe('DELETE FROM t').isReadonly, false);
  });

  it('describing a pragma that would act is refused', () => {
    // A flag pragma acts when it is prepared: describing it switched foreign keys off.
    assert.equal(fault(() => db.describe('PRAGMA foreign_keys = off')).code, 'DB_REFUSED');
    assert.deepEqual(rows(db, 'PRAGMA foreign_keys'), [[1n]]);
  });
});

describe('texts', () => {
  it('hold exactly one statement', () => {
    for (const sql of ['', ' ;; ', '-- nothing', '/* open']) {
      assert.equal(fault(() => run(db, sql)).sqlCode, 'SQL_NO_STATEMENT', sql);
    }
    for (const sql of ['SELECT 1; SELECT 2', 'SELECT 1;x', 'SELECT 1; /* a */ -- b\n SELECT 2']) {
      assert.equal(fault(() => run(db, sql)).sqlCode, 'SQL_MANY_STATEMENTS', sql);
    }
    for (const sql of ['; SELECT 1', 'SELECT 1;', '/* a */ SELECT 1 -- b', 'SELECT 1; /* open']) {
      assert.deepEqual(rows(db, sql), [[1n]], sql);
    }
  });

  it('a statement behind the first is not even prepared', () => {
    const sql = 'SELECT 1; PRAGMA foreign_keys = off';
    assert.equal(fault(() => run(db, sql)).sqlCode, 'SQL_MANY_STATEMENTS');
    assert.deepEqual(rows(db, 'PRAGMA foreign_keys'), [[1n]]);
  });

  it('a sequence runs up to its first error, which says where it stands', () => {
    const sql = 'CREATE TABLE "tä"(n); INSERT INTO "tä" VALUES (1); SELEC 2; DROP TABLE "tä"';
    const error = fault(() => db.runSequence(sql));
    assert.equal(error.sqlCode, 'SQLITE_ERROR');
    assert.equal(sql.slice(error.resumeAt).trimStart().startsWith('SELEC 2'), true);
    assert.deepEqual(rows(db, 'SELECT n FROM "tä"'), [[1n]]);
  });
});

describe('errors', () => {
  it('carry SQLite’s codes by name', () => {
    db.runSequence(`CREATE TABLE t(a INTEGER PRIMARY KEY, b UNIQUE NOT NULL, c CHECK (c > 0));
      CREATE TABLE child(a REFERENCES t(a)); INSERT INTO t VALUES (1, 1, 1)`);
    const cases: [string, string, string][] = [
      ['INSERT INTO t VALUES (1, 2, 3)', 'SQLITE_CONSTRAINT', 'SQLITE_CONSTRAINT_PRIMARYKEY'],
      ['INSERT INTO t VALUES (2, 1, 3)', 'SQLITE_CONSTRAINT', 'SQLITE_CONSTRAINT_UNIQUE'],
      ['INSERT INTO t VALUES (2, NULL, 3)', 'SQLITE_CONSTRAINT', 'SQLITE_CONSTRAINT_NOTNULL'],
      ['INSERT INTO t VALUES (2, 2, 0)', 'SQLITE_CONSTRAINT', 'SQLITE_CONSTRAINT_CHECK'],
      ['INSERT INTO child VALUES (9)', 'SQLITE_CONSTRAINT', 'SQLITE_CONSTRAINT_FOREIGNKEY'],
      ["INSERT INTO t VALUES ('x', 2, 2)", 'SQLITE_MISMATCH', ''],
      ['SELECT * FROM nowhere', 'SQLITE_ERROR', ''],
    ];
    for (const [sql, sqlCode, extendedCode] of cases) {
      const error = fault(() => run(db, sql));
      assert.equal(error.code, 'DB_SQL');
      assert.equal(error.sqlCode, sqlCode, sql);
      assert.equal(error.extendedCode, extendedCode, sql);
    }
    assert.match(fault(() => run(db, 'SELECT * FROM nowhere')).message, /no such table: nowhere/);
  });
});

describe('the environment', () => {
  it('time comes from the clock and is UTC', () => {
    const clock = new ManualClock(1000, 1_700_000_000_000);
    const timed = makeEngine({ clock });
    const connection = timed.connect('read-write');
    const sql = "SELECT datetime('now'), datetime('now', 'localtime')";
    assert.deepEqual(rows(connection, sql), [['2023-11-14 22:13:21', '2023-11-14 22:13:21']]);
    clock.advance(60_000);
    assert.deepEqual(rows(connection, "SELECT time('now')"), [['22:14:21']]);
    timed.close();
  });

  it('full-text search, R-trees and JSON are there', () => {
    db.runSequence(`CREATE VIRTUAL TABLE words USING fts5(body);
      INSERT INTO words VALUES ('the quick brown fox'), ('lazy dog');
      CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1); INSERT INTO boxes VALUES (1, 2, 3)`);
    assert.deepEqual(rows(db, "SELECT rowid FROM words WHERE words MATCH 'fox'"), [[1n]]);
    assert.deepEqual(rows(db, 'SELECT id FROM boxes WHERE x0 > 1'), [[1n]]);
    assert.deepEqual(rows(db, `SELECT '{"a":[1,2]}' ->> '$.a[1]'`), [[2n]]);
  });
});
