// A log as a stream of bytes for followers: its groups as they stand in its segments, so that the
// follower checks what the primary wrote and not what the way made of it, and between them beats
// that say how far the sender is. A stream begins with a beat: the sender's epoch comes first.
//
//   beat   0       4         6      8       12     16         24         32
//          +-------+---------+------+-------+------+----------+----------+------------+
//          | magic | version | zero | epoch | zero | last lsn | sent at  | XXH64 of   |
//          | u32   | u16     | u16  | u32   | u32  | u64      | u64, ms  | 0 to 32    |
//          +-------+---------+------+-------+------+----------+----------+------------+
//   group  group.ts

import type { Lsn } from '../contract.ts';
import {
  GROUP_HEAD_SIZE_BYTES,
  type GroupHead,
  openGroup,
  parseGroupHead,
  type Xxh64,
} from './group.ts';
import { logError } from './log-error.ts';
import type { ReceivedGroup } from './segment-log.ts';

/** 'SLHB' as a dump shows it. */
const BEAT_MAGIC = 0x42484c53;
const BEAT_VERSION = 1;
const BEAT_HASHED_SIZE_BYTES = 32;
const BEAT_SIZE_BYTES = 40;
const MAGIC_SIZE_BYTES = 4;

/** Where a follower goes on: the next LSN it wants, and the chain of what it has. */
export interface FeedPosition {
  readonly nextLsn: Lsn;
  readonly chain: bigint;
}

export interface FeedBeat {
  readonly kind: 'beat';
  /** The sender's. */
  readonly epoch: number;
  /** The sender's last durable one. */
  readonly lastLsn: Lsn;
  readonly sentAtMs: number;
}

export type FeedItem = FeedBeat | ({ readonly kind: 'group' } & ReceivedGroup);

export function encodeBeat(beat: Omit<FeedBeat, 'kind'>, xxh64: Xxh64): Uint8Array {
  const bytes = new Uint8Array(BEAT_SIZE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, BEAT_MAGIC, true);
  view.setUint16(4, BEAT_VERSION, true);
  view.setUint32(8, beat.epoch, true);
  view.setBigUint64(16, BigInt(beat.lastLsn), true);
  view.setBigUint64(24, BigInt(Math.trunc(beat.sentAtMs)), true);
  view.setBigUint64(32, xxh64(bytes.subarray(0, BEAT_HASHED_SIZE_BYTES), 0n), true);
  return bytes;
}

/** Takes a stream apart, wherever it is cut into pieces. Holds one group at most. */
export class FeedDecoder {
  readonly #xxh64: Xxh64;
  /** Bytes not yet understood, and how many of them are there. */
  #held = new Uint8Array(4_096);
  #heldBytes = 0;
  /** A head that has been checked, while its payload comes. */
  #head: GroupHead | null = null;

  constructor(xxh64: Xxh64) {
    this.#xxh64 = xxh64;
  }

  /** What a piece of the stream completes. Errors: DB_FEED_CORRUPT, and then the stream is of no
   *  use any more. */
  *push(piece: Uint8Array): Generator<FeedItem> {
    let rest = piece;
    while (true) {
      const wanted = this.#wantedBytes();
      const count = Math.min(wanted - this.#heldBytes, rest.length);
      this.#hold(rest.subarray(0, count), wanted);
      rest = rest.subarray(count);
      if (this.#heldBytes < wanted) return;
      const item = this.#understand();
      if (item !== null) yield item;
    }
  }

  /** Whether the stream may end here. */
  get isWhole(): boolean {
    return this.#heldBytes === 0;
  }

  /** How many bytes from the start of the item must be there before something can be said. */
  #wantedBytes(): number {
    if (this.#head !== null) return GROUP_HEAD_SIZE_BYTES + this.#head.payloadSizeBytes;
    if (this.#heldBytes < MAGIC_SIZE_BYTES) return MAGIC_SIZE_BYTES;
    return this.#isBeat() ? BEAT_SIZE_BYTES : GROUP_HEAD_SIZE_BYTES;
  }

  #isBeat(): boolean {
    return new DataView(this.#held.buffer).getUint32(0, true) === BEAT_MAGIC;
  }

  #hold(bytes: Uint8Array, wanted: number): void {
    if (wanted > this.#held.length) {
      // Not at once what a head claims: as much as has come, doubled.
      const most = Math.max(2 * this.#held.length, this.#heldBytes + bytes.length);
      const grown = new Uint8Array(Math.min(wanted, most));
      grown.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = grown;
    }
    this.#held.set(bytes, this.#heldBytes);
    this.#heldBytes += bytes.length;
  }

  /** The item that is complete, or null where more of it is needed. */
  #understand(): FeedItem | null {
    const bytes = this.#held.subarray(0, this.#heldBytes);
    if (this.#head !== null) return this.#group(this.#head, bytes);
    if (this.#heldBytes === MAGIC_SIZE_BYTES) return null;
    if (this.#isBeat()) return this.#beat(bytes);
    const head = parseGroupHead(bytes, this.#xxh64);
    if (typeof head === 'string') throw logError('DB_FEED_CORRUPT', head);
    this.#head = head;
    return null;
  }

  #group(head: GroupHead, bytes: Uint8Array): FeedItem {
    // A copy, as the next item comes to the same place.
    const payload = bytes.slice(GROUP_HEAD_SIZE_BYTES);
    const group = openGroup(head, payload, this.#xxh64);
    if (group === null) throw logError('DB_FEED_CORRUPT', 'a payload fails its checksum');
    this.#head = null;
    this.#heldBytes = 0;
    return { kind: 'group', head, group };
  }

  #beat(bytes: Uint8Array): FeedItem {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const hash = this.#xxh64(bytes.subarray(0, BEAT_HASHED_SIZE_BYTES), 0n);
    if (hash !== view.getBigUint64(32, true) || view.getUint16(4, true) !== BEAT_VERSION) {
      throw logError('DB_FEED_CORRUPT', 'a beat fails its checksum');
    }
    this.#heldBytes = 0;
    return {
      kind: 'beat',
      epoch: view.getUint32(8, true),
      lastLsn: Number(view.getBigUint64(16, true)),
      sentAtMs: Number(view.getBigUint64(24, true)),
    };
  }
}
