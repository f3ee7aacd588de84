// A reader in another thread of the process: opens the same folder, reads a page when asked.

import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../host/core/index.ts';
import { LmdbPageStore } from '../../host/db/page-store/index.ts';
import { codecModule, readPage } from './store-scene.ts';

const store = await LmdbPageStore.open({
  folder: workerData.task as string,
  codecModule,
  clock: systemClock,
  sizeBytesMax: 2 ** 30,
  retentionMs: 0,
});
parentPort!.on('message', async (message: 'close' | { pageNumber: number; lsn: number }) => {
  if (message === 'close') {
    await store.close();
    parentPort!.close();
    return;
  }
  store.refresh();
  parentPort!.postMessage({
    lsn: store.lsn,
    page: readPage(store, message.pageNumber, message.lsn),
  });
});
parentPort!.postMessage('open');
