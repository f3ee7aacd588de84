// The name that a scanner stands in, as the bytes that it means: escapes are read, so that
// "p\u0061ssword" is no way around a rule for "password".

/** A longer name is none that a rule has. */
export const NAME_SIZE_BYTES_MAX: i32 = 256;
/** Stands for half of a character. */
const REPLACEMENT: i32 = 0xfffd;

export class NameBuffer {
  bytes: Uint8Array = new Uint8Array(NAME_SIZE_BYTES_MAX);
  size: i32 = 0;
  private isTooLong: bool = false;
  /** The first half of a character that is written as two escapes; 0 for none. */
  private high: i32 = 0;

  constructor(private isIgnoringCase: bool) {}

  clear(): void {
    this.size = 0;
    this.isTooLong = false;
    this.high = 0;
  }

  add(byte: u8): void {
    this.endHalf();
    this.put(byte);
  }

  private put(byte: u8): void {
    if (this.size == NAME_SIZE_BYTES_MAX) {
      this.isTooLong = true;
      return;
    }
    const isUpper = byte >= 0x41 && byte <= 0x5a;
    this.bytes[this.size++] = this.isIgnoringCase && isUpper ? byte | 0x20 : byte;
  }

  /** Adds a unit of UTF-16. */
  addUnit(unit: i32): void {
    const isLow = (unit & 0xfc00) == 0xdc00;
    if (this.high != 0 && isLow) {
      const code = 0x10000 + ((this.high & 0x3ff) << 10) + (unit & 0x3ff);
      this.high = 0;
      return this.putCode(code);
    }
    this.endHalf();
    if ((unit & 0xfc00) == 0xd800) this.high = unit;
    else this.putCode(isLow ? REPLACEMENT : unit);
  }

  private endHalf(): void {
    if (this.high == 0) return;
    this.high = 0;
    this.putCode(REPLACEMENT);
  }

  private putCode(code: i32): void {
    if (code < 0x80) return this.put(<u8>code);
    if (code < 0x800) this.put(<u8>(0xc0 | (code >> 6)));
    else {
      if (code < 0x10000) this.put(<u8>(0xe0 | (code >> 12)));
      else {
        this.put(<u8>(0xf0 | (code >> 18)));
        this.put(<u8>(0x80 | ((code >> 12) & 0x3f)));
      }
      this.put(<u8>(0x80 | ((code >> 6) & 0x3f)));
    }
    this.put(<u8>(0x80 | (code & 0x3f)));
  }

  isOneOf(names: Uint8Array[]): bool {
    return this.find(names) >= 0;
  }

  /** The index of this name; -1 for none. */
  find(names: Uint8Array[]): i32 {
    this.endHalf();
    if (this.isTooLong) return -1;
    for (let index = 0; index < names.length; index++) {
      const name = names[index];
      if (name.length != this.size) continue;
      if (memory.compare(name.dataStart, this.bytes.dataStart, this.size) == 0) return index;
    }
    return -1;
  }
}

/** The bytes of names, ready to be found. */
export function nameBytes(names: string[], isIgnoringCase: bool): Uint8Array[] {
  const result: Uint8Array[] = [];
  for (let index = 0; index < names.length; index++) {
    const buffer = new NameBuffer(isIgnoringCase);
    const bytes = Uint8Array.wrap(String.UTF8.encode(names[index]));
    for (let at = 0; at < bytes.length; at++) buffer.add(bytes[at]);
    result.push(buffer.bytes.slice(0, buffer.size));
  }
  return result;
}
