// Folds until it is killed: page n of fold k holds k and n, and each fold writes a few pages. Says
// each LSN when its fold has been awaited.

import { writeSync } from 'node:fs';
import { systemClock } from '../../host/core/index.ts';
import { LmdbPageStore } from '../../host/db/page-store/index.ts';
import { PAGES_COUNT, pageOf, pagesOfFold } from './store-folds.ts';
import { codecModule } from './store-scene.ts';

const folder = process.argv[2]!;
const foldsCount = Number(process.argv[3] ?? 1e9);
const store = await LmdbPageStore.open({
  folder,
  codecModule,
  clock: systemClock,
  sizeBytesMax: 2 ** 30,
  retentionMs: 0,
});
store.pin(store.lsn);
for (let count = 0; count < foldsCount; ++count) {
  const lsn = store.lsn + 1;
  writeSync(1, `begin ${lsn}\n`);
  try {
    await store.fold(
      lsn,
      PAGES_COUNT,
      pagesOfFold(lsn).map((pageNumber) => ({ pageNumber, bytes: pageOf(lsn, pageNumber) })),
    );
  } catch (error) {
    const { findingsCount } = await store.check();
    writeSync(1, `${(error as { code: string }).code}, ${store.lsn}, ${findingsCount} findings\n`);
    break;
  }
  writeSync(1, `done ${lsn}\n`);
}
await store.close();
