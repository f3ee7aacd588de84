// A bank in a catalog's folder, to be killed at one of many points: FOLDER SEED FIRST_ID PLAN,
// where PLAN is a KillPlan in JSON, or null. Holds what it finds against the rules and checks every
// page and every group; then moves money, folds, trims, makes branches and deletes them. Says on
// standard output what it found and each transfer once it is durable.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { isGatewayError, SeededRandom, systemClock } from '../../host/core/index.ts';
import { DatabaseCatalog } from '../../host/db/catalog/index.ts';
import { deltaCodec } from '../../host/db/commit-codec.ts';
import { Database } from '../../host/db/database.ts';
import { compileSqlite } from '../../host/db/engine/index.ts';
import { CHAIN_START, SegmentLog } from '../../host/db/log/index.ts';
import { compileCodec, PageCodec } from '../../host/kernels/index.ts';
import { auditBank, openBank, transfer } from '../support/bank.ts';
import { enterStage, installKillPoints, type KillPlan, passed } from '../support/kill-points.ts';

const NAME = 'bank';
const CLIENTS_COUNT = 4;
const TRANSFERS_COUNT_MIN = 20;
const TRANSFERS_COUNT_MORE = 40;
const SEGMENT_SIZE_BYTES = 16_384;

const [folder = '', seed = '', firstId = '', plan = 'null'] = process.argv.slice(2);
const say = (line: string) => writeSync(1, `${line}\n`);
const random = new SeededRandom(Number(seed));
const wanted = JSON.parse(plan) as KillPlan | null;
/** Where a replay's fold is wanted, whatever the life before has left is folded. */
const foldSizeBytes =
  wanted?.point === 'recovery fold' ? 4_096 : [30_000, 100_000, 300_000][random.uint32() % 3]!;
const branchChance = /pin|catalog|made/.test(wanted?.point ?? '') ? 0.6 : 0.1;
const codecModule = compileCodec(new Uint8Array(readFileSync('build/codec.wasm')));
const sqlite = compileSqlite(
  new Uint8Array(readFileSync('node_modules/@sqlite.org/sqlite-wasm/dist/sqlite3.wasm')),
);
const codec = new PageCodec(codecModule);

/** Opens the bank of a folder of pages, or a branch of it. */
async function open(catalog: DatabaseCatalog, name: string) {
  const { store, close } = await catalog.openPages(name);
  const database = await Database.open({
    module: sqlite,
    clock: systemClock,
    codec: deltaCodec(codec),
    pages: store,
    closePages: close,
    openLog: (durableLsn) =>
      SegmentLog.open({
        folder: join(catalog.pathOf(name), 'log'),
        xxh64: (bytes, start) => codec.xxh64(bytes, start),
        segmentSizeBytes: SEGMENT_SIZE_BYTES,
        durableLsn,
        base: { lsn: store.lsn, chain: CHAIN_START, epoch: store.epoch },
      }),
    // Often, so that folds and trims are as frequent as commits; with less than the one before left
    // behind, a replay folds too.
    limits: { foldSizeBytes, foldIntervalMs: 60_000, logSizeBytesMax: 100_000 },
  });
  return { store, database };
}

/** Nobody holds the log for a branch here: the state may be folded away meanwhile. */
async function branch(name: string): Promise<void> {
  try {
    await catalog.branchWith(database.log, NAME, name, { lsn: database.durableLsn });
  } catch (error) {
    if (!isGatewayError(error) || !/DB_NO_STATE|DB_LOG_TRIMMED/.test(error.code)) throw error;
  }
}

/** Every branch is a whole bank. They are deleted by and by. */
async function checkBranches(catalog: DatabaseCatalog): Promise<void> {
  for (const name of await catalog.list()) {
    if (name === NAME) continue;
    const { store, database } = await open(catalog, name);
    auditBank(database);
    assert.deepEqual((await store.check()).findings, []);
    await database.close();
    await catalog.delete(name);
  }
}

await installKillPoints(wanted);
const catalog = await DatabaseCatalog.open({
  folder: join(folder, 'databases'),
  codecModule,
  clock: systemClock,
  sizeBytesMax: 2 ** 28,
  retentionMs: 0,
});
// Not by the catalog, whose first segment of a log is never full here; branches are made by it.
mkdirSync(join(catalog.pathOf(NAME), 'pages'), { recursive: true });
const { store, database } = await open(catalog, NAME);
await openBank(database);
const found = [...auditBank(database)];
// Of what stands there, before anything is folded again.
assert.deepEqual((await store.check()).findings, []);
for await (const _ of database.log.read(database.log.firstLsn));
say(`found ${JSON.stringify(found)}`);
enterStage('service');
await checkBranches(catalog);

let nextId = Number(firstId);
let leftCount = TRANSFERS_COUNT_MIN + (random.uint32() % TRANSFERS_COUNT_MORE);
const client = async (number: number): Promise<void> => {
  const own = new SeededRandom(Number(seed) + number);
  while (leftCount > 0) {
    leftCount -= 1;
    const id = nextId++;
    await transfer(database, { id, random: own });
    say(`done ${id}`);
    // A reader's snapshot makes the next fold put versions aside, which are collected later.
    if (own.unit() < 0.1) {
      const pin = store.pin(store.lsn);
      await database.checkpoint();
      pin.release();
    }
    if (number === 0 && own.unit() < branchChance) await branch(`branch-${id}`);
  }
};
await Promise.all(Array.from({ length: CLIENTS_COUNT }, (_, number) => client(number)));
enterStage('closing');
await database.close();
await catalog.close();
say(`passed ${JSON.stringify([...passed])}`);
