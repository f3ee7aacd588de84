// Our zstd decoder in a page or in Node: the same kernel with which the publisher proved the delta.
// The module is compiled when the first delta comes; a page whose policy forbids that
// (`wasm-unsafe-eval`) takes whole files, with the reason in the trail.

import { CODEC_MEMORY_PAGES_MAX, ZSTD_AREA_OFFSET } from '../assembly/shared/codec-layout.ts';
import {
  STATUS_BAD_CHECKSUM,
  STATUS_CORRUPT,
  STATUS_NO_CHECKSUM,
  STATUS_NO_SPACE,
  STATUS_TOO_LONG,
  STATUS_UNSUPPORTED,
} from '../assembly/shared/status.ts';
import type { Decoder } from './dcz.ts';
import { LoaderError } from './errors.ts';
import type { Bytes } from './model.ts';

const PAGE_SIZE_BYTES = 65_536;
/** An instance that grew beyond this is dropped after its job: a Wasm memory never shrinks. */
const RETAINED_SIZE_BYTES_MAX = 67_108_864;

interface Kernels {
  readonly memory: WebAssembly.Memory;
  readonly zstdDecodeWorkSizeBytes: () => number;
  readonly zstdDecode: (
    workPtr: number,
    inputPtr: number,
    inputSizeBytes: number,
    dictionarySizeBytes: number,
    outputPtr: number,
    outputSizeBytes: number,
    requiresChecksum: number,
  ) => number;
}

const REASONS: Readonly<Record<number, string>> = {
  [STATUS_CORRUPT]: 'the frame is corrupt',
  [STATUS_UNSUPPORTED]: 'the frame is of a kind that is not supported',
  [STATUS_BAD_CHECKSUM]: 'the frame fails its checksum',
  [STATUS_NO_CHECKSUM]: 'the frame has no checksum',
  [STATUS_NO_SPACE]: 'the frame holds more than was signed for',
  [STATUS_TOO_LONG]: 'frame, base and content do not fit the memory',
};

/** Compiles the module. Cost: some milliseconds, once. */
export async function loadDecoder(wasm: Bytes): Promise<Decoder> {
  const module = await WebAssembly.compile(wasm);
  let kernels: Kernels | undefined;
  return (frame, dictionary, sizeBytesMax) => {
    kernels ??= new WebAssembly.Instance(module, {}).exports as unknown as Kernels;
    const content = run(kernels, frame, dictionary, sizeBytesMax);
    if (kernels.memory.buffer.byteLength > RETAINED_SIZE_BYTES_MAX) kernels = undefined;
    if (typeof content !== 'number') return content;
    throw new LoaderError('LOADER_DELTA', REASONS[content] ?? `status ${content}`);
  };
}

/** Areas as in codec-layout.ts: | work | frame | dictionary | output |. The content's bytes, or the
 *  kernel's status. The kernel checks that they are in order and inside the memory. */
function run(
  kernels: Kernels,
  frame: Uint8Array,
  dictionary: Uint8Array,
  sizeBytesMax: number,
): Bytes | number {
  const { memory } = kernels;
  const framePtr = ZSTD_AREA_OFFSET + kernels.zstdDecodeWorkSizeBytes();
  const dictionaryPtr = framePtr + frame.length;
  const outputPtr = dictionaryPtr + dictionary.length;
  if (!growTo(memory, outputPtr + sizeBytesMax)) return STATUS_TOO_LONG;
  const bytes = new Uint8Array(memory.buffer as ArrayBuffer);
  bytes.set(frame, framePtr);
  bytes.set(dictionary, dictionaryPtr);
  // A frame without a checksum can be damaged and still decode.
  const size = kernels.zstdDecode(
    ZSTD_AREA_OFFSET,
    framePtr,
    frame.length,
    dictionary.length,
    outputPtr,
    sizeBytesMax,
    1,
  );
  return size < 0 ? size : bytes.slice(outputPtr, outputPtr + size);
}

function growTo(memory: WebAssembly.Memory, sizeBytes: number): boolean {
  const pages = Math.ceil(sizeBytes / PAGE_SIZE_BYTES);
  const missing = pages - memory.buffer.byteLength / PAGE_SIZE_BYTES;
  if (missing <= 0) return true;
  if (pages > CODEC_MEMORY_PAGES_MAX) return false;
  try {
    memory.grow(missing);
    return true;
  } catch {
    return false;
  }
}
