// `codec.wasm`: compiled once and posted to whoever needs it, instantiated per thread. Its memory
// is private; only instances made for zstd jobs grow (zstd-decode-job.ts), so that the views made
// here stay valid.

import {
  CODEC_MEMORY_PAGES,
  WINDOW_OFFSET,
  WINDOW_SIZE_BYTES,
} from '../../assembly/shared/codec-layout.ts';

const PAGE_SIZE_BYTES = 65536;

/** The kernels as the module exports them; numbers come back signed. */
export interface CodecKernels {
  readonly crc32cInit: () => void;
  readonly crc32c: (crc: number, sizeBytes: number) => number;
  readonly xxh64Begin: (seedHigh: number, seedLow: number) => void;
  readonly xxh64Update: (sizeBytes: number) => void;
  readonly xxh64Finish: (sizeBytes: number) => bigint;
}

/** A thread's own instance. */
export interface CodecInstance {
  readonly kernels: CodecKernels;
  readonly memory: WebAssembly.Memory;
  /** The bytes that a kernel's input goes into, one piece at a time. */
  readonly window: Uint8Array;
}

/** Compiles the module; it can be posted to a worker. */
export function compileCodec(wasm: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  return new WebAssembly.Module(wasm);
}

/** Instantiates the module for one thread. Cost: 576 KiB of memory. */
export function instantiateCodec(module: WebAssembly.Module): CodecInstance {
  const { exports } = new WebAssembly.Instance(module, {});
  const memory = exports.memory as WebAssembly.Memory;
  if (memory.buffer.byteLength !== CODEC_MEMORY_PAGES * PAGE_SIZE_BYTES) {
    throw new TypeError(`codec.wasm has ${memory.buffer.byteLength} bytes of memory`);
  }
  const kernels = exports as unknown as CodecKernels;
  kernels.crc32cInit();
  const window = new Uint8Array(memory.buffer, WINDOW_OFFSET, WINDOW_SIZE_BYTES);
  return { kernels, memory, window };
}
