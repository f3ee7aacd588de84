// W3C Trace Context: the strict reader of `traceparent`, and the maker of new ones. A request that
// brings a valid one keeps it untouched, for the gateway is no span of its own; the others get one,
// so that log lines on both sides of the gateway can be joined.
// Source: https://www.w3.org/TR/trace-context/ sections 3.2 and 4.

/** `00-` trace id `-` parent id `-` flags. */
const TRACEPARENT_LENGTH = 55;

/** Whether a `traceparent` may be passed on. Later versions may be longer; `ff` is none. */
export function isTraceparent(value: string): boolean {
  const length = value.length;
  if (length < TRACEPARENT_LENGTH) return false;
  if (value.charCodeAt(2) !== 45 || value.charCodeAt(35) !== 45) return false;
  if (value.charCodeAt(52) !== 45) return false;
  if (!isLowerHex(value, 0, 2) || !isLowerHex(value, 53, 55)) return false;
  if (!isId(value, 3, 35) || !isId(value, 36, 52)) return false;
  if (value.startsWith('ff')) return false;
  if (length === TRACEPARENT_LENGTH) return true;
  return !value.startsWith('00') && value.charCodeAt(TRACEPARENT_LENGTH) === 45;
}

/** Makes `traceparent` values of random ids. The generator has 128 bits of state, because one of
 *  32 would make two workers repeat each other's traces within hours; it is not for secrets.
 *  Source: xoshiro128**, https://prng.di.unimi.it/xoshiro128starstar.c */
export class TraceparentSource {
  #s0: number;
  #s1: number;
  #s2: number;
  #s3: number;
  readonly #text: Buffer;

  /** `seed`: 16 bytes of entropy. `flags`: of new traces. `01` asks the services to record, which
   *  is what they do with a request that brings no context; `00` would forbid it to them. */
  constructor(seed: Uint8Array, flags: '00' | '01' = '01') {
    const words = new DataView(seed.buffer, seed.byteOffset, 16);
    this.#s0 = words.getInt32(0);
    this.#s1 = words.getInt32(4);
    this.#s2 = words.getInt32(8);
    // The state may not be all zeros.
    this.#s3 = words.getInt32(12) || 1;
    this.#text = Buffer.from(`00-${'0'.repeat(32)}-${'0'.repeat(16)}-${flags}`, 'latin1');
  }

  /** Shape: `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`. Cost: about 100 ns. */
  next(): string {
    const text = this.#text;
    writeHex(text, 3, this.#uint32());
    writeHex(text, 11, this.#uint32());
    writeHex(text, 19, this.#uint32());
    // A low bit is set in each id: an id of zeros is not valid.
    writeHex(text, 27, this.#uint32() | 1);
    writeHex(text, 36, this.#uint32());
    writeHex(text, 44, this.#uint32() | 1);
    return text.toString('latin1');
  }

  #uint32(): number {
    const scaled = Math.imul(this.#s1, 5);
    const result = Math.imul((scaled << 7) | (scaled >>> 25), 9);
    const shifted = this.#s1 << 9;
    this.#s2 ^= this.#s0;
    this.#s3 ^= this.#s1;
    this.#s1 ^= this.#s2;
    this.#s0 ^= this.#s3;
    this.#s2 ^= shifted;
    this.#s3 = (this.#s3 << 11) | (this.#s3 >>> 21);
    return result;
  }
}

/** The two hexadecimal digits of each byte, low digit in the high byte. */
const HEX_PAIRS = Uint16Array.from({ length: 256 }, (_, byte) => {
  const pair = byte.toString(16).padStart(2, '0');
  return pair.charCodeAt(0) | (pair.charCodeAt(1) << 8);
});

/** Writes 8 digits at `offset`, which callers keep 8 below the text's end. */
function writeHex(text: Buffer, offset: number, value: number): void {
  for (let byte = 0; byte < 4; byte++) {
    const pair = HEX_PAIRS[(value >>> (24 - byte * 8)) & 255]!;
    text[offset + byte * 2] = pair & 255;
    text[offset + byte * 2 + 1] = pair >> 8;
  }
}

function isLowerHex(text: string, from: number, to: number): boolean {
  for (let index = from; index < to; index++) {
    const code = text.charCodeAt(index);
    if (!((code >= 48 && code <= 57) || (code >= 97 && code <= 102))) return false;
  }
  return true;
}

/** Whether an id is of hexadecimal digits and not of zeros alone. */
function isId(text: string, from: number, to: number): boolean {
  if (!isLowerHex(text, from, to)) return false;
  for (let index = from; index < to; index++) {
    if (text.charCodeAt(index) !== 48) return true;
  }
  return false;
}
