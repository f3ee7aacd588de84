// Where the parts of a JSON text stand. Knows no errors: JSON.parse has read the text before, and
// gives no places.

import { type PlacedPart, PlaceNotes } from './places.ts';

const BLANKS = /[ \t\r\n]*/y;
const WORD = /[^\s,:\]}]+/y;

/** Notes every part of a valid JSON text that nests no deeper than NESTING_DEPTH_MAX. */
export function noteJson(text: string): {
  readonly notes: PlaceNotes;
  readonly root: { readonly node: object; readonly at: number };
} {
  const scanner = new JsonScanner(text);
  const { node, valueAt } = scanner.scan({ key: '', keyAt: 0 });
  return { notes: scanner.notes, root: { node: node ?? {}, at: valueAt } };
}

class JsonScanner {
  readonly notes = new PlaceNotes();
  readonly #source: string;
  #at = 0;

  constructor(text: string) {
    this.#source = text;
  }

  /** Scans the value at hand. A list's items are their own keys. */
  scan(name: {
    readonly key: string | number;
    readonly keyAt?: number;
  }): PlacedPart<object | null> {
    this.#match(BLANKS);
    const valueAt = this.#at;
    const place = { key: name.key, keyAt: name.keyAt ?? valueAt, valueAt };
    const first = this.#source[valueAt];
    if (first !== '{' && first !== '[') {
      if (first === '"') this.#text();
      else this.#match(WORD);
      return { ...place, kind: 'scalar', node: null };
    }
    const node = {};
    this.notes.begin(node);
    this.#at += 1;
    this.#match(BLANKS);
    for (let index = 0; !this.#isEnd(); index++) {
      this.notes.note(node, first === '{' ? this.#entry() : this.scan({ key: index }));
      this.#match(BLANKS);
      if (this.#source[this.#at] === ',') this.#at += 1;
      this.#match(BLANKS);
    }
    this.#at += 1;
    return { ...place, kind: 'container', node };
  }

  #isEnd(): boolean {
    const next = this.#source[this.#at];
    return next === '}' || next === ']' || next === undefined;
  }

  #entry(): PlacedPart<object | null> {
    const keyAt = this.#at;
    const key = JSON.parse(this.#text()) as string;
    this.#match(BLANKS);
    this.#at += 1;
    return this.scan({ key, keyAt });
  }

  /** A quoted text. By hand: it may have more characters than a regular expression has stack. */
  #text(): string {
    const start = this.#at;
    do {
      this.#at += this.#source[this.#at] === '\\' ? 2 : 1;
    } while (this.#source[this.#at] !== '"');
    this.#at += 1;
    return this.#source.slice(start, this.#at);
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source)?.[0] ?? '';
    this.#at += found.length;
    return found;
  }
}
