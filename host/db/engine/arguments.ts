// Binds a statement's arguments. Texts and blobs are written to one area of the connection and
// bound where they lie, for the time of one run; SQLite copies none of them.

import type { SqlStatement, SqlValue } from '../contract.ts';
import { badArguments, limit, mixedArguments, outOfMemory } from './faults.ts';
import { ARGUMENTS_SIZE_BYTES } from './limits.ts';
import type { PreparedStatement } from './prepared.ts';
import { BIND_STATIC } from './sqlite-codes.ts';
import type { SqliteInstance } from './sqlite-instance.ts';

const INTEGER_MIN = -(2n ** 63n);
const INTEGER_MAX = 2n ** 63n - 1n;
/** The most bytes of UTF-8 for a UTF-16 unit. */
const UTF8_BYTES_PER_UNIT = 3;
/** Texts up to this length are tried as ASCII, letter by letter. */
const SHORT_TEXT_LENGTH = 64;

export class ArgumentArea {
  readonly #sqlite: SqliteInstance;
  readonly #valueSizeBytesMax: number;
  readonly #area: number;
  #usedBytes = 0;
  /** Arguments that did not fit the area. */
  readonly #large: number[] = [];

  constructor(sqlite: SqliteInstance, valueSizeBytesMax: number) {
    this.#sqlite = sqlite;
    this.#valueSizeBytesMax = valueSizeBytesMax;
    this.#area = sqlite.allocate(ARGUMENTS_SIZE_BYTES);
  }

  /** Binds every parameter, or throws. Errors: DB_ARGS, DB_LIMIT. */
  bind(prepared: PreparedStatement, { args, namedArgs }: SqlStatement): void {
    const { parameterCount, pointer } = prepared;
    if (namedArgs.length > 0) {
      if (args.length > 0) throw mixedArguments();
      this.#bindNamed(prepared, namedArgs);
      return;
    }
    if (args.length !== parameterCount) {
      throw badArguments(`${args.length} arguments given, the statement takes ${parameterCount}`);
    }
    for (let index = 0; index < parameterCount; index++) {
      this.#bindValue(pointer, index + 1, args[index]!);
    }
  }

  /** Frees what a run has bound. */
  reset(prepared: PreparedStatement): void {
    this.#usedBytes = 0;
    if (this.#large.length === 0) return;
    this.#sqlite.exports.sqlite3_clear_bindings(prepared.pointer);
    for (const pointer of this.#large) this.#sqlite.exports.free(pointer);
    this.#large.length = 0;
  }

  free(): void {
    this.#sqlite.exports.free(this.#area);
  }

  #bindNamed(prepared: PreparedStatement, namedArgs: SqlStatement['namedArgs']): void {
    const places = prepared.parameterPlaces();
    const bound = new Set<number>();
    for (const { name, value } of namedArgs) {
      const found = places.get(name);
      if (found === undefined) throw badArguments(`the statement has no parameter ${shown(name)}`);
      for (const place of found) {
        if (bound.has(place)) throw badArguments(`parameter ${shown(name)} is given twice`);
        bound.add(place);
        this.#bindValue(prepared.pointer, place, value);
      }
    }
    if (bound.size === prepared.parameterCount) return;
    const missing = prepared.parameterNames().findIndex((_, index) => !bound.has(index + 1));
    const name = prepared.parameterNames()[missing] ?? `?${missing + 1}`;
    throw badArguments(`parameter ${shown(name)} has no argument`);
  }

  #bindValue(pointer: number, place: number, value: SqlValue): void {
    const { exports } = this.#sqlite;
    if (typeof value === 'string') this.#bindText(pointer, place, value);
    else if (typeof value === 'bigint') {
      if (value < INTEGER_MIN || value > INTEGER_MAX) {
        throw badArguments(`integer ${value} does not fit 64 bits`);
      }
      exports.sqlite3_bind_int64(pointer, place, value);
    } else if (typeof value === 'number') exports.sqlite3_bind_double(pointer, place, value);
    else if (value === null) exports.sqlite3_bind_null(pointer, place);
    else {
      this.#checkSize(value.length);
      const at = this.#room(value.length);
      // In bounds: #room has given that many bytes.
      this.#sqlite.u8.set(value, at);
      exports.sqlite3_bind_blob(pointer, place, at, value.length, BIND_STATIC);
    }
  }

  #bindText(pointer: number, place: number, text: string): void {
    const { length } = text;
    this.#checkSize(length);
    const at = this.#room(length * UTF8_BYTES_PER_UNIT);
    let sizeBytes = length <= SHORT_TEXT_LENGTH ? writeAscii(text, this.#sqlite.u8, at) : -1;
    if (sizeBytes < 0) {
      // In bounds: #room has given three bytes for each unit.
      const room = this.#sqlite.u8.subarray(at, at + length * UTF8_BYTES_PER_UNIT);
      sizeBytes = encoder.encodeInto(text, room).written;
    }
    this.#checkSize(sizeBytes);
    this.#sqlite.exports.sqlite3_bind_text(pointer, place, at, sizeBytes, BIND_STATIC);
  }

  #checkSize(sizeBytes: number): void {
    if (sizeBytes <= this.#valueSizeBytesMax) return;
    const most = this.#valueSizeBytesMax;
    throw limit('SQLITE_TOOBIG', `an argument has ${sizeBytes} bytes, the limit is ${most}`);
  }

  /** A place for an argument: never 0, which SQLite would take for NULL. */
  #room(sizeBytes: number): number {
    if (this.#usedBytes + sizeBytes <= ARGUMENTS_SIZE_BYTES) {
      const at = this.#area + this.#usedBytes;
      this.#usedBytes += sizeBytes;
      return at;
    }
    const pointer = this.#sqlite.exports.malloc(sizeBytes);
    if (pointer === 0) throw outOfMemory();
    this.#large.push(pointer);
    return pointer;
  }
}

/** The size, or -1 where the text is not ASCII. */
function writeAscii(text: string, bytes: Uint8Array, at: number): number {
  const { length } = text;
  for (let index = 0; index < length; index++) {
    const unit = text.charCodeAt(index);
    if (unit > 0x7f) return -1;
    bytes[at + index] = unit;
  }
  return length;
}

function shown(name: string): string {
  return JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name);
}

const encoder = new TextEncoder();
