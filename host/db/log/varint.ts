// Numbers in as few bytes as they need: seven bits a byte, low ones first, bit 7 where another
// follows. The bytes that are read may be anybody's.

/** No safe integer takes more. */
export const VARINT_SIZE_BYTES_MAX = 8;

/** Writes a number from 0 to 2^53 - 1; returns where the next byte goes. */
export function writeVarint(value: number, into: Uint8Array, at: number): number {
  let rest = value;
  let next = at;
  // Above 32 bits shifts would cut.
  while (rest > 0x7f_ffff) {
    into[next++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  while (rest > 0x7f) {
    into[next++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  into[next++] = rest;
  return next;
}

/** A difference as a number that is not negative: 0, -1, 1, -2, 2… */
export function zigzag(difference: number): number {
  return difference < 0 ? -2 * difference - 1 : 2 * difference;
}

export function unzigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

/** Reads numbers one after the other. */
export class VarintReader {
  readonly #bytes: Uint8Array;
  offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get leftBytes(): number {
    return this.#bytes.length - this.offset;
  }

  /** The next number, or -1 where there is none, where it is longer than it need be or no safe
   *  integer. */
  next(): number {
    const bytes = this.#bytes;
    let value = 0;
    let factor = 1;
    for (let count = 0; count < VARINT_SIZE_BYTES_MAX; ++count) {
      const byte = bytes[this.offset];
      if (byte === undefined) return -1;
      this.offset += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        const isShortest = byte !== 0 || count === 0;
        return isShortest && value <= Number.MAX_SAFE_INTEGER ? value : -1;
      }
      factor *= 0x80;
    }
    return -1;
  }

  /** The next bytes, or null where there are fewer. */
  bytes(sizeBytes: number): Uint8Array | null {
    if (sizeBytes > this.leftBytes) return null;
    this.offset += sizeBytes;
    return this.#bytes.subarray(this.offset - sizeBytes, this.offset);
  }
}
