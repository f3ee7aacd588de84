// The main thread's side of route tables: place, publish, and free once nobody reads. Readers never
// wait: each writes the table it reads into its own word of the header and looks again whether that
// table is still the active one (a hazard pointer). Counting readers in one word was not enough: a
// worker that dies would leave its count behind, while its own word can be cleared.

import {
  HEADER_ACTIVE_TABLE_OFFSET,
  HEADER_HELD_TABLES_OFFSET,
  WORKERS_MAX,
} from '../../assembly/shared/memory-map.ts';
import {
  TABLE_GENERATION_OFFSET,
  TABLE_HEADER_SIZE_BYTES,
  TABLE_MAGIC,
  TABLE_MAGIC_OFFSET,
  TABLE_SIZE_OFFSET,
  TABLE_VERSION,
  TABLE_VERSION_OFFSET,
} from '../../assembly/shared/router-layout.ts';
import type { RouteSpec } from '../core/index.ts';
import type { EdgeInstance } from './edge-module.ts';
import { encodeRouteTable } from './route-table.ts';
import { TableArena } from './table-arena.ts';

/** One per process, on the main thread. A table's handle is its offset in memory. */
export class RouteTables {
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  readonly #arena: TableArena;
  readonly #unpublished = new Set<number>();
  readonly #retired: number[] = [];
  #generation = 0;

  constructor(instance: EdgeInstance, arena = new TableArena()) {
    this.#bytes = new Uint8Array(instance.memory.buffer);
    this.#words = new Int32Array(instance.memory.buffer);
    this.#arena = arena;
  }

  /** Bytes of the region in use: active, retired and unpublished tables. */
  get usedBytes(): number {
    return this.#arena.usedBytes;
  }

  /** The published table, 0 for none. */
  get active(): number {
    return Atomics.load(this.#words, HEADER_ACTIVE_TABLE_OFFSET >> 2);
  }

  /** Compiles and places in one go. Errors: as encodeRouteTable and place. */
  compile(specs: readonly RouteSpec[]): number {
    return this.place(encodeRouteTable(specs));
  }

  /** Copies a compiled table into the region; nobody sees it before publish().
   *  Errors: GW_CONFIG_LIMIT when the region is full. Cost: one copy. */
  place(table: Uint8Array): number {
    assertTable(table);
    const offset = this.#arena.allocate(table.length);
    this.#bytes.set(table, offset);
    this.#generation = (this.#generation + 1) | 0;
    this.#words[(offset + TABLE_GENERATION_OFFSET) >> 2] = this.#generation;
    this.#unpublished.add(offset);
    return offset;
  }

  /** Gives back a table that was placed and will not be published. */
  discard(table: number): void {
    if (!this.#unpublished.delete(table)) throw new RangeError(`no unpublished table at ${table}`);
    this.#arena.free(table);
  }

  /** Makes a placed table the one that readers take from now on, and frees what it can. */
  publish(table: number): void {
    if (!this.#unpublished.delete(table)) throw new RangeError(`no unpublished table at ${table}`);
    // The exchange orders the table's bytes before its offset: who reads the offset sees them all.
    const before = Atomics.exchange(this.#words, HEADER_ACTIVE_TABLE_OFFSET >> 2, table);
    if (before !== 0) this.#retired.push(before);
    this.freeRetired();
  }

  /** Frees the retired tables that no worker holds. Returns how many are still held. */
  freeRetired(): number {
    const held = new Set<number>();
    for (let worker = 0; worker < WORKERS_MAX; worker++) {
      held.add(Atomics.load(this.#words, (HEADER_HELD_TABLES_OFFSET >> 2) + worker));
    }
    const kept = this.#retired.filter((table) => held.has(table));
    for (const table of this.#retired) if (!held.has(table)) this.#arena.free(table);
    this.#retired.splice(0, this.#retired.length, ...kept);
    return kept.length;
  }

  /** Lets go of what a worker held. Only for a worker that has ended. */
  clearWorker(workerIndex: number): void {
    if (!(workerIndex >= 0 && workerIndex < WORKERS_MAX)) {
      throw new RangeError(`worker index ${workerIndex} is outside 0..${WORKERS_MAX - 1}`);
    }
    Atomics.store(this.#words, (HEADER_HELD_TABLES_OFFSET >> 2) + workerIndex, 0);
  }
}

function assertTable(table: Uint8Array): void {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  if (
    table.length < TABLE_HEADER_SIZE_BYTES ||
    view.getInt32(TABLE_MAGIC_OFFSET, true) !== TABLE_MAGIC ||
    view.getInt32(TABLE_VERSION_OFFSET, true) !== TABLE_VERSION ||
    view.getInt32(TABLE_SIZE_OFFSET, true) !== table.length
  ) {
    throw new TypeError('the bytes were not made by encodeRouteTable of this version');
  }
}
