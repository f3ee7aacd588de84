// A worker's side of the router kernel: puts a request's bytes into its scratch area and reads the
// result. Texts are byte strings both ways, for the table's own are UTF-8. Allocates nothing in
// match(). It refuses to parse: what it cannot hand over as bytes, a regular expression, it
// leaves to its caller (`needsHostCheck`).

import {
  HEADER_ACTIVE_TABLE_OFFSET,
  HEADER_HELD_TABLES_OFFSET,
  SCRATCH_OFFSET,
  SCRATCH_STRIDE_BYTES,
} from '../../assembly/shared/memory-map.ts';
import * as layout from '../../assembly/shared/router-layout.ts';
import {
  STATUS_BAD_PATH,
  STATUS_BAD_TABLE,
  STATUS_NOT_FOUND,
  STATUS_OK,
  STATUS_TOO_LONG,
} from '../../assembly/shared/status.ts';
import { AUTHORITY_SIZE_BYTES_MAX, isByteString, TARGET_SIZE_BYTES_MAX } from '../core/index.ts';
import type { EdgeInstance } from './edge-module.ts';
import { commonMethodId } from './route-fields.ts';
import { readCustomMethods, readHeaderFields } from './table-names.ts';

/** Below this length a loop over the characters is faster than a call into the runtime. */
const SHORT_TEXT_LENGTH_MAX = 64;
/** No route, and below every status. */
const NOT_REPEATABLE = -1_000;

interface RouterExports {
  routerOpen(workerIndex: number, table: number): number;
  routerHost(workerIndex: number, sizeBytes: number): number;
  routerMatch(workerIndex: number, pathSize: number, method: number): number;
  routerNext(workerIndex: number): number;
  routerEnd(workerIndex: number): number;
  routerFieldsClear(workerIndex: number): number;
  routerFields(workerIndex: number, querySize: number, valuesEnd: number): number;
}

/** One per worker. The getters speak of the candidate that match() or next() returned last. */
export class Matcher {
  readonly #kernel: RouterExports;
  readonly #worker: number;
  readonly #bytes: Buffer;
  readonly #words: Int32Array;
  readonly #scratch: number;
  readonly #result: number;
  readonly #held: number;

  /** The held table, 0 for none, and the one the fields below speak of. */
  #table = 0;
  #openTable = 0;
  #openGeneration = 0;
  #readsHost = false;
  #readsQuery = false;
  #customMethods: ReadonlyMap<string, number> = new Map();
  #headerFields: ReadonlyMap<string, number> = new Map();

  #authority: string | null = null;
  #path = '';
  #query = '';
  #headers: readonly string[] = [];
  #method = '';
  /** What match() returned last, while the kernel still stands there and came there by the table,
   *  the host, the method and the path alone; else NOT_REPEATABLE. */
  #first = NOT_REPEATABLE;

  constructor(instance: EdgeInstance) {
    this.#kernel = instance.exports as unknown as RouterExports;
    this.#worker = instance.workerIndex;
    this.#bytes = Buffer.from(instance.memory.buffer);
    this.#words = new Int32Array(instance.memory.buffer);
    this.#scratch = SCRATCH_OFFSET + instance.workerIndex * SCRATCH_STRIDE_BYTES;
    this.#result = this.#scratch >> 2;
    this.#held = (HEADER_HELD_TABLES_OFFSET >> 2) + instance.workerIndex;
  }

  /** Holds the active table until the next acquire() or release(), and returns it; 0 when none is
   *  published. Call it before each match(): while nothing was published it costs one load. A
   *  worker without traffic must call it, or release(), now and then (its heartbeat), or the table
   *  it holds is never freed. */
  acquire(): number {
    const words = this.#words;
    let active = Atomics.load(words, HEADER_ACTIVE_TABLE_OFFSET >> 2);
    if (active === this.#table) return active;
    while (true) {
      Atomics.store(words, this.#held, active);
      // Had the publisher freed it before seeing our word, it would no longer be the active one.
      const seen = Atomics.load(words, HEADER_ACTIVE_TABLE_OFFSET >> 2);
      if (seen === active) break;
      active = seen;
    }
    this.#table = active;
    if (active !== 0) this.#open(active);
    return active;
  }

  /** Lets go of the table and of the request's strings. */
  release(): void {
    this.#table = 0;
    this.#headers = [];
    Atomics.store(this.#words, this.#held, 0);
  }

  /** The first candidate for a request against the held table.
   *  Shape: byte strings: `method` as sent; `authority` in lower case, with its port if any; `path`
   *  as received, without query; `query` without `?`; `headers` flat, names in lower case.
   *  Errors: STATUS_NOT_FOUND; STATUS_BAD_PATH, also for a path that is no byte string;
   *  STATUS_TOO_LONG when path and query exceed
   *  TARGET_SIZE_BYTES_MAX, the authority AUTHORITY_SIZE_BYTES_MAX, the normalised path 128
   *  segments, or the values that conditions look at their area of 25,472 bytes.
   *  Cost: O(path + nodes on matching branches); headers and query are read only when a candidate
   *  has conditions. A request for the address of the one before costs three comparisons, for in a
   *  flood most are. */
  match(
    method: string,
    authority: string,
    path: string,
    query: string,
    headers: readonly string[],
  ): number {
    const isRepeated =
      this.#first !== NOT_REPEATABLE &&
      path === this.#path &&
      method === this.#method &&
      authority === this.#authority;
    // To keep a young text in an old object has a price: a repeated one is not kept again, nor what
    // no route asks for.
    if (!isRepeated) this.#path = path;
    if (this.#table === 0) return this.#refuse(STATUS_NOT_FOUND);
    if (path.length + query.length > TARGET_SIZE_BYTES_MAX) return this.#refuse(STATUS_TOO_LONG);
    if (this.#readsQuery) this.#query = query;
    if (this.#headerFields.size > 0) this.#headers = headers;
    if (isRepeated) return this.#first;
    this.#first = NOT_REPEATABLE;
    if (authority !== this.#authority) {
      const status = this.#setHost(authority);
      if (status !== STATUS_OK) return this.#refuse(status);
    }
    if (path.length > SHORT_TEXT_LENGTH_MAX) {
      if (!isByteString(path)) return this.#refuse(STATUS_BAD_PATH);
      const size = this.#write(path, layout.PATH_OFFSET, layout.PATH_SIZE_BYTES_MAX);
      if (size > layout.PATH_SIZE_BYTES_MAX) return this.#refuse(STATUS_TOO_LONG);
    } else if (this.#writeShort(path) > 0xff) return this.#refuse(STATUS_BAD_PATH);
    const route = this.#kernel.routerMatch(this.#worker, path.length, this.#methodId(method));
    if (route === layout.ROUTER_NEEDS_FIELDS) return this.#nextWithFields();
    this.#method = method;
    this.#first = route;
    return route;
  }

  /** The next candidate of the same request, or STATUS_NOT_FOUND. */
  next(): number {
    this.#first = NOT_REPEATABLE;
    if (this.#table === 0) return STATUS_NOT_FOUND;
    const route = this.#kernel.routerNext(this.#worker);
    return route === layout.ROUTER_NEEDS_FIELDS ? this.#nextWithFields() : route;
  }

  /** Whether the candidate's path is a regular expression: test it on `normalisedPath`, and call
   *  next() if it does not match. */
  get needsHostCheck(): boolean {
    return (this.#resultWord(layout.RESULT_FLAGS_OFFSET) & layout.RESULT_FLAG_HOST_CHECK) !== 0;
  }

  /** How many parameters the candidate's template captured; their names stand in its spec. */
  get paramCount(): number {
    return this.#resultWord(layout.RESULT_PARAMS_COUNT_OFFSET);
  }

  /** The `index`th parameter's segment as in the normalised path: triplets are not decoded. */
  param(index: number): string {
    if (!(index >= 0 && index < this.paramCount)) return '';
    const place = layout.RESULT_PARAMS_OFFSET + index * 8;
    return this.#pathText(this.#resultWord(place), this.#resultWord(place + 4));
  }

  /** The path as matched: the very string given to match() when normalising left it as it was. */
  get normalisedPath(): string {
    const size = this.#resultWord(layout.RESULT_PATH_SIZE_OFFSET);
    return size === this.#path.length ? this.#path : this.#scratchText(0, size);
  }

  /** What a prefix route matched beyond its prefix, with the `/` it begins with.
   *  Shape: for `/a/*`: `/b/c` of `/a/b/c`, `/` of `/a/`, `''` of `/a`; `''` for other routes. */
  get suffix(): string {
    const size = this.#resultWord(layout.RESULT_PATH_SIZE_OFFSET);
    const start = this.#resultWord(layout.RESULT_SUFFIX_START_OFFSET);
    return start >= size ? '' : this.#pathText(start, size);
  }

  #resultWord(offset: number): number {
    return this.#words[this.#result + (offset >> 2)]!;
  }

  /** Normalising only ever shortens: a path of the same size is the same. */
  #pathText(start: number, end: number): string {
    const isAsGiven = this.#resultWord(layout.RESULT_PATH_SIZE_OFFSET) === this.#path.length;
    return isAsGiven ? this.#path.slice(start, end) : this.#scratchText(start, end);
  }

  #scratchText(start: number, end: number): string {
    const path = this.#scratch + layout.PATH_OFFSET;
    return this.#bytes.toString('latin1', path + start, path + end);
  }

  /** A request that the kernel never sees leaves no candidates of an earlier one behind. */
  #refuse(status: number): number {
    this.#first = NOT_REPEATABLE;
    this.#words[this.#result + (layout.RESULT_PATH_SIZE_OFFSET >> 2)] = this.#path.length;
    if (this.#table === 0) return status;
    this.#kernel.routerEnd(this.#worker);
    return status;
  }

  #methodId(method: string): number {
    const id = commonMethodId(method);
    return id >= 0 ? id : (this.#customMethods.get(method) ?? layout.METHOD_OTHER);
  }

  /** Writes a short path, four characters at a time. Returns all of them or-ed: above 0xff, it is
   *  no byte string and nothing that was written means anything. */
  #writeShort(path: string): number {
    const length = path.length;
    const words = this.#words;
    let place = (this.#scratch + layout.PATH_OFFSET) >> 2;
    let seen = 0;
    let index = 0;
    for (; index + 3 < length; index += 4) {
      const first = path.charCodeAt(index);
      const second = path.charCodeAt(index + 1);
      const third = path.charCodeAt(index + 2);
      const fourth = path.charCodeAt(index + 3);
      seen |= first | second | third | fourth;
      words[place++] = first | (second << 8) | (third << 16) | (fourth << 24);
    }
    let word = 0;
    for (let shift = 0; index < length; index++, shift += 8) {
      const code = path.charCodeAt(index);
      seen |= code;
      word |= code << shift;
    }
    words[place] = word;
    return seen;
  }

  /** Writes a byte string. Returns its size; more than `sizeMax`, and nothing is written, when it
   *  does not fit. */
  #write(text: string, offset: number, sizeMax: number): number {
    if (text.length > sizeMax) return sizeMax + 1;
    return this.#bytes.write(text, this.#scratch + offset, sizeMax, 'latin1');
  }

  #setHost(authority: string): number {
    if (authority.length > AUTHORITY_SIZE_BYTES_MAX) return STATUS_TOO_LONG;
    if (this.#readsHost) {
      const size = this.#write(
        hostOf(authority),
        layout.HOST_AREA_OFFSET,
        layout.HOST_SIZE_BYTES_MAX,
      );
      const status = this.#kernel.routerHost(this.#worker, size);
      if (status !== STATUS_OK) {
        this.#authority = null;
        return status;
      }
    }
    this.#authority = authority;
    return STATUS_OK;
  }

  /** A candidate has conditions: hands over what they look at and goes on. */
  #nextWithFields(): number {
    const status = this.#loadFields();
    return status === STATUS_OK ? this.#kernel.routerNext(this.#worker) : this.#refuse(status);
  }

  #loadFields(): number {
    this.#kernel.routerFieldsClear(this.#worker);
    let end = layout.VALUES_OFFSET;
    const headers = this.#headers;
    const fields = this.#headerFields;
    if (fields.size > 0) {
      for (let index = 0; index < headers.length; index += 2) {
        const field = fields.get(headers[index]!);
        if (field === undefined) continue;
        end = this.#keepValue(field, headers[index + 1]!, end);
        if (end < 0) return STATUS_TOO_LONG;
      }
    }
    let querySize = 0;
    if (this.#readsQuery && this.#query !== '') {
      querySize = this.#write(this.#query, layout.QUERY_OFFSET, layout.QUERY_SIZE_BYTES_MAX);
    }
    return this.#kernel.routerFields(this.#worker, querySize, end);
  }

  /** Writes a header's value and links it. Returns the area's new end, -1 when it is full. */
  #keepValue(field: number, value: string, at: number): number {
    const start = at + layout.VALUE_BYTES_OFFSET;
    const room = layout.VALUES_END_OFFSET - start - 4;
    if (room < 0) return -1;
    const size = this.#write(value, start, room);
    if (size > room) return -1;
    const record = (this.#scratch + at) >> 2;
    const head = ((this.#scratch + layout.FIELD_HEADS_OFFSET) >> 2) + field;
    this.#words[record] = this.#words[head]!;
    this.#words[record + (layout.VALUE_SIZE_OFFSET >> 2)] = size;
    this.#words[head] = at;
    return start + ((size + 3) & ~3);
  }

  /** Reads what this table asks of a request. Cost: once a table, allocations. */
  #open(table: number): void {
    const word = (offset: number): number => this.#words[(table + offset) >> 2]!;
    const generation = word(layout.TABLE_GENERATION_OFFSET);
    if (table === this.#openTable && generation === this.#openGeneration) return;
    const status = this.#kernel.routerOpen(this.#worker, table);
    if (status !== STATUS_OK) {
      const reason = status === STATUS_BAD_TABLE ? 'it is no table' : `status ${status}`;
      throw new TypeError(`the table at ${table} cannot be opened: ${reason}`);
    }
    this.#first = NOT_REPEATABLE;
    this.#openTable = table;
    this.#openGeneration = generation;
    this.#authority = null;
    this.#readsHost = word(layout.TABLE_HOST_SLOTS_OFFSET) !== 0;
    this.#readsQuery = word(layout.TABLE_FIELD_SLOTS_OFFSET) !== 0;
    this.#headerFields = readHeaderFields(this.#bytes, table);
    this.#customMethods = readCustomMethods(this.#bytes, table);
  }
}

/** The host of an authority, without its port; an IPv6 address keeps its brackets. */
function hostOf(authority: string): string {
  const colon = authority.indexOf(':', authority.startsWith('[') ? authority.indexOf(']') + 1 : 0);
  return colon < 0 ? authority : authority.slice(0, colon);
}
