// What a frame of our encoder is made of, read from its headers: so that a test knows that what it
// is about has been in the frame. Source: RFC 8878 sections 3.1.1.1 to 3.1.1.3.2.1.

const BLOCKS = ['raw', 'rle', 'compressed'] as const;
const LITERALS = ['raw', 'rle', 'huffman', 'treeless'] as const;
const MODES = ['predefined', 'rle', 'fse', 'repeat'] as const;

export interface FrameBlock {
  readonly kind: (typeof BLOCKS)[number];
  readonly sizeBytes: number;
  readonly literals?: (typeof LITERALS)[number];
  readonly literalsCount?: number;
  readonly streamsCount?: number;
  readonly sequencesCount?: number;
  /** Of literal lengths, offsets and match lengths. */
  readonly modes?: readonly (typeof MODES)[number][];
}

export interface FrameShape {
  readonly contentSize: number;
  readonly hasChecksum: boolean;
  readonly blocks: readonly FrameBlock[];
}

/** Reads a single-segment frame without a dictionary number. Errors: a RangeError for others. */
export function frameShape(frame: Uint8Array): FrameShape {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  if (view.getUint32(0, true) !== 0xfd2fb528) throw new RangeError('no zstd frame');
  const descriptor = frame[4]!;
  if ((descriptor & 0x2b) !== 0x20) throw new RangeError(`descriptor ${descriptor}`);
  const sizeFlag = descriptor >> 6;
  const contentSize =
    sizeFlag === 0
      ? frame[5]!
      : sizeFlag === 1
        ? view.getUint16(5, true) + 256
        : view.getUint32(5, true);
  const blocks: FrameBlock[] = [];
  let at = 5 + [1, 2, 4][sizeFlag]!;
  for (let isLast = false; !isLast; ) {
    const header = frame[at]! | (frame[at + 1]! << 8) | (frame[at + 2]! << 16);
    isLast = (header & 1) === 1;
    const kind = BLOCKS[(header >> 1) & 3]!;
    const sizeBytes = header >> 3;
    at += 3;
    const end = at + (kind === 'rle' ? 1 : sizeBytes);
    if (kind === 'compressed') blocks.push({ kind, sizeBytes, ...sections(frame, at) });
    else blocks.push({ kind, sizeBytes });
    at = end;
  }
  const hasChecksum = (descriptor & 4) !== 0;
  if (at + (hasChecksum ? 4 : 0) !== frame.length) throw new RangeError('not one whole frame');
  return { contentSize, hasChecksum, blocks };
}

function sections(frame: Uint8Array, from: number) {
  const literals = literalsSection(frame, from);
  let at = literals.end;
  let sequencesCount = frame[at++]!;
  if (sequencesCount === 255) {
    sequencesCount = (frame[at]! | (frame[at + 1]! << 8)) + 0x7f00;
    at += 2;
  } else if (sequencesCount >= 128) {
    sequencesCount = ((sequencesCount - 128) << 8) | frame[at++]!;
  }
  const bits = frame[at]!;
  const modes = sequencesCount === 0 ? [] : [6, 4, 2].map((shift) => MODES[(bits >> shift) & 3]!);
  const { kind, count, streamsCount } = literals;
  return { literals: kind, literalsCount: count, streamsCount, sequencesCount, modes };
}

function literalsSection(frame: Uint8Array, at: number) {
  const kind = LITERALS[frame[at]! & 3]!;
  const format = (frame[at]! >> 2) & 3;
  const word = Buffer.from(frame.buffer, frame.byteOffset + at, 6).readUIntLE(0, 5);
  if (kind === 'raw' || kind === 'rle') {
    const [headerSize, shift, bits] =
      format % 2 === 0 ? [1, 3, 5] : format === 1 ? [2, 4, 12] : [3, 4, 20];
    const count = Math.floor(word / 2 ** shift!) % 2 ** bits!;
    return { kind, count, streamsCount: 0, end: at + headerSize! + (kind === 'rle' ? 1 : count) };
  }
  const bits = [10, 10, 14, 18][format]!;
  const count = Math.floor(word / 16) % 2 ** bits;
  const coded = Math.floor(word / 2 ** (4 + bits)) % 2 ** bits;
  const headerSize = [3, 3, 4, 5][format]!;
  return { kind, count, streamsCount: format === 0 ? 1 : 4, end: at + headerSize + coded };
}
