// Strict reading of JSON from outside: every key is known, every value checked, and a complaint
// names the place, the value and what was expected.

import { utf8Text } from './bytes.ts';
import { LoaderError } from './errors.ts';

const SHOWN_LENGTH_MAX = 80;

export const SHA256_PATTERN = /^[0-9a-f]{64}$/;
export const CHANNEL_PATTERN = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;
export const VERSION_PATTERN = /^[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,62}[A-Za-z0-9])?$/;

/** One JSON object being read. `place` is where it stands, such as `files[3]`. */
export class Fields {
  readonly #object: Readonly<Record<string, unknown>>;
  readonly #place: string;

  /** Errors: LOADER_DOCUMENT when `value` is no object or has a key that is not in `keys`. */
  constructor(value: unknown, place: string, keys: readonly string[]) {
    this.#place = place;
    this.#object = objectOf(value, place);
    for (const key of Object.keys(this.#object)) {
      if (!keys.includes(key)) throw bad(place, `unknown key ${shown(key)}`);
    }
  }

  get(key: string): unknown {
    return Object.hasOwn(this.#object, key) ? this.#object[key] : undefined;
  }

  at(key: string): string {
    return this.#place === '' ? key : `${this.#place}.${key}`;
  }

  literal<T extends string>(key: string, allowed: readonly T[]): T {
    const found = allowed.find((one) => one === this.get(key));
    if (found === undefined) throw this.bad(key, `one of ${allowed.join(', ')}`);
    return found;
  }

  string(key: string, lengthMax: number): string {
    const value = this.get(key);
    if (typeof value === 'string' && value.length >= 1 && value.length <= lengthMax) return value;
    throw this.bad(key, `a string of 1 to ${lengthMax} characters`);
  }

  matching(key: string, pattern: RegExp): string {
    const value = this.get(key);
    if (typeof value === 'string' && pattern.test(value)) return value;
    throw this.bad(key, `text like ${pattern.source}`);
  }

  integer(key: string, min: number, max: number): number {
    const value = this.get(key);
    if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) {
      return value as number;
    }
    throw this.bad(key, `an integer from ${min} to ${max}`);
  }

  list<T>(key: string, countMax: number, read: (value: unknown, place: string) => T): T[] {
    const value = this.get(key);
    if (!Array.isArray(value)) throw this.bad(key, 'a list');
    if (value.length > countMax) {
      throw bad(this.at(key), `${value.length} entries, the limit is ${countMax}`);
    }
    return value.map((one, index) => read(one, `${this.at(key)}[${index}]`));
  }

  map<T>(
    key: string,
    countMax: number,
    read: (value: unknown, place: string, name: string) => T,
  ): Map<string, T> {
    const entries = Object.entries(objectOf(this.get(key), this.at(key)));
    if (entries.length > countMax) {
      throw bad(this.at(key), `${entries.length} keys, the limit is ${countMax}`);
    }
    return new Map(
      entries.map(([name, one]) => [name, read(one, `${this.at(key)}.${name}`, name)]),
    );
  }

  /** Null stays null; anything else is read. */
  nullable<T>(key: string, read: (value: unknown, place: string) => T): T | null {
    const value = this.get(key);
    return value === null ? null : read(value, this.at(key));
  }

  bad(key: string, expected: string): LoaderError {
    return bad(this.at(key), `${shown(this.get(key))}; expected ${expected}`);
  }
}

/** Parses JSON in UTF-8. Errors: LOADER_DOCUMENT. */
export function parseJson(bytes: Uint8Array, what: string): unknown {
  const text = utf8Text(bytes);
  if (text === null) throw bad(what, 'not UTF-8');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw bad(what, `not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** A value for a message: short, and on one line. */
export function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = textOf(value).replace(/\s+/g, ' ');
  return text.length <= SHOWN_LENGTH_MAX ? text : `${text.slice(0, SHOWN_LENGTH_MAX)}…`;
}

/** JSON has no word for some values, and throws at others. */
function textOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return typeof value === 'bigint' ? `${value}n` : 'an object without a JSON form';
  }
}

function objectOf(value: unknown, place: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  throw bad(place, `${shown(value)}; expected an object`);
}

function bad(place: string, why: string): LoaderError {
  return new LoaderError('LOADER_DOCUMENT', `${place === '' ? 'the document' : place}: ${why}`);
}
