// Memory for page versions. They come and go with every commit, so they are taken from slabs and
// given back: an ArrayBuffer for each of them would cost more than the commit.

import { DB_PAGE_SIZE_BYTES } from '../contract.ts';

/** A page as one commit left it. */
export class PageVersion {
  pageNumber = 0;
  lsn = 0;
  /** The version that this one replaced, while a snapshot needs it. */
  older: PageVersion | null = null;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

const SLAB_PAGES_COUNT = 64;
/** Free versions that are kept: 8 MiB. Beyond, they are left to the collector. */
const FREE_VERSIONS_COUNT_MAX = 2_048;

export class PageMemory {
  readonly #free: PageVersion[] = [];
  #heldCount = 0;

  /** Bytes of the versions in use. */
  get heldBytes(): number {
    return this.#heldCount * DB_PAGE_SIZE_BYTES;
  }

  /** A version whose bytes are whatever they were. */
  take(pageNumber: number): PageVersion {
    if (this.#free.length === 0) this.#addSlab();
    const version = this.#free.pop()!;
    version.pageNumber = pageNumber;
    this.#heldCount++;
    return version;
  }

  giveBack(version: PageVersion): void {
    version.older = null;
    this.#heldCount--;
    if (this.#free.length < FREE_VERSIONS_COUNT_MAX) this.#free.push(version);
  }

  #addSlab(): void {
    const slab = new Uint8Array(SLAB_PAGES_COUNT * DB_PAGE_SIZE_BYTES);
    for (let index = 0; index < SLAB_PAGES_COUNT; index++) {
      const offset = index * DB_PAGE_SIZE_BYTES;
      this.#free.push(new PageVersion(slab.subarray(offset, offset + DB_PAGE_SIZE_BYTES)));
    }
  }
}
