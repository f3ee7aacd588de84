// A second database that follows a first one: same rows, a lag that is told, a promotion.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock, SeededRandom } from '../../host/core/index.ts';
import { deltaCodec } from '../../host/db/commit-codec.ts';
import { Database } from '../../host/db/database.ts';
import { FollowerDatabase } from '../../host/db/follower-database.ts';
import { LogTail, SegmentLog } from '../../host/db/log/index.ts';
import { auditBank, openBank, transfer } from '../support/bank.ts';
import { MemoryPages, pageCodec } from '../support/database.ts';
import { FaultyFiles } from '../support/faulty-files.ts';
import { codeOf, kernelXxh64 } from '../support/log-scene.ts';
import { testSeed } from '../support/seed.ts';
import { rows, sqliteModule } from '../support/sql.ts';

const xxh64 = kernelXxh64();
const random = new SeededRandom(testSeed('follower database'));
const codec = deltaCodec(pageCodec);

function parts() {
  const files = new FaultyFiles(random);
  const openLog = (durableLsn = 0) =>
    SegmentLog.open({ folder: '/log', xxh64, files, segmentSizeBytes: 65_536, durableLsn });
  return {
    files,
    openLog,
    pages: new MemoryPages(),
    clock: new ManualClock(),
    module: sqliteModule,
  };
}

/** A primary with its log at hand. */
async function primaryOf(made: ReturnType<typeof parts>) {
  let log: SegmentLog | null = null;
  const { module, clock, pages } = made;
  const database = await Database.open({
    module,
    clock,
    codec,
    pages,
    openLog: async (durableLsn) => {
      log = await made.openLog(durableLsn);
      return log;
    },
  });
  await openBank(database);
  const tail = new LogTail({ log: log!, xxh64, clock, beatIntervalMs: 10 });
  return { database, tail, log: log! as SegmentLog };
}

async function followerOf(made: ReturnType<typeof parts>) {
  const { module, clock, pages } = made;
  const log = await made.openLog();
  const database = await FollowerDatabase.open({ module, clock, codec, xxh64, pages, log });
  return { database, log };
}

type Primary = Awaited<ReturnType<typeof primaryOf>>;
type Follower = Awaited<ReturnType<typeof followerOf>>;

async function catchUp(primary: Primary, { database, log }: Follower): Promise<void> {
  const controller = new AbortController();
  const feed = primary.tail.feed(database.position, controller.signal);
  const seen = async function* () {
    for await (const bytes of feed) {
      yield bytes;
      if (log.nextLsn === primary.log.nextLsn) controller.abort();
    }
  };
  await database.follow(seen());
}

async function transfers({ database }: Primary, firstId: number, count: number): Promise<void> {
  const ids = Array.from({ length: count }, (_, index) => firstId + index);
  await Promise.all(ids.map((id) => transfer(database, { id, random })));
}

function allRows(connection: ReturnType<FollowerDatabase['connect']>) {
  const accounts = rows(connection, 'SELECT * FROM account ORDER BY id');
  const moved = rows(connection, 'SELECT * FROM transfer ORDER BY id');
  assert.deepEqual(rows(connection, 'PRAGMA integrity_check'), [['ok']]);
  connection.release();
  return { accounts, moved };
}

function assertSame(primary: Primary, follower: Follower): void {
  const expected = allRows(primary.database.connect('read-only'));
  assert.deepEqual(allRows(follower.database.connect()), expected);
}

describe('a following database', { timeout: 120_000 }, () => {
  it('has the rows of the primary, through checkpoints and openings of its own', async () => {
    const primary = await primaryOf(parts());
    const made = parts();
    let follower = await followerOf(made);
    for (let round = 0; round < 8; ++round) {
      await transfers(primary, 1 + round * 100, 12);
      await catchUp(primary, follower);
      assertSame(primary, follower);
      if (round % 3 === 1) await follower.database.checkpoint();
      if (round % 3 === 2) {
        await follower.database.close();
        await follower.log.close();
        follower = await followerOf(made);
        assertSame(primary, follower);
      }
    }
    assert.ok(made.pages.lsn > 0);
    await primary.database.close();
    await follower.database.close();
    await follower.log.close();
  });

  it('tells how old its state may be, and keeps a snapshot while it goes on', async () => {
    const primary = await primaryOf(parts());
    const made = parts();
    const follower = await followerOf(made);
    assert.deepEqual(follower.database.lag, { lsn: 0, primaryLsn: null, lagMs: null });
    await catchUp(primary, follower);
    made.clock.advance(250);
    const { lsn, primaryLsn, lagMs } = follower.database.lag;
    assert.deepEqual([lsn, primaryLsn, lagMs], [primary.log.nextLsn - 1, lsn, 250]);
    const reader = follower.database.connect();
    reader.runSequence('BEGIN');
    const count = () => rows(reader, 'SELECT count(*) FROM transfer')[0]![0];
    assert.equal(count(), 0n);
    await transfers(primary, 1, 10);
    await catchUp(primary, follower);
    assert.equal(count(), 0n);
    reader.runSequence('COMMIT');
    assert.equal(count(), 10n);
    reader.release();
    assert.equal(follower.database.lag.lagMs, 0);
    await primary.database.close();
    await follower.database.close();
    await follower.log.close();
  });

  it('becomes the primary, and the former one cannot follow with what only it has', async () => {
    const oldParts = parts();
    const old = await primaryOf(oldParts);
    const made = parts();
    const follower = await followerOf(made);
    await transfers(old, 1, 10);
    await catchUp(old, follower);
    // Alone, unheard: nobody else has these.
    await transfers(old, 100, 5);
    assert.equal(await follower.database.promote(), 2);
    await follower.log.close();
    const next = await primaryOf(made);
    assert.equal(next.log.epoch, 2);
    const found = auditBank(next.database);
    assert.deepEqual(found, new Set(Array.from({ length: 10 }, (_, index) => index + 1)));
    await transfers(next, 200, 10);
    await old.database.close();
    const lost = await followerOf(oldParts);
    assert.equal(await codeOf(() => catchUp(next, lost)), 'DB_LOG_DIVERGED');
    await lost.database.close();
    await lost.log.close();
    const third = await followerOf(parts());
    await catchUp(next, third);
    assertSame(next, third);
    assert.equal(third.log.epoch, 2);
    await third.database.close();
    await third.log.close();
    await next.database.close();
  });
});
