// What SQL may not do here, and the limits on what it may.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ManualClock } from '../../host/core/index.ts';
import type { PageSource, SqlConnection } from '../../host/db/contract.ts';
import type { Engine } from '../../host/db/engine/index.ts';
import { assertIntact, fault, makeEngine, rows, run } from '../support/sql.ts';

const MIB = 1_048_576;
const FOREVER =
  'WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT count(*) FROM c';

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

describe('refused', () => {
  const statements = [
    "ATTACH '/etc/passwd' AS other",
    "ATTACH '' AS other",
    "ATTACH ':memory:' AS other",
    "EXPLAIN ATTACH '' AS other",
    'DETACH main',
    "VACUUM INTO '/tmp/copy'",
    'PRAGMA journal_mode = WAL',
    'PRAGMA journal_mode = DELETE',
    'PRAGMA main.journal_mode = OFF',
    'PRAGMA locking_mode = EXCLUSIVE',
    'PRAGMA locking_mode',
    'PRAGMA mmap_size = 1000000',
    'PRAGMA cache_spill = 1',
    'PRAGMA page_size = 8192',
    "PRAGMA temp_store_directory = '/tmp'",
    'PRAGMA temp_store = FILE',
    'PRAGMA writable_schema = 1',
    'PRAGMA trusted_schema = 1',
    'PRAGMA schema_version = 7',
    'PRAGMA synchronous = FULL',
    'PRAGMA cache_size = 1000000',
    'PRAGMA max_page_count = 9',
    'PRAGMA hard_heap_limit = 1000',
    'PRAGMA soft_heap_limit = 1000',
    'PRAGMA busy_timeout = 5000',
    'PRAGMA threads = 4',
    'PRAGMA wal_checkpoint',
    'PRAGMA ignore_check_constraints = 1',
    'PRAGMA shrink_memory',
    'PRAGMA cell_size_check = 0',
    'PRAGMA case_sensitive_like = 1',
    'PRAGMA no_such_pragma',
    "SELECT load_extension('x')",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('/tmp/x', 'y')",
    "SELECT edit('x')",
    "SELECT fts3_tokenizer('simple')",
    'SELECT * FROM sqlite_dbpage',
    'SELECT * FROM sqlite_stmt',
    "SELECT * FROM bytecode('SELECT 1')",
    'UPDATE sqlite_schema SET sql = NULL',
    'DELETE FROM sqlite_schema',
    'CREATE VIRTUAL TABLE temp.v USING csv(filename=x)',
  ];
  for (const sql of statements) {
    it(sql, () => {
      const lsn = engine.lsn;
      const error = fault(() => run(db, sql));
      // What this build does not have is an error of its own: `no such function`.
      assert.ok(['DB_REFUSED', 'DB_SQL'].includes(error.code), error.message);
      assert.ok(
        error.code === 'DB_REFUSED' ? error.sqlCode === 'SQLITE_AUTH' : true,
        error.sqlCode,
      );
      assert.equal(fault(() => db.runSequence(`SELECT 1; ${sql}`)).code, error.code);
      assert.equal(engine.lsn, lsn);
    });
  }

  it('a pragma by its name, whatever this build knows of it', () => {
    for (const sql of statements.filter((each) => each.startsWith('PRAGMA'))) {
      // What is not there does not ask the authorizer, and does nothing.
      const error = fault(() => run(db, sql));
      assert.equal(error.code, 'DB_REFUSED', sql);
      assert.match(error.message, /^not authorized: PRAGMA/);
    }
  });

  it('through a view too', () => {
    db.runSequence(`CREATE VIEW v AS SELECT name FROM sqlite_dbpage`);
    assert.match(fault(() => run(db, 'SELECT * FROM v')).message, /unsafe use of virtual table/);
  });

  it('pragmas that only look are allowed', () => {
    const allowed = [
      'table_info(t)',
      'table_xinfo(t)',
      'table_list',
      'index_list(t)',
      'foreign_key_list(t)',
      'foreign_key_check',
      'integrity_check',
      'quick_check',
      'page_count',
      'page_size',
      'journal_mode',
      'user_version = 7',
      'application_id = 7',
      'foreign_keys = on',
      'defer_foreign_keys = on',
      'optimize',
      'data_version',
      'encoding',
    ];
    for (const pragma of allowed) run(db, `PRAGMA ${pragma}`);
    assert.deepEqual(rows(db, 'PRAGMA user_version'), [[7n]]);
    assert.equal(rows(db, "SELECT name FROM pragma_table_info('t')").length, 2);
  });
});

describe('read-only', () => {
  it('a connection lent for reading cannot write', () => {
    const reader = engine.connect('read-only');
    for (const sql of ['INSERT INTO t VALUES (2, 2)', 'CREATE TABLE u(a)', 'BEGIN IMMEDIATE']) {
      const error = fault(() => run(reader, sql));
      assert.equal(error.sqlCode, 'SQLITE_READONLY', sql);
    }
    // Switching it off is not in the client's power.
    run(reader, 'PRAGMA query_only = off');
    assert.equal(
      fault(() => run(reader, 'INSERT INTO t VALUES (2, 2)')).sqlCode,
      'SQLITE_READONLY',
    );
    assert.deepEqual(rows(reader, 'SELECT count(*) FROM t'), [[1n]]);
    reader.release();
    run(db, 'INSERT INTO t VALUES (2, 2)');
  });

  it('BEGIN TRANSACTION READONLY holds until the transaction ends', () => {
    for (const begin of [
      'BEGIN TRANSACTION READONLY',
      ' begin /* a */ transaction readonly ; ',
      'BEGIN DEFERRED TRANSACTION "READONLY"',
    ]) {
      run(db, begin);
      assert.equal(
        fault(() => run(db, 'INSERT INTO t VALUES (9, 9)')).sqlCode,
        'SQLITE_READONLY',
        begin,
      );
      assert.deepEqual(rows(db, 'SELECT count(*) FROM t'), [[1n]]);
      run(db, 'COMMIT');
      run(db, 'UPDATE t SET b = b + 1');
    }
    db.runSequence('BEGIN TRANSACTION READONLY; SELECT * FROM t');
    assert.equal(fault(() => run(db, 'DELETE FROM t')).sqlCode, 'SQLITE_READONLY');
    run(db, 'ROLLBACK');
    db.runSequence('BEGIN TRANSACTION; DELETE FROM t WHERE id = 77; COMMIT');
  });
});

describe('stopping', () => {
  it('a statement stops at its deadline, and others go on', () => {
    let looks = 0;
    const clock = new ManualClock();
    const now = clock.nowMs.bind(clock);
    clock.nowMs = () => now() + looks++;
    const timed = makeEngine({ clock });
    const connection = timed.connect('read-write');
    connection.deadlineMs = clock.nowMs() + 20;
    const error = fault(() => run(connection, FOREVER));
    assert.equal(error.code, 'DB_DEADLINE');
    connection.deadlineMs = 0;
    assert.deepEqual(rows(connection, 'SELECT 1'), [[1n]]);
    timed.close();
  });

  it('a writing statement that is stopped leaves nothing', () => {
    const clock = new ManualClock();
    const timed = makeEngine({ clock });
    const connection = timed.connect('read-write');
    run(connection, 'CREATE TABLE t(n)');
    const { lsn } = timed;
    connection.deadlineMs = clock.nowMs();
    const endless = FOREVER.replace('SELECT count(*)', 'INSERT INTO t SELECT i');
    assert.equal(fault(() => run(connection, endless)).code, 'DB_DEADLINE');
    assert.equal(timed.lsn, lsn);
    assert.equal(timed.isWriterFree, true);
    connection.release();
    assertIntact(timed);
    timed.close();
  });

  it('another thread’s word stops the statement it names', () => {
    const cancel = new Int32Array(new SharedArrayBuffer(4));
    const shared = makeEngine({ cancel });
    const connection = shared.connect('read-write');
    connection.ticket = 7;
    Atomics.store(cancel, 0, 6);
    run(connection, FOREVER.replace('FROM c)', 'FROM c WHERE i < 50000)'));
    Atomics.store(cancel, 0, 7);
    assert.equal(fault(() => run(connection, FOREVER)).code, 'DB_CANCELLED');
    shared.close();
  });
});

describe('limits', () => {
  let small: Engine;
  let connection: SqlConnection;

  beforeEach(() => {
    small = makeEngine({
      limits: {
        heapSizeBytesMax: 64 * MIB,
        transactionSizeBytesMax: 2 * MIB,
        databaseSizeBytesMax: 4 * MIB,
        valueSizeBytesMax: MIB,
        resultSizeBytesMax: MIB,
        sqlSizeBytesMax: 10_000,
        connectionsCountMax: 3,
        cacheSizeBytes: MIB,
        statementsCountMax: 2,
      },
    });
    connection = small.connect('read-write');
    run(connection, 'CREATE TABLE t(id INTEGER PRIMARY KEY, b)');
  });

  afterEach(() => {
    connection.release();
    assertIntact(small);
    small.close();
  });

  function limited(sql: string, sqlCode: string, ...args: (bigint | string)[]): void {
    const error = fault(() => run(connection, sql, ...args));
    assert.equal(error.code, 'DB_LIMIT', error.message);
    assert.equal(error.sqlCode, sqlCode);
  }

  it('of a value and of a statement', () => {
    limited('SELECT ?', 'SQLITE_TOOBIG', 'x'.repeat(MIB + 1));
    limited('SELECT ?', 'SQLITE_TOOBIG', '☃'.repeat(MIB / 2));
    limited(`SELECT zeroblob(${MIB + 1})`, 'SQLITE_TOOBIG');
    limited(`SELECT '${'x'.repeat(10_000)}'`, 'SQLITE_TOOBIG');
    assert.equal(
      fault(() => connection.runSequence(`SELECT '${'x'.repeat(10_000)}'`)).code,
      'DB_LIMIT',
    );
    assert.deepEqual(rows(connection, 'SELECT length(?)', 'x'.repeat(MIB)), [[BigInt(MIB)]]);
  });

  it('of a result; what RETURNING had written is rolled back', () => {
    const many = 'WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 40)';
    limited(`${many} SELECT zeroblob(50000) FROM c`, 'RESPONSE_TOO_LARGE');
    const { lsn } = small;
    limited(
      `${many} INSERT INTO t SELECT i, zeroblob(30000) FROM c RETURNING b`,
      'RESPONSE_TOO_LARGE',
    );
    assert.equal(small.lsn, lsn);
    assert.deepEqual(rows(connection, 'SELECT count(*) FROM t'), [[0n]]);
  });

  it('of a transaction, by one statement and by many', () => {
    const insert =
      'WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 300) ' +
      'INSERT INTO t(b) SELECT zeroblob(10000) FROM c';
    limited(insert, 'SQLITE_FULL');
    run(connection, 'BEGIN');
    const error = fault(() => {
      for (let index = 0; index < 600; index++) {
        run(connection, 'INSERT INTO t(b) VALUES (zeroblob(10000))');
      }
    });
    assert.equal(error.code, 'DB_LIMIT');
    assert.equal(error.sqlCode, 'SQLITE_FULL');
    assert.equal(connection.isAutocommit, true);
    assert.equal(small.isWriterFree, true);
    assert.deepEqual(rows(connection, 'SELECT count(*) FROM t'), [[0n]]);
    run(connection, 'INSERT INTO t(b) VALUES (1)');
  });

  it('of a transaction, for a VACUUM, which rewrites every page: nothing is lost', () => {
    const eight = "json_each('[1,2,3,4,5,6,7,8]')";
    for (let index = 0; index < 12; index++) {
      run(connection, `INSERT INTO t(b) SELECT randomblob(30000) FROM ${eight}`);
    }
    const { lsn, pageCount } = small;
    const error = fault(() => run(connection, 'VACUUM'));
    assert.deepEqual([error.code, error.sqlCode], ['DB_LIMIT', 'SQLITE_FULL']);
    assert.match(error.message, /changes more than 512 pages, the limit; a VACUUM of a larger/);
    assert.deepEqual([small.lsn, small.pageCount], [lsn, pageCount]);
    assert.deepEqual(rows(connection, 'SELECT count(*) FROM t'), [[96n]]);
    run(connection, 'DELETE FROM t WHERE id > 8');
    run(connection, 'VACUUM');
    assert.ok(small.pageCount < 100, 'what fits is vacuumed');
  });

  it('of the database', () => {
    const error = fault(() => {
      for (let index = 0; index < 600; index++) {
        run(connection, 'INSERT INTO t(b) VALUES (zeroblob(10000))');
      }
    });
    assert.equal(error.sqlCode, 'SQLITE_FULL');
    assert.ok(small.pageCount <= 1024);
    run(connection, 'DELETE FROM t');
    run(connection, 'INSERT INTO t(b) VALUES (1)');
  });

  it('of memory: a sorter that outgrows it fails, and the next statement does not', () => {
    limited(
      'WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 2000) ' +
        'SELECT count(*) FROM (SELECT randomblob(100000) AS r FROM c ORDER BY r)',
      'SQLITE_NOMEM',
    );
    assert.ok(small.heapSizeBytes <= 64 * MIB);
    assert.deepEqual(rows(connection, 'SELECT 1'), [[1n]]);
  });

  it('of connections', () => {
    const others = [small.connect('read-only'), small.connect('read-only')];
    assert.equal(fault(() => small.connect('read-only')).code, 'DB_LIMIT');
    for (const other of others) other.release();
    small.connect('read-only').release();
  });

  it('of nesting: a deep expression is an error, not an overflow', () => {
    const deep = `SELECT ${'('.repeat(3000)}1${')'.repeat(3000)}`;
    assert.equal(fault(() => run(connection, deep)).code, 'DB_SQL');
    const chain = `SELECT ${'1+'.repeat(4000)}1`;
    assert.equal(fault(() => run(connection, chain)).code, 'DB_SQL');
    const nots = `SELECT ${'NOT '.repeat(2400)}1`;
    assert.equal(fault(() => run(connection, nots)).code, 'DB_SQL');
    const json = '['.repeat(900_000);
    assert.deepEqual(rows(connection, 'SELECT json_valid(?)', json), [[0n]]);
    assert.deepEqual(rows(connection, 'SELECT 1'), [[1n]]);
  });

  it('the least recently used statements are forgotten, and run again all the same', () => {
    for (let round = 0; round < 3; round++) {
      for (let index = 0; index < 5; index++) {
        assert.deepEqual(rows(connection, `SELECT ${index}`), [[BigInt(index)]]);
      }
    }
  });
});

describe('an instance that breaks', () => {
  it('loses its connections, and no commit', () => {
    let isBroken = false;
    const clock = new ManualClock();
    const now = clock.nowMs.bind(clock);
    clock.nowMs = () => {
      // An exception that passes through SQLite leaves its memory in an unknown state.
      if (isBroken) throw new Error('in the middle of a statement');
      return now();
    };
    const fragile = makeEngine({ clock });
    const writer = fragile.connect('read-write');
    const other = fragile.connect('read-write');
    run(writer, 'CREATE TABLE t(n)');
    run(writer, 'INSERT INTO t VALUES (1)');
    run(writer, 'BEGIN');
    run(writer, 'INSERT INTO t VALUES (2)');
    other.deadlineMs = now() + 1_000;
    isBroken = true;
    const error = fault(() => run(other, FOREVER));
    assert.equal(error.code, 'DB_LOST');
    assert.match(String(error.cause), /in the middle of a statement/);
    isBroken = false;
    assert.equal(fault(() => run(writer, 'COMMIT')).code, 'DB_LOST');
    writer.release();
    other.release();
    const again = fragile.connect('read-write');
    assert.deepEqual(rows(again, 'SELECT n FROM t'), [[1n]]);
    run(again, 'INSERT INTO t VALUES (3)');
    again.release();
    assertIntact(fragile);
    fragile.close();
  });
});

describe('a page source that fails', () => {
  it('fails the statement with the cause, and nothing else', () => {
    const image = makeEngine();
    const made = image.connect('read-write');
    run(made, 'CREATE TABLE a(n)');
    run(made, 'CREATE TABLE b(n)');
    run(made, 'INSERT INTO a VALUES (1)');
    let badPage = 0;
    const source: PageSource = {
      lsn: image.lsn,
      pageCount: image.pageCount,
      readPage(pageNumber, _lsn, into) {
        if (pageNumber === badPage) throw new Error(`page ${pageNumber} fails its checksum`);
        return image.readPage(pageNumber, into);
      },
    };
    const failing = makeEngine({ source });
    const connection = failing.connect('read-write');
    badPage = 2;
    const error = fault(() => run(connection, 'SELECT * FROM a'));
    assert.equal(error.code, 'DB_STORAGE');
    assert.match(String(error.cause), /page 2 fails its checksum/);
    assert.deepEqual(rows(connection, 'SELECT * FROM b'), []);
    badPage = 0;
    assert.deepEqual(rows(connection, 'SELECT * FROM a'), [[1n]]);
    failing.close();
    image.close();
  });
});
