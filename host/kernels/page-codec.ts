// What the database plane does to pages: deltas for the log. One per thread; synchronous. Every
// call works in the window of an instance of its own, so that nothing is kept between calls.

import {
  DELTA_BASE_PAGE,
  DELTA_BASE_ZEROS,
  DELTA_OFFSET,
  DELTA_PAGE_AFTER_OFFSET,
  DELTA_PAGE_OFFSET,
  DELTA_PAGE_SIZE_BYTES,
  DELTA_SIZE_BYTES_MAX,
} from '../../assembly/shared/codec-layout.ts';
import { GatewayError } from '../core/index.ts';
import { instantiateCodec } from './codec-module.ts';

/** The most that `encodeDelta` writes. */
export const PAGE_DELTA_SIZE_BYTES_MAX = DELTA_SIZE_BYTES_MAX;

/** What codec.wasm exports for pages; numbers come back signed. */
interface PageKernels {
  readonly pageDeltaEncode: (base: number) => number;
  readonly pageDeltaDecode: (base: number, sizeBytes: number) => number;
}

export class PageCodec {
  readonly #kernels: PageKernels;
  readonly #page: Uint8Array;
  readonly #pageAfter: Uint8Array;
  readonly #delta: Uint8Array;

  /** Takes codec.wasm, compiled. */
  constructor(module: WebAssembly.Module) {
    const { kernels, memory } = instantiateCodec(module);
    this.#kernels = kernels as unknown as PageKernels;
    this.#page = new Uint8Array(memory.buffer, DELTA_PAGE_OFFSET, DELTA_PAGE_SIZE_BYTES);
    this.#pageAfter = new Uint8Array(memory.buffer, DELTA_PAGE_AFTER_OFFSET, DELTA_PAGE_SIZE_BYTES);
    this.#delta = new Uint8Array(memory.buffer, DELTA_OFFSET, DELTA_SIZE_BYTES_MAX);
  }

  /** Writes what changed of a page to `into` at `at`, and returns its size; `before` is null for a
   *  page that was not there. Shape: assembly/codec/page-delta.ts; pages of 4,096 bytes, and
   *  PAGE_DELTA_SIZE_BYTES_MAX of room. Cost: 1 µs, and one view. */
  encodeDelta(before: Uint8Array | null, after: Uint8Array, into: Uint8Array, at: number): number {
    checkPage(after);
    if (at + DELTA_SIZE_BYTES_MAX > into.length) {
      throw new RangeError(
        `${into.length - at} bytes of room, a delta takes ${DELTA_SIZE_BYTES_MAX}`,
      );
    }
    this.#pageAfter.set(after);
    const size = this.#kernels.pageDeltaEncode(this.#base(before));
    into.set(this.#delta.subarray(0, size), at);
    return size;
  }

  /** Writes the page after a delta to `into`, which may be `before` itself; `before` is null for a
   *  page that was not there. The delta may be anybody's.
   *  Errors: GatewayError DB_DELTA_CORRUPT, and `into` is untouched. */
  decodeDelta(before: Uint8Array | null, delta: Uint8Array, into: Uint8Array): void {
    checkPage(into);
    if (delta.length > DELTA_SIZE_BYTES_MAX) {
      const detail = `it has ${delta.length} bytes, the limit is ${DELTA_SIZE_BYTES_MAX}`;
      throw new GatewayError('DB_DELTA_CORRUPT', detail);
    }
    this.#delta.set(delta);
    const status = this.#kernels.pageDeltaDecode(this.#base(before), delta.length);
    if (status < 0) throw new GatewayError('DB_DELTA_CORRUPT', `${delta.length} bytes`);
    into.set(this.#page);
  }

  #base(before: Uint8Array | null): number {
    if (before === null) return DELTA_BASE_ZEROS;
    checkPage(before);
    this.#page.set(before);
    return DELTA_BASE_PAGE;
  }
}

function checkPage(page: Uint8Array): void {
  if (page.length === DELTA_PAGE_SIZE_BYTES) return;
  throw new RangeError(`a page of ${page.length} bytes, expected ${DELTA_PAGE_SIZE_BYTES}`);
}
