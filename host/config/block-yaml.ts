// A fast reader for YAML as configurations are mostly written: block maps and lists, flow maps and
// lists on one line, plain and quoted texts. It knows nothing else and guesses nothing: at the
// first thing outside its subset it gives up with null and the general parser reads the file. On
// what it does read, both agree; a test holds them together. Errors are never its business.
// Why: the general parser takes seconds for 100,000 routes, this one a tenth.

import type { PathPart } from './issue.ts';
import { NESTING_DEPTH_MAX, YAML_PLAIN_LINE_SIZE_CHARS_MAX } from './limits.ts';
import { PlaceNotes } from './places.ts';

/** Reads a file of the subset, or null. Cost: O(text). */
export function readBlockYaml(text: string): { readonly value: unknown } | null {
  try {
    const reader = new BlockReader(text);
    return { value: reader.readDocument() };
  } catch (cause) {
    if (cause === OUTSIDE) return null;
    throw cause;
  }
}

/** Where the parts of a text stand that readBlockYaml has read. */
export function noteBlockYaml(source: string): {
  readonly notes: PlaceNotes;
  readonly text: string;
  readonly root: { readonly node: object; readonly at: number };
} {
  const notes = new PlaceNotes();
  const reader = new BlockReader(source, notes);
  const node = reader.readDocument();
  return { notes, text: reader.text, root: { node, at: reader.rootAt } };
}

/** Thrown where the text leaves the subset. One object, without a stack: it is no error. */
const OUTSIDE: unique symbol = Symbol('outside the subset');

function outside(): never {
  throw OUTSIDE;
}

const SPACE = 0x20;
const COLON = 0x3a;
const HASH = 0x23;
const HYPHEN = 0x2d;
const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const COMMA = 0x2c;

// Plain texts of the subset, up to where a comment or a structure may begin. They start with a
// letter, digit, / or _ and hold nothing that could mean more; single spaces may stand inside.
const BLOCK_PLAIN = /[A-Za-z0-9/_](?:[\w./%+@~*()=;&!$^{}[\],-]|:(?=[\w/.-])| (?=[\w/(]))*/y;
const FLOW_PLAIN = /[A-Za-z0-9/_](?:[\w./%+@~*()=;&!$^-]|:(?=[\w/.-])| (?=[\w/(]))*/y;
const KEY_PLAIN = /[A-Za-z_][\w.-]*(?=:)/y;
const DOUBLE_QUOTED = /"(?:[^"\\\n]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"/y;
const SINGLE_QUOTED = /'(?:[^'\n]|'')*'/y;
const LINE_REST = /[ ]*(?: #[^\n]*)?(?=\n|$)/y;
/** Words that YAML's core schema reads as something else than text. */
const WORDS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ...['null', 'Null', 'NULL'].map((word) => [word, null] as const),
  ...['true', 'True', 'TRUE'].map((word) => [word, true] as const),
  ...['false', 'False', 'FALSE'].map((word) => [word, false] as const),
]);
/** YAML takes no key of more than 1,024 characters without a `?`. */
const KEY_SIZE_CHARS_MAX = 128;
const SIMPLE_INTEGER = /^(?:0|[1-9][0-9]{0,14})$/;
const NUMBER_LIKE = /^[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?$|^0[ox]/;

class BlockReader {
  /** With line ends of one kind. */
  readonly text: string;
  /** Offset of the first key. */
  rootAt = 0;
  readonly #notes: PlaceNotes | null;
  /** Of the value read last: its first character. */
  #valueAt = 0;
  /** Whether the value read last was not there at all. */
  #isNothing = false;
  #at = 0;
  /** Of the line that is read next: its first character's column, -1 at the end. */
  #indent = -1;

  constructor(text: string, notes: PlaceNotes | null = null) {
    this.#notes = notes;
    // CRLF is a line end; a lone CR is left to the general parser.
    this.text = text.includes('\r') ? text.replaceAll('\r\n', '\n') : text;
    if (this.text.includes('\r') || this.text.includes('\t')) outside();
    if (hasLongLine(this.text)) outside();
  }

  readDocument(): object {
    this.#nextLine();
    if (this.#indent !== 0) outside();
    this.rootAt = this.#at;
    const value = this.#map(0, 0);
    return this.#at < this.text.length ? outside() : value;
  }

  /** Skips blank lines and comments. Afterwards `#at` is a line's first character. */
  #nextLine(): void {
    const text = this.text;
    for (;;) {
      const start = this.#at;
      while (text.charCodeAt(this.#at) === SPACE) this.#at += 1;
      if (this.#at >= text.length) {
        this.#indent = -1;
        return;
      }
      const code = text.charCodeAt(this.#at);
      if (code === HASH) {
        const end = text.indexOf('\n', this.#at);
        this.#at = end === -1 ? text.length : end + 1;
      } else if (code === 0x0a) this.#at += 1;
      else {
        this.#indent = this.#at - start;
        return;
      }
    }
  }

  /** What is left of a line may be a comment. Goes on to the next line. */
  #endLine(): void {
    if (this.#match(LINE_REST) === null) outside();
    this.#at += 1;
    this.#nextLine();
  }

  #match(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text);
    if (found === null) return null;
    this.#at = pattern.lastIndex;
    return found[0];
  }

  /** A block map whose keys stand in column `indent`; `#at` is its first key. */
  #map(indent: number, depth: number): Record<string, unknown> {
    if (depth >= NESTING_DEPTH_MAX) outside();
    const start = this.#at;
    const output: Record<string, unknown> = {};
    this.#notes?.begin(output);
    do {
      const keyAt = this.#at;
      const key = this.#key();
      if (this.text.charCodeAt(this.#at) !== COLON) outside();
      this.#at += 1;
      if (Object.hasOwn(output, key) || key === '__proto__') outside();
      output[key] = this.#blockValue(indent, depth + 1);
      this.#note(output, { key, keyAt });
    } while (this.#indent === indent && !this.#isItem());
    if (this.#indent > indent) outside();
    this.#valueAt = start;
    return output;
  }

  /** Notes the part that was read last. A list's items are their own keys. */
  #note(
    container: Record<string, unknown> | unknown[],
    name: { readonly key: PathPart; readonly keyAt?: number },
  ): void {
    if (this.#notes === null) return;
    const value: unknown = (container as Record<PathPart, unknown>)[name.key];
    const isContainer = typeof value === 'object' && value !== null;
    const valueAt = this.#valueAt;
    this.#notes.note(container, {
      key: name.key,
      keyAt: name.keyAt ?? valueAt,
      valueAt,
      kind: isContainer ? 'container' : value === null && this.#isNothing ? 'nothing' : 'scalar',
      node: isContainer ? value : null,
    });
  }

  #key(): string {
    const plain = this.#match(KEY_PLAIN);
    if (plain !== null && WORDS.has(plain)) outside();
    const key = plain ?? this.#quoted() ?? outside();
    return key.length > KEY_SIZE_CHARS_MAX ? outside() : key;
  }

  #isItem(): boolean {
    if (this.text.charCodeAt(this.#at) !== HYPHEN) return false;
    const next = this.text.charCodeAt(this.#at + 1);
    return next === SPACE || next === 0x0a || Number.isNaN(next);
  }

  /** What follows `key:`: a value on the line, or a block on the lines below. */
  #blockValue(indent: number, depth: number): unknown {
    const after = this.#at;
    if (this.#match(LINE_REST) !== null) {
      this.#at += 1;
      this.#nextLine();
      if (this.#indent > indent) return this.#block(depth);
      // A list may stand in the column of its key.
      if (this.#indent === indent && this.#isItem()) return this.#list(indent, depth);
      this.#isNothing = true;
      return null;
    }
    if (this.text.charCodeAt(after) !== SPACE) outside();
    return this.#lineValue(indent, depth);
  }

  /** The block that begins at the next line's indent. */
  #block(depth: number): unknown {
    const indent = this.#indent;
    if (this.#isItem()) return this.#list(indent, depth);
    return this.#map(indent, depth);
  }

  #list(indent: number, depth: number): unknown[] {
    if (depth >= NESTING_DEPTH_MAX) outside();
    const start = this.#at;
    const items: unknown[] = [];
    this.#notes?.begin(items);
    do {
      if (!this.#isItem()) outside();
      this.#at += 1;
      items.push(this.#item(indent, depth + 1));
      this.#note(items, { key: items.length - 1 });
    } while (this.#indent === indent && this.#isItem());
    if (this.#indent > indent) outside();
    this.#valueAt = start;
    return items;
  }

  /** What follows `-`: a block below, a map that begins on this line, or a value. */
  #item(indent: number, depth: number): unknown {
    if (this.#match(LINE_REST) !== null) {
      this.#at += 1;
      this.#nextLine();
      if (this.#indent > indent) return this.#block(depth);
      this.#isNothing = true;
      return null;
    }
    const dash = this.#at - 1;
    while (this.text.charCodeAt(this.#at) === SPACE) this.#at += 1;
    const start = this.#at;
    if (this.#isItem()) outside();
    const isKey = this.#match(KEY_PLAIN) !== null || this.#quoted() !== null;
    const next = this.text.charCodeAt(this.#at + 1);
    const isMap =
      isKey && this.text.charCodeAt(this.#at) === COLON && (next === SPACE || next === 0x0a);
    this.#at = start;
    if (isMap) return this.#map(indent + (start - dash), depth);
    return this.#lineValue(indent, depth);
  }

  /** A flow collection or a scalar, the rest of its line, and no continuation below. */
  #lineValue(indent: number, depth: number): unknown {
    while (this.text.charCodeAt(this.#at) === SPACE) this.#at += 1;
    const value = this.#flowValue(BLOCK_PLAIN, depth);
    this.#endLine();
    if (this.#indent > indent) outside();
    return value;
  }

  #flowValue(plainPattern: RegExp, depth: number): unknown {
    const first = this.text[this.#at];
    if (first === '{') return this.#flowMap(depth);
    if (first === '[') return this.#flowList(depth);
    this.#valueAt = this.#at;
    this.#isNothing = false;
    const quoted = this.#quoted();
    if (quoted !== null) return quoted;
    return scalar(this.#match(plainPattern) ?? outside());
  }

  #flowList(depth: number): unknown[] {
    if (depth >= NESTING_DEPTH_MAX) outside();
    const start = this.#at;
    const items: unknown[] = [];
    this.#notes?.begin(items);
    this.#at += 1;
    this.#skipSpaces();
    if (this.text[this.#at] !== ']') {
      do {
        this.#skipSpaces();
        items.push(this.#flowValue(FLOW_PLAIN, depth + 1));
        this.#note(items, { key: items.length - 1 });
        this.#skipSpaces();
      } while (this.#takeComma());
    }
    this.#valueAt = start;
    return this.#take(']') ? items : outside();
  }

  #flowMap(depth: number): Record<string, unknown> {
    if (depth >= NESTING_DEPTH_MAX) outside();
    const start = this.#at;
    const output: Record<string, unknown> = {};
    this.#notes?.begin(output);
    this.#at += 1;
    this.#skipSpaces();
    if (this.text[this.#at] !== '}') {
      do {
        this.#skipSpaces();
        const keyAt = this.#at;
        const key = this.#key();
        if (!this.#take(':') || this.text.charCodeAt(this.#at) !== SPACE) outside();
        if (Object.hasOwn(output, key) || key === '__proto__') outside();
        this.#skipSpaces();
        output[key] = this.#flowValue(FLOW_PLAIN, depth + 1);
        this.#note(output, { key, keyAt });
        this.#skipSpaces();
      } while (this.#takeComma());
    }
    this.#valueAt = start;
    return this.#take('}') ? output : outside();
  }

  /** A comma, and something behind it: trailing commas are left to the general parser. */
  #takeComma(): boolean {
    if (this.text.charCodeAt(this.#at) !== COMMA) return false;
    this.#at += 1;
    if (this.text.charCodeAt(this.#at) !== SPACE) outside();
    return true;
  }

  #take(character: string): boolean {
    if (this.text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #skipSpaces(): void {
    while (this.text.charCodeAt(this.#at) === SPACE) this.#at += 1;
  }

  /** A quoted text on one line, or null. JSON's escapes mean the same in YAML. */
  #quoted(): string | null {
    const code = this.text.charCodeAt(this.#at);
    if (code === QUOTE) {
      const found = this.#match(DOUBLE_QUOTED) ?? outside();
      return found.includes('\\') ? (JSON.parse(found) as string) : found.slice(1, -1);
    }
    if (code !== APOSTROPHE) return null;
    const found = this.#match(SINGLE_QUOTED) ?? outside();
    return found.slice(1, -1).replaceAll("''", "'");
  }
}

/** Nothing of the subset spans lines, so that this bounds every regular expression as well. */
function hasLongLine(text: string): boolean {
  let start = 0;
  while (text.length - start > YAML_PLAIN_LINE_SIZE_CHARS_MAX) {
    const end = text.lastIndexOf('\n', start + YAML_PLAIN_LINE_SIZE_CHARS_MAX);
    if (end < start) return true;
    start = end + 1;
  }
  return false;
}

/** A plain text by YAML's core schema. */
function scalar(text: string): unknown {
  const first = text.charCodeAt(0);
  if (first >= 0x30 && first <= 0x39) {
    if (SIMPLE_INTEGER.test(text)) return Number(text);
    return NUMBER_LIKE.test(text) ? outside() : text;
  }
  const word = WORDS.get(text);
  return word === undefined ? text : word;
}
