// How far back a database can be restored: every commit within the retention, and what it costs is
// bounded by the states that are kept and by the log's own bound.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ManualClock } from '../../host/core/index.ts';
import type { DatabaseCommand, DatabaseOutcomes } from '../../host/db/index.ts';
import { SESSION_LIMITS } from '../../host/db/index.ts';
import { DatabaseCommands, DatabaseShelf } from '../../host/db/service/index.ts';
import { needDebian } from '../support/debian.ts';
import { sqliteModule } from '../support/sql.ts';
import { codecModule, PAGE_SIZE_BYTES, StoreScene } from './store-scene.ts';

const RETENTION_MS = 60_000;
const STATES_COUNT = 4;
const root = mkdtempSync(join(tmpdir(), 'sluice-retention-'));
const clock = new ManualClock();
let shelf: DatabaseShelf;
let commands: DatabaseCommands;

before(async () => {
  needDebian('sqlite3', 'sqlite3');
  await open();
});
after(async () => {
  await close();
  rmSync(root, { recursive: true, force: true });
});

async function open(): Promise<void> {
  shelf = await DatabaseShelf.open({
    folder: join(root, 'databases'),
    sqlite: sqliteModule,
    codec: codecModule,
    clock,
    creates: 'on-first-use',
    sessionLimits: SESSION_LIMITS,
    databaseLimits: { foldIntervalMs: 3_600_000 },
    engineLimits: {},
    openCountMax: 64,
    storeSizeBytesMax: 2 ** 30,
    retentionMs: RETENTION_MS,
    stateSpacingMs: RETENTION_MS / STATES_COUNT,
    report: () => {},
  });
  commands = new DatabaseCommands(shelf);
}

async function close(): Promise<void> {
  await commands.close();
  await shelf.close();
}

async function run<K extends DatabaseCommand['kind']>(
  command: Extract<DatabaseCommand, { readonly kind: K }>,
): Promise<DatabaseOutcomes[K]> {
  return (await commands.run(command)) as DatabaseOutcomes[K];
}

async function write(name: string, sql: string): Promise<number> {
  const { database } = await shelf.take(name, 'read-write');
  const connection = database.connect('read-write');
  connection.runSequence(sql);
  const lsn = connection.seenLsn;
  await new Promise<void>((resolve, reject) => {
    database.whenDurable(lsn, (error) => (error ? reject(error) : resolve()));
  });
  connection.release();
  return lsn;
}

/** What Debian's SQLite finds in a branch at a moment, which is removed again. */
async function valueAt(name: string, moment: { lsn: number } | { timeMs: number }) {
  const as = 'restored';
  await run({ kind: 'branch', name, as, moment });
  const { backup } = await run({ kind: 'backup-begin', name: as });
  const pieces: Uint8Array[] = [];
  for (;;) {
    const piece = await run({ kind: 'backup-read', name: as, backup });
    if (piece === null) break;
    pieces.push(piece);
  }
  await run({ kind: 'backup-end', name: as, backup });
  const path = join(root, 'restored.db');
  writeFileSync(path, Buffer.concat(pieces));
  const base = await run({ kind: 'remove', name: as });
  await run({ kind: 'release', name, pin: base!.pin });
  const sql = 'PRAGMA integrity_check; SELECT n FROM t';
  return execFileSync('sqlite3', [path, sql], { encoding: 'utf8' }).trim();
}

describe('the retention', () => {
  // Commits of one group are decoded one on top of the other. A restore that ended within a group
  // decoded the rest of it too, on pages that it had not brought so far: DB_LOG_CORRUPT.
  it('reaches a commit in the middle of a group', async () => {
    await write('grouped', 'CREATE TABLE t (n INTEGER); CREATE TABLE body (bytes BLOB)');
    await (await shelf.take('grouped', 'read-only')).database.checkpoint();
    const commits = Array.from({ length: 30 }, (_, index) => {
      // Every fourth one makes a page, which those after it change.
      const fill = 'INSERT INTO body VALUES (randomblob(900))';
      return `BEGIN; DELETE FROM t; INSERT INTO t VALUES (${index}); ${fill}; COMMIT;`;
    });
    const lastLsn = await write('grouped', commits.join('\n'));
    const { database } = await shelf.take('grouped', 'read-only');
    assert.ok(database.stats.groupsCount < commits.length / 2, 'commits share groups');
    for (const index of [0, 1, 2, 3, 14, 28, 29]) {
      const lsn = lastLsn - (commits.length - 1 - index);
      assert.equal(await valueAt('grouped', { lsn }), `ok\n${index}`);
    }
  });

  it('reaches every commit within it, over folds and restarts, and tells its reach', async () => {
    await write('bank', 'CREATE TABLE t (n INTEGER)');
    await write('bank', 'INSERT INTO t VALUES (2)');
    const sealedMs = new Map<number, number>();
    for (let n = 3; n <= 80; ++n) {
      clock.advance(1_000);
      const lsn = await write('bank', `UPDATE t SET n = ${n}`);
      sealedMs.set(lsn, clock.wallMs());
      if (n % 3 === 0) await (await shelf.take('bank', 'read-only')).database.checkpoint();
      if (n === 40) {
        await close();
        await open();
      }
    }
    const { reach, states } = await run({ kind: 'overview', name: 'bank' });
    assert.ok(states.length <= STATES_COUNT + 3, `${states.length} states`);
    assert.equal(reach.lastLsn, 80);
    assert.ok(reach.firstMs <= clock.wallMs() - RETENTION_MS, 'the whole of the retention');
    assert.ok(reach.firstLsn > 2, 'and not for ever');
    for (const lsn of [reach.firstLsn, 25, 26, 40, 41, 63, 79, 80]) {
      assert.equal(await valueAt('bank', { lsn }), `ok\n${lsn}`);
    }
    for (const lsn of [30, 41, 72]) {
      const timeMs = sealedMs.get(lsn)! + 500;
      assert.equal(await valueAt('bank', { timeMs }), `ok\n${lsn}`);
    }
    const refused = (moment: { lsn: number } | { timeMs: number }, pattern: RegExp) =>
      assert.rejects(run({ kind: 'branch', name: 'bank', as: 'no', moment }), (error: Error) => {
        assert.match(error.message, pattern);
        return (error as { code?: string }).code === 'DB_NO_STATE';
      });
    const range = new RegExp(`what can be reached is from ${reach.firstLsn} \\(.*Z\\) to 80`);
    await refused({ lsn: reach.firstLsn - 1 }, range);
    await refused({ lsn: 81 }, range);
    await refused({ timeMs: reach.firstMs - 1 }, /what can be reached is from .*Z to now/);
    await refused({ timeMs: clock.wallMs() + 1_000 }, /what can be reached is from .*Z to now/);
    assert.equal((await run({ kind: 'check', name: 'bank' })).findingsCount, 0);
  });

  it('does not keep the log for the sake of a branch', async () => {
    await write('trunk', 'CREATE TABLE t (n INTEGER)');
    await write('trunk', 'INSERT INTO t VALUES (1)');
    await run({ kind: 'branch', name: 'trunk', as: 'twig', moment: { lsn: Infinity } });
    for (let round = 0; round < 4; ++round) {
      clock.advance(RETENTION_MS);
      await write('trunk', `UPDATE t SET n = ${10 + round}`);
      await (await shelf.take('trunk', 'read-only')).database.checkpoint();
    }
    const { states } = await run({ kind: 'overview', name: 'trunk' });
    const { store } = await shelf.take('trunk', 'read-only');
    assert.equal(states[0]!.lsn, 2, 'the branch has its state');
    assert.ok(store.retainedLsn > 2);
    assert.equal(await valueAt('twig', { lsn: Infinity }), 'ok\n1');
  });
});

describe('a store whose past would not let it take a commit', () => {
  const scene = new StoreScene();
  after(() => scene.remove());

  it('gives the past up first', async () => {
    const pagesCount = 16;
    const store = await scene.open({
      retentionMs: 1_000_000,
      stateSpacingMs: 1,
      sizeBytesMax: 3.5 * pagesCount * PAGE_SIZE_BYTES,
    });
    let seed = 1;
    const noise = () =>
      Uint8Array.from({ length: PAGE_SIZE_BYTES }, () => {
        seed = Math.imul(seed, 1_664_525) + 1_013_904_223;
        return seed >>> 24;
      });
    let statesCountMost = 0;
    for (let lsn = 1; lsn <= 12; ++lsn) {
      scene.clock.advance(10);
      const pages = Array.from({ length: pagesCount }, (_, index) => ({
        pageNumber: index + 1,
        bytes: noise(),
      }));
      await store.fold(lsn, pagesCount, pages);
      statesCountMost = Math.max(statesCountMost, store.states.length);
    }
    assert.equal(store.lsn, 12);
    assert.ok(statesCountMost >= 2, 'as long as there is room, the past is kept');
    assert.equal((await store.check()).findingsCount, 0);
    await scene.close(store);
  });
});
