// LZ4 blocks and frames the slow way. Source: LZ4 block format, LZ4 frame format 1.6, XXH32.

const MATCH_SIZE_MIN = 4;
const START_MARGIN = 12;
const END_MARGIN = 5;
const FRAME_MAGIC = 0x184d2204;

export interface Lz4Sequence {
  readonly literals: Uint8Array;
  /** Of the last sequence 0, with no match. */
  readonly offset: number;
  readonly matchSize: number;
}

/** The sequences of a block, or null where it is cut off or has no last one. */
export function lz4Sequences(block: Uint8Array): Lz4Sequence[] | null {
  const sequences: Lz4Sequence[] = [];
  let at = 0;
  const length = (nibble: number): number => {
    let sum = nibble;
    if (nibble < 15) return sum;
    for (let more = 255; more === 255; sum += more) more = block[at++] ?? Number.NaN;
    return sum;
  };
  while (at < block.length) {
    const token = block[at++]!;
    const literalsSize = length(token >> 4);
    if (!(at + literalsSize <= block.length)) return null;
    const literals = block.subarray(at, at + literalsSize);
    at += literalsSize;
    if (at === block.length) return [...sequences, { literals, offset: 0, matchSize: 0 }];
    if (at + 2 > block.length) return null;
    const offset = block[at]! | (block[at + 1]! << 8);
    at += 2;
    const matchSize = length(token & 15) + MATCH_SIZE_MIN;
    if (Number.isNaN(matchSize)) return null;
    sequences.push({ literals, offset, matchSize });
  }
  return null;
}

/** What a block decodes to, or null where it is none of so many bytes. */
export function lz4DecodeOracle(block: Uint8Array, plainSize: number): Uint8Array | null {
  const sequences = lz4Sequences(block);
  if (sequences === null) return null;
  const plain: number[] = [];
  for (const { literals, offset, matchSize } of sequences) {
    if (plain.length + literals.length > plainSize) return null;
    plain.push(...literals);
    if (matchSize === 0) break;
    if (offset === 0 || offset > plain.length) return null;
    if (plain.length + matchSize + END_MARGIN > plainSize) return null;
    for (let count = 0; count < matchSize; ++count) plain.push(plain[plain.length - offset]!);
  }
  return plain.length === plainSize ? Uint8Array.from(plain) : null;
}

/** A block by the last place of each four bytes, with every place looked at. */
export function lz4EncodeOracle(plain: Uint8Array): Uint8Array {
  const places = new Map<string, number>();
  const block: number[] = [];
  const more = (rest: number): void => {
    for (; rest >= 255; rest -= 255) block.push(255);
    block.push(rest);
  };
  const sequence = (from: number, to: number, offset: number, matchSize: number): void => {
    const extra = Math.max(0, matchSize - MATCH_SIZE_MIN);
    block.push((Math.min(15, to - from) << 4) | Math.min(15, extra));
    if (to - from >= 15) more(to - from - 15);
    block.push(...plain.subarray(from, to));
    if (matchSize === 0) return;
    block.push(offset & 255, offset >> 8);
    if (extra >= 15) more(extra - 15);
  };
  let anchor = 0;
  for (let at = 0; at + START_MARGIN <= plain.length; ) {
    const four = plain.subarray(at, at + MATCH_SIZE_MIN).join();
    const candidate = places.get(four);
    places.set(four, at);
    if (candidate === undefined || at - candidate > 65535) {
      ++at;
      continue;
    }
    let size = MATCH_SIZE_MIN;
    while (at + size < plain.length - END_MARGIN && plain[candidate + size] === plain[at + size]) {
      ++size;
    }
    sequence(anchor, at, at - candidate, size);
    at += size;
    anchor = at;
  }
  sequence(anchor, plain.length, 0, 0);
  return Uint8Array.from(block);
}

/** A frame of independent blocks, as `lz4 -d` reads it. A block of null stands plain. */
export function lz4Frame(
  blocks: readonly { readonly plain: Uint8Array; readonly block: Uint8Array | null }[],
): Uint8Array {
  // Version 1, independent blocks; blocks of up to 64 KiB.
  const descriptor = Uint8Array.from([0x60, 0x40]);
  const parts: Uint8Array[] = [
    word(FRAME_MAGIC),
    descriptor,
    Uint8Array.from([(xxh32OfShort(descriptor) >>> 8) & 255]),
  ];
  for (const { plain, block } of blocks) {
    const data = block ?? plain;
    parts.push(word(data.length + (block === null ? 2 ** 31 : 0)), data);
  }
  return Buffer.concat([...parts, word(0)]);
}

/** The blocks of a frame that states no more than it must; a block of null stood plain. */
export function lz4FrameBlocks(frame: Uint8Array): (Uint8Array | { plain: Uint8Array })[] {
  const view = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.readUInt32LE(0) !== FRAME_MAGIC) throw new Error('no LZ4 frame');
  const flags = view[4]!;
  if ((flags & 0xf3) !== 0x60) throw new Error(`a frame of flags ${flags}`);
  const blocks: (Uint8Array | { plain: Uint8Array })[] = [];
  let at = (flags & 8) === 0 ? 7 : 15;
  for (;;) {
    const size = view.readUInt32LE(at);
    at += 4;
    if (size === 0) return blocks;
    const data = frame.subarray(at, at + (size % 2 ** 31));
    blocks.push(size >= 2 ** 31 ? { plain: data } : data);
    at += data.length;
  }
}

function word(value: number): Uint8Array {
  return Uint8Array.from([value, value >>> 8, value >>> 16, value >>> 24]);
}

/** XXH32 with seed 0 of fewer than four bytes. */
function xxh32OfShort(bytes: Uint8Array): number {
  const rotated = (value: number, bits: number): number =>
    (value << bits) | (value >>> (32 - bits));
  let hash = (0x165667b1 + bytes.length) | 0;
  for (const byte of bytes) {
    hash = Math.imul(rotated((hash + Math.imul(byte, 0x165667b1)) | 0, 11), 0x9e3779b1);
  }
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca77);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae3d);
  return (hash ^ (hash >>> 16)) >>> 0;
}
