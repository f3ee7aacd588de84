// The face of the zstd decoder: deltas against a raw dictionary, and plain frames. It is
// synchronous; what takes longer than about a millisecond belongs in the compute pool.

import {
  ZSTD_CONTENT_SIZE_BYTES_MAX,
  ZSTD_DICTIONARY_SIZE_BYTES_MAX,
} from '../../assembly/shared/codec-layout.ts';
import {
  STATUS_BAD_CHECKSUM,
  STATUS_CORRUPT,
  STATUS_NO_CHECKSUM,
  STATUS_NO_SPACE,
  STATUS_TOO_LONG,
  STATUS_UNSUPPORTED,
} from '../../assembly/shared/status.ts';
import { GatewayError } from '../core/index.ts';
import { runZstdDecodeJob, type ZstdDecodeJob, type ZstdDecodeKernels } from './zstd-decode-job.ts';

/** The longest input: content that does not shrink, with a header for each block. */
export const ZSTD_FRAME_SIZE_BYTES_MAX =
  ZSTD_CONTENT_SIZE_BYTES_MAX + ZSTD_CONTENT_SIZE_BYTES_MAX / 256;

/** An instance that grew beyond this is dropped after its job: files of some MB fit, and a thread
 *  does not keep what one large job needed, since a Wasm memory never shrinks. */
const RETAINED_SIZE_BYTES_MAX = 67_108_864;

const EMPTY = new Uint8Array(0);

export interface ZstdDecodeOptions {
  /** What the frames were made against: raw content, also when it begins like a trained one. */
  readonly dictionary?: Uint8Array;
  /** The most that may come out; room for all of it is reserved. */
  readonly sizeBytesMax: number;
  /** Without a checksum a damaged frame can decode to wrong bytes: ask for it where it is known. */
  readonly checksum: 'required' | 'if-present';
}

export class ZstdDecoder {
  readonly #module: WebAssembly.Module;
  #kernels: ZstdDecodeKernels | undefined;

  /** Takes codec.wasm or decoder.wasm, compiled. */
  constructor(module: WebAssembly.Module) {
    this.#module = module;
  }

  /** Decodes all frames of `frame`, one after another.
   *  Errors: GatewayError GW_ZSTD_CORRUPT, also for no frame at all; GW_ZSTD_UNSUPPORTED for
   *  trained dictionaries, windows above 128 MiB, reserved bits and frames older than zstd 0.8;
   *  GW_ZSTD_CHECKSUM; GW_ZSTD_TOO_LARGE. A whole frame that was cut off from a row is not noticed.
   *  Cost: O(frame + dictionary + content) with two copies. */
  decode(frame: Uint8Array, options: ZstdDecodeOptions): Uint8Array<ArrayBuffer> {
    const job = { dictionary: EMPTY, ...options, frame };
    checkSizes(job);
    this.#kernels ??= new WebAssembly.Instance(this.#module, {})
      .exports as unknown as ZstdDecodeKernels;
    const content = runZstdDecodeJob(this.#kernels, job);
    if (this.#kernels.memory.buffer.byteLength > RETAINED_SIZE_BYTES_MAX) {
      this.#kernels = undefined;
    }
    if (typeof content === 'number') throw decodeError(content, job);
    return content;
  }
}

function checkSizes({ frame, dictionary, sizeBytesMax }: ZstdDecodeJob): void {
  if (!(Number.isInteger(sizeBytesMax) && sizeBytesMax >= 0)) {
    throw new RangeError(`sizeBytesMax is ${sizeBytesMax}`);
  }
  checkSize('the content may have', sizeBytesMax, ZSTD_CONTENT_SIZE_BYTES_MAX);
  checkSize('the dictionary has', dictionary.length, ZSTD_DICTIONARY_SIZE_BYTES_MAX);
  checkSize('the frame has', frame.length, ZSTD_FRAME_SIZE_BYTES_MAX);
}

function checkSize(what: string, sizeBytes: number, sizeBytesMax: number): void {
  if (sizeBytes <= sizeBytesMax) return;
  const detail = `${what} ${sizeBytes} bytes, the limit is ${sizeBytesMax}`;
  throw new GatewayError('GW_ZSTD_TOO_LARGE', detail);
}

function decodeError(status: number, job: ZstdDecodeJob): Error {
  const frame = `a frame of ${job.frame.length} bytes`;
  switch (status) {
    case STATUS_CORRUPT:
      return new GatewayError('GW_ZSTD_CORRUPT', frame);
    case STATUS_UNSUPPORTED:
      return new GatewayError(
        'GW_ZSTD_UNSUPPORTED',
        `${frame} has a dictionary id, a window above 128 MiB, a reserved bit or an old format`,
      );
    case STATUS_BAD_CHECKSUM:
      return new GatewayError('GW_ZSTD_CHECKSUM', `${frame} states another one`);
    case STATUS_NO_CHECKSUM:
      return new GatewayError('GW_ZSTD_CHECKSUM', `${frame} states none, and it is required`);
    case STATUS_NO_SPACE:
      return new GatewayError(
        'GW_ZSTD_TOO_LARGE',
        `${frame} holds more content than the limit of ${job.sizeBytesMax} bytes`,
      );
    case STATUS_TOO_LONG:
      return new GatewayError(
        'GW_ZSTD_TOO_LARGE',
        `${frame}, a dictionary of ${job.dictionary.length} and content of ${job.sizeBytesMax} ` +
          'do not fit the memory',
      );
    default:
      return new TypeError(`zstdDecode returned ${status}`);
  }
}
