// Deltas: `5e 2a 4d 18 20 00 00 00`, the SHA-256 of the base, one zstd frame (RFC 9842 section 5).
// The header is checked here and taken off: decoders pass over it as a skippable frame, whatever
// base it names.

import { hex } from './bytes.ts';
import { LoaderError, toLoaderError } from './errors.ts';
import { DELTA_OVERHEAD_BYTES } from './limits.ts';
import type { Bytes } from './model.ts';

export const DCZ_TYPE = 'application/vnd.sluice.dcz';
const MAGIC_HEX = '5e2a4d1820000000';
const HEADER_SIZE_BYTES = 40;

/** Decodes one zstd frame against a raw dictionary, to at most `sizeBytesMax` bytes; throws. */
export type Decoder = (
  frame: Uint8Array,
  dictionary: Uint8Array,
  sizeBytesMax: number,
) => Uint8Array;

/** The longest delta that is worth its name for a target of this size. */
export function deltaSizeBytesMax(targetSizeBytes: number): number {
  // Raw blocks add 3 bytes to 128 KiB.
  return targetSizeBytes + Math.ceil(targetSizeBytes / 16_384) + DELTA_OVERHEAD_BYTES;
}

/** The SHA-256 of the base that a delta says it is from. Errors: LOADER_DELTA: it is no dcz. */
export function baseNamedIn(body: Uint8Array): string {
  if (body.length > HEADER_SIZE_BYTES && hex(body.subarray(0, 8)) === MAGIC_HEX) {
    return hex(body.subarray(8, HEADER_SIZE_BYTES));
  }
  throw new LoaderError('LOADER_DELTA', `${body.length} bytes that are no dcz`);
}

/** The target of a delta; its hash is still to be checked. Errors: LOADER_DELTA. */
export function applyDelta(
  body: Uint8Array,
  base: { readonly sha256: string; readonly bytes: Uint8Array },
  sizeBytes: number,
  decode: Decoder,
): Bytes {
  const named = baseNamedIn(body);
  if (named !== base.sha256) {
    throw new LoaderError('LOADER_DELTA', `a delta from ${named}, asked for ${base.sha256}`);
  }
  try {
    return decode(body.subarray(HEADER_SIZE_BYTES), base.bytes, sizeBytes) as Bytes;
  } catch (error) {
    const { message } = toLoaderError(error, 'LOADER_DELTA');
    throw new LoaderError('LOADER_DELTA', `the delta does not decode: ${message}`, {
      cause: error,
    });
  }
}
