// One database: what is durable when, who has the writer, what a failing log costs, checkpoints.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SeededRandom } from '../../host/core/index.ts';
import type { Database } from '../../host/db/database.ts';
import type { Connection } from '../../host/db/engine/index.ts';
import { isSqlError, type SqlError } from '../../host/db/sql-error.ts';
import { durable, MemoryDisk, MemoryPages, openDatabase, until } from '../support/database.ts';
import { testSeed } from '../support/seed.ts';
import { fault, rows, run } from '../support/sql.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function withTable(database: Database): Promise<Connection> {
  const connection = database.connect('read-write');
  connection.runSequence('CREATE TABLE t(id INTEGER PRIMARY KEY, n INT)');
  run(connection, 'INSERT INTO t VALUES (1, 0)');
  await durable(database, connection.seenLsn);
  return connection;
}

function n(connection: Connection): unknown {
  return rows(connection, 'SELECT n FROM t WHERE id = 1')[0]?.[0];
}

/** Runs a statement, waiting for the writer as a session does. */
function runWaiting(database: Database, connection: Connection, sql: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const attempt = (): void => {
      try {
        resolve(run(connection, sql));
      } catch (error) {
        if (!isSqlError(error) || error.code !== 'DB_BUSY') reject(error);
        else wait();
      }
    };
    const wait = (): void => {
      database.whenWriterFree(connection, (error) => (error ? reject(error) : attempt()));
    };
    attempt();
  });
}

async function rejection(promise: Promise<unknown>): Promise<SqlError> {
  try {
    await promise;
  } catch (error) {
    if (isSqlError(error)) return error;
    throw error;
  }
  assert.fail('it was not rejected');
}

async function assertIntact(database: Database): Promise<void> {
  const connection = database.connect('read-only');
  assert.deepEqual(rows(connection, 'PRAGMA integrity_check'), [['ok']]);
  connection.release();
}

describe('durability', () => {
  it('commits of one turn share a group, and those of a sync share the next', async () => {
    const { database, disk } = await openDatabase();
    const connection = await withTable(database);
    const before = disk.groups.length;
    for (let index = 0; index < 10; index++) run(connection, 'UPDATE t SET n = n + 1');
    const release = disk.holdAppends();
    await turn();
    for (let index = 0; index < 20; index++) run(connection, 'UPDATE t SET n = n + 1');
    release();
    await durable(database, connection.seenLsn);
    const sizes = disk.groups.slice(before).map((group) => group.lastLsn - group.firstLsn + 1);
    assert.deepEqual(sizes, [10, 20]);
    await database.close();
  });

  it('a reply waits for the state it shows, a read too, and for no other', async () => {
    const { database, disk } = await openDatabase();
    const writer = await withTable(database);
    const reader = database.connect('read-only');
    const old = database.connect('read-only');
    run(old, 'BEGIN');
    n(old);
    const release = disk.holdAppends();
    run(writer, 'UPDATE t SET n = 7');
    assert.equal(n(reader), 7n);
    assert.equal(n(old), 0n);
    const order: string[] = [];
    database.whenDurable(writer.seenLsn, () => order.push('write'));
    database.whenDurable(reader.seenLsn, () => order.push('read'));
    database.whenDurable(old.seenLsn, () => order.push('old'));
    await turn();
    await turn();
    assert.deepEqual(order, ['old']);
    release();
    await durable(database, reader.seenLsn);
    assert.deepEqual(order, ['old', 'write', 'read']);
    await database.close();
  });

  it('what was durable is there after an opening, from the log alone', async () => {
    const first = await openDatabase();
    const connection = await withTable(first.database);
    for (let index = 0; index < 30; index++) run(connection, `INSERT INTO t(n) VALUES (${index})`);
    run(connection, 'DELETE FROM t WHERE n > 20');
    await durable(first.database, connection.seenLsn);
    const disk = new MemoryDisk();
    disk.groups = [...first.disk.groups];
    const again = await openDatabase({ disk });
    const reader = again.database.connect('read-only');
    assert.equal(again.database.durableLsn, connection.seenLsn);
    assert.deepEqual(rows(reader, 'SELECT * FROM t'), rows(connection, 'SELECT * FROM t'));
    await assertIntact(again.database);
    await first.database.close();
    await again.database.close();
  });

  it('a close makes everything durable, folds it, and loses lent connections', async () => {
    const { database, pages, disk } = await openDatabase();
    const connection = await withTable(database);
    const other = database.connect('read-write');
    run(connection, 'UPDATE t SET n = 5');
    run(other, 'BEGIN IMMEDIATE');
    run(other, 'UPDATE t SET n = 6');
    await database.close();
    assert.equal(fault(() => run(other, 'COMMIT')).code, 'DB_LOST');
    assert.equal(fault(() => database.connect('read-only')).code, 'DB_LOST');
    assert.equal(pages.lsn, 3);
    assert.equal(pages.isClosed, true);
    assert.equal(disk.groups.length, 0);
    const again = await openDatabase({ disk, pages });
    assert.equal(n(again.database.connect('read-only')), 5n);
    await again.database.close();
  });

  it('a log that ends before what was folded is refused', async () => {
    const { database, pages } = await openDatabase();
    await withTable(database);
    await database.close();
    await assert.rejects(openDatabase({ pages }), /2 is durable/);
  });
});

describe('a log that fails', () => {
  for (const writes of [false, true]) {
    const where = writes ? 'stands in the log' : 'is not in the log';
    it(`takes back what is not durable and opens again; the group ${where}`, async () => {
      const { database, disk, events } = await openDatabase();
      const writer = await withTable(database);
      const waiting = database.connect('read-write');
      run(writer, 'UPDATE t SET n = 1');
      await durable(database, writer.seenLsn);
      disk.failure = { error: new Error('EIO: sync'), writes };
      run(writer, 'UPDATE t SET n = 2');
      const lost = durable(database, writer.seenLsn);
      await turn();
      run(writer, 'BEGIN IMMEDIATE');
      run(writer, 'UPDATE t SET n = 3');
      const blocked = runWaiting(database, waiting, 'UPDATE t SET n = 4');
      const errors = await Promise.all([rejection(lost), rejection(blocked)]);
      for (const error of errors) {
        assert.equal(error.code, 'DB_LOST');
        assert.match(String(error.cause), /EIO: sync/);
      }
      assert.equal(fault(() => run(writer, 'COMMIT')).code, 'DB_LOST');
      await until(() => database.stats.state === 'open');
      assert.deepEqual(
        events.map(({ kind }) => kind),
        ['log-failed', 'log-reopened'],
      );
      const after = database.connect('read-write');
      assert.equal(n(after), writes ? 2n : 1n);
      assert.equal(database.durableLsn, writes ? 4 : 3);
      run(after, 'UPDATE t SET n = n + 10');
      await durable(database, after.seenLsn);
      assert.equal(n(after), writes ? 12n : 11n);
      await assertIntact(database);
      await database.close();
    });
  }

  it('is tried again until it opens; meanwhile what is durable is read, none writes', async () => {
    const { database, disk, events } = await openDatabase();
    const writer = await withTable(database);
    disk.openFailure = new Error('ENOENT');
    disk.failure = { error: new Error('EIO'), writes: false };
    run(writer, 'UPDATE t SET n = 1');
    await rejection(durable(database, writer.seenLsn));
    const meanwhile = database.connect('read-write');
    run(meanwhile, 'BEGIN');
    assert.equal(n(meanwhile), 0n);
    await durable(database, meanwhile.seenLsn);
    const refused = fault(() => run(meanwhile, 'UPDATE t SET n = 9'));
    assert.equal(refused.code, 'DB_LOST');
    assert.match(refused.message, /takes no writes now, for its log/);
    await until(() => events.filter(({ kind }) => kind === 'reopen-failed').length > 1);
    assert.equal(fault(() => run(database.connect('read-write'), 'DELETE FROM t')).code, 'DB_LOST');
    disk.openFailure = null;
    await until(() => database.stats.state === 'open');
    const after = database.connect('read-write');
    assert.equal(n(after), 0n);
    run(after, 'UPDATE t SET n = 2');
    await durable(database, after.seenLsn);
    await database.close();
  });

  // A reader that began before the log was open again wrote over what was replayed meanwhile: its
  // snapshot was the newest state when it became the writer. Nobody becomes one before that now.
  it('and had more than was known, shows it later, and lets no older one write', async () => {
    const { database, disk } = await openDatabase();
    const writer = await withTable(database);
    disk.openFailure = new Error('EIO: open');
    disk.failure = { error: new Error('EIO'), writes: true };
    run(writer, 'UPDATE t SET n = 1');
    await rejection(durable(database, writer.seenLsn));
    const early = database.connect('read-write');
    run(early, 'BEGIN');
    assert.equal(n(early), 0n);
    disk.openFailure = null;
    await until(() => database.stats.state === 'open');
    assert.equal(n(early), 0n, 'its snapshot stays');
    assert.equal(fault(() => run(early, 'UPDATE t SET n = 5')).code, 'DB_STALE');
    assert.equal(n(database.connect('read-only')), 1n);
    await assertIntact(database);
    await database.close();
  });

  it('and is closed meanwhile, ends', async () => {
    const { database, disk } = await openDatabase();
    const writer = await withTable(database);
    disk.openFailure = new Error('ENOENT');
    disk.failure = { error: new Error('EIO'), writes: false };
    run(writer, 'UPDATE t SET n = 1');
    await rejection(durable(database, writer.seenLsn));
    await database.close();
    assert.equal(database.stats.state, 'closed');
  });
});

describe('the writer', () => {
  it('goes to those who wait in the order in which they came', async () => {
    const { database } = await openDatabase();
    const holder = await withTable(database);
    run(holder, 'CREATE TABLE log(who)');
    run(holder, 'BEGIN IMMEDIATE');
    const waiting = Array.from({ length: 8 }, (_, who) => {
      const connection = database.connect('read-write');
      return runWaiting(database, connection, `INSERT INTO log VALUES (${who})`);
    });
    run(holder, 'COMMIT');
    // It comes last, though the writer is free: it is reserved.
    const late = database.connect('read-write');
    assert.equal(fault(() => run(late, 'INSERT INTO log VALUES (99)')).code, 'DB_BUSY');
    await runWaiting(database, late, 'INSERT INTO log VALUES (8)');
    await Promise.all(waiting);
    assert.deepEqual(
      rows(late, 'SELECT who FROM log').map(([who]) => Number(who)),
      [0, 1, 2, 3, 4, 5, 6, 7, 8],
    );
    run(holder, 'INSERT INTO log VALUES (9)');
    await database.close();
  });

  it('passes from transaction to transaction', async () => {
    const { database } = await openDatabase();
    await withTable(database);
    const transact = async (): Promise<void> => {
      const connection = database.connect('read-write');
      await runWaiting(database, connection, 'BEGIN IMMEDIATE');
      const value = n(connection) as bigint;
      await turn();
      run(connection, `UPDATE t SET n = ${value + 1n}`);
      await turn();
      run(connection, 'COMMIT');
      await durable(database, connection.seenLsn);
      connection.release();
    };
    await Promise.all(Array.from({ length: 40 }, transact));
    assert.equal(n(database.connect('read-only')), 40n);
    await database.close();
  });

  it('is lost by a transaction that keeps others waiting, and only then', async () => {
    const { database, clock } = await openDatabase({ limits: { transactionMs: 20 } });
    const holder = await withTable(database);
    run(holder, 'BEGIN IMMEDIATE');
    run(holder, 'UPDATE t SET n = 1');
    clock.advance(1_000);
    await turn();
    assert.equal(n(holder), 1n);
    const other = database.connect('read-write');
    await runWaiting(database, other, 'UPDATE t SET n = 2');
    const error = fault(() => run(holder, 'COMMIT'));
    assert.equal(error.sqlCode, 'TRANSACTION_TIMEOUT');
    assert.equal(holder.isAutocommit, true);
    assert.equal(n(holder), 2n);
    await database.close();
  });

  it('has a bounded queue that answers at once when it is full', async () => {
    const { database, clock } = await openDatabase({
      limits: { writersWaitingCountMax: 2, writerWaitMsMax: 30 },
    });
    const holder = await withTable(database);
    run(holder, 'BEGIN IMMEDIATE');
    const waiting = [0, 1].map(() =>
      rejection(runWaiting(database, database.connect('read-write'), 'UPDATE t SET n = 1')),
    );
    const third = database.connect('read-write');
    const full = await rejection(runWaiting(database, third, 'UPDATE t SET n = 1'));
    assert.equal(full.sqlCode, 'TRANSACTION_BUSY');
    clock.advance(30);
    for (const error of await Promise.all(waiting)) assert.equal(error.sqlCode, 'SQLITE_BUSY');
    run(holder, 'COMMIT');
    run(third, 'UPDATE t SET n = 1');
    await database.close();
  });

  it('is not kept for a connection that waits no more', async () => {
    const { database } = await openDatabase();
    const holder = await withTable(database);
    run(holder, 'BEGIN IMMEDIATE');
    const gone = database.connect('read-write');
    void runWaiting(database, gone, 'UPDATE t SET n = 1').catch(() => {});
    const stays = database.connect('read-write');
    const done = runWaiting(database, stays, 'UPDATE t SET n = 2');
    run(holder, 'COMMIT');
    database.stopWaiting(gone);
    gone.release();
    await done;
    assert.equal(n(stays), 2n);
    await database.close();
  });
});

describe('checkpoints', () => {
  it('fold what is durable, free it and trim the log, beside commits and snapshots', async () => {
    const { database, disk, pages } = await openDatabase();
    const writer = await withTable(database);
    const reader = database.connect('read-only');
    run(reader, 'BEGIN');
    assert.equal(n(reader), 0n);
    for (let index = 0; index < 500; index++) {
      run(writer, `INSERT INTO t(n) VALUES (${index}), (${index})`);
    }
    await durable(database, writer.seenLsn);
    let release = (): void => {};
    pages.hold = new Promise((resolve) => {
      release = resolve;
    });
    const folding = database.checkpoint();
    for (let index = 0; index < 100; index++) run(writer, 'UPDATE t SET n = n + 1 WHERE id = 1');
    await durable(database, writer.seenLsn);
    release();
    pages.hold = null;
    await folding;
    assert.equal(pages.lsn, 502);
    assert.equal(n(reader), 0n);
    assert.equal(n(writer), 100n);
    assert.equal(disk.groups[0]!.firstLsn, 503);
    assert.equal(pages.statesCount, 2);
    run(reader, 'COMMIT');
    assert.equal(pages.statesCount, 1);
    await database.checkpoint();
    for (let index = 0; index < 9; index++) run(writer, 'UPDATE t SET n = n + 1 WHERE id = 1');
    assert.ok(database.stats.overlaySizeBytes < 10 * 4096, `${database.stats.overlaySizeBytes}`);
    await assertIntact(database);
    await database.close();
  });

  it('come by themselves as changes pile up, and as time goes by', async () => {
    const { database, clock, events } = await openDatabase({
      limits: { foldSizeBytes: 100_000, foldIntervalMs: 20 },
    });
    const writer = await withTable(database);
    await until(() => events.length === 1);
    for (let index = 0; index < 50; index++)
      run(writer, 'INSERT INTO t(n) VALUES (zeroblob(4000))');
    await durable(database, writer.seenLsn);
    await until(() => database.stats.foldedLsn === writer.seenLsn);
    clock.advance(20);
    assert.ok(database.stats.checkpointsCount >= 2);
    await database.close();
  });

  it('that fail leave everything as it was, and the next one makes up for it', async () => {
    const { database, pages } = await openDatabase();
    const writer = await withTable(database);
    pages.failure = new Error('ENOSPC');
    await assert.rejects(database.checkpoint(), /ENOSPC/);
    run(writer, 'UPDATE t SET n = 3');
    await durable(database, writer.seenLsn);
    pages.failure = null;
    await database.checkpoint();
    assert.equal(pages.lsn, writer.seenLsn);
    assert.equal(n(writer), 3n);
    await database.close();
  });

  it('free a log that is longer than the memory while it is replayed', async () => {
    const first = await openDatabase();
    const connection = await withTable(first.database);
    for (let index = 0; index < 60; index++) {
      run(connection, 'INSERT INTO t(n) VALUES (zeroblob(8000))');
      await durable(first.database, connection.seenLsn);
    }
    const disk = new MemoryDisk();
    disk.groups = [...first.disk.groups];
    await first.database.close();
    const { database, pages } = await openDatabase({ disk, limits: { foldSizeBytes: 100_000 } });
    assert.ok(pages.lsn > 40, `folded up to ${pages.lsn}`);
    assert.deepEqual(rows(database.connect('read-only'), 'SELECT count(*) FROM t'), [[61n]]);
    await assertIntact(database);
    await database.close();
  });

  it('writers are refused when nothing can be freed, and old readers give way', async () => {
    const { database, pages } = await openDatabase({ limits: { overlaySizeBytesMax: 400_000 } });
    const writer = await withTable(database);
    const reader = database.connect('read-only');
    run(reader, 'BEGIN');
    n(reader);
    const insert = 'INSERT INTO t(n) VALUES (zeroblob(8000))';
    const error = fault(() => {
      for (let index = 0; index < 500; index++) run(writer, insert);
    });
    assert.equal(error.code, 'DB_LIMIT');
    assert.match(error.message, /page store has not caught up/);
    await durable(database, writer.seenLsn);
    // Updates of every page, each kept for the reader of the state before.
    await database.checkpoint();
    run(writer, insert);
    await durable(database, writer.seenLsn);
    assert.equal(pages.lsn, writer.seenLsn - 1);
    await database.close();
  });
});

describe('a life', () => {
  it('of random work, crashes and failures loses no durable commit', async () => {
    const seed = testSeed('database-life');
    const random = new SeededRandom(seed);
    const below = (count: number): number => random.uint32() % count;
    const disk = new MemoryDisk();
    let pages = new MemoryPages();
    let durableValue = 0n;
    let { database } = await openDatabase({ disk, pages, limits: { foldSizeBytes: 60_000 } });
    let connection = await withTable(database);
    for (let step = 0; step < 300; step++) {
      const dice = below(20);
      if (dice < 14) {
        const value = BigInt(step);
        const blob = `zeroblob(${below(6_000)})`;
        try {
          run(connection, `UPDATE t SET n = ${value} WHERE id = 1`);
          run(connection, `INSERT OR REPLACE INTO t VALUES (${2 + below(40)}, ${blob})`);
        } catch (error) {
          assert.ok(isSqlError(error) && error.code === 'DB_LOST', String(error));
          await until(() => database.stats.state === 'open');
          connection = database.connect('read-write');
          continue;
        }
        if (below(2) === 0) {
          const isDurable = await durable(database, connection.seenLsn).then(
            () => true,
            () => false,
          );
          if (isDurable) durableValue = value;
        }
      } else if (dice < 16) {
        disk.failure = { error: new Error('EIO'), writes: below(2) === 0 };
      } else if (dice < 18) {
        await database.checkpoint().catch(() => {});
      } else {
        // The process ends: what is on the disk is all there is.
        const left = new MemoryDisk();
        disk.failure = null;
        await until(() => database.stats.state === 'open');
        await database.checkpoint();
        left.groups = [...disk.groups];
        left.baseLsn = disk.baseLsn;
        const copy = new MemoryPages();
        await copy.fold(pages.lsn, pages.pageCount, everyPage(pages));
        await database.close();
        disk.groups = left.groups;
        disk.baseLsn = left.baseLsn;
        pages = copy;
        ({ database } = await openDatabase({ disk, pages, limits: { foldSizeBytes: 60_000 } }));
        connection = database.connect('read-write');
      }
      await until(() => database.stats.state === 'open');
      const reader = database.connect('read-only');
      assert.ok((n(reader) as bigint) >= durableValue, `step ${step}, SEED=${seed}`);
      reader.release();
      if (database.stats.connectionsCount === 0) connection = database.connect('read-write');
    }
    disk.failure = null;
    await assertIntact(database);
    await database.close();
  });
});

function* everyPage(pages: MemoryPages): Generator<{ pageNumber: number; bytes: Uint8Array }> {
  for (let pageNumber = 1; pageNumber <= pages.pageCount; pageNumber++) {
    const bytes = new Uint8Array(4096);
    if (pages.readPage(pageNumber, pages.lsn, bytes)) yield { pageNumber, bytes };
  }
}

describe('a hot row', () => {
  it('is sold until none is left, once each, whoever asks', async () => {
    const { database, disk } = await openDatabase();
    const seller = await withTable(database);
    run(seller, 'UPDATE t SET n = 500 WHERE id = 1');
    const sell = 'UPDATE t SET n = n - 1 WHERE id = 1 AND n > 0 RETURNING n';
    const sold: bigint[] = [];
    const buy = async (): Promise<void> => {
      for (;;) {
        const connection = database.connect('read-write');
        const [row] = rows(connection, sell);
        await durable(database, connection.seenLsn);
        connection.release();
        if (row === undefined) return;
        sold.push(row[0] as bigint);
      }
    };
    await Promise.all(Array.from({ length: 64 }, buy));
    assert.deepEqual(
      sold.sort((one, other) => Number(one - other)),
      Array.from({ length: 500 }, (_, left) => BigInt(left)),
    );
    assert.ok(disk.groups.length < 60, `${disk.groups.length} groups`);
    await assertIntact(database);
    await database.close();
  });
});
