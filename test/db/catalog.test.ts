// The databases of a folder: made, branched, restored to a moment, deleted; locked against others,
// and whole whatever ends the process.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ManualClock } from '../../host/core/index.ts';
import { deltaCodec } from '../../host/db/commit-codec.ts';
import { Database } from '../../host/db/database.ts';
import { beginningOf, DatabaseCatalog, exportSqliteFile, replayUpTo } from '../../host/db/index.ts';
import {
  FIRST_GROUP_OFFSET,
  MARK_SIZE_BYTES,
  markOf,
  parseSegmentHead,
} from '../../host/db/log/segment.ts';
import { pageCodec } from '../support/database.ts';
import { needDebian } from '../support/debian.ts';
import { kernelXxh64 } from '../support/log-scene.ts';
import { sqliteModule } from '../support/sql.ts';
import { codecModule } from './store-scene.ts';

const root = mkdtempSync(join(tmpdir(), 'sluice-catalog-'));
const clock = new ManualClock();
/** Of a group's head. */
const CHAIN_OFFSET = 56;
let catalog: DatabaseCatalog;
before(async () => {
  needDebian('sqlite3', 'sqlite3');
  catalog = await openCatalog();
});
after(async () => {
  await catalog.close();
  rmSync(root, { recursive: true, force: true });
});

function openCatalog(folder = 'databases'): Promise<DatabaseCatalog> {
  const sizeBytesMax = 2 ** 30;
  return DatabaseCatalog.open({
    folder: join(root, folder),
    codecModule,
    clock,
    sizeBytesMax,
    retentionMs: 60_000,
  });
}

/** The mark of the first group of a log, and what it should be. */
function firstMark(name: string): { readonly found: bigint; readonly expected: bigint } {
  const bytes = readFileSync(join(root, 'databases', name, 'log', '000000000001.segment'));
  const xxh64 = kernelXxh64();
  const head = parseSegmentHead(new Uint8Array(bytes.subarray(0, FIRST_GROUP_OFFSET)), xxh64);
  assert.ok(typeof head !== 'string');
  const chain = bytes.readBigUInt64LE(FIRST_GROUP_OFFSET + MARK_SIZE_BYTES + CHAIN_OFFSET);
  const found = bytes.readBigUInt64LE(FIRST_GROUP_OFFSET);
  return { found, expected: markOf(chain, head.secret, xxh64) };
}

/** Runs statements, each a commit that is durable when it is done. Returns the LSN after each. */
async function runAll(name: string, statements: readonly string[], fold: boolean) {
  const { store, close } = await catalog.openPages(name);
  const database = await Database.open({
    module: sqliteModule,
    clock,
    codec: deltaCodec(pageCodec),
    pages: store,
    openLog: () => catalog.openLog(name, store),
  });
  const lsns: number[] = [];
  const connection = database.connect('read-write');
  for (const sql of statements) {
    connection.run({ sql, args: [], namedArgs: [], wantRows: false }, null);
    await new Promise<void>((resolve, reject) => {
      database.whenDurable(connection.seenLsn, (error) => (error ? reject(error) : resolve()));
    });
    lsns.push(connection.seenLsn);
  }
  connection.release();
  if (fold) await database.checkpoint();
  await database.close();
  await close();
  return lsns;
}

/** What sqlite3 says of a database's newest folded state. */
async function ask(name: string, sql: string): Promise<string> {
  const { store, close } = await catalog.openPages(name);
  const path = join(root, `${name}-${store.lsn}-${Math.random()}.db`);
  try {
    await exportSqliteFile(store, store.lsn, path);
  } finally {
    await close();
  }
  const run = spawnSync('sqlite3', [path], {
    input: `pragma integrity_check; ${sql};`,
    encoding: 'utf8',
  });
  return run.stdout.trim() || run.stderr;
}

describe('the databases of a folder', () => {
  it('are made, listed, branched, and deleted in an order that makes sense', async () => {
    await catalog.create('shop');
    await runAll('shop', ['create table t(a)', 'insert into t values (1)'], true);
    await catalog.branch('shop', 'shop-test', 2);
    await catalog.branch('shop-test', 'shop-test-2', 2);
    await runAll('shop', ['insert into t values (2)'], true);
    await runAll('shop-test', ['insert into t values (3), (4)'], true);
    assert.deepEqual(await catalog.list(), ['shop', 'shop-test', 'shop-test-2']);
    assert.equal(await ask('shop', 'select group_concat(a) from t'), 'ok\n1,2');
    assert.equal(await ask('shop-test', 'select group_concat(a) from t'), 'ok\n1,3,4');
    assert.equal(await ask('shop-test-2', 'select group_concat(a) from t'), 'ok\n1');
    await assert.rejects(catalog.delete('shop'), { code: 'DB_HAS_BRANCHES', message: /shop-test/ });
    await assert.rejects(catalog.create('shop'), { code: 'DB_EXISTS' });
    await assert.rejects(catalog.branch('shop', 'shop-test', 2), { code: 'DB_EXISTS' });
    await assert.rejects(catalog.branch('nobody', 'x', 2), { code: 'DB_NOT_FOUND' });
    for (const name of ['shop-test-2', 'shop-test', 'shop']) await catalog.delete(name);
    assert.deepEqual(await catalog.list(), []);
    assert.deepEqual(readdirSync(join(root, 'databases', '.temporary')), []);
  });

  it('go back to any commit that the states and the log still have', async () => {
    await catalog.create('bank');
    const rows = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, n) => `insert into t values (${from + n})`);
    const first = await runAll('bank', ['create table t(a)', ...rows(0, 5)], true);
    clock.advance(1000);
    const second = await runAll('bank', rows(5, 12), false);
    const atLsn = second[3]!;
    const source = await catalog.openPages('bank');
    const log = await catalog.openLog('bank', source.store);
    const past = { store: source.store, log, nowMs: clock.wallMs() };
    const stateLsn = beginningOf(past, { lsn: atLsn });
    assert.equal(stateLsn, first.at(-1));
    await catalog.branch('bank', 'bank-then', stateLsn, async (store) => {
      assert.equal(await replayUpTo(store, log, pageCodec, { lsn: atLsn }), atLsn);
    });
    const moment = { timeMs: clock.wallMs() - 500 };
    await catalog.branch('bank', 'bank-before', beginningOf(past, moment), async (store) => {
      assert.equal(await replayUpTo(store, log, pageCodec, moment), first.at(-1));
    });
    await log.close();
    await source.close();
    assert.equal(await ask('bank-then', 'select count(*), max(a) from t'), 'ok\n9|8');
    assert.equal(await ask('bank-before', 'select count(*), max(a) from t'), 'ok\n5|4');
    // The branch goes on from there.
    await runAll('bank-then', ['insert into t values (100)'], true);
    assert.equal(await ask('bank-then', 'select count(*), max(a) from t'), 'ok\n10|100');
  });

  // Their logs were given a hash without its seed: groups that an earlier life had left in a file
  // passed for the present ones', and a database of more than some 50 MB of log was called damaged.
  it('have marks in their logs that nobody makes who does not know the secret', async () => {
    await catalog.create('marked');
    await runAll('marked', ['CREATE TABLE t(x)'], false);
    const { found, expected } = firstMark('marked');
    assert.equal(found, expected);
  });

  it('forget the pin of a branch that was never there', async () => {
    await catalog.create('pinned');
    const failing = async (): Promise<void> => {
      throw new Error('no');
    };
    await assert.rejects(catalog.branch('pinned', 'half', 0, failing), /no/);
    const { store, close } = await catalog.openPages('pinned');
    store.pinDurably('branch gone', 0);
    await close();
    assert.deepEqual(await catalog.branchesOf('pinned'), []);
    await catalog.delete('pinned');
  });

  it('come from a file, or not at all', async () => {
    const path = join(root, 'in.db');
    spawnSync('sqlite3', [path], { input: "create table t(a); insert into t values ('x');" });
    await catalog.importFile('imported', path);
    assert.equal(await ask('imported', 'select a from t'), 'ok\nx');
    await runAll('imported', ["insert into t values ('y')"], true);
    assert.equal(await ask('imported', 'select group_concat(a) from t'), 'ok\nx,y');
    writeFileSync(path, 'no database');
    await assert.rejects(catalog.importFile('imported-2', path), { code: 'DB_FORMAT' });
    assert.ok(!(await catalog.list()).includes('imported-2'));
  });

  it('have names that can stand in a path and a host', async () => {
    for (const name of ['', 'V1', 'v1', 'v3-protobuf', '.hidden', '../up', 'a/b', '-a', 'a-']) {
      await assert.rejects(catalog.create(name), { code: 'DB_NAME' }, name);
      await assert.rejects(catalog.openPages(name), { code: 'DB_NAME' }, name);
    }
    await assert.rejects(catalog.create('a'.repeat(65)), { code: 'DB_NAME' });
  });

  it('belong to one process, and to the next when it is dead', async () => {
    const named = { code: 'DB_STORE_LOCKED', message: new RegExp(`process ${process.pid}`) };
    await assert.rejects(openCatalog(), named);
    const other = await openCatalog('others');
    await other.close();
    const lock = join(root, 'others', 'lock');
    const dead = spawnSync(process.execPath, ['-e', 'console.log(process.pid)']);
    writeFileSync(lock, JSON.stringify({ pid: Number(dead.stdout), host: '', bootId: '' }));
    await assert.rejects(openCatalog('others'), { code: 'DB_STORE_LOCKED' }, 'another machine');
    writeFileSync(lock, 'half a holder');
    await (await openCatalog('others')).close();
  });
});
