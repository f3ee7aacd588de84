// The frame of a snapshot: its header, its checksum, and the words that stand as codes.
//
//   0       4         8              16       20         24         32
//   +-------+---------+--------------+--------+----------+----------+---------------------+
//   | magic | version | generation   | size   | checksum | reserved | FlatBuffer, `size`  |
//   | u32   | u32     | f64          | u32    | u32      | 0        | bytes, padded to 4  |
//   +-------+---------+--------------+--------+----------+----------+---------------------+

import { GatewayError } from '../core/index.ts';

export const SNAPSHOT_MAGIC = 0x53_4c_53_4e;
/** Raised with each change of snapshot.fbs or of the words below. */
export const SNAPSHOT_VERSION = 4;
export const SNAPSHOT_HEADER_SIZE_BYTES = 32;
/** FlatBuffers' own offsets are 32 bits with a sign. */
const SNAPSHOT_SIZE_BYTES_MAX = 2 ** 31 - 1;

export const ENGINE_WORDS = ['uws', 'node'] as const;
export const CHUNKED_WORDS = ['accept', 'refuse'] as const;
export const BALANCE_WORDS = [
  'round-robin',
  'random',
  'least-request',
  'peak-ewma',
  'ring-hash',
  'maglev',
] as const;
export const KEY_WORDS = ['client.ip', 'header', 'cookie', 'path', 'route'] as const;
export const OP_WORDS = ['equals', 'present', 'prefix'] as const;
export const ACCESS_WORDS = ['json', 'text', 'off'] as const;
export const LEVEL_WORDS = ['debug', 'info', 'warn', 'error'] as const;

export function codeOf<W extends string>(words: readonly W[], word: W): number {
  return words.indexOf(word);
}

/** The word of a code. Errors: GW_INTERNAL for a code that no writer wrote. */
export function wordOf<W extends string>(words: readonly W[], code: number): W {
  const word = words[code];
  if (word === undefined) throw damaged(`code ${code} is none of ${words.join(', ')}`);
  return word;
}

export function damaged(what: string): GatewayError {
  return new GatewayError('GW_INTERNAL', `damaged configuration snapshot: ${what}`);
}

/** Puts a FlatBuffer behind its header. */
export function sealSnapshot(payload: Uint8Array, generation: number): SharedArrayBuffer {
  const paddedSizeBytes = (payload.length + 3) & ~3;
  const buffer = new SharedArrayBuffer(SNAPSHOT_HEADER_SIZE_BYTES + paddedSizeBytes);
  new Uint8Array(buffer).set(payload, SNAPSHOT_HEADER_SIZE_BYTES);
  const header = new DataView(buffer);
  header.setUint32(0, SNAPSHOT_MAGIC, true);
  header.setUint32(4, SNAPSHOT_VERSION, true);
  header.setFloat64(8, generation, true);
  header.setUint32(16, payload.length, true);
  header.setUint32(20, checksum(buffer), true);
  return buffer;
}

/** Checks the frame. Shape: the FlatBuffer's bytes, in place. Errors: GW_INTERNAL. */
export function unsealSnapshot(buffer: SharedArrayBuffer): {
  readonly generation: number;
  readonly payload: Uint8Array;
} {
  if (buffer.byteLength < SNAPSHOT_HEADER_SIZE_BYTES || buffer.byteLength % 4 !== 0) {
    throw damaged(`${buffer.byteLength} bytes are no snapshot`);
  }
  const header = new DataView(buffer);
  const magic = header.getUint32(0, true);
  if (magic !== SNAPSHOT_MAGIC) throw damaged(`magic ${magic.toString(16)}`);
  const version = header.getUint32(4, true);
  if (version !== SNAPSHOT_VERSION) {
    throw damaged(`version ${version}, expected ${SNAPSHOT_VERSION}`);
  }
  const sizeBytes = header.getUint32(16, true);
  const roomSizeBytes = buffer.byteLength - SNAPSHOT_HEADER_SIZE_BYTES;
  if (sizeBytes > SNAPSHOT_SIZE_BYTES_MAX || ((sizeBytes + 3) & ~3) !== roomSizeBytes) {
    throw damaged(`size ${sizeBytes} in ${roomSizeBytes} bytes`);
  }
  if (header.getUint32(20, true) !== checksum(buffer)) throw damaged('checksum');
  const payload = new Uint8Array(buffer, SNAPSHOT_HEADER_SIZE_BYTES, sizeBytes);
  return { generation: header.getFloat64(8, true), payload };
}

/** FNV-1a over 32-bit words, the checksum's own word left out: each step is a bijection, so that
 *  a change of one word is always seen. Cost: about 1 ns a word. */
function checksum(buffer: SharedArrayBuffer): number {
  const words = new Int32Array(buffer);
  let hash = 0x811c9dc5;
  for (let index = 0; index < words.length; index++) {
    if (index !== 5) hash = Math.imul(hash ^ words[index]!, 0x01000193);
  }
  return hash >>> 0;
}
