// A zstd decoder the slow way, in the order of RFC 8878 section 3: frames, blocks, literals, a list
// of sequences, and then the list carried out byte by byte. It refuses what the kernel refuses.

import { xxh64Oracle } from './checksum-oracle.ts';
import {
  BackwardBits,
  type FseTable,
  fseTable,
  type HuffmanCode,
  huffmanStream,
  readHuffman,
  readShares,
  refuseIf,
} from './zstd-oracle-entropy.ts';

export { ZstdRefusal } from './zstd-oracle-entropy.ts';

export interface ZstdOracleOptions {
  readonly dictionary?: Uint8Array;
  readonly sizeBytesMax: number;
  readonly checksum: 'required' | 'if-present';
  /** Told each way of coding that a frame uses. */
  readonly onMode?: (mode: string) => void;
}

const BLOCK_MAX = 131072;
const WINDOW_MAX = 2 ** 27;

class Reader {
  readonly bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get rest(): Uint8Array {
    return this.bytes.subarray(this.at);
  }

  take(count: number): Uint8Array {
    refuseIf(this.at + count > this.bytes.length, 'the input ends early');
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  /** Little-endian. */
  number(count: number): number {
    return this.take(count).reduce((sum, byte, index) => sum + byte * 256 ** index, 0);
  }
}

/** Decodes all frames of the input. Errors: ZstdRefusal. */
export function zstdOracle(input: Uint8Array, options: ZstdOracleOptions): Uint8Array {
  const reader = new Reader(input);
  const frames: Uint8Array[] = [];
  let room = options.sizeBytesMax;
  while (reader.at < input.length) {
    const magic = reader.number(4);
    if (magic >= 0x184d2a50 && magic <= 0x184d2a5f) {
      reader.take(reader.number(4));
      continue;
    }
    refuseIf(magic !== 0xfd2fb528, 'the magic is another');
    const content = new Frame(reader, options, room).decode();
    frames.push(content);
    room -= content.length;
  }
  refuseIf(frames.length === 0, 'there is no frame');
  return Buffer.concat(frames);
}

interface Sequence {
  readonly literalsCount: number;
  readonly matchSize: number;
  readonly offsetValue: number;
}

class Frame {
  readonly #reader: Reader;
  readonly #dictionary: Uint8Array;
  readonly #onMode: (mode: string) => void;
  readonly #content: number[] = [];
  readonly #sizeStated: number | undefined;
  readonly #room: number;
  readonly #window: number;
  readonly #hasChecksum: boolean;
  #repeats: [number, number, number] = [1, 4, 8];
  #code: HuffmanCode | undefined;
  readonly #tables: (FseTable | undefined)[] = [undefined, undefined, undefined];

  /** Reads the header (3.1.1.1). */
  constructor(reader: Reader, options: ZstdOracleOptions, room: number) {
    this.#reader = reader;
    this.#dictionary = options.dictionary ?? new Uint8Array(0);
    this.#onMode = options.onMode ?? (() => {});
    const descriptor = reader.number(1);
    refuseIf((descriptor & 8) !== 0, 'the reserved bit is set');
    const isSingle = (descriptor & 0x20) !== 0;
    const windowByte = isSingle ? 0 : reader.number(1);
    refuseIf(reader.number([0, 1, 2, 4][descriptor & 3]!) !== 0, 'there is a dictionary id');
    const sizeSize = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
    if (sizeSize > 0) this.#sizeStated = reader.number(sizeSize) + (sizeSize === 2 ? 256 : 0);
    refuseIf((this.#sizeStated ?? 0) > room, 'the content is too large');
    this.#room = this.#sizeStated ?? room;
    const windowBase = 2 ** (10 + (windowByte >> 3));
    this.#window = isSingle ? this.#sizeStated! : windowBase + (windowBase / 8) * (windowByte & 7);
    refuseIf(this.#window > WINDOW_MAX, 'the window is too large');
    this.#hasChecksum = (descriptor & 4) !== 0;
    refuseIf(!this.#hasChecksum && options.checksum === 'required', 'there is no checksum');
  }

  decode(): Uint8Array {
    let isLast = false;
    while (!isLast) {
      const header = this.#reader.number(3);
      isLast = (header & 1) === 1;
      const size = header >> 3;
      refuseIf(size > this.#blockMax, 'a block is too large');
      const before = this.#content.length;
      const kind = (header >> 1) & 3;
      this.#onMode(`block: ${['raw', 'RLE', 'compressed', 'reserved'][kind]}`);
      if (kind === 0) this.#append(this.#reader.take(size));
      else if (kind === 1) this.#append(new Uint8Array(size).fill(this.#reader.number(1)));
      else if (kind === 2) this.#compressed(new Reader(this.#reader.take(size)));
      else refuseIf(true, 'a block is of a reserved kind');
      refuseIf(this.#content.length - before > this.#blockMax, 'a block holds too much');
    }
    const content = Uint8Array.from(this.#content);
    const size = this.#sizeStated ?? content.length;
    refuseIf(size !== content.length, 'the content has another size');
    if (this.#hasChecksum) {
      const hash = Number(xxh64Oracle(content, 0n) & 0xffff_ffffn);
      refuseIf(this.#reader.number(4) !== hash, 'the checksum is another');
    }
    return content;
  }

  get #blockMax(): number {
    return Math.min(BLOCK_MAX, this.#window);
  }

  #append(bytes: Iterable<number>): void {
    for (const byte of bytes) {
      refuseIf(this.#content.length >= this.#room, 'the content is too large');
      this.#content.push(byte);
    }
  }

  #compressed(block: Reader): void {
    const literals = this.#literals(block);
    let used = 0;
    for (const { literalsCount, matchSize, offsetValue } of this.#sequences(block)) {
      refuseIf(used + literalsCount > literals.length, 'there are too few literals');
      this.#append(literals.slice(used, used + literalsCount));
      used += literalsCount;
      this.#copy(this.#offset(offsetValue, literalsCount), matchSize);
    }
    this.#append(literals.slice(used));
  }

  /** A repeated offset, or a new one (3.1.1.5). */
  #offset(value: number, literalsCount: number): number {
    const [first, second, third] = this.#repeats;
    const choice = value > 3 ? 0 : literalsCount === 0 ? value + 1 : value;
    if (choice === 0) this.#repeats = [value - 3, first, second];
    else if (choice === 2) this.#repeats = [second, first, third];
    else if (choice === 3) this.#repeats = [third, first, second];
    else if (choice === 4) this.#repeats = [first - 1, first, second];
    return this.#repeats[0];
  }

  #copy(offset: number, size: number): void {
    const produced = this.#content.length;
    const isDictionaryNear = produced <= this.#window;
    const reach = isDictionaryNear ? produced + this.#dictionary.length : this.#window;
    refuseIf(offset === 0 || offset > reach, 'an offset reaches too far');
    for (let left = size; left > 0; --left) {
      const from = this.#content.length - offset;
      this.#append([from < 0 ? this.#dictionary.at(from)! : this.#content[from]!]);
    }
  }

  /** The literals section (3.1.1.3.1). */
  #literals(block: Reader): readonly number[] {
    refuseIf(block.rest.length === 0, 'a block ends early');
    const kind = block.rest[0]! & 3;
    const form = (block.rest[0]! >> 2) & 3;
    this.#onMode(`literals: ${['raw', 'RLE', 'coded', 'treeless'][kind]}`);
    if (kind < 2) {
      const header = block.number([1, 2, 1, 3][form]!);
      const size = Math.floor(header / [8, 16, 8, 16][form]!);
      refuseIf(size > this.#blockMax, 'there are too many literals');
      return kind === 0 ? [...block.take(size)] : new Array<number>(size).fill(block.number(1));
    }
    this.#onMode(`literals: ${form === 0 ? 'one stream' : 'four streams'}`);
    const width = [10, 10, 14, 18][form]!;
    const header = Math.floor(block.number([3, 3, 4, 5][form]!) / 16);
    const size = header % 2 ** width;
    refuseIf(size === 0 || size > this.#blockMax, 'there are no or too many literals');
    const coded = new Reader(block.take(Math.floor(header / 2 ** width)));
    if (kind === 2) {
      const { code, sizeBytes } = readHuffman(coded.bytes);
      this.#code = code;
      this.#onMode(`literals: ${coded.bytes[0]! < 128 ? 'coded weights' : 'direct weights'}`);
      coded.take(sizeBytes);
    }
    refuseIf(this.#code === undefined, 'there is no tree to use again');
    if (form === 0) return huffmanStream(this.#code!, coded.rest, size);
    refuseIf(size < 6, 'four streams have too few literals');
    const sizes = [coded.number(2), coded.number(2), coded.number(2)];
    const quarter = Math.ceil(size / 4);
    return [...sizes, undefined].flatMap((streamSize, index) => {
      const stream = coded.take(streamSize ?? coded.rest.length);
      return huffmanStream(this.#code!, stream, index < 3 ? quarter : size - 3 * quarter);
    });
  }

  /** The sequences section (3.1.1.3.2). */
  #sequences(block: Reader): Sequence[] {
    const first = block.number(1);
    let count = first;
    if (first >= 128) count = (first - 128) * 256 + block.number(1);
    if (first === 255) count = (count & 255) + block.number(1) * 256 + 0x7f00;
    if (count === 0) {
      refuseIf(block.rest.length > 0, 'a block goes on after its literals');
      return [];
    }
    const modes = block.number(1);
    refuseIf((modes & 3) !== 0, 'reserved bits are set');
    PARTS.forEach((part, index) => {
      this.#tables[index] = this.#table(block, (modes >> (6 - 2 * index)) & 3, index, part);
    });
    const bits = new BackwardBits(block.rest);
    const tables = this.#tables as FseTable[];
    let states = tables.map((table) => table.states[bits.read(table.log)]!);
    const sequences: Sequence[] = [];
    while (sequences.length < count) {
      const [literal, offset, match] = states.map((state) => state.symbol) as [
        number,
        number,
        number,
      ];
      const offsetValue = 2 ** offset + bits.read(offset);
      const matchSize = MATCH_LENGTHS[match]!.base + bits.read(MATCH_LENGTHS[match]!.bits);
      const literalsCount =
        LITERAL_LENGTHS[literal]!.base + bits.read(LITERAL_LENGTHS[literal]!.bits);
      sequences.push({ literalsCount, matchSize, offsetValue });
      if (sequences.length === count) break;
      const next = (index: number) => {
        const state = states[index]!;
        return tables[index]!.states[state.base + bits.read(state.bits)]!;
      };
      const [literalNext, matchNext, offsetNext] = [next(0), next(2), next(1)];
      states = [literalNext, offsetNext, matchNext];
    }
    refuseIf(bits.left !== 0, 'a stream goes on after its last sequence');
    return sequences;
  }

  #table(block: Reader, mode: number, index: number, part: Part): FseTable {
    this.#onMode(`${part.name}: ${['predefined', 'RLE', 'FSE', 'repeat'][mode]}`);
    if (mode === 0) return fseTable(part.predefined, part.predefinedLog);
    if (mode === 1) {
      const symbol = block.number(1);
      refuseIf(symbol > part.symbolMax, 'a code is too large');
      return { log: 0, states: [{ symbol, bits: 0, base: 0 }] };
    }
    if (mode === 2) {
      const { shares, log, sizeBytes } = readShares(block.rest, part.symbolMax, part.logMax);
      block.take(sizeBytes);
      return fseTable(shares, log);
    }
    refuseIf(this.#tables[index] === undefined, 'there is no table to use again');
    return this.#tables[index]!;
  }
}

interface Part {
  readonly name: string;
  readonly symbolMax: number;
  readonly logMax: number;
  readonly predefined: readonly number[];
  readonly predefinedLog: number;
}

/** The lengths of codes: `plain` of one value each, then each code goes on where the last ended. */
function lengths(first: number, plain: number, extraBits: readonly number[]) {
  const codes = Array.from({ length: plain }, (_, code) => ({ base: first + code, bits: 0 }));
  let base = first + plain;
  for (const bits of extraBits) {
    codes.push({ base, bits });
    base += 2 ** bits;
  }
  return codes;
}

const LITERAL_LENGTHS = lengths(
  0,
  16,
  [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
);
const MATCH_LENGTHS = lengths(
  3,
  32,
  [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
);

function times(count: number, value: number): number[] {
  return new Array<number>(count).fill(value);
}

/** Literal lengths, offsets and match lengths, in the order of their descriptions; the predefined
 *  distributions of 3.1.1.3.2.2. */
const PARTS: readonly Part[] = [
  {
    name: 'literal lengths',
    symbolMax: 35,
    logMax: 9,
    predefined: [
      ...[4, 3, ...times(11, 2), 1, 1, 1, ...times(9, 2), 3, 2],
      ...[...times(5, 1), ...times(4, -1)],
    ],
    predefinedLog: 6,
  },
  {
    name: 'offsets',
    symbolMax: 31,
    logMax: 8,
    predefined: [...times(6, 1), 2, 2, 2, ...times(15, 1), ...times(5, -1)],
    predefinedLog: 5,
  },
  {
    name: 'match lengths',
    symbolMax: 52,
    logMax: 9,
    predefined: [1, 4, 3, ...times(6, 2), ...times(37, 1), ...times(7, -1)],
    predefinedLog: 6,
  },
];
