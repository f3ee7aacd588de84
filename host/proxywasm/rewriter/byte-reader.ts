// Reads a Wasm binary: bytes, LEB128 numbers and names, never beyond its end. Whatever is wrong is
// a GatewayError that says at which byte.

import { type ErrorCode, GatewayError } from '../../core/index.ts';

const decoder = new TextDecoder('utf-8', { fatal: true });

export class ByteReader {
  readonly bytes: Uint8Array;
  /** Of the next byte, in the whole module. */
  offset: number;
  /** Behind the last byte that may be read. */
  readonly end: number;

  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    this.bytes = bytes;
    this.offset = offset;
    this.end = end;
  }

  get isAtEnd(): boolean {
    return this.offset >= this.end;
  }

  byte(): number {
    if (this.offset >= this.end) this.fail('it ends too early');
    return this.bytes[this.offset++]!;
  }

  skip(sizeBytes: number): void {
    if (sizeBytes > this.end - this.offset) this.fail('it ends too early');
    this.offset += sizeBytes;
  }

  /** An unsigned LEB128 number of up to 32 bits. */
  u32(): number {
    let result = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      if (shift === 28 && byte > 0x0f) this.fail('a number has more than 32 bits');
      result += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return result;
    }
    return this.fail('a number is longer than 5 bytes');
  }

  /** Passes a LEB128 number, signed or not, of up to `sizeBytesMax` bytes. */
  skipNumber(sizeBytesMax: number): void {
    for (let index = 0; index < sizeBytesMax; index++) {
      if (this.byte() < 0x80) return;
    }
    this.fail(`a number is longer than ${sizeBytesMax} bytes`);
  }

  /** Takes a size and a part of that size. */
  part(): ByteReader {
    const sizeBytes = this.u32();
    const start = this.offset;
    this.skip(sizeBytes);
    return new ByteReader(this.bytes, start, this.offset);
  }

  name(): string {
    const part = this.part();
    try {
      return decoder.decode(part.bytes.subarray(part.offset, part.end));
    } catch {
      return this.fail('a name is not UTF-8');
    }
  }

  fail(detail: string, code: ErrorCode = 'GW_PLUGIN_NOT_WASM'): never {
    throw new GatewayError(code, `${detail}, at byte ${this.offset}`);
  }
}
