// What a store knows of itself, in the table `meta`: JSON behind its checksum.
//
//   key            "store"                the store as a whole
//                  "state {lsn, 16 hex}"  a folded state that can still be read
//                  "pin {name}"           a state that a branch or a person keeps
//   value          0          8
//                  +----------+- - - - -+
//                  | xxh64 LE | JSON    |
//                  +----------+- - - - -+

import { GatewayError } from '../../core/index.ts';
import type { PageCodec } from '../../kernels/index.ts';
import { DB_PAGE_SIZE_BYTES, type Lsn } from '../contract.ts';
import type { Environment } from './environment.ts';

const FORMAT_VERSION = 1;
const HASH_SIZE_BYTES = 8;
/** Of stores that were made before databases had ids. */
const UNNAMED_ID = '0'.repeat(32);
const STORE_KEY = Buffer.from('store');

/** Where a branch's pages come from that it has not changed. */
export interface BranchBase {
  /** The parent's name. */
  readonly parent: string;
  readonly lsn: Lsn;
  /** Of the durable pin in the parent. */
  readonly pin: string;
}

export interface StoreMeta {
  readonly formatVersion: number;
  readonly pageSizeBytes: number;
  readonly lsn: Lsn;
  readonly pageCount: number;
  readonly epoch: number;
  /** Of all records: what the limit is about. */
  readonly recordsSizeBytes: number;
  readonly foldedAtMs: number;
  readonly base: BranchBase | null;
  /** Of the database, and of all copies of it. */
  readonly id: string;
}

/** A state that was folded: valid for LSNs from `lsn` up to before `untilLsn`. */
export interface FoldedState {
  readonly lsn: Lsn;
  /** Of the fold after it; null for the newest. */
  readonly untilLsn: Lsn | null;
  readonly pageCount: number;
  readonly foldedAtMs: number;
}

export interface DurablePin {
  readonly name: string;
  readonly lsn: Lsn;
}

export class MetaTable {
  readonly #environment: Environment;
  readonly #codec: PageCodec;

  constructor(environment: Environment, codec: PageCodec) {
    this.#environment = environment;
    this.#codec = codec;
  }

  /** Null for a store that was just made. Errors: DB_FORMAT. */
  readStore(): StoreMeta | null {
    const meta = this.#read<StoreMeta>(STORE_KEY);
    if (meta === null) return null;
    if (meta.formatVersion !== FORMAT_VERSION || meta.pageSizeBytes !== DB_PAGE_SIZE_BYTES) {
      const found = `version ${meta.formatVersion} with pages of ${meta.pageSizeBytes} bytes`;
      const expected = `version ${FORMAT_VERSION} with ${DB_PAGE_SIZE_BYTES}`;
      throw new GatewayError('DB_FORMAT', `the page store has ${found}, expected ${expected}`);
    }
    return meta.id === undefined ? { ...meta, id: UNNAMED_ID } : meta;
  }

  /** Within a transaction, as all that write here. */
  writeStore(meta: Omit<StoreMeta, 'formatVersion' | 'pageSizeBytes'>): void {
    const format = { formatVersion: FORMAT_VERSION, pageSizeBytes: DB_PAGE_SIZE_BYTES };
    this.#write(STORE_KEY, { ...format, ...meta });
  }

  /** Old states, oldest first; the newest is in the store's own record. Errors: DB_FORMAT. */
  readStates(): FoldedState[] {
    return this.#all<FoldedState>('state ');
  }

  writeState(state: FoldedState): void {
    this.#write(stateKey(state.lsn), state);
  }

  removeState(lsn: Lsn): void {
    this.#environment.meta.removeSync(stateKey(lsn));
  }

  readPins(): DurablePin[] {
    return this.#all<DurablePin>('pin ');
  }

  writePin(pin: DurablePin): void {
    this.#write(Buffer.from(`pin ${pin.name}`), pin);
  }

  removePin(name: string): void {
    this.#environment.meta.removeSync(Buffer.from(`pin ${name}`));
  }

  #all<T>(prefix: string): T[] {
    const start = Buffer.from(prefix);
    const end = Buffer.from(prefix);
    end[end.length - 1]! += 1;
    const keys = [...this.#environment.meta.getKeys({ start, end })].map((key) => Buffer.from(key));
    return keys.map((key) => this.#read<T>(key)!);
  }

  #read<T>(key: Buffer): T | null {
    const value = this.#environment.meta.getBinary(key);
    if (value === undefined) return null;
    const text = value.subarray(HASH_SIZE_BYTES);
    const isWhole = value.length > HASH_SIZE_BYTES;
    if (!isWhole || this.#codec.xxh64(text) !== value.readBigUInt64LE()) {
      throw new GatewayError('DB_FORMAT', `the page store's record "${key}" is damaged`);
    }
    return JSON.parse(text.toString()) as T;
  }

  #write(key: Buffer, value: unknown): void {
    const text = Buffer.from(JSON.stringify(value));
    const hash = Buffer.alloc(HASH_SIZE_BYTES);
    hash.writeBigUInt64LE(this.#codec.xxh64(text));
    this.#environment.meta.putSync(key, Buffer.concat([hash, text]));
  }
}

function stateKey(lsn: Lsn): Buffer {
  return Buffer.from(`state ${lsn.toString(16).padStart(16, '0')}`);
}
