// Verified content, first in memory and then in the storage. What the storage gives is checked like
// what a stranger gives: disks rot, and other programs write.

import type { LevelSwitches, LoaderStorage } from './api.ts';
import { checkContent } from './digest.ts';
import { toLoaderError } from './errors.ts';
import type { Bytes, ContentRef } from './model.ts';
import type { FallbackPlace, Notes } from './notes.ts';

export interface ContentOptions {
  readonly storage: LoaderStorage;
  readonly levels: LevelSwitches;
  readonly memorySizeBytesMax: number;
  readonly notes: Notes;
}

export type ContentPlace = Pick<FallbackPlace, 'channel' | 'what'>;

export class ContentStore {
  readonly #storage: LoaderStorage;
  readonly #levels: LevelSwitches;
  readonly #notes: Notes;
  readonly #memorySizeBytesMax: number;
  /** Least lately used first. */
  readonly #memory = new Map<string, Bytes>();
  #memorySizeBytes = 0;

  constructor({ storage, levels, memorySizeBytesMax, notes }: ContentOptions) {
    this.#storage = storage;
    this.#levels = levels;
    this.#memorySizeBytesMax = memorySizeBytesMax;
    this.#notes = notes;
  }

  /** The content, or null when it is not here; what is here and wrong is removed and noted. */
  async read(ref: ContentRef, place: ContentPlace): Promise<Bytes | null> {
    const held = this.#levels.memory ? this.#memory.get(ref.sha256) : undefined;
    if (held !== undefined && held.length === ref.sizeBytes) {
      this.#hold(ref, held);
      // The app may write into what it gets.
      return held.slice();
    }
    if (!this.#levels.disk) return null;
    try {
      const stored = await this.#storage.read(ref.sha256);
      if (stored === null) return null;
      // A Buffer of Node is no plain array: its `slice` shares.
      const bytes = new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
      await checkContent(bytes, ref, 'the stored content');
      this.#hold(ref, bytes.slice());
      return bytes;
    } catch (error) {
      this.#notes.fallback(error, 'LOADER_DISK', { ...place, level: 'disk' });
      if (toLoaderError(error, 'LOADER_DISK').code === 'LOADER_HASH') await this.remove(ref.sha256);
      return null;
    }
  }

  /** Keeps content that has been checked. Errors: LOADER_DISK. */
  async write(ref: ContentRef, bytes: Bytes): Promise<void> {
    this.#hold(ref, bytes.slice());
    if (!this.#levels.disk) return;
    try {
      await this.#storage.write(ref.sha256, bytes);
    } catch (error) {
      throw toLoaderError(error, 'LOADER_DISK');
    }
  }

  /** Those that are not here. A storage that fails has nothing. */
  async missing(refs: readonly ContentRef[]): Promise<ContentRef[]> {
    const absent = refs.filter(({ sha256 }) => {
      return !(this.#levels.memory && !this.#levels.disk && this.#memory.has(sha256));
    });
    if (!this.#levels.disk) return absent;
    try {
      return await this.#storage.missing(absent);
    } catch (error) {
      const place = { level: 'disk', channel: null, what: 'looking for content' } as const;
      this.#notes.fallback(error, 'LOADER_DISK', place);
      return [...absent];
    }
  }

  async remove(sha256: string): Promise<void> {
    this.#drop(sha256);
    if (this.#levels.disk) await this.#storage.remove(sha256).catch(() => {});
  }

  /** Removes all but `kept`. A failure only leaves rubbish, and is noted. */
  async collect(kept: ReadonlyMap<string, number>): Promise<void> {
    if (!this.#levels.disk) return;
    try {
      for (const sha256 of await this.#storage.list()) {
        if (!kept.has(sha256)) await this.#storage.remove(sha256);
      }
    } catch (error) {
      const place = { level: 'disk', channel: null, what: 'removing old content' } as const;
      this.#notes.fallback(error, 'LOADER_DISK', place);
    }
  }

  #hold({ sha256, sizeBytes }: ContentRef, bytes: Bytes): void {
    if (!this.#levels.memory || sizeBytes > this.#memorySizeBytesMax / 4) return;
    this.#drop(sha256);
    this.#memory.set(sha256, bytes);
    this.#memorySizeBytes += bytes.length;
    for (const [oldest] of this.#memory) {
      if (this.#memorySizeBytes <= this.#memorySizeBytesMax) break;
      this.#drop(oldest);
    }
  }

  #drop(sha256: string): void {
    this.#memorySizeBytes -= this.#memory.get(sha256)?.length ?? 0;
    this.#memory.delete(sha256);
  }
}
