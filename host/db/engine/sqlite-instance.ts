// SQLite as a Wasm instance of ours: the module of @sqlite.org/sqlite-wasm with imports written
// here instead of its own glue. There is no file system behind it: whatever would touch a file is
// refused, so that SQL cannot reach outside whatever an authorizer misses. One instance serves one
// database, which bounds what it can take and gives all of it back.

import type { Clock } from '../../core/index.ts';
import { outOfMemory } from './faults.ts';
import { C_STACK_SIZE_BYTES } from './limits.ts';
import type { SqliteExports } from './sqlite-exports.ts';

/** What the module declares: its imports must match. */
const INITIAL_WASM_PAGES = 128;
const WASM_PAGE_SIZE_BYTES = 65_536;
/** The least growth of the memory at a time: fewer, larger steps, for views are made anew. */
const GROWTH_SIZE_BYTES = 4_194_304;
const STACK_ALIGNMENT_BYTES = 16;

// Error numbers of the module's C library; calls that return one return it negative.
const ERRNO_BADF = 8;
const ERRNO_NOENT = 44;
const ERRNO_NOSYS = 52;

export interface SqliteOptions {
  readonly module: WebAssembly.Module;
  readonly clock: Clock;
  /** Bound of the instance's memory; at it SQLite answers SQLITE_NOMEM. */
  readonly heapSizeBytesMax: number;
}

export class SqliteInstance {
  readonly exports: SqliteExports;
  readonly #memory: WebAssembly.Memory;
  /** Views of the memory as it is now: a call that allocates may replace them. */
  u8: Uint8Array<ArrayBuffer>;
  u32: Uint32Array<ArrayBuffer>;
  view: DataView<ArrayBuffer>;

  constructor({ module, clock, heapSizeBytesMax }: SqliteOptions) {
    const sizeBytesMax = heapSizeBytesMax + C_STACK_SIZE_BYTES;
    this.#memory = new WebAssembly.Memory({
      initial: INITIAL_WASM_PAGES,
      maximum: Math.max(INITIAL_WASM_PAGES, Math.ceil(sizeBytesMax / WASM_PAGE_SIZE_BYTES)),
    });
    this.u8 = new Uint8Array(this.#memory.buffer);
    this.u32 = new Uint32Array(this.#memory.buffer);
    this.view = new DataView(this.#memory.buffer);
    const imports = this.#imports(module, clock, sizeBytesMax);
    const instance = new WebAssembly.Instance(module, imports);
    this.exports = instance.exports as unknown as SqliteExports;
    this.exports.__wasm_call_ctors();
    this.#moveStack();
    const code = this.exports.sqlite3_initialize();
    if (code !== 0) throw new Error(`sqlite3_initialize answered ${code}`);
  }

  /** Bytes of the instance's memory but its stack; they grow and never shrink. */
  get heapSizeBytes(): number {
    return this.u8.length - C_STACK_SIZE_BYTES;
  }

  /** The bytes of a C string. */
  cBytes(pointer: number): Uint8Array {
    return this.u8.subarray(pointer, this.u8.indexOf(0, pointer));
  }

  /** A C string; '' for a null pointer. */
  cString(pointer: number): string {
    return pointer === 0 ? '' : decoder.decode(this.cBytes(pointer));
  }

  /** Allocates a C string that lives as long as the instance. */
  keepCString(text: string): number {
    const bytes = encoder.encode(`${text}\0`);
    const pointer = this.allocate(bytes.length);
    this.u8.set(bytes, pointer);
    return pointer;
  }

  /** Errors: SqlError SQLITE_NOMEM when the memory is full, which a client's tables can make it. */
  allocate(sizeBytes: number): number {
    const pointer = this.exports.malloc(sizeBytes);
    if (pointer === 0) throw outOfMemory();
    return pointer;
  }

  /** The module's own stack of 512 KiB lies right above SQLite's data, and nothing guards it: SQL
   *  that nests deeply enough would write over the data, unseen. In this one is so much room that
   *  the thread's stack ends first, which is an exception. What is not used takes no memory. */
  #moveStack(): void {
    const bottom = this.allocate(C_STACK_SIZE_BYTES);
    const top = bottom + C_STACK_SIZE_BYTES;
    this.exports._emscripten_stack_restore(top - (top % STACK_ALIGNMENT_BYTES));
  }

  #grow(sizeBytesMin: number, sizeBytesMax: number): number {
    const now = this.u8.length;
    const wanted = Math.min(Math.max(sizeBytesMin, now + GROWTH_SIZE_BYTES), sizeBytesMax);
    const pages = Math.ceil((wanted - now) / WASM_PAGE_SIZE_BYTES);
    if (wanted < sizeBytesMin || pages <= 0) return 0;
    try {
      this.#memory.grow(pages);
    } catch {
      return 0;
    }
    this.u8 = new Uint8Array(this.#memory.buffer);
    this.u32 = new Uint32Array(this.#memory.buffer);
    this.view = new DataView(this.#memory.buffer);
    return 1;
  }

  #imports(module: WebAssembly.Module, clock: Clock, heapMax: number): WebAssembly.Imports {
    const imports: Record<string, Record<string, WebAssembly.ImportValue>> = {};
    for (const { module: room, name } of WebAssembly.Module.imports(module)) {
      // Calls of WASI return the error number itself, system calls its negative.
      const refusal = room === 'env' ? -ERRNO_NOSYS : ERRNO_BADF;
      imports[room] ??= {};
      imports[room][name] = () => refusal;
    }
    const { env, wasi_snapshot_preview1: wasi } = imports as Record<
      'env' | 'wasi_snapshot_preview1',
      Record<string, WebAssembly.ImportValue>
    >;
    for (const name of ['openat', 'stat64', 'lstat64', 'newfstatat', 'faccessat']) {
      env[`__syscall_${name}`] = () => -ERRNO_NOENT;
    }
    env.memory = this.#memory;
    env.emscripten_get_heap_max = () => heapMax;
    env.emscripten_resize_heap = (sizeBytes: number) => this.#grow(sizeBytes >>> 0, heapMax);
    env.emscripten_date_now = () => clock.wallMs();
    env.emscripten_get_now = () => clock.nowMs();
    env._tzset_js = (timezone: number, daylight: number) => {
      this.u32[timezone >>> 2] = 0;
      this.u32[daylight >>> 2] = 0;
    };
    env._localtime_js = (seconds: bigint, out: number) => this.#localTime(Number(seconds), out);
    wasi.environ_sizes_get = (count: number, sizeBytes: number) => {
      this.u32[count >>> 2] = 0;
      this.u32[sizeBytes >>> 2] = 0;
      return 0;
    };
    wasi.environ_get = () => 0;
    wasi.clock_time_get = (_clock: number, _precision: bigint, out: number) => {
      this.view.setBigUint64(out, BigInt(Math.round(clock.wallMs())) * 1_000_000n, true);
      return 0;
    };
    return imports;
  }

  /** Local time is UTC: what a statement answers must not depend on where the process runs.
   *
   *     struct tm at `out`: sec min hour mday mon year wday yday isdst gmtoff, 4 bytes each */
  #localTime(seconds: number, out: number): void {
    const time = new Date(seconds * 1000);
    const newYear = Date.UTC(time.getUTCFullYear(), 0, 1);
    const dayOfYear = Math.floor((time.getTime() - newYear) / 86_400_000);
    const fields = [
      time.getUTCSeconds(),
      time.getUTCMinutes(),
      time.getUTCHours(),
      time.getUTCDate(),
      time.getUTCMonth(),
      time.getUTCFullYear() - 1900,
      time.getUTCDay(),
      dayOfYear,
      0,
      0,
    ];
    for (const [index, field] of fields.entries()) this.view.setInt32(out + 4 * index, field, true);
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
