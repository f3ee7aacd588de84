// Reads the groups of one segment front to back, in reads of bounded size. It stops where no group
// stands and says why; whether that is the end of the log or damage is for the caller to say.

import type { LogGroup } from '../contract.ts';
import type { LogFile } from './files.ts';
import {
  GROUP_HEAD_SIZE_BYTES,
  type GroupHead,
  openGroup,
  parseGroupHead,
  type Xxh64,
} from './group.ts';
import { LOG_BLOCK_SIZE_BYTES, LOG_READ_SIZE_BYTES } from './limits.ts';
import {
  FIRST_GROUP_OFFSET,
  groupSpanBytes,
  MARK_SIZE_BYTES,
  markOf,
  type Segment,
} from './segment.ts';

const MARKED_HEAD_SIZE_BYTES = MARK_SIZE_BYTES + GROUP_HEAD_SIZE_BYTES;

/** A group as it stands in a segment. */
export interface StoredGroup {
  readonly head: GroupHead;
  readonly group: LogGroup;
  /** Head and payload, as a follower gets them. */
  readonly bytes: Uint8Array;
  /** Where it begins in the segment, and the next one may. */
  readonly offset: number;
  readonly endOffset: number;
}

export class GroupReader {
  readonly #file: LogFile;
  readonly #segment: Segment;
  readonly #xxh64: Xxh64;
  /** Bytes of the file from #chunkOffset on. A chunk is never written to again: groups are views of
   *  it. */
  #chunk = new Uint8Array(0);
  #chunkOffset = 0;
  #offset = FIRST_GROUP_OFFSET;

  constructor(file: LogFile, segment: Segment, xxh64: Xxh64) {
    this.#file = file;
    this.#segment = segment;
    this.#xxh64 = xxh64;
  }

  /** Where the next group is looked for. */
  get offset(): number {
    return this.#offset;
  }

  /** The next group, or why none stands here. Cost: memory of one read, or of one group where that
   *  is larger. */
  async next(): Promise<StoredGroup | string> {
    const offset = this.#offset;
    if (offset + MARKED_HEAD_SIZE_BYTES > this.#segment.sizeBytes) return 'the segment ends here';
    const head = await this.#headAt(offset);
    if (typeof head === 'string') return head;
    const endOffset = offset + groupSpanBytes(head.payloadSizeBytes);
    if (endOffset > this.#segment.sizeBytes) return 'the group is longer than its segment';
    const sizeBytes = GROUP_HEAD_SIZE_BYTES + head.payloadSizeBytes;
    const bytes = await this.#bytesAt(offset + MARK_SIZE_BYTES, sizeBytes);
    const group = openGroup(head, bytes.subarray(GROUP_HEAD_SIZE_BYTES), this.#xxh64);
    if (group === null) return 'the payload fails its checksum';
    this.#offset = endOffset;
    return { head, group, bytes, offset, endOffset };
  }

  /** Goes through the blocks from the next one on; returns where a head of this life of the segment
   *  stands, or null. */
  async findAnyHead(): Promise<number | null> {
    for (let offset = this.#offset; offset < this.#segment.sizeBytes; ) {
      if (typeof (await this.#headAt(offset)) !== 'string') return offset;
      offset += LOG_BLOCK_SIZE_BYTES;
    }
    return null;
  }

  /** Passes over the block at hand, as `findAnyHead` is to look behind it. */
  skipBlock(): void {
    this.#offset += LOG_BLOCK_SIZE_BYTES;
  }

  /** Reads anew what it has read ahead. */
  forget(): void {
    this.#chunk = new Uint8Array(0);
  }

  async #headAt(offset: number): Promise<GroupHead | string> {
    const marked = await this.#bytesAt(offset, MARKED_HEAD_SIZE_BYTES);
    const head = parseGroupHead(marked.subarray(MARK_SIZE_BYTES), this.#xxh64);
    if (typeof head === 'string') return head;
    const mark = new DataView(marked.buffer, marked.byteOffset).getBigUint64(0, true);
    if (mark === markOf(head.chain, this.#segment.secret, this.#xxh64)) return head;
    return 'the group is not of this life of the segment';
  }

  /** Bytes of the file; fewer only at its end. */
  async #bytesAt(offset: number, sizeBytes: number): Promise<Uint8Array> {
    const start = offset - this.#chunkOffset;
    if (start >= 0 && start + sizeBytes <= this.#chunk.length) {
      return this.#chunk.subarray(start, start + sizeBytes);
    }
    const left = this.#segment.sizeBytes - offset;
    const chunk = new Uint8Array(Math.min(left, Math.max(sizeBytes, LOG_READ_SIZE_BYTES)));
    const count = await this.#file.read(chunk, offset);
    this.#chunk = chunk.subarray(0, count);
    this.#chunkOffset = offset;
    return this.#chunk.subarray(0, sizeBytes);
  }
}
