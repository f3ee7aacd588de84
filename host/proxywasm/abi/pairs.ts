// Header maps as they lie in a guest's memory, little-endian:
//
//   | count u32 | key size u32 | value size u32 | … | key | 0 | value | 0 | key | 0 | …
//   0           4                8 + 8 * index        4 + 8 * count
//
// An empty map has no bytes at all. Names and values are byte strings.

import type { HeaderList } from '../../core/index.ts';
import type { Latin1Buffer } from '../guest-memory.ts';
import { PAIRS_COUNT_MAX, PAIRS_SIZE_BYTES_MAX } from '../limits.ts';

/** Bytes that a map takes; 0 for an empty one. */
export function pairsSizeBytes(headers: readonly string[]): number {
  if (headers.length === 0) return 0;
  let sizeBytes = 4;
  for (let index = 0; index < headers.length; index++) sizeBytes += headers[index]!.length + 5;
  return sizeBytes;
}

/** Writes a map at `offset`, where there is room for pairsSizeBytes(). */
export function writePairs(headers: readonly string[], target: Buffer, offset: number): void {
  if (headers.length === 0) return;
  target.writeUInt32LE(headers.length / 2, offset);
  let sizeOffset = offset + 4;
  let textOffset = sizeOffset + 4 * headers.length;
  for (let index = 0; index < headers.length; index++) {
    const text = headers[index]!;
    target.writeUInt32LE(text.length, sizeOffset);
    sizeOffset += 4;
    (target as Latin1Buffer).latin1Write(text, textOffset, text.length);
    textOffset += text.length;
    target[textOffset] = 0;
    textOffset += 1;
  }
}

/** Reads a map; names become lower case. Null for what is none, or is larger than the limits. */
export function readPairs(bytes: Buffer): HeaderList | null {
  if (bytes.length < 4) return bytes.length === 0 || isZero(bytes) ? [] : null;
  if (bytes.length > PAIRS_SIZE_BYTES_MAX) return null;
  const count = bytes.readUInt32LE(0);
  if (count > PAIRS_COUNT_MAX || bytes.length < 4 + 8 * count) return null;
  const headers: HeaderList = [];
  let offset = 4 + 8 * count;
  for (let index = 0; index < 2 * count; index++) {
    const end = offset + bytes.readUInt32LE(4 + 4 * index);
    if (end >= bytes.length) return null;
    const text = bytes.toString('latin1', offset, end);
    headers.push(index % 2 === 0 ? text.toLowerCase() : text);
    offset = end + 1;
  }
  return headers;
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
