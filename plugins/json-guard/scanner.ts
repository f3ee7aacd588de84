// Reads JSON (RFC 8259) as it comes, in pieces cut anywhere, with a stack of one bit of state for
// each level. It finds what is not JSON, what is too deep, what fields the outermost map has, and
// cuts the values of some names out. It keeps nothing of the text but the name that it stands in.

import { hexDigit } from '../kit/json';
import { NameBuffer } from './name-buffer';
import { Shape } from './shape';

// What may come next.
const VALUE: i32 = 0;
const VALUE_OR_END: i32 = 1;
const NAME_OR_END: i32 = 2;
const NAME: i32 = 3;
const COLON: i32 = 4;
const COMMA_OR_END: i32 = 5;
const DONE: i32 = 6;
// Inside of a text.
const TEXT: i32 = 7;
const ESCAPE: i32 = 8;
const HEX: i32 = 9;
// Inside of true, false or null.
const WORD: i32 = 10;
// Inside of a number; it may end at ZERO, WHOLE, FRACTION and POWER.
const MINUS: i32 = 11;
const ZERO: i32 = 12;
const WHOLE: i32 = 13;
const POINT: i32 = 14;
const FRACTION: i32 = 15;
const E: i32 = 16;
const E_SIGN: i32 = 17;
const POWER: i32 = 18;

const IN_LIST: u8 = 0;
const IN_MAP: u8 = 1;

/** What a value is, for a Shape. */
export const KIND_TEXT: i32 = 1;
export const KIND_NUMBER: i32 = 2;
export const KIND_BOOLEAN: i32 = 3;
export const KIND_LIST: i32 = 4;
export const KIND_MAP: i32 = 5;
export const KIND_NULL: i32 = 6;

export class Scanner {
  /** '' while all is well. */
  problem: string = '';
  private state: i32 = VALUE;
  private depth: i32 = 0;
  private levels: StaticArray<u8>;
  private valuesCount: i32 = 0;
  /** Of a text: whether it is a name. */
  private isName: bool = false;
  private name: NameBuffer;
  /** The rest of a word, and of a \u escape's digits. */
  private word: string = '';
  private wordAt: i32 = 0;
  private hexCount: i32 = 0;
  private hexValue: i32 = 0;
  /** Of a character in UTF-8: bytes that must follow, and the range of the next one. */
  private tail: i32 = 0;
  private tailMin: u8 = 0x80;
  private tailMax: u8 = 0xbf;
  /** The level whose value is cut out; -1 for none. */
  private cutDepth: i32 = -1;
  private isNextCut: bool = false;
  private output: Uint8Array = new Uint8Array(0);
  private outputSize: i32 = 0;
  private runStart: i32 = 0;
  private input: Uint8Array = new Uint8Array(0);

  constructor(
    private depthMax: i32,
    private valuesMax: i32,
    private cutNames: Uint8Array[],
    private replacement: Uint8Array,
    private shape: Shape | null,
    isIgnoringCase: bool,
  ) {
    this.levels = new StaticArray<u8>(depthMax);
    this.name = new NameBuffer(isIgnoringCase);
  }

  /** Reads more. What remains of it after cutting is what `take` gives. */
  push(input: Uint8Array): void {
    this.input = input;
    this.outputSize = 0;
    this.runStart = this.cutDepth >= 0 ? input.length : 0;
    const ptr = input.dataStart;
    let at = 0;
    while (at < input.length && this.problem == '') {
      // Most of most bodies is plain text: eight bytes of it at once.
      if (this.state == TEXT && this.tail == 0 && !this.isName) {
        while (at + 8 <= input.length && isPlain(load<u64>(ptr + at))) at += 8;
        if (at == input.length) break;
      }
      this.step(load<u8>(ptr + at), at);
      at++;
    }
    if (this.problem != '') this.runStart = input.length;
    if (this.cutDepth < 0) this.flush(input.length);
  }

  /** What passed of the last piece. */
  take(): Uint8Array {
    return this.output.subarray(0, this.outputSize);
  }

  /** There is no more. */
  finish(): void {
    if (this.problem != '') return;
    if (this.canNumberEnd()) this.endValue(0);
    if (this.state != DONE) this.problem = 'unfinished JSON';
    else if (this.shape !== null) this.problem = this.shape!.missing();
  }

  private fail(problem: string): void {
    this.problem = problem;
  }

  private append(bytes: Uint8Array, start: i32, end: i32): void {
    const size = end - start;
    if (size <= 0) return;
    const needed = this.outputSize + size;
    if (needed > this.output.length) {
      const larger = new Uint8Array(max(needed, this.output.length * 2));
      memory.copy(larger.dataStart, this.output.dataStart, this.outputSize);
      this.output = larger;
    }
    memory.copy(this.output.dataStart + this.outputSize, bytes.dataStart + start, size);
    this.outputSize = needed;
  }

  /** Lets the input up to a place pass. */
  private flush(end: i32): void {
    this.append(this.input, this.runStart, end);
    this.runStart = end;
  }

  private step(byte: u8, at: i32): void {
    const state = this.state;
    if (state == TEXT) return this.inText(byte, at);
    if (state == ESCAPE) return this.inEscape(byte);
    if (state == HEX) return this.inHex(byte);
    if (state == WORD) return this.inWord(byte, at);
    if (state >= MINUS) {
      if (this.inNumber(byte)) return;
      if (!this.canNumberEnd()) return this.fail('a bad number');
      this.endValue(at);
    }
    if (byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09) return;
    this.between(byte, at);
  }

  private between(byte: u8, at: i32): void {
    const state = this.state;
    if (state == VALUE) return this.beginValue(byte, at);
    if (state == VALUE_OR_END) {
      if (byte == 0x5d) return this.closeLevel(at);
      return this.beginValue(byte, at);
    }
    if (state == NAME || state == NAME_OR_END) {
      if (byte == 0x7d && state == NAME_OR_END) return this.closeLevel(at);
      if (byte != 0x22) return this.fail('expected a name');
      this.isName = true;
      this.name.clear();
      this.state = TEXT;
      return;
    }
    if (state == COLON) {
      if (byte != 0x3a) return this.fail('expected a colon');
      this.isNextCut = this.cutDepth < 0 && this.name.isOneOf(this.cutNames);
      this.state = VALUE;
      return;
    }
    if (state == DONE) return this.fail('more after the end');
    const isMap = this.levels[this.depth - 1] == IN_MAP;
    if (byte == 0x2c) this.state = isMap ? NAME : VALUE;
    else if (byte == (isMap ? 0x7d : 0x5d)) this.closeLevel(at);
    else this.fail(isMap ? 'expected a comma or }' : 'expected a comma or ]');
  }

  private beginValue(byte: u8, at: i32): void {
    if (++this.valuesCount > this.valuesMax) return this.fail('too many values');
    if (this.isNextCut) {
      this.isNextCut = false;
      this.flush(at);
      this.append(this.replacement, 0, this.replacement.length);
      this.cutDepth = this.depth;
    }
    const level = this.depth;
    const kind = this.kindOf(byte);
    if (kind == 0) return this.fail('expected a value');
    const shape = this.shape;
    if (shape === null || this.problem != '') return;
    if (level == 0 && kind != KIND_MAP) this.fail('expected a map');
    else if (level == 1) this.problem = shape.meet(this.name, kind);
  }

  /** Begins a value; 0 where none begins so. */
  private kindOf(byte: u8): i32 {
    if (byte == 0x22) {
      this.isName = false;
      this.state = TEXT;
      return KIND_TEXT;
    }
    if (byte == 0x7b) return this.openLevel(IN_MAP);
    if (byte == 0x5b) return this.openLevel(IN_LIST);
    if (byte == 0x74) return this.beginWord('true', KIND_BOOLEAN);
    if (byte == 0x66) return this.beginWord('false', KIND_BOOLEAN);
    if (byte == 0x6e) return this.beginWord('null', KIND_NULL);
    if (byte == 0x2d) this.state = MINUS;
    else if (byte == 0x30) this.state = ZERO;
    else if (byte >= 0x31 && byte <= 0x39) this.state = WHOLE;
    else return 0;
    return KIND_NUMBER;
  }

  private openLevel(kind: u8): i32 {
    if (this.depth == this.depthMax) this.fail('too deep');
    else this.levels[this.depth++] = kind;
    this.state = kind == IN_MAP ? NAME_OR_END : VALUE_OR_END;
    return kind == IN_MAP ? KIND_MAP : KIND_LIST;
  }

  private closeLevel(at: i32): void {
    this.depth--;
    this.endValue(at + 1);
  }

  /** `end`: where the input goes on behind the value. */
  private endValue(end: i32): void {
    if (this.cutDepth == this.depth) {
      this.cutDepth = -1;
      this.runStart = end;
    }
    this.state = this.depth == 0 ? DONE : COMMA_OR_END;
  }

  private inText(byte: u8, at: i32): void {
    if (this.tail > 0) {
      if (byte < this.tailMin || byte > this.tailMax) return this.fail('not UTF-8');
      this.tail--;
      this.tailMin = 0x80;
      this.tailMax = 0xbf;
    } else if (byte == 0x22) {
      if (this.isName) this.state = COLON;
      else this.endValue(at + 1);
      return;
    } else if (byte == 0x5c) {
      this.state = ESCAPE;
      return;
    } else if (byte < 0x20) return this.fail('a control character in a text');
    else if (byte >= 0x80) this.beginCharacter(byte);
    if (this.isName) this.name.add(byte);
  }

  /** Table 3-7 of Unicode: what may follow the first byte of a character. */
  private beginCharacter(byte: u8): void {
    if (byte < 0xc2 || byte > 0xf4) return this.fail('not UTF-8');
    this.tail = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    if (byte == 0xe0) this.tailMin = 0xa0;
    if (byte == 0xed) this.tailMax = 0x9f;
    if (byte == 0xf0) this.tailMin = 0x90;
    if (byte == 0xf4) this.tailMax = 0x8f;
  }

  private inEscape(byte: u8): void {
    this.state = TEXT;
    if (byte == 0x75) {
      this.hexCount = 0;
      this.hexValue = 0;
      this.state = HEX;
      return;
    }
    let unit: u8 = byte;
    if (byte == 0x62) unit = 0x08;
    else if (byte == 0x66) unit = 0x0c;
    else if (byte == 0x6e) unit = 0x0a;
    else if (byte == 0x72) unit = 0x0d;
    else if (byte == 0x74) unit = 0x09;
    else if (byte != 0x22 && byte != 0x5c && byte != 0x2f) return this.fail('a bad escape');
    if (this.isName) this.name.add(unit);
  }

  private inHex(byte: u8): void {
    const digit = hexDigit(byte);
    if (digit < 0) return this.fail('a bad escape');
    this.hexValue = (this.hexValue << 4) | digit;
    if (++this.hexCount < 4) return;
    this.state = TEXT;
    if (this.isName) this.name.addUnit(this.hexValue);
  }

  private beginWord(word: string, kind: i32): i32 {
    this.word = word;
    this.wordAt = 1;
    this.state = WORD;
    return kind;
  }

  private inWord(byte: u8, at: i32): void {
    if (this.word.charCodeAt(this.wordAt++) != byte) return this.fail('expected a value');
    if (this.wordAt == this.word.length) this.endValue(at + 1);
  }

  private canNumberEnd(): bool {
    const state = this.state;
    return state == ZERO || state == WHOLE || state == FRACTION || state == POWER;
  }

  /** Whether the byte goes on with the number. */
  private inNumber(byte: u8): bool {
    const state = this.state;
    const isDigit = byte >= 0x30 && byte <= 0x39;
    const isE = (byte | 0x20) == 0x65;
    let next = -1;
    if (state == MINUS && isDigit) next = byte == 0x30 ? ZERO : WHOLE;
    else if (state == WHOLE && isDigit) next = WHOLE;
    else if ((state == ZERO || state == WHOLE) && byte == 0x2e) next = POINT;
    else if ((state == POINT || state == FRACTION) && isDigit) next = FRACTION;
    else if ((state == ZERO || state == WHOLE || state == FRACTION) && isE) next = E;
    else if (state == E && (byte == 0x2b || byte == 0x2d)) next = E_SIGN;
    else if (state >= E && isDigit) next = POWER;
    if (next < 0) return false;
    this.state = next;
    return true;
  }
}

/** Whether eight bytes are all ASCII, and none of them is a quote, a backslash or a control. */
function isPlain(bytes: u64): bool {
  const ones: u64 = 0x0101010101010101;
  const highs: u64 = 0x8080808080808080;
  const quotes = bytes ^ (ones * 0x22);
  const slashes = bytes ^ (ones * 0x5c);
  const marks = (quotes - ones) | (slashes - ones) | (bytes - ones * 0x20) | bytes;
  return (marks & highs) == 0;
}
