// Histories of a whole database on a disk that fails: FIRST_SEED COUNT. Money moves between
// accounts while writes, syncs, folds, trims and openings end half-way, fail, or find no room; what
// a power cut or a kill leaves is opened again. Says on standard output, in JSON, what happened how
// often.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { isGatewayError, ManualClock, SeededRandom } from '../../host/core/index.ts';
import { deltaCodec } from '../../host/db/commit-codec.ts';
import type { FoldedPage, Lsn, PagePin, PageStore } from '../../host/db/contract.ts';
import { Database } from '../../host/db/database.ts';
import { compileSqlite } from '../../host/db/engine/index.ts';
import type { StoredGroup } from '../../host/db/log/group-reader.ts';
import { SegmentLog } from '../../host/db/log/index.ts';
import { isSqlError } from '../../host/db/sql-error.ts';
import { auditBank, hasBank, openBank, transfer } from '../support/bank.ts';
import { MemoryPages, pageCodec } from '../support/database.ts';
import { type Fault, FaultyFiles } from '../support/faulty-files.ts';
import { errorOf, kernelXxh64, readAll } from '../support/log-scene.ts';

const [firstSeed = '', count = ''] = process.argv.slice(2);
/** Together, for a log that is opened again after a pause keeps one of them waiting. */
const TOGETHER_COUNT = 4;
const CLIENTS_COUNT = 4;
const SEGMENT_SIZE_BYTES = 16_384;
const OPENINGS_COUNT_MAX = 3;
const FAULTS: readonly Fault[] = ['end-before', 'end-within', 'end-after', 'io-error', 'no-room'];
const STEPS: Readonly<Record<string, RegExp>> = {
  write: /^write .*\.segment/,
  sync: /^sync .*\.segment/,
  fold: /^fold/,
  trim: /^names (rename \S+ \S+\.spare|unlink \S+\.segment)/,
  'new segment': /next\.temporary|^names rename \S+\.spare/,
};
const KINDS = Object.keys(STEPS);
const sqlite = compileSqlite(
  new Uint8Array(readFileSync('node_modules/@sqlite.org/sqlite-wasm/dist/sqlite3.wasm')),
);
const xxh64 = kernelXxh64();
const counts: Record<string, number> = {};
const note = (what: string) => {
  counts[what] = 1 + (counts[what] ?? 0);
};

/** The page store as one process sees it: a fold is a step that may be the last. */
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
    let folding: Promise<void> | null = null;
    this.#files.fold(lsn, () => {
      folding = this.#pages.fold(lsn, pageCount, pages);
    });
    await folding;
  }

  pin(atLsn: Lsn): PagePin {
    return this.#pages.pin(atLsn);
  }

  async close(): Promise<void> {}
}

class History {
  readonly random: SeededRandom;
  readonly pages = new MemoryPages();
  readonly acknowledged = new Set<number>();
  readonly asked = new Set<number>();
  files: FaultyFiles;
  stage = 'opening';
  /** Whether it was acknowledged. */
  #isBankMade = false;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.files = new FaultyFiles(new SeededRandom(seed ^ 0x5eed));
  }

  openLog(durableLsn: Lsn): Promise<SegmentLog> {
    const { files } = this;
    return SegmentLog.open({
      folder: '/log',
      xxh64,
      files,
      segmentSizeBytes: SEGMENT_SIZE_BYTES,
      newSecret: () => (BigInt(this.random.uint32()) << 32n) | BigInt(this.random.uint32()),
      durableLsn,
    });
  }

  open(): Promise<Database> {
    return Database.open({
      module: sqlite,
      clock: new ManualClock(),
      codec: deltaCodec(pageCodec),
      pages: new ProcessPages(this.pages, this.files),
      openLog: (durableLsn) => this.openLog(durableLsn),
      report: ({ kind }) => note(kind),
    });
  }

  /** Opens a database, which faults may end some times before it is open. */
  async opened(): Promise<Database> {
    this.stage = 'opening';
    for (let attempt = 0; attempt < OPENINGS_COUNT_MAX; ++attempt) {
      if (this.random.unit() < 0.5) this.aim(/./, 25);
      try {
        return await this.open();
      } catch (error) {
        const isTold = isGatewayError(error) && /^DB_LOG_(FAILED|FULL)$/.test(error.code);
        assert.ok(this.files.isEnded || isTold, `${error}`);
        this.end();
      }
    }
    this.files.aimed = null;
    return this.open();
  }

  aim(step: RegExp, within: number): void {
    const { files, random } = this;
    const isShort = random.unit() < 0.2 && step === STEPS.write;
    const fault = isShort ? 'short' : FAULTS[random.uint32() % FAULTS.length]!;
    files.aimed = { step, passCount: random.uint32() % within, fault };
    files.onFault = (what, happened) => {
      const kind = KINDS.find((name) => STEPS[name]!.test(what)) ?? 'other';
      note(this.stage === 'opening' ? `opening ${happened}` : `${kind} ${happened}`);
    };
  }

  async openBank(database: Database): Promise<void> {
    try {
      await openBank(database);
      this.#isBankMade = true;
    } catch (error) {
      if (!this.files.isEnded && this.files.errorCount === 0) throw error;
    }
  }

  /** What an opening found, against what is known. */
  check(database: Database): void {
    // The disk may keep the bank from being made, and then let the database open.
    if (!this.#isBankMade && !hasBank(database)) return;
    const found = auditBank(database);
    for (const id of this.acknowledged) assert.ok(found.has(id), `transfer ${id} is lost`);
    for (const id of found) {
      assert.ok(this.asked.has(id), `nobody asked for transfer ${id}`);
      // Whoever has seen it must see it again.
      this.acknowledged.add(id);
    }
  }

  async client(database: Database): Promise<void> {
    const { files, random } = this;
    for (let round = random.uint32() % 10; round >= 0 && !files.isEnded; --round) {
      const id = this.asked.size + 1;
      this.asked.add(id);
      try {
        await transfer(database, { id, random });
        this.acknowledged.add(id);
        if (random.unit() < 0.12) await database.checkpoint();
      } catch (error) {
        // A checkpoint says what the disk says; a transfer, that the database is lost.
        assert.ok(isSqlError(error) || files.errorCount > 0 || files.isEnded, `${error}`);
        while (database.stats.state === 'reopening' && !files.isEnded) {
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      }
    }
  }

  end(): void {
    this.files = this.files.restart(this.random.unit() < 0.7 ? 'power cut' : 'killed');
  }
}

async function run(seed: number): Promise<void> {
  const history = new History(seed);
  const { random } = history;
  for (let life = 1 + (random.uint32() % 2); life > 0; --life) {
    const database = await history.opened();
    await history.openBank(database);
    if (!history.files.isEnded && database.stats.state === 'open') history.check(database);
    history.stage = 'living';
    history.aim(STEPS[KINDS[(seed + life) % KINDS.length]!]!, 4);
    await Promise.all(Array.from({ length: CLIENTS_COUNT }, () => history.client(database)));
    note(history.files.isEnded ? 'ended' : 'lived');
    if (!history.files.isEnded && database.stats.state === 'open') history.check(database);
    history.end();
    // What is left of the former process finds its files gone.
    await database.close().catch(() => {});
  }
  const last = await history.open();
  await history.openBank(last);
  history.check(last);
  counts.acknowledged = history.acknowledged.size + (counts.acknowledged ?? 0);
  await last.close();
  if (seed % 3 === 0) await flip(history);
}

/** A bit of a group flips while nobody has the database: it is told with its place, by the opening,
 *  or by who reads the log where the group has been folded already. */
async function flip(history: History): Promise<void> {
  const log = await history.openLog(history.pages.lsn);
  const stored: StoredGroup[] = [];
  if (log.firstLsn < log.nextLsn) {
    for await (const group of log.readStored(log.firstLsn)) stored.push(group);
  }
  await log.close();
  if (stored.length === 0) return;
  const { path, offset, bytes } = stored[history.random.uint32() % stored.length]!;
  history.files = history.files.restart('power cut');
  history.files.disk.flipBit(path, offset + (history.random.uint32() % (8 + bytes.length)));
  const said = await errorOf(async () => {
    const database = await history.open();
    try {
      auditBank(database);
      await readAll(database.log);
    } finally {
      await database.close();
    }
  });
  assert.ok(said.startsWith(`DB_LOG_CORRUPT ${path} at byte ${offset}: `), said);
  note('flip told');
}

let next = Number(firstSeed);
const endSeed = next + Number(count);
const lane = async (): Promise<void> => {
  while (next < endSeed) {
    const seed = next++;
    try {
      await run(seed);
    } catch (error) {
      console.error(`SEED=${seed}`);
      throw error;
    }
  }
};
await Promise.all(Array.from({ length: TOGETHER_COUNT }, lane));
console.log(JSON.stringify(counts));
