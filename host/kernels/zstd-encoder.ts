// The face of the zstd encoder: frames against a raw dictionary, and plain frames. It is
// synchronous; what takes longer than about a millisecond belongs in the compute pool.

import {
  CODEC_MEMORY_PAGES_MAX,
  ZSTD_AREA_OFFSET,
  ZSTD_CONTENT_SIZE_BYTES_MAX,
  ZSTD_DICTIONARY_SIZE_BYTES_MAX,
} from '../../assembly/shared/codec-layout.ts';
import { GatewayError } from '../core/index.ts';

const PAGE_SIZE_BYTES = 65536;
const ALIGNMENT = 16;
/** An instance that grew beyond this is dropped after its job: a Wasm memory never shrinks. */
const RETAINED_SIZE_BYTES_MAX = 67_108_864;
const EMPTY = new Uint8Array(0);

/** What codec.wasm exports for it; numbers come back signed. */
interface ZstdEncodeKernels {
  readonly memory: WebAssembly.Memory;
  readonly zstdEncodeBound: (sourceSize: number) => number;
  readonly zstdEncodeWorkSize: (
    dictionarySize: number,
    sourceSize: number,
    effort: number,
  ) => number;
  readonly zstdEncode: (
    work: number,
    workSize: number,
    dictionary: number,
    dictionarySize: number,
    sourceSize: number,
    frame: number,
    frameSize: number,
    effort: number,
  ) => number;
}

export interface ZstdEncodeOptions {
  /** Raw content that the decoder has too. */
  readonly dictionary?: Uint8Array;
  /** 1 is fast, 3 is small. */
  readonly effort: 1 | 2 | 3;
}

export class ZstdEncoder {
  readonly #module: WebAssembly.Module;
  #kernels: ZstdEncodeKernels | undefined;

  constructor(module: WebAssembly.Module) {
    this.#module = module;
  }

  /** One frame with the content's size and checksum, its window the content.
   *  Errors: GatewayError GW_ZSTD_TOO_LARGE. Cost: by effort; a copy in and one out.
   *
   *    | ZSTD_AREA_OFFSET: work | dictionary | content | frame |
   */
  encode(content: Uint8Array, options: ZstdEncodeOptions): Uint8Array<ArrayBuffer> {
    const { dictionary = EMPTY, effort } = options;
    checkSize('the content has', content.length, ZSTD_CONTENT_SIZE_BYTES_MAX);
    checkSize('the dictionary has', dictionary.length, ZSTD_DICTIONARY_SIZE_BYTES_MAX);
    this.#kernels ??= new WebAssembly.Instance(this.#module, {})
      .exports as unknown as ZstdEncodeKernels;
    const kernels = this.#kernels;
    const workSize = kernels.zstdEncodeWorkSize(dictionary.length, content.length, effort);
    const frameSize = kernels.zstdEncodeBound(content.length);
    const dictionaryPtr = ZSTD_AREA_OFFSET + Math.ceil(workSize / ALIGNMENT) * ALIGNMENT;
    const contentPtr = dictionaryPtr + dictionary.length;
    const framePtr = contentPtr + content.length;
    growTo(kernels.memory, framePtr + frameSize);
    const bytes = new Uint8Array(kernels.memory.buffer as ArrayBuffer);
    bytes.set(dictionary, dictionaryPtr);
    bytes.set(content, contentPtr);
    const size = kernels.zstdEncode(
      ZSTD_AREA_OFFSET,
      dictionaryPtr - ZSTD_AREA_OFFSET,
      dictionaryPtr,
      dictionary.length,
      content.length,
      framePtr,
      frameSize,
      effort,
    );
    // The areas are laid out as the kernel asks: only a mistake in these lines can displease it.
    if (size < 0) throw new TypeError(`zstdEncode returned ${size}`);
    const frame = bytes.slice(framePtr, framePtr + size);
    if (bytes.length > RETAINED_SIZE_BYTES_MAX) this.#kernels = undefined;
    return frame;
  }
}

function growTo(memory: WebAssembly.Memory, sizeBytes: number): void {
  const pages = Math.ceil(sizeBytes / PAGE_SIZE_BYTES);
  const missing = pages - memory.buffer.byteLength / PAGE_SIZE_BYTES;
  if (missing <= 0) return;
  if (pages > CODEC_MEMORY_PAGES_MAX) {
    const sizeBytesMax = CODEC_MEMORY_PAGES_MAX * PAGE_SIZE_BYTES;
    const detail = `an encoding takes ${sizeBytes} bytes, the limit is ${sizeBytesMax}`;
    throw new GatewayError('GW_ZSTD_TOO_LARGE', detail);
  }
  try {
    memory.grow(missing);
  } catch (error) {
    throw new GatewayError('GW_ZSTD_TOO_LARGE', `no memory for ${sizeBytes} bytes`, error);
  }
}

function checkSize(what: string, sizeBytes: number, sizeBytesMax: number): void {
  if (sizeBytes <= sizeBytesMax) return;
  const detail = `${what} ${sizeBytes} bytes, the limit is ${sizeBytesMax}`;
  throw new GatewayError('GW_ZSTD_TOO_LARGE', detail);
}
