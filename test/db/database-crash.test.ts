// A whole database that ends at any moment: on a disk that loses what was not synced, and as a real
// process that is killed with real files. Money moves between accounts meanwhile.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, describe, it } from 'node:test';
import { ManualClock, SeededRandom } from '../../host/core/index.ts';
import { deltaCodec } from '../../host/db/commit-codec.ts';
import type { FoldedPage, Lsn, PagePin, PageStore } from '../../host/db/contract.ts';
import { Database } from '../../host/db/database.ts';
import { SegmentLog } from '../../host/db/log/index.ts';
import { isSqlError } from '../../host/db/sql-error.ts';
import { auditBank, openBank, transfer } from '../support/bank.ts';
import { MemoryPages, pageCodec } from '../support/database.ts';
import { type Fault, FaultyFiles } from '../support/faulty-files.ts';
import { kernelXxh64 } from '../support/log-scene.ts';
import { testSeed } from '../support/seed.ts';
import { sqliteModule } from '../support/sql.ts';

const xxh64 = kernelXxh64();
const firstSeed = testSeed('database crashes');
const SEEDS_COUNT = Number(process.env.ROUNDS ?? 40);
const KILLS_COUNT = Number(process.env.KILLS ?? 6);
const CLIENTS_COUNT = 5;
const FAULTS: readonly Fault[] = ['end-before', 'end-within', 'end-after', 'io-error', 'short'];

/** The page store as one process sees it: when the process has ended, it stores nothing. */
class ProcessPages implements PageStore {
  readonly #pages: MemoryPages;
  readonly #files: FaultyFiles;

  constructor(pages: MemoryPages, files: FaultyFiles) {
    this.#pages = pages;
    this.#files = files;
  }

  get lsn(): Lsn {
    return this.#pages.lsn;
  }

  get pageCount(): number {
    return this.#pages.pageCount;
  }

  readPage(pageNumber: number, atLsn: Lsn, into: Uint8Array): boolean {
    return this.#pages.readPage(pageNumber, atLsn, into);
  }

  async fold(lsn: Lsn, pageCount: number, changed: Iterable<FoldedPage>): Promise<void> {
    const pages = [...changed].map(({ pageNumber, bytes }) => ({
      pageNumber,
      bytes: bytes.slice(),
    }));
    if (this.#files.isEnded) throw new Error('the process has ended');
    await this.#pages.fold(lsn, pageCount, pages);
  }

  pin(atLsn: Lsn): PagePin {
    return this.#pages.pin(atLsn);
  }

  async close(): Promise<void> {}
}

describe('a database on a disk that fails', { timeout: 280_000 }, () => {
  it(`keeps every transfer that it acknowledged: ${SEEDS_COUNT} seeds`, async () => {
    const counts = { acknowledged: 0, ended: 0, reopened: 0, checkpoints: 0 };
    for (let seed = firstSeed; seed < firstSeed + SEEDS_COUNT; ++seed) {
      try {
        await history(seed, counts);
      } catch (error) {
        console.log(`# SEED=${seed}`);
        throw error;
      }
    }
    console.log(`# ${JSON.stringify(counts)}`);
    if (SEEDS_COUNT < 40) return;
    assert.ok(counts.ended > 5 && counts.checkpoints > 5);
    assert.ok(counts.acknowledged > 500);
  });

  async function history(
    seed: number,
    counts: { acknowledged: number; ended: number; reopened: number; checkpoints: number },
  ): Promise<void> {
    const random = new SeededRandom(seed);
    let files = new FaultyFiles(new SeededRandom(seed ^ 0x5eed));
    const pages = new MemoryPages();
    const acknowledged = new Set<number>();
    const asked = new Set<number>();
    const open = () =>
      Database.open({
        module: sqliteModule,
        clock: new ManualClock(),
        codec: deltaCodec(pageCodec),
        pages: new ProcessPages(pages, files),
        openLog: (durableLsn) =>
          SegmentLog.open({
            folder: '/log',
            xxh64,
            files,
            segmentSizeBytes: 32_768,
            durableLsn,
          }),
        report: ({ kind }) => {
          if (kind === 'log-reopened') counts.reopened += 1;
          if (kind === 'checkpoint') counts.checkpoints += 1;
        },
      });

    const live = async (database: Database): Promise<void> => {
      const client = async (): Promise<void> => {
        for (let round = random.uint32() % 10; round >= 0 && !files.isEnded; --round) {
          const id = asked.size + 1;
          asked.add(id);
          try {
            await transfer(database, { id, random });
            acknowledged.add(id);
            if (random.unit() < 0.05) await database.checkpoint();
          } catch (error) {
            // A checkpoint says what the disk says; a transfer, that the database is lost.
            assert.ok(isSqlError(error) || files.errorCount > 0 || files.isEnded, `${error}`);
            while (database.stats.state === 'reopening' && !files.isEnded) {
              await new Promise((resolve) => setImmediate(resolve));
            }
          }
        }
      };
      await Promise.all(Array.from({ length: CLIENTS_COUNT }, client));
    };

    for (let life = 1 + (random.uint32() % 3); life > 0; --life) {
      const database = await open();
      await openBank(database);
      const found = auditBank(database);
      for (const id of acknowledged) assert.ok(found.has(id), `transfer ${id} is lost`);
      for (const id of found) assert.ok(asked.has(id));
      for (let count = random.uint32() % 3; count > 0; --count) {
        const step = files.stepCount + 1 + (random.uint32() % 40);
        files.faults.set(step, FAULTS[random.uint32() % FAULTS.length]!);
      }
      await live(database);
      if (files.isEnded) counts.ended += 1;
      if (!files.isEnded && database.stats.state === 'open') {
        const seen = auditBank(database);
        for (const id of acknowledged) assert.ok(seen.has(id), `transfer ${id} is not seen`);
      }
      files = files.restart(random.unit() < 0.7 ? 'power cut' : 'killed');
      // What is left of the former process finds its files gone.
      await database.close().catch(() => {});
    }
    const last = await open();
    await openBank(last);
    const found = auditBank(last);
    for (const id of acknowledged) assert.ok(found.has(id), `transfer ${id} is lost`);
    counts.acknowledged += acknowledged.size;
    await last.close();
  }
});

describe('a database in a process that is killed', { timeout: 280_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bank-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  it(`keeps every transfer that it acknowledged: ${KILLS_COUNT} kills`, async () => {
    const random = new SeededRandom(firstSeed);
    const acknowledged = new Set<number>();
    for (let round = 0; round <= KILLS_COUNT; ++round) {
      const isLast = round === KILLS_COUNT;
      const firstId = 1 + round * 1_000_000;
      const argv = ['--import', 'tsx', 'test/db/bank-child.ts', folder];
      const child = spawn(process.execPath, [...argv, String(random.uint32()), String(firstId)], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      const exit = once(child, 'exit');
      let left = 1 + (random.uint32() % 400);
      let hasFound = false;
      for await (const line of createInterface(child.stdout)) {
        const [word, rest = ''] = line.split(' ');
        if (word === 'found') {
          const found = new Set(JSON.parse(rest) as number[]);
          for (const id of acknowledged) assert.ok(found.has(id), `transfer ${id} is lost`);
          hasFound = true;
        } else acknowledged.add(Number(rest));
        left -= 1;
        if (left !== 0) continue;
        if (isLast) child.stdin.end();
        // Within the next steps, whatever they are.
        else setTimeout(() => child.kill('SIGKILL'), random.unit() * 4);
      }
      const [code, signal] = await exit;
      assert.ok(hasFound, `round ${round} ended with ${code} ${signal}`);
      if (isLast) assert.deepEqual([code, signal], [0, null]);
      else assert.equal(signal, 'SIGKILL');
    }
    console.log(`# ${acknowledged.size} transfers were acknowledged`);
    assert.ok(acknowledged.size > KILLS_COUNT);
  });
});
