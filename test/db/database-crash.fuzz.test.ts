// A database over the real log on a disk that fails and a process that ends, at seeded steps: every
// commit that was acknowledged is there afterwards, whole, and none that was never made.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock, SeededRandom } from '../../host/core/index.ts';
import { deltaCodec } from '../../host/db/commit-codec.ts';
import { Database } from '../../host/db/database.ts';
import type { Connection } from '../../host/db/engine/index.ts';
import { SegmentLog } from '../../host/db/log/index.ts';
import { isSqlError } from '../../host/db/sql-error.ts';
import { durable, MemoryPages, pageCodec, until } from '../support/database.ts';
import { type Fault, FaultyFiles } from '../support/faulty-files.ts';
import { kernelXxh64 } from '../support/log-scene.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';
import { rows, run, sqliteModule } from '../support/sql.ts';

const FAULTS: readonly Fault[] = [
  'end-before',
  'end-within',
  'end-after',
  'end-within',
  'io-error',
  'no-room',
  'short',
];
const LIVES = 4;
const ACCOUNTS = 8;
const TOTAL = 800n;

class World {
  readonly #random: SeededRandom;
  readonly #files: FaultyFiles;
  readonly #pages = new MemoryPages();
  readonly #xxh64 = kernelXxh64();
  readonly #clock = new ManualClock();
  /** Transfers that were acknowledged, and that were begun. */
  #acknowledged = 0;
  #begun = 0;
  endsCount = 0;
  failuresCount = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    this.#files = new FaultyFiles(this.#random);
  }

  async run(): Promise<void> {
    for (let life = 0; life < LIVES; life++) await this.#live(life);
  }

  #below(count: number): number {
    return this.#random.uint32() % count;
  }

  async #live(life: number): Promise<void> {
    const database = await this.#open();
    await this.#check(database, life === 0);
    const steps = this.#files.stepCount;
    for (let count = 1 + this.#below(3); count > 0; count--) {
      this.#files.faults.set(steps + 1 + this.#below(60), FAULTS[this.#below(FAULTS.length)]!);
    }
    await this.#work(database);
    if (this.#files.isEnded) this.endsCount++;
    // What happens between the end and the restart must leave no trace.
    this.#pages.failure = new Error('the process has ended');
    this.#files.isEnded = true;
    await database.close().catch(() => {});
    this.#pages.failure = null;
    this.#files.restart(this.#below(2) === 0 ? 'killed' : 'power cut');
  }

  #open(): Promise<Database> {
    return Database.open({
      module: sqliteModule,
      clock: this.#clock,
      codec: deltaCodec(pageCodec),
      pages: this.#pages,
      openLog: () =>
        SegmentLog.open({
          folder: '/log',
          xxh64: this.#xxh64,
          files: this.#files,
          segmentSizeBytes: 32_768,
          durableLsn: this.#pages.lsn,
        }),
      limits: { foldSizeBytes: 40_000 + this.#below(200_000) },
    });
  }

  /** The sum of the accounts never changes, and each transfer is counted in its own transaction. */
  async #check(database: Database, isNew: boolean): Promise<void> {
    const connection = database.connect('read-write');
    if (isNew) {
      const each = TOTAL / BigInt(ACCOUNTS);
      connection.runSequence(`BEGIN; CREATE TABLE account(id INTEGER PRIMARY KEY, left INT);
        CREATE TABLE transfer(n INTEGER PRIMARY KEY, note);`);
      for (let id = 0; id < ACCOUNTS; id++) {
        run(connection, 'INSERT INTO account VALUES (?, ?)', BigInt(id), each);
      }
      connection.runSequence('COMMIT');
      await durable(database, connection.seenLsn);
    }
    assert.deepEqual(rows(connection, 'PRAGMA integrity_check'), [['ok']]);
    assert.deepEqual(rows(connection, 'SELECT sum(left) FROM account'), [[TOTAL]]);
    const made = rows(connection, 'SELECT n FROM transfer ORDER BY n').map(([n]) => Number(n));
    for (const [index, n] of made.entries()) assert.equal(n, index + 1);
    assert.ok(made.length >= this.#acknowledged, `${made.length} < ${this.#acknowledged}`);
    assert.ok(made.length <= this.#begun, `${made.length} > ${this.#begun}`);
    // What was not acknowledged and is there is so from now on.
    this.#acknowledged = made.length;
    this.#begun = made.length;
    connection.release();
  }

  async #work(database: Database): Promise<void> {
    const waits: Promise<void>[] = [];
    for (let round = 0; round < 80 && !this.#files.isEnded; round++) {
      for (let count = this.#below(4); count >= 0; count--) {
        const wait = this.#transfer(database);
        if (wait !== null) waits.push(wait);
      }
      if (this.#below(2) === 0) await waits.at(-1);
      if (this.#below(12) === 0) await database.checkpoint().catch(() => {});
      if (database.stats.state !== 'open' && !this.#files.isEnded) {
        this.failuresCount++;
        await until(() => database.stats.state === 'open' || this.#files.isEnded);
        if (!this.#files.isEnded) await this.#check(database, false);
      }
    }
    if (this.#files.isEnded) return;
    await Promise.all(waits);
  }

  /** Resolves when it is acknowledged or lost; null where it did not happen. */
  #transfer(database: Database): Promise<void> | null {
    const connection = this.#connect(database);
    if (connection === null) return null;
    const [from, to] = [BigInt(this.#below(ACCOUNTS)), BigInt(this.#below(ACCOUNTS))];
    const n = this.#begun + 1;
    try {
      run(connection, 'BEGIN IMMEDIATE');
      run(connection, 'UPDATE account SET left = left - 1 WHERE id = ?', from);
      run(connection, 'UPDATE account SET left = left + 1 WHERE id = ?', to);
      run(connection, 'INSERT INTO transfer VALUES (?, zeroblob(?))', BigInt(n), BigInt(n % 700));
      run(connection, 'COMMIT');
    } catch (error) {
      if (!isSqlError(error)) throw error;
      connection.release();
      return null;
    }
    this.#begun = n;
    const lsn = connection.seenLsn;
    connection.release();
    return durable(database, lsn).then(
      () => {
        this.#acknowledged = Math.max(this.#acknowledged, n);
      },
      () => {},
    );
  }

  #connect(database: Database): Connection | null {
    try {
      return database.connect('read-write');
    } catch (error) {
      if (isSqlError(error)) return null;
      throw error;
    }
  }
}

describe('a database', () => {
  it('keeps what it acknowledged through failures of the disk and ends of the process', async () => {
    const seed = testSeed('database-crash');
    const end = performance.now() + 2 * FUZZ_TIME_MS;
    let endsCount = 0;
    let failuresCount = 0;
    for (let round = 0; round < 8 || performance.now() < end; round++) {
      try {
        const world = new World(seed + round);
        await world.run();
        endsCount += world.endsCount;
        failuresCount += world.failuresCount;
      } catch (error) {
        assert.fail(`SEED=${seed + round}: ${error instanceof Error ? error.stack : error}`);
      }
    }
    console.log(`# ${endsCount} ends of the process, ${failuresCount} failures of the disk`);
    assert.ok(endsCount > 0 && failuresCount > 0);
  });
});
