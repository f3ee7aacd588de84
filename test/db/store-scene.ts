// A page store in a temporary folder, and pages with something in them.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock, type Random } from '../../host/core/index.ts';
import { LmdbPageStore, type PageStoreOptions } from '../../host/db/page-store/index.ts';
import { codecModuleBytes } from '../support/wasm.ts';

export const PAGE_SIZE_BYTES = 4096;
export const codecModule = new WebAssembly.Module(codecModuleBytes());

export class StoreScene {
  readonly folder = mkdtempSync(join(tmpdir(), 'sluice-store-'));
  readonly clock = new ManualClock();
  readonly #open = new Set<LmdbPageStore>();

  async open(options: Partial<PageStoreOptions> = {}): Promise<LmdbPageStore> {
    const store = await LmdbPageStore.open({
      folder: join(this.folder, 'pages'),
      codecModule,
      clock: this.clock,
      sizeBytesMax: 2 ** 30,
      retentionMs: 0,
      ...options,
    });
    this.#open.add(store);
    return store;
  }

  async close(store: LmdbPageStore): Promise<void> {
    this.#open.delete(store);
    await store.close();
  }

  async remove(): Promise<void> {
    for (const store of this.#open) await store.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A page that shrinks, or not, by chance. */
export function anyPage(random: Random): Uint8Array {
  const page = new Uint8Array(PAGE_SIZE_BYTES);
  const noiseSize = random.uint32() % 3 === 0 ? PAGE_SIZE_BYTES : random.uint32() % 3000;
  for (let at = 0; at < noiseSize; ++at) page[at] = random.uint32();
  return page;
}

export function readPage(
  store: { readPage: LmdbPageStore['readPage'] },
  pageNumber: number,
  lsn: number,
): Uint8Array | null {
  const into = new Uint8Array(PAGE_SIZE_BYTES);
  return store.readPage(pageNumber, lsn, into) ? into : null;
}
