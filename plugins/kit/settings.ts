// One map of a filter's configuration, read key by key. Everything that is wrong is said at once,
// with the key's path and what was expected; a key that nobody asked for is wrong as well.

import {
  JSON_FALSE,
  JSON_LIST,
  JSON_MAP,
  JSON_NULL,
  JSON_NUMBER,
  JSON_TEXT,
  JSON_TRUE,
  Json,
} from './json';

export class Settings {
  private asked: string[] = [];

  constructor(
    public json: Json,
    public path: string,
    public problems: string[],
  ) {
    if (json.kind != JSON_MAP) this.refuse('', 'a map', json);
  }

  /** Says what is wrong with a key; `key` is '' for the map itself. */
  complain(key: string, text: string): void {
    this.problems.push((key == '' ? this.path : this.path + '.' + key) + ': ' + text);
  }

  refuse(key: string, expected: string, found: Json): void {
    this.complain(key, 'expected ' + expected + ', found ' + show(found));
  }

  private take(key: string): Json | null {
    this.asked.push(key);
    return this.json.get(key);
  }

  has(key: string): bool {
    return this.json.get(key) !== null;
  }

  /** A text of at most `lengthMax` characters. Without a default it must be there. */
  text(key: string, fallback: string | null, lengthMax: i32): string {
    const found = this.take(key);
    if (found === null) {
      if (fallback === null) this.complain(key, 'missing, expected a text');
      return fallback === null ? '' : fallback;
    }
    if (found.kind == JSON_TEXT && found.text.length > 0 && found.text.length <= lengthMax) {
      return found.text;
    }
    this.refuse(key, 'a text of 1 to ' + lengthMax.toString() + ' characters', found);
    return '';
  }

  whole(key: string, fallback: f64, min: f64, max: f64): f64 {
    const found = this.take(key);
    if (found === null) return fallback;
    const number = found.number;
    if (found.kind == JSON_NUMBER && number == Math.floor(number) && number >= min && number <= max)
      return number;
    const range = (<i64>min).toString() + ' to ' + (<i64>max).toString();
    this.refuse(key, 'a whole number from ' + range, found);
    return fallback;
  }

  flag(key: string, fallback: bool): bool {
    const found = this.take(key);
    if (found === null) return fallback;
    if (found.kind == JSON_TRUE) return true;
    if (found.kind != JSON_FALSE) this.refuse(key, 'true or false', found);
    return false;
  }

  /** One of a few words; without a default, which is '', it must be there. */
  choice(key: string, fallback: string, words: string[]): string {
    const found = this.take(key);
    if (found === null) {
      if (fallback == '') this.complain(key, 'missing, expected one of ' + words.join(', '));
      return fallback;
    }
    if (found.kind == JSON_TEXT && words.includes(found.text)) return found.text;
    this.refuse(key, 'one of ' + words.join(', '), found);
    return fallback;
  }

  /** A header's name, in lower case. */
  headerName(key: string, fallback: string): string {
    const found = this.take(key);
    if (found === null) return fallback;
    if (found.kind == JSON_TEXT && isHeaderName(found.text)) return found.text.toLowerCase();
    this.refuse(key, 'a header name', found);
    return fallback;
  }

  /** A list of texts, or one text for a list of one. */
  texts(key: string, lengthMax: i32, countMax: i32): string[] {
    const result: string[] = [];
    const found = this.take(key);
    if (found === null) return result;
    const items = found.kind == JSON_LIST ? found.items : [found];
    if (items.length > countMax) {
      this.complain(
        key,
        'has ' + items.length.toString() + ' entries, the limit is ' + countMax.toString(),
      );
      return result;
    }
    for (let index = 0; index < items.length; index++) {
      const item = items[index];
      if (item.kind == JSON_TEXT && item.text.length > 0 && item.text.length <= lengthMax) {
        result.push(item.text);
      } else this.refuse(key, 'texts of 1 to ' + lengthMax.toString() + ' characters', item);
    }
    return result;
  }

  /** A map below this one; an empty one where the key is missing. Its `finish` is the caller's. */
  map(key: string): Settings {
    const found = this.take(key);
    const json = found === null ? Json.emptyMap() : found;
    return new Settings(json, this.path + '.' + key, this.problems);
  }

  /** The maps of a list. */
  maps(key: string, countMax: i32): Settings[] {
    const result: Settings[] = [];
    const found = this.take(key);
    if (found === null) return result;
    if (found.kind != JSON_LIST || found.items.length > countMax) {
      this.refuse(key, 'a list of at most ' + countMax.toString() + ' maps', found);
      return result;
    }
    for (let index = 0; index < found.items.length; index++) {
      const path = this.path + '.' + key + '[' + index.toString() + ']';
      result.push(new Settings(found.items[index], path, this.problems));
    }
    return result;
  }

  /** The names of this map, all of which count as asked for. */
  names(): string[] {
    this.asked = this.json.names;
    return this.json.names;
  }

  /** Refuses every key that was not asked for. */
  finish(): void {
    for (let index = 0; index < this.json.names.length; index++) {
      const name = this.json.names[index];
      if (this.asked.includes(name)) continue;
      this.complain(name, 'unknown; expected ' + this.asked.join(', '));
    }
  }
}

/** A value in a message: short, and never a whole secret. */
function show(json: Json): string {
  if (json.kind == JSON_MAP) return 'a map';
  if (json.kind == JSON_LIST) return 'a list of ' + json.items.length.toString();
  if (json.kind == JSON_NULL) return 'null';
  if (json.kind == JSON_TRUE) return 'true';
  if (json.kind == JSON_FALSE) return 'false';
  if (json.kind == JSON_NUMBER) return json.text;
  return json.text.length > 24
    ? 'a text of ' + json.text.length.toString() + ' characters'
    : '"' + json.text + '"';
}

/** Whether a text is a token of RFC 9110. */
export function isHeaderName(text: string): bool {
  if (text.length == 0 || text.length > 128) return false;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    const lower = code | 0x20;
    if ((lower >= 0x61 && lower <= 0x7a) || (code >= 0x30 && code <= 0x39)) continue;
    if (!"!#$%&'*+-.^_`|~".includes(String.fromCharCode(code))) return false;
  }
  return true;
}

/** Whether a text may stand in a header: no control characters, nothing beyond ASCII. */
export function isHeaderValue(text: string): bool {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x20 || code > 0x7e) return false;
  }
  return true;
}
