// The face of codec.wasm: one per thread. It is synchronous; what takes longer than about a
// millisecond belongs in the compute pool.

import { crc32c, xxh64 } from './checksum.ts';
import { type CodecInstance, compileCodec, instantiateCodec } from './codec-module.ts';

export class Codec {
  readonly #instance: CodecInstance;

  constructor(module: WebAssembly.Module) {
    this.#instance = instantiateCodec(module);
  }

  static create(wasm: Uint8Array<ArrayBuffer>): Codec {
    return new Codec(compileCodec(wasm));
  }

  /** XXH64 of bytes of any length. Units: `seed` and result are unsigned 64-bit. */
  xxh64(bytes: Uint8Array, seed = 0n): bigint {
    return xxh64(this.#instance, bytes, seed);
  }

  /** CRC-32C of bytes of any length, going on from `previous`. Units: unsigned 32-bit. */
  crc32c(bytes: Uint8Array, previous = 0): number {
    return crc32c(this.#instance, bytes, previous);
  }
}
