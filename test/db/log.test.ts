// The log on a real file system: what it keeps, what it refuses, what it says of damage.

import assert from 'node:assert/strict';
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { SeededRandom } from '../../host/core/index.ts';
import type { LogFiles } from '../../host/db/log/files.ts';
import { nodeLogFiles } from '../../host/db/log/node-files.ts';
import { SegmentLog, type SegmentLogOptions } from '../../host/db/log/segment-log.ts';
import { FaultyFiles } from '../support/faulty-files.ts';
import {
  appendMany,
  codeOf,
  errorOf,
  groupOf,
  kernelXxh64,
  randomPayload,
  readAll,
  temporaryFolder,
} from '../support/log-scene.ts';
import { testSeed } from '../support/seed.ts';

const xxh64 = kernelXxh64();
const random = new SeededRandom(testSeed('log'));
const BLOCK = 4_096;
const SEGMENT_SIZE_BYTES = 8 * BLOCK;

function scene() {
  const folder = temporaryFolder();
  after(() => folder.remove());
  const open = (more: Partial<SegmentLogOptions> = {}) =>
    SegmentLog.open({
      folder: folder.path,
      xxh64,
      segmentSizeBytes: SEGMENT_SIZE_BYTES,
      ...more,
    });
  const path = (name: string) => join(folder.path, name);
  const segmentNames = () => readdirSync(folder.path).filter((name) => /segment$/.test(name));
  return { folder: folder.path, open, path, segmentNames };
}

/** Changes one bit of a file. */
function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at]! ^= 1 << (random.uint32() % 8);
  writeFileSync(path, bytes);
}

const FIRST = '000000000001.segment';
const SECOND = '000000000002.segment';

describe('a log', () => {
  it('gives back what was appended, from any place, also after it was opened again', async () => {
    const { open } = scene();
    let log = await open();
    assert.equal(log.nextLsn, 1);
    assert.equal(log.firstLsn, 1);
    assert.deepEqual(await readAll(log), []);
    const written = [];
    for (let index = 0; index < 40; ++index) {
      const commitsCount = 1 + (random.uint32() % 5);
      const payload = randomPayload(random, random.uint32() % 9_000);
      const group = groupOf({ firstLsn: log.nextLsn, commitsCount, payload });
      await log.append(log.nextLsn, group);
      written.push(group);
      if (index % 9 === 0) {
        const { chain } = log;
        await log.close();
        log = await open();
        assert.equal(log.chain, chain);
      }
    }
    assert.deepEqual(await readAll(log), written);
    for (const group of written) {
      for (const lsn of [group.firstLsn, group.lastLsn]) {
        assert.deepEqual((await readAll(log, lsn))[0], group);
      }
    }
    assert.deepEqual(await readAll(log, log.nextLsn), []);
    await log.close();
  });

  it('takes a group longer than a segment', async () => {
    const { open } = scene();
    const log = await open();
    const before = await appendMany(log, 2);
    const payload = randomPayload(random, 3 * SEGMENT_SIZE_BYTES);
    const long = groupOf({ firstLsn: log.nextLsn, payload });
    await log.append(log.nextLsn, long);
    const behind = await appendMany(log, 2);
    assert.deepEqual(await readAll(log), [...before, long, ...behind]);
    await log.close();
    const again = await open();
    assert.deepEqual(await readAll(again), [...before, long, ...behind]);
    await again.trim(again.nextLsn - 1);
    await again.close();
  });

  it('refuses a group that is not the next one, or of another epoch', async () => {
    const { open } = scene();
    const log = await open();
    await appendMany(log, 3);
    const codes = [
      await codeOf(() => log.append(3, groupOf({ firstLsn: 3 }))),
      await codeOf(() => log.append(5, groupOf({ firstLsn: 5 }))),
      await codeOf(() => log.append(4, groupOf({ firstLsn: 5 }))),
      await codeOf(() => log.append(4, groupOf({ firstLsn: 4, epoch: 2 }))),
    ];
    assert.deepEqual(codes, Array(4).fill('DB_LOG_FENCED'));
    await appendMany(log, 1);
    assert.equal(log.nextLsn, 5);
    await log.close();
    assert.equal(await codeOf(() => appendMany(log, 1)), 'DB_LOG_FAILED');
  });

  it('fences older epochs, also after it was opened again', async () => {
    const { open } = scene();
    const log = await open();
    await appendMany(log, 1);
    await log.begin(5);
    assert.equal(await codeOf(() => log.begin(5)), 'DB_LOG_FENCED');
    assert.equal(await codeOf(() => log.append(2, groupOf({ firstLsn: 2 }))), 'DB_LOG_FENCED');
    await log.close();
    const again = await open();
    assert.equal(again.epoch, 5);
    assert.equal(await codeOf(() => again.append(2, groupOf({ firstLsn: 2 }))), 'DB_LOG_FENCED');
    await appendMany(again, 1);
    assert.deepEqual(
      (await readAll(again)).map(({ epoch }) => epoch),
      [1, 5],
    );
    await again.close();
  });

  it('begins where a branch begins', async () => {
    const { open } = scene();
    const base = { lsn: 100, chain: 7n, epoch: 3 };
    const log = await open({ base });
    assert.deepEqual([log.firstLsn, log.nextLsn, log.epoch, log.chain], [101, 101, 3, 7n]);
    await appendMany(log, 2);
    await log.close();
    const again = await open();
    assert.deepEqual([again.firstLsn, again.nextLsn], [101, 103]);
    assert.equal(await codeOf(() => readAll(again, 100)), 'DB_LOG_TRIMMED');
    await again.close();
  });
});

describe('trimming', () => {
  it('goes further while the log is over its bound, and no further than it may', async () => {
    const { open } = scene();
    const log = await open();
    await appendMany(log, 30);
    const segmentSizeBytes = log.sizeBytes / 5;
    await log.trim(0, { sizeBytesMax: 3 * segmentSizeBytes, toLsn: 14 });
    assert.equal(log.firstLsn, 15, 'the bound allows more, the state does not');
    await log.trim(0, { sizeBytesMax: 2 * segmentSizeBytes, toLsn: 30 });
    assert.equal(log.firstLsn, 22);
    assert.equal(log.sizeBytes, 2 * segmentSizeBytes);
    await log.trim(0, { sizeBytesMax: 0, toLsn: 30 });
    assert.equal(log.firstLsn, 29, 'the segment in use stays');
    await log.close();
    const again = await open();
    assert.equal(again.sizeBytes, segmentSizeBytes);
    assert.equal((await readAll(again)).length, 2);
    await again.close();
  });

  it('frees whole segments, keeps their files, and never the last group', async () => {
    const { open, segmentNames, path } = scene();
    let log = await open();
    // Seven groups fill a segment.
    await appendMany(log, 30);
    await log.trim(14);
    assert.equal(log.firstLsn, 15);
    await log.trim(27);
    assert.equal(log.firstLsn, 22);
    assert.equal(await codeOf(() => readAll(log, 21)), 'DB_LOG_TRIMMED');
    assert.equal((await readAll(log)).length, 9);
    await log.close();
    log = await open();
    assert.equal(log.firstLsn, 22);
    await log.trim(1_000);
    assert.equal(log.firstLsn, 29);
    await appendMany(log, 50);
    await log.trim(log.nextLsn);
    await log.close();
    assert.ok(segmentNames().length <= 3, segmentNames().join(' '));
    assert.ok(readdirSync(path('')).length <= 6, readdirSync(path('')).join(' '));
    log = await open();
    assert.equal(log.nextLsn, 81);
    assert.equal((await readAll(log)).at(-1)!.lastLsn, 80);
    await log.close();
  });

  it('that failed is done again before anything newer goes', async () => {
    // A segment that could not be renamed was passed over, the next trim took the one behind it,
    // and the next opening found a gap and called it damage.
    for (const failing of ['rename', 'sync'] as const) {
      const files = new FaultyFiles(random);
      const { open } = scene();
      let log = await open({ files });
      await appendMany(log, 30);
      files.faults.set(files.stepCount + (failing === 'rename' ? 1 : 2), 'io-error');
      assert.equal(await codeOf(() => log.trim(7)), 'DB_LOG_FAILED');
      assert.equal(log.firstLsn, 8);
      await log.trim(14);
      await appendMany(log, 1);
      log = await open({ files: files.restart('power cut') });
      assert.deepEqual([log.firstLsn, log.nextLsn], [15, 32]);
      await log.close();
    }
  });

  it('does not write over a segment that somebody reads', async () => {
    const { open } = scene();
    const log = await open();
    const written = await appendMany(log, 30);
    const reader = log.read(1);
    assert.deepEqual((await reader.next()).value, written[0]);
    await log.trim(21);
    await appendMany(log, 30);
    for (let lsn = 2; lsn <= 7; ++lsn) {
      assert.deepEqual((await reader.next()).value, written[lsn - 1]);
    }
    assert.equal(await codeOf(() => reader.next()), 'DB_LOG_TRIMMED');
    await log.close();
  });
});

describe('a reader beside the writer', () => {
  it('sees what becomes durable while it reads', async () => {
    const { open } = scene();
    const log = await open();
    await appendMany(log, 3);
    const seen: number[] = [];
    for await (const { lastLsn } of log.read(1)) {
      seen.push(lastLsn);
      if (lastLsn < 40) await appendMany(log, 1 + (lastLsn % 2));
    }
    assert.deepEqual(
      seen,
      Array.from({ length: log.nextLsn - 1 }, (_, index) => index + 1),
    );
    assert.ok(seen.length >= 40);
    await log.close();
  });
});

// The end was looked at once more when the file was closed: a commit that came meanwhile made a
// check, a branch and a restore say that the log was trimmed, or, in the next segment, damaged.
it('a reader that came to the end ends there, whatever is appended while it closes', async () => {
  for (const count of [1, 12]) {
    const { open } = scene();
    let onClose: (() => Promise<unknown>) | null = null;
    const files: LogFiles = {
      ...nodeLogFiles,
      open: async (path) => {
        const file = await nodeLogFiles.open(path);
        const close = file.close.bind(file);
        file.close = async () => {
          const first = onClose;
          onClose = null;
          await first?.();
          await close();
        };
        return file;
      },
    };
    const log = await open({ files });
    const written = await appendMany(log, 5);
    onClose = () => appendMany(log, count);
    assert.deepEqual(await readAll(log), written);
    assert.equal(onClose, null);
    assert.equal((await readAll(log)).length, 5 + count);
    await log.close();
  }
});

describe('damage', () => {
  /** A closed log of 10 groups of a block each: seven in the first segment, three in the second. */
  async function damaged(): Promise<ReturnType<typeof scene>> {
    const made = scene();
    const log = await made.open();
    await appendMany(log, 10);
    await log.close();
    return made;
  }

  it('before the last segment is found by who reads it, with its place', async () => {
    for (const offset of [0, 7, 8, 20, 60, 71, 72, 79]) {
      const { open, path } = await damaged();
      flip(path(FIRST), 3 * BLOCK + offset);
      const log = await open();
      const said = await errorOf(() => readAll(log));
      assert.match(said, new RegExp(`^DB_LOG_CORRUPT .*/${FIRST} at byte ${3 * BLOCK}: `));
      assert.equal((await readAll(log, 8)).length, 3);
      await log.close();
    }
  });

  it('in the middle of the last segment is no torn tail', async () => {
    for (const offset of [0, 7, 8, 20, 60, 71, 72, 79]) {
      for (const group of [1, 2]) {
        const { open, path } = await damaged();
        flip(path(SECOND), group * BLOCK + offset);
        const place = `^DB_LOG_CORRUPT .*/${SECOND} at byte ${group * BLOCK}: `;
        assert.match(await errorOf(open), new RegExp(place));
      }
    }
  });

  it('of the last group is damage where it was durable, else a torn tail', async () => {
    const { open, path } = await damaged();
    const said = new RegExp(
      `^DB_LOG_CORRUPT .*/${SECOND} at byte ${3 * BLOCK}: .*lsn 10 was durable`,
    );
    flip(path(SECOND), 3 * BLOCK + 75);
    assert.match(await errorOf(open), said);

    const killed = scene();
    const log = await killed.open();
    await appendMany(log, 10);
    // A killed process leaves this.
    const copy = scene();
    mkdirSync(copy.folder);
    for (const name of readdirSync(killed.folder)) {
      copyFileSync(killed.path(name), copy.path(name));
    }
    await log.close();
    flip(copy.path(SECOND), 3 * BLOCK + 75);
    assert.match(await errorOf(() => copy.open({ durableLsn: 10 })), said);
    const cut = await copy.open({ durableLsn: 9 });
    assert.equal(cut.nextLsn, 10);
    await appendMany(cut, 1);
    await cut.close();
  });

  it('of a head, the state or the files themselves is told', async () => {
    const cases: [string, (path: (name: string) => string) => void, RegExp][] = [
      ['segment head', (path) => flip(path(SECOND), 17), /2\.segment at byte 0: .*checksum/],
      ['state', (path) => flip(path('state'), 9), /state at byte 0: .*checksum/],
      ['a cut state', (path) => truncateSync(path('state'), 9), /state at byte 9: .*cut short/],
      ['no state', (path) => rmSync(path('state')), /state at byte 0: .*missing/],
      ['a cut segment', (path) => truncateSync(path(FIRST), 9_000), /1\.segment at byte 9000: /],
      ['a lost segment', (path) => rmSync(path(SECOND)), /2\.segment at byte 0: .*missing/],
    ];
    for (const [what, harm, expected] of cases) {
      const { open, path } = scene();
      const log = await open();
      await appendMany(log, 20);
      await log.close();
      harm(path);
      const said = await errorOf(open);
      assert.match(said, /^DB_LOG_CORRUPT /, what);
      assert.match(said, expected, what);
    }
  });
});
