// A strict JSON reader for what is small: configurations and claims. Bounded in depth, and a name
// that stands twice in one map is refused, for two readers would not agree on which one counts.

export const JSON_NULL: i32 = 0;
export const JSON_FALSE: i32 = 1;
export const JSON_TRUE: i32 = 2;
export const JSON_NUMBER: i32 = 3;
export const JSON_TEXT: i32 = 4;
export const JSON_LIST: i32 = 5;
export const JSON_MAP: i32 = 6;

/** Nobody writes a deeper configuration, and the stack of a filter is small. */
const DEPTH_MAX: i32 = 16;

export class Json {
  kind: i32;
  text: string = '';
  number: f64 = 0;
  /** Of a list; of a map, in the order of `names`. */
  items: Json[] = [];
  names: string[] = [];

  constructor(kind: i32) {
    this.kind = kind;
  }

  static emptyMap(): Json {
    return new Json(JSON_MAP);
  }

  /** The value under a name; null when there is none, or this is not a map. */
  get(name: string): Json | null {
    const index = this.names.indexOf(name);
    return index < 0 ? null : this.items[index];
  }
}

export class JsonResult {
  json: Json | null = null;
  problem: string = '';
}

/** Reads a text that is one JSON value, with white space around it. */
export function parseJson(text: string): JsonResult {
  const reader = new Reader(text);
  const result = new JsonResult();
  const value = reader.value(0);
  if (value !== null) reader.space();
  if (value !== null && reader.at < text.length) reader.refuse('more after the end');
  if (reader.problem != '') result.problem = reader.problem;
  else result.json = value;
  return result;
}

const QUOTE: i32 = 0x22;
const BACKSLASH: i32 = 0x5c;

class Reader {
  at: i32 = 0;
  problem: string = '';

  constructor(public source: string) {}

  refuse(problem: string): void {
    if (this.problem == '') this.problem = problem + ' at character ' + this.at.toString();
  }

  /** The next character, or -1. */
  peek(): i32 {
    return this.at < this.source.length ? this.source.charCodeAt(this.at) : -1;
  }

  space(): void {
    while (true) {
      const code = this.peek();
      if (code != 0x20 && code != 0x0a && code != 0x0d && code != 0x09) return;
      this.at++;
    }
  }

  value(depth: i32): Json | null {
    this.space();
    const code = this.peek();
    if (code == 0x7b || code == 0x5b) {
      if (depth >= DEPTH_MAX) {
        this.refuse('more than ' + DEPTH_MAX.toString() + ' levels');
        return null;
      }
      return code == 0x7b ? this.map(depth) : this.list(depth);
    }
    if (code == QUOTE) return this.string();
    if (code == 0x2d || (code >= 0x30 && code <= 0x39)) return this.numeral();
    if (this.word('true')) return new Json(JSON_TRUE);
    if (this.word('false')) return new Json(JSON_FALSE);
    if (this.word('null')) return new Json(JSON_NULL);
    this.refuse('expected a value');
    return null;
  }

  word(word: string): bool {
    if (!this.source.startsWith(word, this.at)) return false;
    this.at += word.length;
    return true;
  }

  map(depth: i32): Json | null {
    const map = new Json(JSON_MAP);
    this.at++;
    this.space();
    if (this.skip(0x7d)) return map;
    while (true) {
      this.space();
      if (this.peek() != QUOTE) {
        this.refuse('expected a name in quotes');
        return null;
      }
      const name = this.string();
      if (name === null) return null;
      if (map.names.includes(name.text)) {
        this.refuse('the name "' + name.text + '" stands twice');
        return null;
      }
      this.space();
      if (!this.skip(0x3a)) {
        this.refuse('expected a colon');
        return null;
      }
      const value = this.value(depth + 1);
      if (value === null) return null;
      map.names.push(name.text);
      map.items.push(value);
      this.space();
      if (this.skip(0x7d)) return map;
      if (!this.skip(0x2c)) {
        this.refuse('expected a comma or }');
        return null;
      }
    }
  }

  list(depth: i32): Json | null {
    const list = new Json(JSON_LIST);
    this.at++;
    this.space();
    if (this.skip(0x5d)) return list;
    while (true) {
      const value = this.value(depth + 1);
      if (value === null) return null;
      list.items.push(value);
      this.space();
      if (this.skip(0x5d)) return list;
      if (!this.skip(0x2c)) {
        this.refuse('expected a comma or ]');
        return null;
      }
    }
  }

  skip(code: i32): bool {
    if (this.peek() != code) return false;
    this.at++;
    return true;
  }

  string(): Json | null {
    const json = new Json(JSON_TEXT);
    let start = ++this.at;
    while (true) {
      const code = this.peek();
      if (code < 0x20) {
        this.refuse(code < 0 ? 'a text without an end' : 'a control character in a text');
        return null;
      }
      if (code == QUOTE) {
        json.text += this.source.slice(start, this.at++);
        return json;
      }
      if (code == BACKSLASH) {
        json.text += this.source.slice(start, this.at++);
        const unescaped = this.escape();
        if (unescaped < 0) {
          this.refuse('a bad escape');
          return null;
        }
        json.text += String.fromCharCode(unescaped);
        start = this.at;
      } else this.at++;
    }
  }

  /** What stands for the character after a backslash; -1 for nothing. */
  escape(): i32 {
    const code = this.peek();
    this.at++;
    if (code == QUOTE || code == BACKSLASH || code == 0x2f) return code;
    if (code == 0x62) return 0x08;
    if (code == 0x66) return 0x0c;
    if (code == 0x6e) return 0x0a;
    if (code == 0x72) return 0x0d;
    if (code == 0x74) return 0x09;
    if (code != 0x75) return -1;
    let unit = 0;
    for (let index = 0; index < 4; index++) {
      const digit = hexDigit(this.peek());
      if (digit < 0) return -1;
      unit = (unit << 4) | digit;
      this.at++;
    }
    return unit;
  }

  digits(): i32 {
    const start = this.at;
    while (this.peek() >= 0x30 && this.peek() <= 0x39) this.at++;
    return this.at - start;
  }

  numeral(): Json | null {
    const start = this.at;
    this.skip(0x2d);
    const isZero = this.peek() == 0x30;
    const count = this.digits();
    let isGood = count > 0 && (!isZero || count == 1);
    if (this.skip(0x2e)) isGood = this.digits() > 0 && isGood;
    if (this.skip(0x65) || this.skip(0x45)) {
      if (!this.skip(0x2b)) this.skip(0x2d);
      isGood = this.digits() > 0 && isGood;
    }
    if (!isGood) {
      this.refuse('a bad number');
      return null;
    }
    const json = new Json(JSON_NUMBER);
    json.text = this.source.slice(start, this.at);
    json.number = F64.parseFloat(json.text);
    return json;
  }
}

/** The value of a hexadecimal digit; -1 for anything else. */
export function hexDigit(code: i32): i32 {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
