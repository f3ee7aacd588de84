// Transactions of several connections: snapshots, the one writer, rollbacks of every kind.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { CommitRecord, PageSource, SqlConnection } from '../../host/db/contract.ts';
import type { Engine } from '../../host/db/engine/index.ts';
import { assertIntact, fault, makeEngine, rows, run } from '../support/sql.ts';

let engine: Engine;
let writer: SqlConnection;
let reader: SqlConnection;
let freedCount: number;

beforeEach(() => {
  freedCount = 0;
  engine = makeEngine({
    onWriterFree: () => {
      freedCount++;
    },
  });
  writer = engine.connect('read-write');
  reader = engine.connect('read-write');
  writer.runSequence('CREATE TABLE t(id INTEGER PRIMARY KEY, n INT); INSERT INTO t VALUES (1, 10)');
  freedCount = 0;
});

afterEach(() => {
  writer.release();
  reader.release();
  assert.equal(engine.isWriterFree, true);
  assertIntact(engine);
  // Nothing keeps old versions any more: one of each page of the database is left. The work of
  // finding the others is spread over the commits that follow.
  const last = engine.connect('read-write');
  for (let index = 0; index < 8; index++) run(last, 'UPDATE t SET n = n + 1');
  last.release();
  assert.equal(engine.overlaySizeBytes, engine.pageCount * 4096);
  engine.close();
});

function n(connection: SqlConnection): unknown {
  return rows(connection, 'SELECT n FROM t WHERE id = 1')[0]?.[0];
}

describe('snapshots', () => {
  it('a transaction reads the state it began with, however many commits follow', () => {
    run(reader, 'BEGIN');
    assert.equal(n(reader), 10n);
    for (let value = 11; value <= 60; value++) run(writer, `UPDATE t SET n = ${value}`);
    assert.equal(n(reader), 10n);
    run(reader, 'COMMIT');
    assert.equal(n(reader), 60n);
  });

  it('each transaction has its own', () => {
    const readers = [0, 1, 2, 3].map(() => engine.connect('read-only'));
    for (const [index, each] of readers.entries()) {
      run(writer, `UPDATE t SET n = ${index}`);
      run(each, 'BEGIN');
      assert.equal(n(each), BigInt(index));
      run(writer, 'UPDATE t SET n = -1');
    }
    assert.deepEqual(readers.map(n), [0n, 1n, 2n, 3n]);
    for (const each of readers) each.release();
  });

  it('what is not committed is seen by its own connection only', () => {
    run(writer, 'BEGIN');
    run(writer, 'UPDATE t SET n = 99');
    assert.equal(n(writer), 99n);
    assert.equal(n(reader), 10n);
    run(writer, 'COMMIT');
    assert.equal(n(reader), 99n);
  });

  it('a table made by a commit is there for the next statement of everyone', () => {
    assert.match(fault(() => run(reader, 'SELECT * FROM made')).message, /no such table/);
    run(writer, 'CREATE TABLE made(a)');
    assert.deepEqual(rows(reader, 'SELECT * FROM made'), []);
  });

  it('seenLsn is the newest state a connection has shown', () => {
    const lsn = engine.lsn;
    assert.equal(reader.seenLsn, 0);
    run(reader, 'SELECT 1');
    assert.equal(reader.seenLsn, 0);
    n(reader);
    assert.equal(reader.seenLsn, lsn);
    run(writer, 'UPDATE t SET n = 1');
    assert.equal(writer.seenLsn, lsn + 1);
    assert.equal(reader.seenLsn, lsn);
  });

  it('a snapshot outlives a VACUUM that moves every page and cuts the file', () => {
    run(writer, 'CREATE TABLE big(b)');
    run(
      writer,
      `WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 200)
      INSERT INTO big SELECT randomblob(3000) FROM c`,
    );
    run(writer, 'DELETE FROM big WHERE rowid > 5');
    const before = engine.pageCount;
    run(reader, 'BEGIN');
    assert.deepEqual(rows(reader, 'SELECT count(*) FROM big'), [[5n]]);
    run(writer, 'VACUUM');
    assert.ok(engine.pageCount < before / 4, `${engine.pageCount} pages of ${before}`);
    assert.deepEqual(rows(reader, 'SELECT count(*), sum(length(b)) FROM big'), [[5n, 15_000n]]);
    assert.deepEqual(rows(reader, 'PRAGMA page_count'), [[BigInt(before)]]);
    run(reader, 'COMMIT');
    assert.deepEqual(rows(reader, 'SELECT count(*) FROM big'), [[5n]]);
    // Pages that were cut off come back empty.
    run(
      writer,
      `WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 300)
      INSERT INTO big SELECT randomblob(3000) FROM c`,
    );
    assert.deepEqual(rows(reader, 'PRAGMA integrity_check'), [['ok']]);
    run(writer, 'DROP TABLE big');
    run(writer, 'VACUUM');
  });
});

describe('the writer', () => {
  it('is one: the second gets DB_BUSY, nothing happens, and it may try again', () => {
    run(writer, 'BEGIN IMMEDIATE');
    for (const sql of ['UPDATE t SET n = 0', 'BEGIN IMMEDIATE', 'CREATE TABLE u(a)']) {
      const error = fault(() => run(reader, sql));
      assert.equal(error.code, 'DB_BUSY', sql);
      assert.equal(error.sqlCode, 'SQLITE_BUSY');
      assert.equal(reader.isAutocommit, true);
    }
    assert.equal(writer.isWriter, true);
    assert.equal(freedCount, 0);
    run(writer, 'COMMIT');
    assert.equal(freedCount, 1);
    run(reader, 'UPDATE t SET n = 0');
    assert.equal(n(writer), 0n);
  });

  it('a deferred transaction whose snapshot is old gets DB_STALE and can still read', () => {
    run(reader, 'BEGIN');
    assert.equal(n(reader), 10n);
    run(writer, 'UPDATE t SET n = 11');
    const error = fault(() => run(reader, 'UPDATE t SET n = n + 1'));
    assert.equal(error.code, 'DB_STALE');
    assert.equal(error.sqlCode, 'SQLITE_BUSY');
    assert.equal(error.extendedCode, 'SQLITE_BUSY_SNAPSHOT');
    assert.equal(reader.isAutocommit, false);
    assert.equal(n(reader), 10n);
    run(reader, 'ROLLBACK');
    run(reader, 'UPDATE t SET n = n + 1');
    assert.equal(n(reader), 12n);
  });

  it('a deferred transaction whose snapshot is the newest becomes the writer', () => {
    run(reader, 'BEGIN');
    assert.equal(n(reader), 10n);
    run(reader, 'UPDATE t SET n = n + 1');
    assert.equal(reader.isWriter, true);
    run(reader, 'COMMIT');
    assert.equal(n(writer), 11n);
  });

  it('a sequence that meets a writer half-way is continued where it stopped', () => {
    const sql = 'SELECT 1; INSERT INTO t VALUES (2, 20); INSERT INTO t VALUES (3, 30)';
    run(writer, 'BEGIN IMMEDIATE');
    const error = fault(() => reader.runSequence(sql));
    assert.equal(error.code, 'DB_BUSY');
    run(writer, 'ROLLBACK');
    reader.runSequence(sql, error.resumeAt);
    assert.deepEqual(rows(reader, 'SELECT count(*) FROM t'), [[3n]]);
  });

  it('releasing a connection rolls its transaction back and frees the writer', () => {
    const other = engine.connect('read-write');
    run(other, 'BEGIN IMMEDIATE');
    run(other, 'UPDATE t SET n = 0');
    other.release();
    assert.equal(freedCount, 1);
    assert.equal(n(reader), 10n);
    run(writer, 'UPDATE t SET n = 1');
  });
});

describe('rollback', () => {
  it('of a transaction, of a savepoint, of a statement', () => {
    const lsn = engine.lsn;
    run(writer, 'BEGIN');
    run(writer, 'UPDATE t SET n = 11');
    run(writer, 'SAVEPOINT s');
    run(writer, 'INSERT INTO t VALUES (2, 20)');
    run(writer, 'ROLLBACK TO s');
    // The first row of this statement goes with the second one's error, the transaction stays.
    assert.equal(fault(() => run(writer, 'INSERT INTO t VALUES (3, 30), (1, 1)')).code, 'DB_SQL');
    assert.equal(writer.isAutocommit, false);
    assert.deepEqual(rows(writer, 'SELECT * FROM t'), [[1n, 11n]]);
    run(writer, 'ROLLBACK');
    assert.equal(n(writer), 10n);
    assert.equal(engine.lsn, lsn);
  });

  it('by the conflict clause ROLLBACK ends the transaction', () => {
    run(writer, 'BEGIN');
    run(writer, 'INSERT INTO t VALUES (2, 20)');
    fault(() => run(writer, 'INSERT OR ROLLBACK INTO t VALUES (1, 1)'));
    assert.equal(writer.isAutocommit, true);
    assert.equal(engine.isWriterFree, true);
    assert.deepEqual(rows(reader, 'SELECT count(*) FROM t'), [[1n]]);
  });

  it('by the conflict clauses FAIL, IGNORE and REPLACE goes as SQLite says', () => {
    fault(() => run(writer, 'INSERT OR FAIL INTO t VALUES (2, 20), (1, 1), (3, 30)'));
    run(writer, 'INSERT OR IGNORE INTO t VALUES (1, 1), (4, 40)');
    run(writer, 'INSERT OR REPLACE INTO t VALUES (4, 41)');
    assert.deepEqual(rows(reader, 'SELECT * FROM t'), [
      [1n, 10n],
      [2n, 20n],
      [4n, 41n],
    ]);
  });

  it('of a large transaction leaves nothing behind', () => {
    run(writer, 'BEGIN');
    run(
      writer,
      `WITH RECURSIVE c(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM c WHERE i < 20000)
      INSERT INTO t SELECT i, i FROM c`,
    );
    run(writer, 'ROLLBACK');
    assert.deepEqual(rows(writer, 'SELECT count(*) FROM t'), [[1n]]);
    assert.ok(engine.pageCount < 10);
  });
});

describe('a sink that refuses', () => {
  it('makes the statement fail and roll back, and the next commit has the same LSN', () => {
    let refusal: Error | null = null;
    const lsns: number[] = [];
    const refusing = makeEngine({
      sink: {
        commit({ lsn }) {
          if (refusal !== null) throw refusal;
          lsns.push(lsn);
        },
      },
    });
    const db = refusing.connect('read-write');
    run(db, 'CREATE TABLE t(n)');
    run(db, 'INSERT INTO t VALUES (1)');
    refusal = new Error('the group is full');
    const error = fault(() => run(db, 'INSERT INTO t VALUES (2)'));
    assert.equal(error.code, 'DB_STORAGE');
    assert.equal(error.cause, refusal);
    run(db, 'BEGIN');
    run(db, 'INSERT INTO t VALUES (3)');
    assert.equal(fault(() => run(db, 'COMMIT')).code, 'DB_STORAGE');
    assert.equal(db.isAutocommit, true);
    assert.equal(refusing.isWriterFree, true);
    assert.deepEqual(rows(db, 'SELECT n FROM t'), [[1n]]);
    refusal = null;
    run(db, 'INSERT INTO t VALUES (4)');
    assert.deepEqual(rows(db, 'SELECT n FROM t'), [[1n], [4n]]);
    assert.deepEqual(lsns, [1, 2, 3]);
    db.release();
    assertIntact(refusing);
    refusing.close();
  });
});

describe('a database of more than a gigabyte', () => {
  it('leaves out the page that SQLite locks', () => {
    const LOCK_PAGE = 0x4000_0000 / 4096 + 1;
    // A database of two pages whose header says that there are many more, all unused.
    const pageCount = LOCK_PAGE - 3;
    const source: PageSource = {
      lsn: engine.lsn,
      pageCount,
      readPage(pageNumber, _lsn, into) {
        if (!engine.readPage(pageNumber, into)) return pageNumber <= pageCount;
        if (pageNumber === 1) new DataView(into.buffer, into.byteOffset).setUint32(28, pageCount);
        return true;
      },
    };
    const written = new Set<number>();
    let newest = 0;
    const sink = {
      commit(record: CommitRecord): void {
        newest = record.pageCount;
        for (const { pageNumber, before } of record.pages) {
          assert.equal(before === null, pageNumber > pageCount && !written.has(pageNumber));
          written.add(pageNumber);
        }
      },
    };
    const large = makeEngine({ source, sink });
    const connection = large.connect('read-write');
    for (let value = 2; value < 10; value++) {
      run(connection, 'INSERT INTO t VALUES (?, zeroblob(9000))', BigInt(value));
    }
    assert.ok(newest > LOCK_PAGE, `${newest} pages`);
    assert.equal(written.has(LOCK_PAGE), false);
    assert.ok(written.has(LOCK_PAGE - 1) && written.has(LOCK_PAGE + 1));
    connection.release();
    const reader = large.connect('read-only');
    assert.deepEqual(rows(reader, 'SELECT sum(length(n)) FROM t WHERE id > 1'), [[72_000n]]);
    for (const [finding] of rows(reader, 'PRAGMA integrity_check(9)')) {
      assert.match(String(finding), /never used/);
    }
    large.close();
  });
});

describe('connections', () => {
  it('come back from the pool like new', () => {
    const first = engine.connect('read-write');
    run(first, 'INSERT INTO t VALUES (5, 50)');
    run(first, 'CREATE TEMP TABLE mine(a)');
    run(first, 'PRAGMA foreign_keys = off');
    assert.equal(first.holdsState, true);
    first.release();
    const next = engine.connect('read-write');
    assert.deepEqual(rows(next, 'SELECT last_insert_rowid()'), [[0n]]);
    assert.deepEqual(rows(next, 'PRAGMA foreign_keys'), [[1n]]);
    assert.match(fault(() => run(next, 'SELECT * FROM mine')).message, /no such table/);
    assert.equal(next.holdsState, false);
    run(next, 'BEGIN');
    assert.equal(next.holdsState, true);
    next.release();
  });

  it('closed under their users answer DB_LOST', () => {
    const lost = engine.connect('read-write');
    run(lost, 'BEGIN IMMEDIATE');
    const kept = engine.pin();
    engine.dropTo(kept);
    engine.unpin(kept);
    assert.equal(fault(() => run(lost, 'COMMIT')).code, 'DB_LOST');
    lost.release();
    writer = engine.connect('read-write');
    reader = engine.connect('read-write');
    assert.equal(engine.isWriterFree, true);
  });

  it('commits after a pinned state can be taken back', () => {
    run(reader, 'BEGIN');
    assert.equal(n(reader), 10n);
    const durable = engine.pin();
    for (let value = 0; value < 20; value++) run(writer, `INSERT INTO t(n) VALUES (${value})`);
    run(writer, 'CREATE TABLE other(a)');
    engine.dropTo(durable);
    assert.equal(engine.lsn, durable.lsn);
    engine.unpin(durable);
    writer = engine.connect('read-write');
    reader = engine.connect('read-write');
    assert.deepEqual(rows(reader, 'SELECT * FROM t'), [[1n, 10n]]);
    assert.match(fault(() => run(reader, 'SELECT * FROM other')).message, /no such table/);
    run(writer, 'UPDATE t SET n = 12');
    assert.equal(n(reader), 12n);
  });
});
