// What the database plane does to pages: deltas for the log, LZ4 blocks and checksums for the
// store. One per thread; synchronous. Every call works in the window of an instance of its own, so
// that nothing is kept between calls.

import {
  DELTA_BASE_PAGE,
  DELTA_BASE_ZEROS,
  DELTA_OFFSET,
  DELTA_PAGE_AFTER_OFFSET,
  DELTA_PAGE_OFFSET,
  DELTA_PAGE_SIZE_BYTES,
  DELTA_SIZE_BYTES_MAX,
  LZ4_BLOCK_OFFSET,
  LZ4_BLOCK_SIZE_BYTES_MAX,
  LZ4_PLAIN_OFFSET,
  LZ4_PLAIN_SIZE_BYTES_MAX,
} from '../../assembly/shared/codec-layout.ts';
import { STATUS_NO_SPACE } from '../../assembly/shared/status.ts';
import { GatewayError } from '../core/index.ts';
import { xxh64 } from './checksum.ts';
import { type CodecInstance, instantiateCodec } from './codec-module.ts';

/** The most that `encodeDelta` writes. */
export const PAGE_DELTA_SIZE_BYTES_MAX = DELTA_SIZE_BYTES_MAX;

/** The longest plain block. */
export const LZ4_SIZE_BYTES_MAX = LZ4_PLAIN_SIZE_BYTES_MAX;

/** What codec.wasm exports for pages; numbers come back signed. */
interface PageKernels {
  readonly pageDeltaEncode: (base: number) => number;
  readonly pageDeltaDecode: (base: number, sizeBytes: number) => number;
  readonly lz4Encode: (plainSize: number, blockSizeMax: number) => number;
  readonly lz4Decode: (blockSize: number, plainSize: number) => number;
}

export class PageCodec {
  readonly #instance: CodecInstance;
  readonly #kernels: PageKernels;
  readonly #page: Uint8Array;
  readonly #pageAfter: Uint8Array;
  readonly #delta: Uint8Array;
  readonly #plain: Uint8Array;
  readonly #block: Uint8Array;

  /** Takes codec.wasm, compiled. */
  constructor(module: WebAssembly.Module) {
    this.#instance = instantiateCodec(module);
    const { kernels, memory } = this.#instance;
    this.#kernels = kernels as unknown as PageKernels;
    this.#page = new Uint8Array(memory.buffer, DELTA_PAGE_OFFSET, DELTA_PAGE_SIZE_BYTES);
    this.#pageAfter = new Uint8Array(memory.buffer, DELTA_PAGE_AFTER_OFFSET, DELTA_PAGE_SIZE_BYTES);
    this.#delta = new Uint8Array(memory.buffer, DELTA_OFFSET, DELTA_SIZE_BYTES_MAX);
    this.#plain = new Uint8Array(memory.buffer, LZ4_PLAIN_OFFSET, LZ4_PLAIN_SIZE_BYTES_MAX);
    this.#block = new Uint8Array(memory.buffer, LZ4_BLOCK_OFFSET, LZ4_BLOCK_SIZE_BYTES_MAX);
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

  /** Writes the LZ4 block of `plain` to `into` at `at`, and returns its size, or 0 where it might
   *  have more than `blockSizeMax` bytes. Units: `plain` 1 byte to 64 KiB.
   *  Source: LZ4 block format. Cost: about 8 µs for 4 KiB, and one view. */
  compress(plain: Uint8Array, blockSizeMax: number, into: Uint8Array, at: number): number {
    if (plain.length === 0 || plain.length > LZ4_SIZE_BYTES_MAX) {
      throw new RangeError(`${plain.length} bytes, a block holds 1 to ${LZ4_SIZE_BYTES_MAX}`);
    }
    this.#plain.set(plain);
    const size = this.#kernels.lz4Encode(plain.length, Math.min(blockSizeMax, into.length - at));
    if (size === STATUS_NO_SPACE) return 0;
    into.set(this.#block.subarray(0, size), at);
    return size;
  }

  /** Decodes an LZ4 block, which may be anybody's, to exactly the length of `into`.
   *  Errors: GatewayError DB_BLOCK_CORRUPT, and `into` is untouched. */
  decompress(block: Uint8Array, into: Uint8Array): void {
    const detail = `${block.length} bytes for ${into.length}`;
    if (block.length > LZ4_BLOCK_SIZE_BYTES_MAX || into.length > LZ4_SIZE_BYTES_MAX) {
      throw new GatewayError('DB_BLOCK_CORRUPT', `${detail}, the limit is ${LZ4_SIZE_BYTES_MAX}`);
    }
    this.#block.set(block);
    if (this.#kernels.lz4Decode(block.length, into.length) < 0) {
      throw new GatewayError('DB_BLOCK_CORRUPT', detail);
    }
    into.set(this.#plain.subarray(0, into.length));
  }

  /** XXH64 of bytes of any length. Units: `seed` and result are unsigned 64-bit. */
  xxh64(bytes: Uint8Array, seed = 0n): bigint {
    return xxh64(this.#instance, bytes, seed);
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
