// A buffer that grows while a reply is written into it, so that rows go from SQLite's memory to the
// reply's bytes with no value made of them in between.

const SIZE_BYTES_FIRST = 1_024;
const DIGIT_0 = 0x30;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Texts up to this length are given room without being measured. */
const SHORT_TEXT_LENGTH = 1_024;
const UTF8_BYTES_PER_UNIT = 3;

/** Bytes that a JSON string cannot hold as they are, and those that begin no ASCII character. */
const IS_SPECIAL = new Uint8Array(256);
IS_SPECIAL.fill(1, 0, 0x20);
IS_SPECIAL.fill(1, 0x80);
IS_SPECIAL[QUOTE] = 1;
IS_SPECIAL[BACKSLASH] = 1;

export class ByteWriter {
  bytes: Buffer = Buffer.allocUnsafeSlow(SIZE_BYTES_FIRST);
  size = 0;

  /** Room for that many bytes. */
  reserve(sizeBytes: number): void {
    const needed = this.size + sizeBytes;
    if (needed <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(grown, 0, 0, this.size);
    this.bytes = grown;
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.size++] = value;
  }

  /** Text of ASCII characters alone. */
  ascii(text: string): void {
    const { length } = text;
    this.reserve(length);
    const { bytes } = this;
    if (length > 24) bytes.write(text, this.size, length, 'latin1');
    else for (let at = 0; at < length; at++) bytes[this.size + at] = text.charCodeAt(at);
    this.size += length;
  }

  /** A few bytes: a loop is faster than a call. */
  short(source: Uint8Array): void {
    const { length } = source;
    this.reserve(length);
    const { bytes, size } = this;
    for (let at = 0; at < length; at++) bytes[size + at] = source[at]!;
    this.size = size + length;
  }

  /** The decimal digits of an integer. */
  integer(value: number): void {
    if (value < 0 || value >= 1e9 || !Number.isInteger(value)) {
      this.ascii(String(value));
      return;
    }
    let count = 1;
    for (let rest = value; rest >= 10; rest = Math.trunc(rest / 10)) count += 1;
    this.reserve(count);
    let rest = value;
    for (let at = this.size + count - 1; at >= this.size; at--) {
      const next = Math.trunc(rest / 10);
      this.bytes[at] = DIGIT_0 + rest - next * 10;
      rest = next;
    }
    this.size += count;
  }

  raw(source: Uint8Array): void {
    this.reserve(source.length);
    this.bytes.set(source, this.size);
    this.size += source.length;
  }

  base64(source: Uint8Array): void {
    const view = Buffer.from(source.buffer, source.byteOffset, source.length);
    const text = view.toString('base64');
    const end = text.indexOf('=', Math.max(0, text.length - 2));
    this.ascii(end < 0 ? text : text.slice(0, end));
  }

  /** A JSON string of a text. */
  jsonText(text: string): void {
    const json = JSON.stringify(text);
    const isShort = json.length <= SHORT_TEXT_LENGTH;
    const sizeMax = isShort ? json.length * UTF8_BYTES_PER_UNIT : Buffer.byteLength(json);
    this.reserve(sizeMax);
    this.size += this.bytes.write(json, this.size, sizeMax, 'utf8');
  }

  /** A JSON string of UTF-8 bytes; where they are none, U+FFFD stands for what is wrong. */
  jsonUtf8(source: Uint8Array): void {
    this.reserve(source.length + 2);
    const { bytes } = this;
    let at = this.size;
    bytes[at++] = QUOTE;
    for (let index = 0; index < source.length; index++) {
      const value = source[index]!;
      if (IS_SPECIAL[value] === 1) {
        this.#jsonSpecial(source);
        return;
      }
      bytes[at++] = value;
    }
    bytes[at++] = QUOTE;
    this.size = at;
  }

  #jsonSpecial(source: Uint8Array): void {
    const view = Buffer.from(source.buffer, source.byteOffset, source.length);
    const text = view.toString('utf8');
    this.jsonText(text);
  }
}
