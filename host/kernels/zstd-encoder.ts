// The face of the zstd encoder: deltas against a raw dictionary, and plain frames. It is
// synchronous; what takes longer than about a millisecond belongs in the compute pool. Its instance
// is its own, because a job's memory grows to several times the files.

import {
  CODEC_MEMORY_PAGES_MAX,
  ZSTD_AREA_OFFSET,
  ZSTD_CONTENT_SIZE_BYTES_MAX,
  ZSTD_DICTIONARY_SIZE_BYTES_MAX,
} from '../../assembly/shared/codec-layout.ts';
import { GatewayError } from '../core/index.ts';

const PAGE_SIZE_BYTES = 65536;
const MEMORY_SIZE_BYTES_MAX = CODEC_MEMORY_PAGES_MAX * PAGE_SIZE_BYTES;

/** An instance that grew beyond this is dropped after its job, since a Wasm memory never shrinks:
 *  files of 2 MB fit at every effort. */
const RETAINED_SIZE_BYTES_MAX = 100_663_296;

const EMPTY = new Uint8Array(0);

/** What codec.wasm exports for encodings; numbers come back signed. */
interface ZstdEncodeKernels {
  readonly memory: WebAssembly.Memory;
  readonly zstdEncodeBound: (sourceSizeBytes: number) => number;
  readonly zstdEncodeWorkSize: (
    dictionarySizeBytes: number,
    sourceSizeBytes: number,
    effort: number,
  ) => number;
  readonly zstdEncode: (
    workPtr: number,
    workSizeBytes: number,
    dictionaryPtr: number,
    dictionarySizeBytes: number,
    sourceSizeBytes: number,
    framePtr: number,
    frameSizeBytes: number,
    effort: number,
  ) => number;
}

export interface ZstdEncodeOptions {
  /** What the decoder will have: raw content, also when it begins like a trained dictionary. */
  readonly dictionary?: Uint8Array;
  /** 1 is fast, 2 waits for better matches, 3 weighs all of them. */
  readonly effort: 1 | 2 | 3;
}

export class ZstdEncoder {
  readonly #module: WebAssembly.Module;
  #kernels: ZstdEncodeKernels | undefined;

  /** Takes codec.wasm, compiled. */
  constructor(module: WebAssembly.Module) {
    this.#module = module;
  }

  /** Encodes a content as one frame: single segment, content size, XXH64 checksum, no dictionary
   *  number. The same input gives the same bytes.
   *  Errors: GatewayError GW_DELTA_TOO_LARGE above 128 MiB of content or of dictionary.
   *  Cost: memory for two files of 1 MB: 42, 50 or 83 MB by effort; of 14 MB: 257, 369 or 506. */
  encode(content: Uint8Array, options: ZstdEncodeOptions): Uint8Array<ArrayBuffer> {
    const dictionary = options.dictionary ?? EMPTY;
    checkSize('the content', content.length, ZSTD_CONTENT_SIZE_BYTES_MAX);
    checkSize('the dictionary', dictionary.length, ZSTD_DICTIONARY_SIZE_BYTES_MAX);
    this.#kernels ??= new WebAssembly.Instance(this.#module, {})
      .exports as unknown as ZstdEncodeKernels;
    const kernels = this.#kernels;
    try {
      return encodeIn(kernels, content, dictionary, options.effort);
    } finally {
      if (kernels.memory.buffer.byteLength > RETAINED_SIZE_BYTES_MAX) this.#kernels = undefined;
    }
  }
}

function checkSize(what: string, sizeBytes: number, sizeBytesMax: number): void {
  if (sizeBytes <= sizeBytesMax) return;
  const detail = `${what} has ${sizeBytes} bytes, the limit is ${sizeBytesMax}`;
  throw new GatewayError('GW_DELTA_TOO_LARGE', detail);
}

/** Areas: | ZSTD_AREA_OFFSET: work | dictionary | content | frame | */
function encodeIn(
  kernels: ZstdEncodeKernels,
  content: Uint8Array,
  dictionary: Uint8Array,
  effort: number,
): Uint8Array<ArrayBuffer> {
  const workSize = kernels.zstdEncodeWorkSize(dictionary.length, content.length, effort);
  const frameSize = kernels.zstdEncodeBound(content.length);
  if (workSize < 0 || frameSize < 0) throw new RangeError(`effort is ${effort}`);
  const dictionaryPtr = ZSTD_AREA_OFFSET + workSize;
  const contentPtr = dictionaryPtr + dictionary.length;
  const framePtr = contentPtr + content.length;
  growTo(kernels.memory, framePtr + frameSize);
  const bytes = new Uint8Array(kernels.memory.buffer);
  bytes.set(dictionary, dictionaryPtr);
  bytes.set(content, contentPtr);
  const size = kernels.zstdEncode(
    ZSTD_AREA_OFFSET,
    workSize,
    dictionaryPtr,
    dictionary.length,
    content.length,
    framePtr,
    frameSize,
    effort,
  );
  if (size < 0) throw new RangeError(`the zstd encoder refused its areas: status ${size}`);
  return bytes.slice(framePtr, framePtr + size);
}

function growTo(memory: WebAssembly.Memory, sizeBytes: number): void {
  checkSize('the work', sizeBytes, MEMORY_SIZE_BYTES_MAX);
  const missing = sizeBytes - memory.buffer.byteLength;
  if (missing <= 0) return;
  try {
    memory.grow(Math.ceil(missing / PAGE_SIZE_BYTES));
  } catch (cause) {
    const detail = `the work takes ${sizeBytes} bytes, which this machine does not give`;
    throw new GatewayError('GW_DELTA_TOO_LARGE', detail, cause);
  }
}
