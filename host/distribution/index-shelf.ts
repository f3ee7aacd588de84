// The indexes of releases on the main thread: built once in another thread however many workers
// ask, and kept for workers that start.

import { BoundedCache } from './bounded-cache.ts';
import type { ReleaseEntry } from './model.ts';

export type IndexLoader = (entry: ReleaseEntry) => Promise<SharedArrayBuffer>;

export class IndexShelf {
  readonly #load: IndexLoader;
  readonly #kept: BoundedCache<SharedArrayBuffer>;
  readonly #loading = new Map<string, Promise<SharedArrayBuffer>>();

  constructor(load: IndexLoader, memorySizeBytesMax: number) {
    this.#load = load;
    this.#kept = new BoundedCache(memorySizeBytesMax);
  }

  /** Errors: those of loading. */
  get(entry: ReleaseEntry): Promise<SharedArrayBuffer> {
    const { sha256 } = entry.manifest;
    const kept = this.#kept.get(sha256);
    if (kept !== undefined) return Promise.resolve(kept);
    const loading = this.#loading.get(sha256) ?? this.#build(entry);
    this.#loading.set(sha256, loading);
    return loading;
  }

  async #build(entry: ReleaseEntry): Promise<SharedArrayBuffer> {
    const { sha256 } = entry.manifest;
    try {
      const index = await this.#load(entry);
      this.#kept.set(sha256, index, index.byteLength);
      return index;
    } finally {
      this.#loading.delete(sha256);
    }
  }
}
