// Strict reading of JSON documents from outside: every key is known, every value checked, and a
// complaint names the place, the value and what was expected.

import { type ErrorCode, GatewayError } from '../core/index.ts';

const SHOWN_LENGTH_MAX = 80;
/** No document of ours is nested deeper than 7. */
const NESTING_MAX = 16;

/** One JSON object being read. `place` is where it stands, such as `files[3]`. */
export class Fields {
  readonly #object: Readonly<Record<string, unknown>>;
  readonly #place: string;
  readonly #code: ErrorCode;

  /** Errors: `code` when `value` is no object or has a key that is not in `keys`. */
  constructor(value: unknown, place: string, keys: readonly string[], code: ErrorCode) {
    this.#place = place;
    this.#code = code;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw this.#complaint(place, value, 'an object');
    }
    this.#object = value as Readonly<Record<string, unknown>>;
    for (const key of Object.keys(value)) {
      if (keys.includes(key)) continue;
      throw new GatewayError(code, `${place === '' ? '' : `${place}: `}unknown key ${shown(key)}`);
    }
  }

  get(key: string): unknown {
    return Object.hasOwn(this.#object, key) ? this.#object[key] : undefined;
  }

  placeOf(key: string): string {
    return this.#place === '' ? key : `${this.#place}.${key}`;
  }

  literal<T extends string>(key: string, allowed: readonly T[]): T {
    const value = this.get(key);
    const found = allowed.find((one) => one === value);
    if (found === undefined) throw this.bad(key, `one of ${allowed.join(', ')}`);
    return found;
  }

  string(key: string, lengthMin: number, lengthMax: number): string {
    const value = this.get(key);
    if (typeof value !== 'string' || value.length < lengthMin || value.length > lengthMax) {
      throw this.bad(key, `a string of ${lengthMin} to ${lengthMax} characters`);
    }
    return value;
  }

  /** Absent and null are null. */
  nullableString(key: string, lengthMax: number): string | null {
    const value = this.get(key);
    return value === undefined || value === null ? null : this.string(key, 1, lengthMax);
  }

  matching(key: string, pattern: RegExp, expected: string): string {
    const value = this.get(key);
    if (typeof value !== 'string' || !pattern.test(value)) throw this.bad(key, expected);
    return value;
  }

  integer(key: string, min: number, max: number): number {
    const value = this.get(key);
    if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
      throw this.bad(key, `an integer from ${min} to ${max}`);
    }
    return value as number;
  }

  number(key: string, min: number, max: number): number {
    const value = this.get(key);
    if (typeof value !== 'number' || !(value >= min && value <= max)) {
      throw this.bad(key, `a number from ${min} to ${max}`);
    }
    return value;
  }

  boolean(key: string): boolean {
    const value = this.get(key);
    if (typeof value !== 'boolean') throw this.bad(key, 'true or false');
    return value;
  }

  list<T>(key: string, countMax: number, read: (value: unknown, place: string) => T): T[] {
    const value = this.get(key);
    if (!Array.isArray(value)) throw this.bad(key, 'a list');
    if (value.length > countMax) {
      const place = this.placeOf(key);
      throw new GatewayError(
        this.#code,
        `${place}: ${value.length} entries, the limit is ${countMax}`,
      );
    }
    return value.map((one, index) => read(one, `${this.placeOf(key)}[${index}]`));
  }

  map<T>(
    key: string,
    countMax: number,
    read: (value: unknown, place: string, name: string) => T,
  ): Record<string, T> {
    const value = this.get(key);
    const place = this.placeOf(key);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw this.bad(key, 'an object');
    }
    const entries = Object.entries(value);
    if (entries.length > countMax) {
      throw new GatewayError(
        this.#code,
        `${place}: ${entries.length} keys, the limit is ${countMax}`,
      );
    }
    // Without a prototype: a key named `__proto__` is a key like any other.
    const result = Object.create(null) as Record<string, T>;
    for (const [name, one] of entries) result[name] = read(one, `${place}.${name}`, name);
    return result;
  }

  bad(key: string, expected: string): GatewayError {
    return this.#complaint(this.placeOf(key), this.get(key), expected);
  }

  #complaint(place: string, value: unknown, expected: string): GatewayError {
    const where = place === '' ? 'the document' : place;
    return new GatewayError(this.#code, `${where} is ${shown(value)}; expected ${expected}`);
  }
}

/** A value for a message: short, and on one line. */
export function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= SHOWN_LENGTH_MAX ? text : `${text.slice(0, SHOWN_LENGTH_MAX)}…`;
}

/** Parses JSON text in UTF-8 strictly: bytes that are no UTF-8 are refused; so is what is nested
 *  so deep that writing it into a message would overflow the stack. */
export function parseJson(bytes: Uint8Array, what: string, code: ErrorCode): unknown {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    // It quotes the text, line feeds and all.
    const why = (error as Error).message.replace(/\p{Cc}/gu, ' ');
    throw new GatewayError(code, `${what} is not JSON: ${why}`);
  }
  if (isWithin(value, NESTING_MAX)) return value;
  throw new GatewayError(code, `${what} is nested deeper than the limit of ${NESTING_MAX}`);
}

/** Whether a value is nested no deeper. Cost: O(values). */
function isWithin(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (depth === 0) return false;
  for (const inner of Object.values(value)) if (!isWithin(inner, depth - 1)) return false;
  return true;
}

export const SHA256_PATTERN = /^[0-9a-f]{64}$/;
/** Channels, and versions: safe as a file name and in a URL without escaping. */
export const CHANNEL_PATTERN = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;
/** What an address below a route means already. */
export const RESERVED_CHANNELS: readonly string[] = ['root', 'check', 'outcomes'];
export const VERSION_PATTERN = /^[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,62}[A-Za-z0-9])?$/;
