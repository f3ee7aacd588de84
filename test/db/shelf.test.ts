// Databases that are opened, closed and taken away at the same moments.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { ManualClock } from '../../host/core/index.ts';
import { SESSION_LIMITS } from '../../host/db/index.ts';
import { DatabaseShelf } from '../../host/db/service/index.ts';
import { sqliteModule } from '../support/sql.ts';
import { codecModule } from './store-scene.ts';

const root = mkdtempSync(join(tmpdir(), 'sluice-shelf-'));
let shelf: DatabaseShelf;

const events: string[] = [];

function open(folder: string, openCountMax: number): Promise<DatabaseShelf> {
  return DatabaseShelf.open({
    folder,
    sqlite: sqliteModule,
    codec: codecModule,
    clock: new ManualClock(),
    creates: 'on-first-use',
    sessionLimits: SESSION_LIMITS,
    databaseLimits: {},
    engineLimits: {},
    openCountMax,
    storeSizeBytesMax: 2 ** 30,
    retentionMs: 0,
    report: (name, { kind }) => events.push(`${name} ${kind}`),
  });
}

before(async () => {
  shelf = await open(join(root, 'databases'), 64);
  await shelf.take('shop', 'read-write');
});

after(async () => {
  await shelf.close();
  rmSync(root, { recursive: true, force: true });
});

// A database that was closed while it was being opened stayed open for ever: a follower could
// never put its snapshot into the place, and readers were told of an undefined place.
it('closes what is being opened, and has it to itself then', async () => {
  for (let round = 0; round < 5; ++round) {
    await shelf.alone('shop', async () => {});
    const opening = shelf.take('shop', 'read-only');
    const alone = shelf.alone('shop', async () => {
      assert.ok(!shelf.isTaken('shop'));
      const { close } = await shelf.catalog.openPages('shop');
      await close();
    });
    await Promise.all([opening, alone]);
  }
  const { database } = await shelf.take('shop', 'read-only');
  assert.equal(database.stats.lsn, 0);
});

it('gives each of many that want it alone their turn, and openers theirs', async () => {
  let insideCount = 0;
  const jobs = Array.from({ length: 20 }, async (_, index) => {
    if (index % 2 === 0) {
      await shelf.take('shop', 'read-only').catch(() => {});
      return;
    }
    await shelf.alone('shop', async () => {
      insideCount += 1;
      assert.equal(insideCount, 1);
      const { close } = await shelf.catalog.openPages('shop');
      await new Promise((resolve) => setImmediate(resolve));
      await close();
      insideCount -= 1;
    });
  });
  await Promise.all(jobs);
});

// What a follower follows is in use all the time: the next database was refused with a number that
// no configuration could change.
it('closes what nobody uses for who comes next; names the limit where all are used', async () => {
  const small = await open(join(root, 'small'), 2);
  try {
    await small.take('a', 'read-write');
    await small.take('b', 'read-write');
    await small.take('c', 'read-write');
    assert.ok(!small.isTaken('a'));
    const refused = {
      code: 'DATABASE_UNAVAILABLE',
      message: '2 databases are in use by the worker, as db.limits.open allows',
    };
    await small.use('b', () =>
      small.use('c', () => assert.rejects(small.take('a', 'read-write'), refused)),
    );
    await small.take('a', 'read-only');
  } finally {
    await small.close();
  }
});

// Clients were told the path of the file, and the gateway's log nothing.
it('tells clients by which code it cannot open, and its owner once', async () => {
  const folder = join(root, 'bad');
  const bad = await open(folder, 2);
  try {
    await bad.catalog.create('bad');
    const pages = join(folder, 'bad', 'pages', 'data.mdb');
    const whole = readFileSync(pages);
    const refused = { code: 'DATABASE_UNAVAILABLE', message: 'the database bad: DB_FORMAT' };
    for (let round = 0; round < 2; ++round) {
      writeFileSync(pages, 'no pages');
      for (let times = 0; times < 3; ++times) {
        await assert.rejects(bad.take('bad', 'read-only'), refused);
      }
      assert.deepEqual(events.splice(0), ['bad open-failed']);
      writeFileSync(pages, whole);
      await bad.take('bad', 'read-only');
      await bad.alone('bad', async () => {});
    }
  } finally {
    await bad.close();
  }
});

// Names are free, and each that a client thought of was another 800 KB of disk.
it('makes no more on first use than its folder may have', async () => {
  const small = await DatabaseShelf.open({
    folder: join(root, 'few'),
    sqlite: sqliteModule,
    codec: codecModule,
    clock: new ManualClock(),
    creates: 'on-first-use',
    createdCountMax: 2,
    openCountMax: 8,
    sessionLimits: SESSION_LIMITS,
    databaseLimits: {},
    engineLimits: {},
    storeSizeBytesMax: 2 ** 30,
    retentionMs: 0,
    report: () => {},
  });
  await small.take('one', 'read-write');
  await small.take('two', 'read-write');
  await assert.rejects(small.take('three', 'read-write'), { code: 'DATABASE_UNAVAILABLE' });
  await small.catalog.create('three');
  await small.take('three', 'read-write');
  await small.close();
});

// Whoever came while a command waited for the database opened it again, was closed under, and heard
// of a failed disk; with many of them a database could not be deleted for seconds.
it('keeps who comes while it closes until the command has had it', async () => {
  await shelf.take('shop', 'read-only');
  const order: string[] = [];
  const alone = shelf.alone('shop', async () => {
    order.push('command');
  });
  const requests = Array.from({ length: 3 }, async () => {
    const { sessions } = await shelf.takeOpen('shop', 'read-only');
    assert.equal(sessions.isClosed, false);
    order.push('request');
  });
  await Promise.all([alone, ...requests]);
  assert.deepEqual(order, ['command', 'request', 'request', 'request']);
});
