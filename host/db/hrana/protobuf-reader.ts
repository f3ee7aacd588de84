// Reads protobuf's wire format, field by field. What does not end where it says is an error; fields
// that nobody knows are skipped. Source: protobuf.dev/programming-guides/encoding.

import { type HranaError, malformed } from './hrana-error.ts';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
const FIXED32 = 5;

export class ProtobufReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;
  readonly #end: number;
  /** Of the field that next() has found. */
  #wireType = 0;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#at = at;
    this.#end = end;
  }

  /** The number of the next field, 0 at the end. Its value must be read or skipped. */
  next(): number {
    if (this.#at >= this.#end) return 0;
    const key = this.#varint32();
    const field = key >>> 3;
    if (field === 0) throw malformed('protobuf: field 0');
    this.#wireType = key & 7;
    return field;
  }

  skip(): void {
    switch (this.#wireType) {
      case VARINT:
        this.#varint64();
        return;
      case FIXED64:
        this.#take(8);
        return;
      case BYTES:
        this.#take(this.#varint32());
        return;
      case FIXED32:
        this.#take(4);
        return;
      default:
        throw malformed(`protobuf: wire type ${this.#wireType}`);
    }
  }

  int32(): number {
    this.#expect(VARINT);
    // A negative one comes with ten bytes.
    return Number(BigInt.asIntN(32, this.#varint64()));
  }

  uint32(): number {
    this.#expect(VARINT);
    return Number(BigInt.asUintN(32, this.#varint64()));
  }

  bool(): boolean {
    this.#expect(VARINT);
    return this.#varint64() !== 0n;
  }

  sint64(): bigint {
    this.#expect(VARINT);
    const zigzag = this.#varint64();
    return (zigzag >> 1n) ^ -(zigzag & 1n);
  }

  double(): number {
    this.#expect(FIXED64);
    const at = this.#take(8);
    // In bounds: #take has checked.
    return this.#view.getFloat64(at, true);
  }

  /** A copy. */
  bytes(): Uint8Array {
    this.#expect(BYTES);
    const size = this.#varint32();
    const at = this.#take(size);
    return this.#bytes.slice(at, at + size);
  }

  text(what: string, sizeMax: number): string {
    this.#expect(BYTES);
    const size = this.#varint32();
    const at = this.#take(size);
    let text: string;
    try {
      text = decoder.decode(this.#bytes.subarray(at, at + size));
    } catch {
      throw malformed(`${what}: not UTF-8`);
    }
    if (text.length > sizeMax) {
      throw malformed(`${what}: ${text.length} characters, the limit is ${sizeMax}`);
    }
    return text;
  }

  /** A reader of the message that the field holds. */
  message(): ProtobufReader {
    this.#expect(BYTES);
    const size = this.#varint32();
    const at = this.#take(size);
    return new ProtobufReader(this.#bytes, at, at + size);
  }

  #expect(wireType: number): void {
    if (this.#wireType === wireType) return;
    throw malformed(`protobuf: expected wire type ${wireType}, found ${this.#wireType}`);
  }

  #take(size: number): number {
    const at = this.#at;
    if (size > this.#end - at) throw cutOff();
    this.#at = at + size;
    return at;
  }

  /** Keys and lengths. */
  #varint32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (this.#at >= this.#end) throw cutOff();
      const byte = this.#bytes[this.#at++]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        if (value > 0xffff_ffff) break;
        return value;
      }
    }
    throw malformed('protobuf: a number of more than 32 bits');
  }

  #varint64(): bigint {
    let low = 0;
    let high = 0n;
    for (let index = 0; index < 10; index++) {
      if (this.#at >= this.#end) throw cutOff();
      const byte = this.#bytes[this.#at++]!;
      if (index < 7) low += (byte & 0x7f) * 2 ** (7 * index);
      else high |= BigInt(byte & 0x7f) << BigInt(7 * index);
      if (byte < 0x80) return BigInt.asUintN(64, high | BigInt(low));
    }
    throw malformed('protobuf: a number of more than 64 bits');
  }
}

function cutOff(): HranaError {
  return malformed('protobuf: the message is cut off');
}
