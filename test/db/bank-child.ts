// A bank in a real folder, to be killed: FOLDER SEED FIRST_ID. Says on standard output what it has
// found, then each transfer once it is durable. Ends by itself only when its input ends.

import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { SeededRandom, systemClock } from '../../host/core/index.ts';
import { deltaCodec } from '../../host/db/commit-codec.ts';
import { Database } from '../../host/db/database.ts';
import { SegmentLog } from '../../host/db/log/index.ts';
import { LmdbPageStore } from '../../host/db/page-store/index.ts';
import { compileCodec, PageCodec } from '../../host/kernels/index.ts';
import { auditBank, openBank, transfer } from '../support/bank.ts';
import { kernelXxh64 } from '../support/log-scene.ts';
import { sqliteModule } from '../support/sql.ts';
import { codecModuleBytes } from '../support/wasm.ts';

const CLIENTS_COUNT = 6;
const [folder = '', seed = '', firstId = ''] = process.argv.slice(2);
const say = (line: string) => writeSync(1, `${line}\n`);

const codecModule = compileCodec(codecModuleBytes());
const pages = await LmdbPageStore.open({
  folder: join(folder, 'pages'),
  codecModule,
  clock: systemClock,
  sizeBytesMax: 2 ** 28,
  retentionMs: 0,
});
const xxh64 = kernelXxh64();
const database = await Database.open({
  module: sqliteModule,
  clock: systemClock,
  codec: deltaCodec(new PageCodec(codecModule)),
  pages,
  openLog: (durableLsn) =>
    SegmentLog.open({
      folder: join(folder, 'log'),
      xxh64,
      segmentSizeBytes: 262_144,
      durableLsn,
    }),
  // Often, so that a kill meets folds and trims.
  limits: { foldSizeBytes: 200_000, foldIntervalMs: 20 },
});
await openBank(database);
say(`found ${JSON.stringify([...auditBank(database)])}`);

let nextId = Number(firstId);
let isEnding = false;
process.stdin.resume().on('end', () => {
  isEnding = true;
});
const client = async (number: number): Promise<void> => {
  const random = new SeededRandom(Number(seed) + number);
  while (!isEnding) {
    const id = nextId++;
    await transfer(database, { id, random });
    say(`done ${id}`);
  }
};
await Promise.all(Array.from({ length: CLIENTS_COUNT }, (_, number) => client(number)));
await database.close();
