// The parts a schema is made of. One description of a key gives its validation, its normalised
// value, its JSON Schema and its row in the documentation. A general validator was not enough: it
// has one error for everything, and no place for "not in this version" or a suggestion.

import { ERRORS, type ErrorCode } from '../core/index.ts';
import { type IssueSink, type PathPart, showValue, suggestion } from './issue.ts';

export type JsonSchema = { readonly [keyword: string]: unknown };

export interface Schema<T> {
  /** Completes "expected ...". */
  readonly expected: string;
  readonly json: JsonSchema;
  /** The schemas below this one, by the step that leads there: a key, `*`, or `` for the same. */
  readonly children: readonly (readonly [step: string, child: Schema<unknown> | null])[];
  readonly fields: Readonly<Record<string, Field<unknown>>> | null;
  /** The value, or undefined when an issue was recorded. */
  read(value: unknown, at: Place): T | undefined;
}

/** One key of a map. */
export interface Field<T> {
  /** Null for a key of a feature that is not built yet. */
  readonly schema: Schema<T> | null;
  readonly meaning: string;
  readonly isRequired: boolean;
  /** As a person would write it; undefined where the key has no default. */
  readonly written: unknown;
  readonly value: T;
}

/** What a schema's `read` yields. */
export type Infer<S> = S extends Schema<infer T> ? T : never;
type FieldValue<F> = F extends Field<infer T> ? T : never;

/** Where the reader stands, and whom it tells. */
export class Place {
  readonly path: PathPart[] = [];
  readonly sink: IssueSink;
  readonly isFile: boolean;

  constructor(sink: IssueSink, kind: 'file' | 'part' = 'part') {
    this.sink = sink;
    this.isFile = kind === 'file';
  }

  /** Whether this is the file's own map (depth 0) or one of its lists and maps (depth 1): there,
   *  what could not be read leaves a hole, so that the rest is still checked as a whole. */
  isTop(depth: 0 | 1): boolean {
    return this.path.length === depth && this.isFile;
  }

  refuse(code: ErrorCode, message: string): undefined {
    this.sink.add({ code, path: [...this.path], focus: 'value', message });
    return undefined;
  }

  refuseKey(key: string, code: ErrorCode, message: string): void {
    this.sink.add({ code, path: [...this.path, key], focus: 'key', message });
  }

  refuseMissing(key: string, message: string): void {
    const path = [...this.path, key];
    this.sink.add({ code: 'GW_CONFIG_MISSING', path, focus: 'missing', message });
  }
}

/** A refusal with a message of its own, from a leaf's parser. */
export class Complaint {
  readonly message: string;
  readonly code: ErrorCode;

  constructor(message: string, code: ErrorCode = 'GW_CONFIG_BAD_VALUE') {
    this.message = message;
    this.code = code;
  }
}

/** A scalar. `parse` gives undefined for what is simply not `expected`. */
export function leaf<T>(
  expected: string,
  json: JsonSchema,
  parse: (value: unknown) => T | Complaint | undefined,
): Schema<T> {
  return {
    expected,
    json,
    children: [],
    fields: null,
    read(value, at) {
      const parsed = parse(value);
      if (parsed instanceof Complaint) return at.refuse(parsed.code, parsed.message);
      if (parsed !== undefined) return parsed;
      return at.refuse('GW_CONFIG_BAD_VALUE', `expected ${expected}, found ${showValue(value)}`);
    },
  };
}

export function required<T>(schema: Schema<T>, meaning: string): Field<T> {
  return { schema, meaning, isRequired: true, written: undefined, value: undefined as T };
}

export function optional<T>(schema: Schema<T>, meaning: string): Field<T | undefined> {
  return { schema, meaning, isRequired: false, written: undefined, value: undefined };
}

/** A key whose default is read as if it stood in the file. */
export function defaulted<T>(
  schema: Schema<T>,
  written: unknown,
  meaning: string,
  sink: IssueSink,
): Field<T> {
  const value = schema.read(written, new Place(sink));
  if (value === undefined) throw new TypeError(`bad default ${showValue(written)}: ${meaning}`);
  return { schema, meaning, isRequired: false, written, value };
}

/** A key of a feature that is planned: refused, with a word of its own. */
export function notBuilt(meaning: string): Field<undefined> {
  return { schema: null, meaning, isRequired: false, written: undefined, value: undefined };
}

/** A map with known keys. */
export function object<F extends Readonly<Record<string, Field<unknown>>>>(
  expected: string,
  fields: F,
): Schema<{ readonly [K in keyof F]: FieldValue<F[K]> }> {
  const names = Object.keys(fields);
  const built = names.filter((name) => fields[name]!.schema !== null);
  const byName = new Map(Object.entries(fields));
  const json = {
    type: 'object',
    additionalProperties: false,
    required: built.filter((name) => fields[name]!.isRequired),
    properties: Object.fromEntries(built.map((name) => [name, fieldJson(fields[name]!)])),
  };
  return {
    expected,
    json,
    children: names.map((name) => [name, fields[name]!.schema]),
    fields,
    read(value, at) {
      if (!isMap(value)) return refuseShape(value, expected, at);
      const output: Record<string, unknown> = {};
      let isGood = true;
      for (const name of built) {
        const field = byName.get(name)!;
        if (!Object.hasOwn(value, name)) {
          output[name] = field.value;
          if (!field.isRequired) continue;
          at.refuseMissing(name, `missing; expected ${field.schema!.expected}`);
          isGood = false;
          continue;
        }
        at.path.push(name);
        const read = field.schema!.read(value[name], at);
        at.path.pop();
        output[name] = read;
        if (read === undefined) isGood = false;
      }
      if (!checkKeys(value, byName, built, at)) isGood = false;
      return isGood || at.isTop(0)
        ? (output as { readonly [K in keyof F]: FieldValue<F[K]> })
        : undefined;
    },
  };
}

function checkKeys(
  value: Readonly<Record<string, unknown>>,
  fields: ReadonlyMap<string, Field<unknown>>,
  built: readonly string[],
  at: Place,
): boolean {
  let isGood = true;
  for (const key of Object.keys(value)) {
    const field = fields.get(key);
    if (field !== undefined && field.schema !== null) continue;
    isGood = false;
    if (field !== undefined) {
      at.refuseKey(key, 'GW_CONFIG_NOT_BUILT', `${ERRORS.GW_CONFIG_NOT_BUILT.title}`);
      continue;
    }
    const known = built.join(', ');
    const hint = suggestion(key, built);
    at.refuseKey(key, 'GW_CONFIG_UNKNOWN_KEY', `unknown key${hint || `; expected ${known}`}`);
  }
  return isGood;
}

function fieldJson(field: Field<unknown>): JsonSchema {
  const json: Record<string, unknown> = { description: field.meaning, ...field.schema!.json };
  if (field.written !== undefined) json.default = field.written;
  return json;
}

/** A list of at least `countMin` and at most `countMax`. */
export function list<T>(
  item: Schema<T>,
  options: { readonly of: string; readonly countMin: number; readonly countMax: number },
): Schema<readonly T[]> {
  const expected = `a list of ${options.of}`;
  return {
    expected,
    json: {
      type: 'array',
      items: item.json,
      minItems: options.countMin,
      maxItems: options.countMax,
    },
    children: [['[]', item]],
    fields: null,
    read(value, at) {
      if (!Array.isArray(value)) return refuseShape(value, expected, at);
      if (!isCountGood(value.length, options, at)) return undefined;
      const output: T[] = [];
      for (let index = 0; index < value.length && !at.sink.isFull; index++) {
        at.path.push(index);
        const read = item.read(value[index], at);
        at.path.pop();
        if (read !== undefined || at.isTop(1)) output.push(read as T);
      }
      return output.length === value.length ? output : undefined;
    },
  };
}

/** A map with free keys. Shape: [key, value] pairs in file order. */
export function dictionary<T>(
  key: Schema<string>,
  item: Schema<T>,
  options: { readonly of: string; readonly countMax: number },
): Schema<readonly (readonly [string, T])[]> {
  const expected = `a map of ${options.of}`;
  return {
    expected,
    json: {
      type: 'object',
      propertyNames: key.json,
      additionalProperties: item.json,
      maxProperties: options.countMax,
    },
    children: [['*', item]],
    fields: null,
    read(value, at) {
      if (!isMap(value)) return refuseShape(value, expected, at);
      const names = Object.keys(value);
      if (!isCountGood(names.length, { ...options, countMin: 0 }, at)) return undefined;
      const output: [string, T][] = [];
      const seen = new Set<string>();
      for (const name of names) {
        if (at.sink.isFull) break;
        at.path.push(name);
        const readKey = readName(key, name, at);
        const read = item.read(value[name], at);
        at.path.pop();
        if (readKey !== undefined && seen.has(readKey)) {
          at.refuseKey(name, 'GW_CONFIG_CONFLICT', `${readKey} stands twice, in different cases`);
          continue;
        }
        seen.add(readKey ?? name);
        if ((read !== undefined && readKey !== undefined) || at.isTop(1)) {
          output.push([readKey ?? name, read as T]);
        }
      }
      return output.length === names.length ? output : undefined;
    },
  };
}

function readName(key: Schema<string>, name: string, at: Place): string | undefined {
  const before = at.sink.found.length;
  const read = key.read(name, at);
  const issue = at.sink.found[before];
  if (issue !== undefined) at.sink.found[before] = { ...issue, focus: 'key' };
  return read;
}

/** A value whose JavaScript type says which schema reads it. */
export function byType<T>(
  expected: string,
  options: {
    readonly string?: Schema<T>;
    readonly number?: Schema<T>;
    readonly list?: Schema<T>;
    readonly map?: Schema<T>;
  },
): Schema<T> {
  const schemas = Object.values(options);
  return {
    expected,
    json: { anyOf: schemas.map((schema) => schema.json) },
    children: schemas.map((schema) => ['', schema]),
    fields: null,
    read(value, at) {
      const schema = pick(value, options);
      if (schema !== undefined) return schema.read(value, at);
      return refuseShape(value, expected, at);
    },
  };
}

function pick<S>(
  value: unknown,
  options: { readonly string?: S; readonly number?: S; readonly list?: S; readonly map?: S },
): S | undefined {
  if (typeof value === 'string') return options.string;
  if (typeof value === 'number') return options.number;
  if (Array.isArray(value)) return options.list;
  return isMap(value) ? options.map : undefined;
}

/** A schema whose value is changed after reading. `change` may complain. */
export function mapped<T, U>(schema: Schema<T>, change: (value: T) => U | Complaint): Schema<U> {
  return {
    ...schema,
    read(value, at) {
      const read = schema.read(value, at);
      if (read === undefined) return undefined;
      const changed = change(read);
      if (changed instanceof Complaint) return at.refuse(changed.code, changed.message);
      return changed;
    },
  };
}

export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refuseShape(value: unknown, expected: string, at: Place): undefined {
  const hint = value === null ? '; give it a value or delete the key' : '';
  const message = `expected ${expected}, found ${showValue(value)}${hint}`;
  return at.refuse('GW_CONFIG_BAD_VALUE', message);
}

function isCountGood(
  count: number,
  options: { readonly of: string; readonly countMin: number; readonly countMax: number },
  at: Place,
): boolean {
  if (count < options.countMin) {
    const message = `expected at least ${options.countMin} of ${options.of}, found ${count}`;
    at.refuse('GW_CONFIG_BAD_VALUE', message);
    return false;
  }
  if (count > options.countMax) {
    const message = `${count} ${options.of} are more than the limit of ${options.countMax}`;
    at.refuse('GW_CONFIG_LIMIT', message);
    return false;
  }
  return true;
}
