// Body bytes that a filter looks at or holds back. A chunk that passes at once is never copied;
// what is held is the buffer's own.

const NO_BYTES = new Uint8Array(0);

export class BodyBuffer {
  #bytes: Uint8Array = NO_BYTES;
  #isOwn = true;
  /** Further chunks, all owned, behind #bytes. */
  #more: Uint8Array[] = [];
  #sizeBytes = 0;

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Adds bytes that are valid only until keep() or take(). */
  add(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    if (this.#sizeBytes === 0) {
      this.#bytes = chunk;
      this.#isOwn = false;
    } else {
      this.keep();
      this.#more.push(new Uint8Array(chunk));
    }
    this.#sizeBytes += chunk.length;
  }

  /** Makes what is here its own: the chunk's owner will reuse it. */
  keep(): void {
    if (this.#isOwn) return;
    this.#bytes = new Uint8Array(this.#bytes);
    this.#isOwn = true;
  }

  /** All of it in one piece; not to be changed. */
  bytes(): Uint8Array {
    if (this.#more.length > 0) {
      const joined = new Uint8Array(this.#sizeBytes);
      joined.set(this.#bytes);
      let offset = this.#bytes.length;
      for (const chunk of this.#more) {
        joined.set(chunk, offset);
        offset += chunk.length;
      }
      this.#bytes = joined;
      this.#more = [];
      this.#isOwn = true;
    }
    return this.#bytes;
  }

  /** Puts `replacement`, which is copied, in the place of `sizeBytes` bytes from `start`. */
  splice(start: number, sizeBytes: number, replacement: Uint8Array): void {
    if (start === 0 && sizeBytes >= this.#sizeBytes) {
      this.clear();
      this.#bytes = new Uint8Array(replacement);
      this.#sizeBytes = replacement.length;
      return;
    }
    const before = this.bytes();
    const behind = before.subarray(Math.min(start + sizeBytes, before.length));
    const from = Math.min(start, before.length);
    const spliced = new Uint8Array(from + replacement.length + behind.length);
    spliced.set(before.subarray(0, from));
    spliced.set(replacement, from);
    spliced.set(behind, from + replacement.length);
    this.#bytes = spliced;
    this.#isOwn = true;
    this.#sizeBytes = spliced.length;
  }

  /** Hands over what is here. */
  take(): Uint8Array {
    const taken = this.bytes();
    this.clear();
    return taken;
  }

  clear(): void {
    this.#bytes = NO_BYTES;
    this.#isOwn = true;
    this.#more = [];
    this.#sizeBytes = 0;
  }
}
