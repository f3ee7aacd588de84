// What a disk that refuses costs: each story with its end, on a simulated disk.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SeededRandom } from '../../host/core/index.ts';
import { GROUP_HEAD_SIZE_BYTES } from '../../host/db/log/group.ts';
import { SegmentLog } from '../../host/db/log/segment-log.ts';
import { FaultyFiles } from '../support/faulty-files.ts';
import {
  appendMany,
  codeOf,
  groupOf,
  kernelXxh64,
  randomPayload,
  readAll,
} from '../support/log-scene.ts';
import { testSeed } from '../support/seed.ts';

const xxh64 = kernelXxh64();
const random = new SeededRandom(testSeed('log disk'));
const BLOCK = 4_096;
const SEGMENT_SIZE_BYTES = 8 * BLOCK;

const open = (files: FaultyFiles) =>
  SegmentLog.open({ folder: '/log', xxh64, files, segmentSizeBytes: SEGMENT_SIZE_BYTES });

describe('a sync that fails', () => {
  it('is not tried again, and what the cache shows is written once more at opening', async () => {
    // Linux calls pages clean after a failed fsync: a second one succeeds and stores nothing. A log
    // that is opened again reads the group from the cache, and must not build upon it.
    const files = new FaultyFiles(random);
    const log = await open(files);
    const groups = await appendMany(log, 3);
    // The write, then the sync.
    files.faults.set(files.stepCount + 2, 'io-error');
    const doubtful = groupOf({ firstLsn: 4 });
    assert.equal(await codeOf(() => log.append(4, doubtful)), 'DB_LOG_FAILED');
    const { stepCount } = files;
    assert.equal(await codeOf(() => log.append(4, doubtful)), 'DB_LOG_FAILED');
    assert.equal(await codeOf(() => log.begin(2)), 'DB_LOG_FAILED');
    assert.equal(files.stepCount, stepCount, 'nothing was asked of the disk');
    assert.deepEqual(await readAll(log), groups, 'what is durable can be read');
    await log.close();

    const again = await open(files);
    const kept = await readAll(again);
    assert.deepEqual(kept, [...groups, doubtful], 'the cache has it');
    const more = await appendMany(again, 1);
    const last = await open(files.restart('power cut'));
    assert.deepEqual(await readAll(last), [...kept, ...more]);
    await last.close();
  });

  it('of a new segment fails the group that needs it, and no earlier one', async () => {
    const files = new FaultyFiles(random);
    const log = await open(files);
    // Seven groups fill a segment, and the next one has been made ready.
    await appendMany(log, 7);
    await appendMany(log, 1);
    for (let step = 1; step <= 30; ++step) files.faults.set(files.stepCount + step, 'io-error');
    await new Promise((resolve) => setImmediate(resolve));
    files.faults.clear();
    const groups = await appendMany(log, 20);
    assert.equal(groups.length, 20, 'a segment is made when it is needed');
    await log.close();
  });
});

describe('a full disk', () => {
  it('keeps what is there, refuses what is not, and takes more once there is room', async () => {
    let files = new FaultyFiles(random);
    let log = await open(files);
    files.disk.capacityBytes = 3.5 * SEGMENT_SIZE_BYTES;
    let code = '';
    while (code === '') {
      const said = await codeOf(() => appendMany(log, 1));
      if (said !== 'nothing') code = said;
    }
    assert.equal(code, 'DB_LOG_FULL');
    const { nextLsn } = log;
    assert.ok(nextLsn > 14, `${nextLsn}`);
    assert.equal(await codeOf(() => appendMany(log, 1)), 'DB_LOG_FAILED');
    await log.close();

    // It opens without room, says the same again, and everything is there.
    log = await open(files);
    assert.equal((await readAll(log)).at(-1)!.lastLsn, nextLsn - 1);
    assert.equal(await codeOf(() => appendMany(log, 1)), 'DB_LOG_FULL');
    await log.close();
    // No file of a segment that could not be made is left.
    files = files.restart('killed');
    assert.deepEqual(
      files.disk.list('/log').filter((name) => /temporary/.test(name)),
      [],
    );
    files.disk.capacityBytes = Number.POSITIVE_INFINITY;
    log = await open(files);
    await appendMany(log, 20);
    assert.equal((await readAll(log)).at(-1)!.lastLsn, nextLsn + 19);
    await log.close();
  });

  it('takes more without new room where a trim gives some', async () => {
    const files = new FaultyFiles(random);
    const log = await open(files);
    files.disk.capacityBytes = 4 * SEGMENT_SIZE_BYTES;
    for (let round = 0; round < 20; ++round) {
      await appendMany(log, 7);
      await log.trim(log.nextLsn - 1);
    }
    await log.close();
  });
});

describe('a torn group that holds copies of groups', () => {
  it('is a torn tail: what a client wrote is no proof of anything', async () => {
    let files = new FaultyFiles(random);
    let log = await open(files);
    const groups = await appendMany(log, 2);
    // Copies where groups would begin, with any mark: the rest of the payload's first block, then
    // a mark and a group in each of the next ones.
    const copies: Uint8Array[] = [randomPayload(random, BLOCK - 8 - GROUP_HEAD_SIZE_BYTES)];
    for await (const { bytes } of log.readStored(1)) {
      const block = randomPayload(random, BLOCK);
      block.set(bytes, 8);
      copies.push(block);
    }
    const payload = Buffer.concat(copies);
    files.faults.set(files.stepCount + 2, 'end-before');
    assert.equal(
      await codeOf(() => log.append(3, groupOf({ firstLsn: 3, payload }))),
      'DB_LOG_FAILED',
    );
    files = files.restart('killed');
    // The first block of the group is lost, the ones behind it are not.
    for (let at = 0; at < 80; ++at) files.disk.flipBit('/log/000000000001.segment', 3 * BLOCK + at);
    log = await open(files);
    assert.deepEqual(await readAll(log), groups);
    const more = await appendMany(log, 1);
    await log.close();
    log = await open(files);
    assert.deepEqual(await readAll(log), [...groups, ...more]);
    await log.close();
  });
});
