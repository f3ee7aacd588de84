// Places blocks in the TABLES region: first fit, neighbours joined when freed. The state is an
// array on the main thread's heap, because only that thread places and frees; it refuses to keep a
// free list inside the blocks, where a stray write would break it.

import { TABLES_OFFSET, TABLES_SIZE_BYTES } from '../../assembly/shared/memory-map.ts';
import { GatewayError } from '../core/index.ts';

/** Blocks begin at multiples of a cache line. */
const ALIGNMENT_SIZE_BYTES = 64;

/** Tables alive at once: the active one and those that slow readers hold, with room to spare. */
export const TABLES_COUNT_MAX = 256;

interface Span {
  offset: number;
  sizeBytes: number;
}

/** Free and used spans of one region of memory. */
export class TableArena {
  /** By offset; no two touch each other. */
  readonly #free: Span[];
  readonly #used = new Map<number, number>();
  #usedBytes = 0;

  constructor(offset = TABLES_OFFSET, sizeBytes = TABLES_SIZE_BYTES) {
    this.#free = [{ offset, sizeBytes }];
  }

  /** Bytes taken, alignment included. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Takes a block and returns its offset in memory. Errors: GW_CONFIG_LIMIT when no free span is
   *  large enough. Cost: O(free spans). */
  allocate(sizeBytes: number): number {
    if (!(sizeBytes > 0)) throw new RangeError(`a block of ${sizeBytes} bytes`);
    if (this.#used.size === TABLES_COUNT_MAX) {
      throw new GatewayError(
        'GW_CONFIG_LIMIT',
        `${TABLES_COUNT_MAX} route tables are still in use by workers`,
      );
    }
    const wanted = Math.ceil(sizeBytes / ALIGNMENT_SIZE_BYTES) * ALIGNMENT_SIZE_BYTES;
    const index = this.#free.findIndex((span) => span.sizeBytes >= wanted);
    if (index < 0) {
      const largest = Math.max(0, ...this.#free.map((span) => span.sizeBytes));
      throw new GatewayError(
        'GW_CONFIG_LIMIT',
        `the route table needs ${wanted} bytes, the largest free span has ${largest}`,
      );
    }
    const span = this.#free[index]!;
    const offset = span.offset;
    span.offset += wanted;
    span.sizeBytes -= wanted;
    if (span.sizeBytes === 0) this.#free.splice(index, 1);
    this.#used.set(offset, wanted);
    this.#usedBytes += wanted;
    return offset;
  }

  /** Gives a block back. A block that was not allocated is a programmer's error. */
  free(offset: number): void {
    const sizeBytes = this.#used.get(offset);
    if (sizeBytes === undefined) throw new RangeError(`no block at ${offset}`);
    this.#used.delete(offset);
    this.#usedBytes -= sizeBytes;
    const found = this.#free.findIndex((span) => span.offset > offset);
    const index = found < 0 ? this.#free.length : found;
    this.#free.splice(index, 0, { offset, sizeBytes });
    this.#join(index);
    this.#join(index - 1);
  }

  /** Joins a free span with the next one if they touch. */
  #join(index: number): void {
    const span = this.#free[index];
    const next = this.#free[index + 1];
    if (span === undefined || next === undefined) return;
    if (span.offset + span.sizeBytes !== next.offset) return;
    span.sizeBytes += next.sizeBytes;
    this.#free.splice(index + 1, 1);
  }
}
