// Shared data with compare-and-swap, the same for every thread. A write makes a new record and
// swaps it in; what it replaces is freed behind that.

import type { SharedData, SharedEntry, SharedStatus } from '../contract.ts';
import {
  SHARED_ENTRIES_COUNT_MAX,
  SHARED_KEY_SIZE_BYTES_MAX,
  SHARED_VALUE_SIZE_BYTES_MAX,
} from '../limits.ts';
import { Blocks, blocksFor } from './blocks.ts';
import { hashOf } from './hash.ts';
import {
  BLOCKS_COUNT,
  BUCKETS_COUNT,
  HEAD_ENTRIES,
  HEAD_EPOCH,
  HEAD_LAST_CAS,
  HEAD_REFUSALS,
  HEAD_SEED,
  NAMESPACE_WORDS,
  RECORD_CAS,
  RECORD_HASH,
  RECORD_KEY_SIZE,
  RECORD_NAMESPACE,
  RECORD_NEXT,
  RECORD_VALUE_SIZE,
  type StoreView,
} from './layout.ts';
import type { StoreLock } from './lock.ts';
import { findNamespace, makeNamespace, NAMESPACE_BLOCKS, NAMESPACE_ENTRIES } from './names.ts';

/** Only what replaces a record may take these: a full store still takes new values of old keys. */
const RESERVE_BLOCKS = blocksFor(SHARED_VALUE_SIZE_BYTES_MAX) + 8;
/** What one vm id may have of entries and blocks, so that none starves all others. */
const SHARE = 0.5;
const ABSENT_CAS = 0xffff_ffff;

export class SharedEntries implements SharedData {
  readonly #view: StoreView;
  readonly #lock: StoreLock;
  readonly #blocks: Blocks;
  readonly #encoder = new TextEncoder();
  readonly #scratch = new Uint8Array(SHARED_KEY_SIZE_BYTES_MAX);
  /** Numbers of namespaces, as of #epoch. */
  readonly #numbers = new Map<string, number>();
  #epoch = 0;

  constructor(view: StoreView, lock: StoreLock) {
    this.#view = view;
    this.#lock = lock;
    this.#blocks = new Blocks(view);
  }

  get(vmId: string, key: string): SharedEntry | null | 'busy' {
    const keyBytes = this.#encode(key);
    const hash = hashOf(keyBytes, this.#view.head[HEAD_SEED]!);
    if (!this.#lock.take()) return 'busy';
    try {
      const namespace = this.#namespace(vmId, findNamespace);
      if (namespace < 0) return null;
      const found = this.#find(this.#bucket(namespace, hash), { namespace, hash, keyBytes });
      if (found.record === 0) return null;
      const sizeBytes = this.#blocks.word(found.record, RECORD_VALUE_SIZE);
      const value = this.#blocks.read(found.record, keyBytes.length, sizeBytes);
      return { value, cas: this.#blocks.word(found.record, RECORD_CAS) >>> 0 };
    } finally {
      this.#lock.release();
    }
  }

  set(vmId: string, key: string, value: Uint8Array, cas: number): SharedStatus {
    const keyBytes = this.#encode(key);
    const hash = hashOf(keyBytes, this.#view.head[HEAD_SEED]!);
    if (!this.#lock.take()) return 'busy';
    try {
      const namespace = this.#namespace(vmId, makeNamespace);
      const status = namespace < 0 ? 'full' : this.#put({ namespace, hash, keyBytes }, value, cas);
      if (status === 'full') Atomics.add(this.#view.head, HEAD_REFUSALS, 1);
      return status;
    } finally {
      this.#lock.release();
    }
  }

  /** The key in UTF-8, valid until the next. */
  #encode(key: string): Uint8Array {
    for (let index = 0; index < key.length; index++) {
      const code = key.charCodeAt(index);
      // Not ASCII, or no key that a guest can have.
      if (code > 127 || index === SHARED_KEY_SIZE_BYTES_MAX) return this.#encoder.encode(key);
      this.#scratch[index] = code;
    }
    return this.#scratch.subarray(0, key.length);
  }

  #put(key: Key, value: Uint8Array, cas: number): SharedStatus {
    const blocks = this.#blocks;
    const { head, buckets, namespaces } = this.#view;
    const bucket = this.#bucket(key.namespace, key.hash);
    const { record: old, before } = this.#find(bucket, key);
    const oldCas = old === 0 ? ABSENT_CAS : blocks.word(old, RECORD_CAS) >>> 0;
    if (cas !== 0 && cas !== oldCas) return 'cas-mismatch';
    const sizeBytes = key.keyBytes.length + value.length;
    const neededCount = blocksFor(sizeBytes);
    const oldCount = old === 0 ? 0 : blocksFor(this.#sizeBytesOf(old));
    const counts = key.namespace * NAMESPACE_WORDS;
    if (!this.#hasRoom(counts, neededCount, oldCount)) return 'full';
    const made = blocks.allocate(sizeBytes);
    blocks.setWord(made, RECORD_HASH, key.hash);
    blocks.setWord(made, RECORD_CAS, this.#nextCas());
    blocks.setWord(made, RECORD_KEY_SIZE, key.keyBytes.length);
    blocks.setWord(made, RECORD_VALUE_SIZE, value.length);
    blocks.setWord(made, RECORD_NAMESPACE, key.namespace);
    blocks.write(made, 0, key.keyBytes);
    blocks.write(made, key.keyBytes.length, value);
    const next = old === 0 ? buckets[bucket]! : blocks.word(old, RECORD_NEXT);
    blocks.setWord(made, RECORD_NEXT, next);
    // From this word on the new record is the one that is there.
    if (old !== 0 && before !== 0) blocks.setWord(before, RECORD_NEXT, made);
    else buckets[bucket] = made;
    if (old === 0) {
      head[HEAD_ENTRIES]! += 1;
      namespaces[counts + NAMESPACE_ENTRIES]! += 1;
    } else blocks.free(old);
    namespaces[counts + NAMESPACE_BLOCKS]! += neededCount - oldCount;
    return 'ok';
  }

  #hasRoom(counts: number, neededCount: number, oldCount: number): boolean {
    const { head, namespaces } = this.#view;
    const { freeCount } = this.#blocks;
    if (neededCount > freeCount) return false;
    if (neededCount <= oldCount) return true;
    if (freeCount - neededCount + oldCount < RESERVE_BLOCKS) return false;
    const blocksCount = namespaces[counts + NAMESPACE_BLOCKS]! + neededCount - oldCount;
    if (blocksCount > BLOCKS_COUNT * SHARE) return false;
    if (oldCount > 0) return true;
    const entriesCount = namespaces[counts + NAMESPACE_ENTRIES]!;
    if (entriesCount >= SHARED_ENTRIES_COUNT_MAX * SHARE) return false;
    return head[HEAD_ENTRIES]! < SHARED_ENTRIES_COUNT_MAX;
  }

  #find(bucket: number, key: Key): { record: number; before: number } {
    const blocks = this.#blocks;
    let before = 0;
    let record = this.#view.buckets[bucket]!;
    while (record !== 0) {
      if (
        blocks.word(record, RECORD_HASH) === key.hash &&
        blocks.word(record, RECORD_NAMESPACE) === key.namespace &&
        blocks.word(record, RECORD_KEY_SIZE) === key.keyBytes.length &&
        blocks.begins(record, key.keyBytes)
      ) {
        return { record, before };
      }
      before = record;
      record = blocks.word(record, RECORD_NEXT);
    }
    return { record, before };
  }

  #bucket(namespace: number, hash: number): number {
    return (hash ^ Math.imul(namespace, 0x9e37)) & (BUCKETS_COUNT - 1);
  }

  #sizeBytesOf(record: number): number {
    const blocks = this.#blocks;
    return blocks.word(record, RECORD_KEY_SIZE) + blocks.word(record, RECORD_VALUE_SIZE);
  }

  /** Never 0, which asks for nothing, nor the one that asks for absence. */
  #nextCas(): number {
    const { head } = this.#view;
    const last = head[HEAD_LAST_CAS]! >>> 0;
    const next = last >= ABSENT_CAS - 1 ? 1 : last + 1;
    head[HEAD_LAST_CAS] = next | 0;
    return next | 0;
  }

  #namespace(vmId: string, find: typeof findNamespace): number {
    const epoch = this.#view.head[HEAD_EPOCH]!;
    if (epoch !== this.#epoch) {
      this.#numbers.clear();
      this.#epoch = epoch;
    }
    const known = this.#numbers.get(vmId);
    if (known !== undefined) return known;
    const found = find(this.#view, this.#blocks, this.#encoder.encode(vmId));
    if (found >= 0) this.#numbers.set(vmId, found);
    return found;
  }
}

interface Key {
  readonly namespace: number;
  readonly hash: number;
  readonly keyBytes: Uint8Array;
}
