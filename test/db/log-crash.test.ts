// What is acknowledged stays, whatever ends the process or the machine. Each seed is a history of
// several lives of a log on a simulated disk: random groups, trims and epochs, faults at random
// steps, an end, and what the next opening finds. SEED=n and ROUNDS=1 repeat one of them.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isGatewayError, SeededRandom } from '../../host/core/index.ts';
import type { LogGroup } from '../../host/db/contract.ts';
import type { StoredGroup } from '../../host/db/log/group-reader.ts';
import { SegmentLog } from '../../host/db/log/segment-log.ts';
import { type Fault, FaultyFiles } from '../support/faulty-files.ts';
import { errorOf, groupOf, kernelXxh64, randomPayload, readAll } from '../support/log-scene.ts';
import { testSeed } from '../support/seed.ts';

const xxh64 = kernelXxh64();
const firstSeed = testSeed('log crashes');
const SEEDS_COUNT = Number(process.env.ROUNDS ?? 1_000);
const BLOCK = 4_096;
/** Each of a handful of groups. */
const FLIPS_COUNT = Math.min(SEEDS_COUNT, 300);
const SEGMENT_SIZE_BYTES = 8 * BLOCK;
const LIVES_MAX = 3;
const FAULTS: readonly Fault[] = [
  'end-before',
  'end-within',
  'end-after',
  'end-within',
  'io-error',
  'no-room',
  'short',
];

/** What a test knows of a log that it has written to. */
class History {
  files: FaultyFiles;
  readonly random: SeededRandom;
  /** Groups that were acknowledged, or found and so made durable; by place. */
  readonly kept: LogGroup[] = [];
  /** A group whose append did not end well: it may be there. */
  doubtful: LogGroup | null = null;
  epoch = 1;
  epochAsked = 1;
  trimmedTo = 0;
  payloadSizeBytesMax = 6_000;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.files = new FaultyFiles(new SeededRandom(seed ^ 0x5eed));
  }

  get lastLsn(): number {
    return this.kept.at(-1)?.lastLsn ?? 0;
  }

  open(durableLsn = 0): Promise<SegmentLog> {
    return SegmentLog.open({
      folder: '/log',
      xxh64,
      files: this.files,
      segmentSizeBytes: SEGMENT_SIZE_BYTES,
      newSecret: () => (BigInt(this.random.uint32()) << 32n) | BigInt(this.random.uint32()),
      durableLsn,
    });
  }

  randomGroup(): LogGroup {
    const { random } = this;
    const sizeBytes =
      random.unit() < 0.05
        ? random.uint32() % (3 * SEGMENT_SIZE_BYTES)
        : random.uint32() % this.payloadSizeBytesMax;
    return groupOf({
      firstLsn: this.lastLsn + 1,
      commitsCount: 1 + (random.uint32() % 4),
      epoch: this.epoch,
      payload: randomPayload(random, sizeBytes),
    });
  }

  async append(log: SegmentLog): Promise<void> {
    const group = this.randomGroup();
    this.doubtful = group;
    await log.append(group.firstLsn, group);
    this.kept.push(group);
    this.doubtful = null;
  }

  async trim(log: SegmentLog): Promise<void> {
    const toLsn = this.random.uint32() % (this.lastLsn + 2);
    this.trimmedTo = Math.max(this.trimmedTo, toLsn);
    await log.trim(toLsn).catch((error: unknown) => {
      // A trim that fails leaves a log that goes on.
      if (log.failure !== null || this.files.isEnded) throw error;
    });
  }

  async begin(log: SegmentLog): Promise<void> {
    this.epochAsked = this.epoch + 1 + (this.random.uint32() % 3);
    await log.begin(this.epochAsked);
    this.epoch = this.epochAsked;
  }

  /** Holds what an opening found against what is known. */
  async check(log: SegmentLog): Promise<void> {
    const found = await readAll(log);
    assert.ok(log.firstLsn <= this.trimmedTo + 1, `it begins at ${log.firstLsn}`);
    const known = this.doubtful === null ? this.kept : [...this.kept, this.doubtful];
    const lastLsn = found.at(-1)?.lastLsn ?? 0;
    assert.equal(log.nextLsn, lastLsn + 1);
    assert.ok(lastLsn >= this.lastLsn, `lsn ${this.lastLsn} was acknowledged, ${lastLsn} is left`);
    const from = known.findIndex(({ firstLsn }) => firstLsn === log.firstLsn);
    const expected = from < 0 ? [] : known.slice(from, from + found.length);
    assert.deepEqual(found, expected);
    assert.ok(log.epoch === this.epoch || log.epoch === this.epochAsked, `epoch ${log.epoch}`);
    this.epoch = log.epoch;
    this.epochAsked = log.epoch;
    if (lastLsn > this.lastLsn) this.kept.push(this.doubtful!);
    this.doubtful = null;
  }
}

/** Steps of one life, until one fails or all are done. Returns what the log said. */
async function live(history: History, log: SegmentLog): Promise<string> {
  const { random } = history;
  try {
    for (let step = random.uint32() % 25; step > 0; --step) {
      const chance = random.unit();
      if (chance < 0.85) await history.append(log);
      else if (chance < 0.93) await history.trim(log);
      else await history.begin(log);
    }
    return 'done';
  } catch (error) {
    assert.ok(isGatewayError(error), `${error}`);
    return error.code;
  }
}

/** Opens until it succeeds: an opening may meet faults too. */
async function opened(history: History): Promise<SegmentLog> {
  for (let round = 0; round < 3; ++round) {
    const { files, random } = history;
    placeFaults(history, 40);
    try {
      return await history.open(random.unit() < 0.5 ? history.lastLsn : 0);
    } catch (error) {
      assert.ok(isGatewayError(error), `${error}`);
      assert.match(error.code, /^DB_LOG_(FAILED|FULL)$/, error.message);
      assert.ok(files.isEnded || files.errorCount > 0, error.message);
      end(history);
    }
  }
  return history.open();
}

function placeFaults({ files, random }: History, within: number): void {
  files.faults.clear();
  for (let count = random.uint32() % 3; count > 0; --count) {
    const fault = FAULTS[random.uint32() % FAULTS.length]!;
    files.faults.set(files.stepCount + 1 + (random.uint32() % within), fault);
  }
}

function end(history: History): void {
  const { files, random } = history;
  history.files = files.restart(random.unit() < 0.7 ? 'power cut' : 'killed');
}

describe('a log on a disk that fails', { timeout: 280_000 }, () => {
  it(`keeps what it acknowledged, whole and in order: ${SEEDS_COUNT} seeds`, async () => {
    const counts: Record<string, number> = {};
    for (let seed = firstSeed; seed < firstSeed + SEEDS_COUNT; ++seed) {
      try {
        await history(seed, counts);
      } catch (error) {
        console.log(`# SEED=${seed}`);
        throw error;
      }
    }
    console.log(`# ${JSON.stringify(counts)}`);
    if (SEEDS_COUNT < 1_000) return;
    for (const what of ['done', 'DB_LOG_FAILED', 'DB_LOG_FULL', 'ended', 'torn', 'doubtful kept']) {
      assert.ok(counts[what]! > 20, `${what}: ${counts[what]} times`);
    }
  });

  async function history(seed: number, counts: Record<string, number>): Promise<void> {
    const made = new History(seed);
    const { random } = made;
    const count = (what: string) => {
      counts[what] = 1 + (counts[what] ?? 0);
    };
    for (let life = 1 + (random.uint32() % LIVES_MAX); life > 0; --life) {
      const log = await opened(made);
      const { files } = made;
      placeFaults(made, 150);
      // Its check runs into the faults as well; only what it finds counts.
      const verdict = await live(made, log);
      count(files.isEnded ? 'ended' : verdict);
      const isClosed = random.unit() < 0.3;
      if (isClosed) {
        files.faults.clear();
        await log.close();
        if (!files.isEnded) assert.equal(files.openFilesCount, 0);
      }
      end(made);
      const had = made.doubtful;
      const { lastLsn } = made;
      const again = await made.open(lastLsn);
      await made.check(again);
      if (had !== null) count(made.lastLsn > lastLsn ? 'doubtful kept' : 'torn');
      await again.close();
      end(made);
    }
    const last = await made.open(made.lastLsn);
    await made.check(last);
    await made.append(last);
    await last.close();
    assert.equal(made.files.openFilesCount, 0);
  }
});

describe('a bit that flips in a log', { timeout: 280_000 }, () => {
  it(`is told with its place: ${FLIPS_COUNT} seeds`, async () => {
    const counts: Record<string, number> = {};
    for (let seed = firstSeed; seed < firstSeed + FLIPS_COUNT; ++seed) {
      try {
        const how = await flipped(seed);
        counts[how] = 1 + (counts[how] ?? 0);
      } catch (error) {
        console.log(`# SEED=${seed}`);
        throw error;
      }
    }
    console.log(`# ${JSON.stringify(counts)}`);
  });

  /** Writes a log, flips a bit of a group, and looks at what is said of it. */
  async function flipped(seed: number): Promise<string> {
    const history = new History(seed);
    const { random } = history;
    const log = await history.open();
    for (let step = 1 + (random.uint32() % 30); step > 0; --step) {
      await history.append(log);
      if (random.unit() < 0.1) await history.trim(log);
    }
    const stored: StoredGroup[] = [];
    for await (const group of log.readStored(log.firstLsn)) stored.push(group);
    // Who was killed has left no word of how far it was durable.
    const isClosed = random.unit() < 0.5;
    if (isClosed) await log.close();
    history.files = history.files.restart('power cut');
    const index = random.unit() < 0.3 ? stored.length - 1 : random.uint32() % stored.length;
    const { path, offset, bytes, head } = stored[index]!;
    const at = offset + (random.uint32() % (8 + bytes.length));
    history.files.disk.flipBit(path, at);
    const durableLsn = random.unit() < 0.5 ? history.lastLsn : 0;

    let again: SegmentLog | null = null;
    const said = await errorOf(async () => {
      again = await history.open(durableLsn);
      await readAll(again);
    });
    // Of a log whose only group is behind trimmed segments, it was said that it begins at lsn 1.
    const isProved = isClosed || durableLsn > 0 || (stored.length === 1 && log.firstLsn > 1);
    if (index === stored.length - 1 && !isProved) {
      assert.equal(said, 'nothing was thrown');
      assert.equal(again!.nextLsn, head.firstLsn);
      return 'cut';
    }
    assert.ok(said.startsWith(`DB_LOG_CORRUPT ${path} at byte ${offset}: `), `byte ${at}: ${said}`);
    return again === null ? 'told at opening' : 'told by reading';
  }
});
