// Checksums of bytes of any length, which pass through the codec's window piece by piece. XXH64 is
// for pages and files, CRC-32C for log frames; neither resists a forger.

import type { CodecInstance } from './codec-module.ts';

/** XXH64. Units: `seed` and result are unsigned 64-bit. Cost: O(bytes), and one BigInt. */
export function xxh64(codec: CodecInstance, bytes: Uint8Array, seed: bigint): bigint {
  const { kernels, window } = codec;
  kernels.xxh64Begin(Number((seed >> 32n) & 0xffff_ffffn), Number(seed & 0xffff_ffffn));
  const last = eachFullWindow(bytes, window, (size) => kernels.xxh64Update(size));
  return BigInt.asUintN(64, kernels.xxh64Finish(last));
}

/** CRC-32C of what `previous` is the checksum of, followed by these bytes; 0 to begin.
 *  Units: unsigned 32-bit. Cost: O(bytes), no allocation below a window. */
export function crc32c(codec: CodecInstance, bytes: Uint8Array, previous: number): number {
  const { kernels, window } = codec;
  let crc = previous;
  const last = eachFullWindow(bytes, window, (size) => {
    crc = kernels.crc32c(crc, size);
  });
  return kernels.crc32c(crc, last) >>> 0;
}

/** Puts the bytes in the window; calls back when it is full and more is to come. Returns how many
 *  stand in it at the end. */
function eachFullWindow(
  bytes: Uint8Array,
  window: Uint8Array,
  onFull: (sizeBytes: number) => void,
): number {
  let start = 0;
  while (bytes.length - start > window.length) {
    window.set(bytes.subarray(start, start + window.length));
    onFull(window.length);
    start += window.length;
  }
  window.set(start === 0 ? bytes : bytes.subarray(start));
  return bytes.length - start;
}
