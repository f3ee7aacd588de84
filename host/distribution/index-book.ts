// The indexes of releases that one worker has: asked of the main thread when first needed, kept
// while there is room. By manifest, whose hash is the release: a name may come to mean another.

import { GatewayError } from '../core/index.ts';
import { BoundedCache } from './bounded-cache.ts';
import { ReleaseIndex } from './release-index.ts';

/** The index of the most files with the longest paths: one always has room. */
const INDEX_SIZE_BYTES_MAX = 20_971_520;

interface Waiting {
  readonly promise: Promise<void>;
  readonly settle: () => void;
}

export class IndexBook {
  readonly #indexes: BoundedCache<ReleaseIndex>;
  readonly #waiting = new Map<string, Waiting>();

  constructor(memorySizeBytesMax: number) {
    this.#indexes = new BoundedCache(Math.max(memorySizeBytesMax, INDEX_SIZE_BYTES_MAX));
  }

  /** Undefined when it is to be waited for first. */
  get(manifest: string): ReleaseIndex | undefined {
    return this.#indexes.get(manifest);
  }

  /** Resolves when the index has come; `ask` is called unless somebody waits already.
   *  Errors: GW_DIST_CORRUPT when there is none. */
  wait(manifest: string, ask: () => void): Promise<void> {
    const waiting = this.#waiting.get(manifest);
    if (waiting !== undefined) return waiting.promise;
    let settle: () => void = () => {};
    const arrived = new Promise<void>((resolve) => {
      settle = resolve;
    });
    const promise = arrived.then(() => {
      if (this.#indexes.get(manifest) !== undefined) return;
      throw new GatewayError('GW_DIST_CORRUPT', `manifest ${manifest}`);
    });
    this.#waiting.set(manifest, { promise, settle });
    ask();
    return promise;
  }

  /** Takes an answer; null when there is no such index. */
  take(manifest: string, shared: SharedArrayBuffer | null): void {
    if (shared !== null) {
      const index = new ReleaseIndex(shared);
      this.#indexes.set(manifest, index, index.sizeBytes);
    }
    this.#waiting.get(manifest)?.settle();
    this.#waiting.delete(manifest);
  }
}
