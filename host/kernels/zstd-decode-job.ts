// One decoding in a module's memory: the areas, the copy in, the call, the copy out. Nothing of
// Node is used, so that a loader in a browser runs decoder.wasm with the same lines.

import { CODEC_MEMORY_PAGES_MAX, ZSTD_AREA_OFFSET } from '../../assembly/shared/codec-layout.ts';
import { STATUS_TOO_LONG } from '../../assembly/shared/status.ts';

const PAGE_SIZE_BYTES = 65536;

/** What codec.wasm and decoder.wasm export for it; numbers come back signed. */
export interface ZstdDecodeKernels {
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

export interface ZstdDecodeJob {
  readonly frame: Uint8Array;
  /** Raw content; empty if there is none. */
  readonly dictionary: Uint8Array;
  readonly sizeBytesMax: number;
  readonly checksum: 'required' | 'if-present';
}

/** Decodes a job's frames; a copy of the content, or the kernel's status.
 *  Errors: what zstdDecode() returns; STATUS_TOO_LONG when the areas need more memory than there
 *  is.
 *  Cost: O(frame + dictionary + content); the memory grows to what the job needs and stays so.
 *
 *    | ZSTD_AREA_OFFSET: work | frame | dictionary | output, sizeBytesMax |
 */
export function runZstdDecodeJob(
  kernels: ZstdDecodeKernels,
  job: ZstdDecodeJob,
): Uint8Array<ArrayBuffer> | number {
  const { memory } = kernels;
  const framePtr = ZSTD_AREA_OFFSET + kernels.zstdDecodeWorkSizeBytes();
  const dictionaryPtr = framePtr + job.frame.length;
  const outputPtr = dictionaryPtr + job.dictionary.length;
  if (!growTo(memory, outputPtr + job.sizeBytesMax)) return STATUS_TOO_LONG;
  const bytes = new Uint8Array(memory.buffer as ArrayBuffer);
  bytes.set(job.frame, framePtr);
  bytes.set(job.dictionary, dictionaryPtr);
  const size = kernels.zstdDecode(
    ZSTD_AREA_OFFSET,
    framePtr,
    job.frame.length,
    job.dictionary.length,
    outputPtr,
    job.sizeBytesMax,
    job.checksum === 'required' ? 1 : 0,
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
