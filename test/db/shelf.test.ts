// Databases over the real log and the real page store: opened on demand, closed for others, and
// whole in a copy of their files taken at any time, as after a kill.

import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import { ManualClock, SeededRandom } from '../../host/core/index.ts';
import type { Database } from '../../host/db/database.ts';
import {
  DatabaseCatalog,
  type DatabaseLease,
  DatabaseShelf,
  type ShelfOptions,
} from '../../host/db/index.ts';
import { durable, pageCodec, until } from '../support/database.ts';
import { testSeed } from '../support/seed.ts';
import { fault, rows, run, sqliteModule } from '../support/sql.ts';
import { codecModule } from './store-scene.ts';

const root = mkdtempSync(join(tmpdir(), 'sluice-shelf-'));
let foldersCount = 0;
let folder: string;
let clock: ManualClock;
let catalog: DatabaseCatalog;
let shelf: DatabaseShelf;

after(() => rmSync(root, { recursive: true, force: true }));

beforeEach(async () => {
  folder = join(root, `databases-${foldersCount++}`);
  clock = new ManualClock();
  catalog = await openCatalog(folder);
  makeShelf({});
});

afterEach(async () => {
  await shelf.close();
  await catalog.close();
});

function openCatalog(path: string): Promise<DatabaseCatalog> {
  const sizeBytesMax = 2 ** 28;
  return DatabaseCatalog.open({ folder: path, codecModule, clock, sizeBytesMax, retentionMs: 0 });
}

function makeShelf(options: Partial<ShelfOptions>): void {
  shelf = new DatabaseShelf({ catalog, sqliteModule, pageCodec, clock, ...options });
}

async function write(database: Database, sql: string): Promise<void> {
  const connection = database.connect('read-write');
  run(connection, sql);
  await durable(database, connection.seenLsn);
  connection.release();
}

function count({ database }: DatabaseLease): bigint {
  const connection = database.connect('read-only');
  const [row] = rows(connection, 'SELECT count(*) FROM t');
  assert.deepEqual(rows(connection, 'PRAGMA integrity_check'), [['ok']]);
  connection.release();
  return row![0] as bigint;
}

describe('the shelf', () => {
  it('opens a database once for all who ask, and again after it was closed', async () => {
    await catalog.create('shop');
    const [one, other] = await Promise.all([shelf.take('shop'), shelf.take('shop')]);
    assert.equal(one!.database, other!.database);
    await write(one!.database, 'CREATE TABLE t(a)');
    await write(one!.database, 'INSERT INTO t VALUES (1)');
    one!.release();
    one!.release();
    assert.equal(await shelf.giveUp('shop'), false);
    other!.release();
    assert.equal(await shelf.giveUp('shop'), true);
    assert.equal(shelf.takeOpen('shop'), null);
    const again = await shelf.take('shop');
    assert.equal(count(again), 1n);
    assert.equal(shelf.takeOpen('shop')?.database, again.database);
  });

  it('says which database is not there, and can open it when it is', async () => {
    await assert.rejects(shelf.take('nowhere'), { code: 'DB_NOT_FOUND' });
    await assert.rejects(shelf.take('v2'), { code: 'DB_NAME' });
    assert.equal(shelf.openCount, 0);
    await catalog.create('nowhere');
    (await shelf.take('nowhere')).release();
  });

  it('closes the one that was used longest ago for another, and none that is in use', async () => {
    makeShelf({ limits: { openCountMax: 2 } });
    for (const name of ['a', 'b', 'c']) await catalog.create(name);
    const a = await shelf.take('a');
    await write(a.database, 'CREATE TABLE t(x)');
    (await shelf.take('b')).release();
    clock.advance(1);
    a.release();
    const c = await shelf.take('c');
    assert.deepEqual(shelf.open.map(({ name }) => name).sort(), ['a', 'c']);
    const stillA = await shelf.take('a');
    await assert.rejects(shelf.take('b'), { code: 'DB_LIMIT' });
    c.release();
    (await shelf.take('b')).release();
    assert.equal(count(stillA), 0n);
  });

  it('bounds the memory of all together', async () => {
    makeShelf({ limits: { memorySizeBytesMax: 20_000_000 } });
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      await catalog.create(name);
      (await shelf.take(name)).release();
      clock.advance(1);
    }
    assert.ok(shelf.openCount <= 3, `${shelf.openCount} are open`);
  });

  it('closes what nobody has used for a while', async () => {
    makeShelf({ limits: { idleMs: 5 } });
    for (const name of ['used', 'idle']) await catalog.create(name);
    const used = await shelf.take('used');
    (await shelf.take('idle')).release();
    clock.advance(10);
    await until(() => shelf.openCount === 1);
    assert.equal(shelf.takeOpen('idle'), null);
    used.release();
  });

  it('a closed one opens nothing, and lent connections are lost', async () => {
    await catalog.create('a');
    const { database } = await shelf.take('a');
    const connection = database.connect('read-write');
    await shelf.close();
    assert.equal(fault(() => run(connection, 'SELECT 1')).code, 'DB_LOST');
    await assert.rejects(shelf.take('a'), { code: 'DB_LOST' });
  });
});

describe('a copy of the files', () => {
  it('taken at any time holds every commit that was durable then', async () => {
    const seed = testSeed('shelf-copy');
    const random = new SeededRandom(seed);
    makeShelf({ databaseLimits: { foldSizeBytes: 150_000 } });
    await catalog.create('life');
    const lease = await shelf.take('life');
    await write(lease.database, 'CREATE TABLE t(id INTEGER PRIMARY KEY, b)');
    let inserted = 0n;
    for (let round = 0; round < 6; round++) {
      for (let index = random.uint32() % 30; index > 0; index--) {
        const sizeBytes = random.uint32() % 5_000;
        await write(lease.database, `INSERT INTO t(b) VALUES (randomblob(${sizeBytes}))`);
        inserted++;
      }
      // Not awaited: the copy may fall into a group that is being written.
      const connection = lease.database.connect('read-write');
      run(connection, 'INSERT INTO t(b) VALUES (1)');
      const copied = join(root, `copy-${round}`);
      // Not into a fold: LMDB's file changes in more than one place.
      if (lease.database.stats.foldedLsn > 0) await lease.database.checkpoint();
      cpSync(folder, copied, { recursive: true, filter: (path) => !path.endsWith('/lock') });
      const copy = await openCatalog(copied);
      const other = new DatabaseShelf({ catalog: copy, sqliteModule, pageCodec, clock });
      const found = count(await other.take('life'));
      assert.ok(found === inserted || found === inserted + 1n, `${found} of ${inserted}: ${seed}`);
      await other.close();
      await copy.close();
      await durable(lease.database, connection.seenLsn);
      connection.release();
      inserted++;
    }
    assert.ok(lease.database.stats.checkpointsCount > 0);
    lease.release();
  });
});
