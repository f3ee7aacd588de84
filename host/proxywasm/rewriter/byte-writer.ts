// Writes a Wasm binary into one buffer that grows.

const START_SIZE_BYTES = 4_096;
/** A size that is written before what it counts is known: padded LEB128. */
const SIZE_FIELD_SIZE_BYTES = 5;

export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #sizeBytes = 0;

  constructor(expectedSizeBytes = START_SIZE_BYTES) {
    this.#bytes = new Uint8Array(expectedSizeBytes);
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#sizeBytes++] = value;
  }

  u32(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.byte((rest & 0x7f) | 0x80);
      rest = Math.floor(rest / 128);
    }
    this.byte(rest);
  }

  /** A signed number, not below 0: an i32.const's operand. */
  positive(value: number): void {
    let rest = value;
    while (rest > 0x3f) {
      this.byte((rest & 0x7f) | 0x80);
      rest = Math.floor(rest / 128);
    }
    this.byte(rest);
  }

  write(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#sizeBytes);
    this.#sizeBytes += bytes.length;
  }

  /** Copies a part of another buffer. */
  copy(source: Uint8Array, start: number, end: number): void {
    this.#reserve(end - start);
    this.#bytes.set(source.subarray(start, end), this.#sizeBytes);
    this.#sizeBytes += end - start;
  }

  name(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u32(bytes.length);
    this.write(bytes);
  }

  /** Leaves room for a size; endSized() fills it in. Returns the place. */
  beginSized(): number {
    this.#reserve(SIZE_FIELD_SIZE_BYTES);
    this.#sizeBytes += SIZE_FIELD_SIZE_BYTES;
    return this.#sizeBytes;
  }

  endSized(place: number): void {
    let rest = this.#sizeBytes - place;
    for (let index = SIZE_FIELD_SIZE_BYTES; index > 0; index--) {
      const more = index === 1 ? 0 : 0x80;
      this.#bytes[place - index] = (rest & 0x7f) | more;
      rest >>>= 7;
    }
  }

  /** What was written; valid until more is. */
  result(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#sizeBytes);
  }

  #reserve(sizeBytes: number): void {
    const needed = this.#sizeBytes + sizeBytes;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    grown.set(this.#bytes.subarray(0, this.#sizeBytes));
    this.#bytes = grown;
  }
}
