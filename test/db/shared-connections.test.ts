// Connections pass from client to client: whatever one has done on its connection, the next one
// finds it like new.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { SqlConnection } from '../../host/db/contract.ts';
import type { Engine } from '../../host/db/engine/index.ts';
import { assertIntact, makeEngine, rows, run } from '../support/sql.ts';

const SETTINGS = [
  'foreign_keys',
  'defer_foreign_keys',
  'recursive_triggers',
  'legacy_alter_table',
  'reverse_unordered_selects',
  'automatic_index',
  'analysis_limit',
  'query_only',
  'auto_vacuum',
  'cache_size',
  'journal_mode',
  'temp_store',
  'busy_timeout',
  'max_page_count',
  'synchronous',
];

/** What a client can find out of its connection. */
function look(db: SqlConnection): unknown {
  return {
    isAutocommit: db.isAutocommit,
    users: rows(db, 'SELECT * FROM users'),
    temporary: rows(db, 'SELECT name FROM temp.sqlite_schema'),
    databases: rows(db, 'SELECT name FROM pragma_database_list'),
    functions: rows(db, 'SELECT count(*) FROM pragma_function_list'),
    counters: rows(db, 'SELECT changes(), total_changes(), last_insert_rowid()'),
    settings: SETTINGS.map((name) => rows(db, `PRAGMA ${name}`)),
  };
}

let engine: Engine;
let fresh: unknown;

beforeEach(() => {
  engine = makeEngine();
  const db = engine.connect('read-write');
  db.runSequence(
    "CREATE TABLE users(name); INSERT INTO users VALUES ('ann');" +
      "CREATE VIRTUAL TABLE words USING fts5(word); INSERT INTO words VALUES ('evil')",
  );
  db.release();
  const other = engine.connect('read-write');
  fresh = look(other);
  other.release();
});

afterEach(() => {
  assertIntact(engine);
  engine.close();
});

describe('a connection that another client has had', () => {
  const hostile = [
    // A virtual table of the temporary schema is no CREATE TEMP TABLE to SQLite's authorizer: what
    // a read-only client made of it stood in the way of the table that the next client asked for.
    "CREATE VIRTUAL TABLE temp.users USING fts5vocab('main', 'words', 'row')",
    'CREATE VIRTUAL TABLE temp.users USING dbstat(main)',
    'CREATE VIRTUAL TABLE temp.users USING fts5(name)',
    'CREATE VIRTUAL TABLE temp.users USING rtree(a, b, c)',
    'CREATE TEMP TABLE users(name)',
    'CREATE TEMP VIEW users AS SELECT 7 AS name',
    'CREATE TEMP TRIGGER spy BEFORE DELETE ON main.users BEGIN SELECT 1; END',
    'PRAGMA temp.user_version = 7',
    // The connection kept it for whoever vacuumed next, and a read-only client could set it.
    'PRAGMA auto_vacuum = 1',
    ...SETTINGS.map((name) => `PRAGMA ${name} = 1`),
    'SAVEPOINT a',
    'BEGIN',
    'BEGIN IMMEDIATE; INSERT INTO users VALUES (2)',
    'BEGIN; SELECT * FROM users; INSERT INTO nothing VALUES (1)',
    'BEGIN TRANSACTION READONLY',
    'INSERT INTO users(rowid, name) VALUES (77, 8); DELETE FROM users WHERE rowid = 77',
    "EXPLAIN PRAGMA auto_vacuum = 1; ATTACH ':memory:' AS other",
    "VACUUM INTO ''",
    'SELECT * FROM pragma_auto_vacuum(1)',
  ];
  for (const access of ['read-only', 'read-write'] as const) {
    for (const sql of hostile) {
      it(`is like new after ${access} ${sql}`, () => {
        const attacker = engine.connect(access);
        try {
          attacker.runSequence(sql);
        } catch {
          // What it has done before it was refused counts.
        }
        try {
          attacker.describe(sql);
        } catch {}
        attacker.release();
        // All that are kept, and a new one.
        const others = Array.from({ length: 3 }, () => engine.connect('read-write'));
        for (const other of others) assert.deepEqual(look(other), fresh);
        for (const other of others) other.release();
        const vacuums = engine.connect('read-write');
        run(vacuums, 'VACUUM');
        assert.deepEqual(rows(vacuums, 'PRAGMA auto_vacuum'), [[0n]]);
        vacuums.release();
      });
    }
  }

  it('stays with a client that has asked a table of pragmas for its data version', () => {
    const db = engine.connect('read-only');
    run(db, 'SELECT data_version FROM pragma_data_version');
    assert.equal(db.isPersonal, true);
    db.release();
  });
});
