// Body bytes that nobody reads yet, in order. Small chunks are put together: a client that sends
// its body byte by byte would else cost an object of two hundred bytes for each.

/** Small chunks are gathered in blocks of this size. */
const BLOCK_SIZE_BYTES = 16_384;

interface Block {
  readonly bytes: Uint8Array;
  usedSizeBytes: number;
}

export class HeldBytes {
  /** Bytes held now. */
  sizeBytes = 0;
  #blocks: Block[] = [];

  get blockCount(): number {
    return this.#blocks.length;
  }

  /** Copies a chunk. The first one, which is often the only one, is held in exactly its size. */
  push(chunk: Uint8Array): void {
    const sizeBytes = chunk.length;
    if (sizeBytes === 0) return;
    this.sizeBytes += sizeBytes;
    const last = this.#blocks.at(-1);
    if (last !== undefined && last.usedSizeBytes + sizeBytes <= last.bytes.length) {
      last.bytes.set(chunk, last.usedSizeBytes);
      last.usedSizeBytes += sizeBytes;
    } else if (last === undefined || sizeBytes > BLOCK_SIZE_BYTES / 2) {
      this.#blocks.push({ bytes: new Uint8Array(chunk), usedSizeBytes: sizeBytes });
    } else {
      const bytes = new Uint8Array(BLOCK_SIZE_BYTES);
      bytes.set(chunk);
      this.#blocks.push({ bytes, usedSizeBytes: sizeBytes });
    }
  }

  /** Takes the oldest bytes, or undefined when none are held. Cost: O(blocks), which are few. */
  shift(): Uint8Array | undefined {
    const block = this.#blocks.shift();
    if (block === undefined) return undefined;
    this.sizeBytes -= block.usedSizeBytes;
    return block.bytes.subarray(0, block.usedSizeBytes);
  }

  clear(): void {
    this.#blocks = [];
    this.sizeBytes = 0;
  }
}
