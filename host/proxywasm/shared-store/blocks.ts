// Records in chains of blocks. Every function here runs under the store's lock.

import {
  BLOCK_SIZE_BYTES,
  BLOCK_WORDS,
  HEAD_FREE_COUNT,
  HEAD_FREE_FIRST,
  RECORD_WORDS,
  type StoreView,
} from './layout.ts';

const RECORD_SIZE_BYTES = RECORD_WORDS * 4;

/** Blocks that a record with so many bytes takes. */
export function blocksFor(sizeBytes: number): number {
  return Math.ceil((RECORD_SIZE_BYTES + sizeBytes) / BLOCK_SIZE_BYTES);
}

/** Whether a record with so many bytes lies in one block, as most do. */
function isInFirst(sizeBytes: number): boolean {
  return RECORD_SIZE_BYTES + sizeBytes <= BLOCK_SIZE_BYTES;
}

export class Blocks {
  readonly #view: StoreView;

  constructor(view: StoreView) {
    this.#view = view;
  }

  get freeCount(): number {
    return this.#view.head[HEAD_FREE_COUNT]!;
  }

  /** A chain for a record with so many bytes, its words 0; the caller knows that there is room. */
  allocate(sizeBytes: number): number {
    const { head, links, words } = this.#view;
    const count = blocksFor(sizeBytes);
    const first = head[HEAD_FREE_FIRST]!;
    let last = first;
    for (let index = 1; index < count; index++) last = links[last]!;
    head[HEAD_FREE_FIRST] = links[last]!;
    head[HEAD_FREE_COUNT]! -= count;
    links[last] = 0;
    // In bounds: a block's number is below BLOCKS_COUNT.
    words.fill(0, first * BLOCK_WORDS, first * BLOCK_WORDS + RECORD_WORDS);
    return first;
  }

  free(first: number): void {
    const { head, links } = this.#view;
    let last = first;
    let count = 1;
    while (links[last] !== 0) {
      last = links[last]!;
      count += 1;
    }
    links[last] = head[HEAD_FREE_FIRST]!;
    head[HEAD_FREE_FIRST] = first;
    head[HEAD_FREE_COUNT]! += count;
  }

  word(record: number, index: number): number {
    return this.#view.words[record * BLOCK_WORDS + index]!;
  }

  setWord(record: number, index: number, value: number): void {
    this.#view.words[record * BLOCK_WORDS + index] = value;
  }

  /** Writes bytes at an offset of the record's own. In bounds: the chain was made for them. */
  write(record: number, offset: number, source: Uint8Array): void {
    const { bytes } = this.#view;
    if (isInFirst(offset + source.length)) {
      bytes.set(source, record * BLOCK_SIZE_BYTES + RECORD_SIZE_BYTES + offset);
      return;
    }
    this.#pieces(record, offset, source.length, (start, from, count) => {
      bytes.set(source.subarray(from, from + count), start);
    });
  }

  /** A copy that is nobody else's. */
  read(record: number, offset: number, sizeBytes: number): Uint8Array {
    const { bytes } = this.#view;
    // Of node's pool: memory of its own for each small value costs more than the rest together.
    const copy = Buffer.allocUnsafe(sizeBytes);
    if (isInFirst(offset + sizeBytes)) {
      const start = record * BLOCK_SIZE_BYTES + RECORD_SIZE_BYTES + offset;
      copy.set(bytes.subarray(start, start + sizeBytes));
      return copy;
    }
    this.#pieces(record, offset, sizeBytes, (start, from, count) => {
      copy.set(bytes.subarray(start, start + count), from);
    });
    return copy;
  }

  /** Whether the record's bytes begin with these. */
  begins(record: number, expected: Uint8Array): boolean {
    const { bytes } = this.#view;
    let isSame = true;
    if (isInFirst(expected.length)) {
      const start = record * BLOCK_SIZE_BYTES + RECORD_SIZE_BYTES;
      for (let index = 0; index < expected.length && isSame; index++) {
        isSame = bytes[start + index] === expected[index];
      }
      return isSame;
    }
    this.#pieces(record, 0, expected.length, (start, from, count) => {
      for (let index = 0; index < count && isSame; index++) {
        isSame = bytes[start + index] === expected[from + index];
      }
    });
    return isSame;
  }

  /** Calls back for each piece: where it starts in the memory and in the bytes, and its size. */
  #pieces(
    record: number,
    offset: number,
    sizeBytes: number,
    onPiece: (start: number, from: number, count: number) => void,
  ): void {
    let block = record;
    let skip = RECORD_SIZE_BYTES + offset;
    while (skip >= BLOCK_SIZE_BYTES) {
      block = this.#view.links[block]!;
      skip -= BLOCK_SIZE_BYTES;
    }
    for (let from = 0; from < sizeBytes; ) {
      const count = Math.min(BLOCK_SIZE_BYTES - skip, sizeBytes - from);
      onPiece(block * BLOCK_SIZE_BYTES + skip, from, count);
      from += count;
      skip = 0;
      block = this.#view.links[block]!;
    }
  }
}
