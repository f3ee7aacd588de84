// A segment: a file of fixed size, full of zeros or of what an earlier life left, written front to
// back. What tells groups of this life from older ones is the life's secret: each group stands
// behind a mark that nobody makes who does not know it, neither an older life of the file nor a
// client whose data looks like a group.
//
//   0          4096           8192                        size
//   +----------+--------------+---------------+- - - - - -+
//   | head     | group        | group         |           |
//   +----------+--------------+---------------+- - - - - -+
//   A group begins at a multiple of the block size and takes as many blocks as it needs; the next
//   one is written only after the one before has been synced.
//
//   head       0       4         6      8        16       24           32
//              +-------+---------+------+--------+--------+------------+-----------+
//              | magic | version | zero | number | secret | size, u64  | XXH64 of  |
//              | u32   | u16     | u16  | u64    | u64    |            | 0 to 32   |
//              +-------+---------+------+--------+--------+------------+-----------+
//
//   group      0                            8                         zeros
//              +----------------------------+-----------------------+- - - -+
//              | mark: XXH64 of the chain,  | head and payload:     |       | to the next block
//              | seeded with the secret     | group.ts              |       |
//              +----------------------------+-----------------------+- - - -+

import { join } from 'node:path';
import type { Lsn } from '../contract.ts';
import { GROUP_HEAD_SIZE_BYTES, type Xxh64 } from './group.ts';
import { LOG_BLOCK_SIZE_BYTES } from './limits.ts';

/** 'SLSG' as a file shows it. */
const SEGMENT_MAGIC = 0x47534c53;
const SEGMENT_VERSION = 1;
const HEAD_HASHED_SIZE_BYTES = 32;

export const SEGMENT_HEAD_SIZE_BYTES = 40;
export const MARK_SIZE_BYTES = 8;
/** Where the first group of a segment begins. */
export const FIRST_GROUP_OFFSET = LOG_BLOCK_SIZE_BYTES;
export const SEGMENT_NAME = /^([0-9a-f]{12})\.segment$/;
export const SPARE_NAME = /^[0-9a-f]{12}\.spare$/;
export const TEMPORARY_NAME = /\.temporary$/;

export interface Segment {
  /** Segments are counted from 1, without a gap. */
  readonly number: number;
  readonly path: string;
  readonly secret: bigint;
  readonly sizeBytes: number;
  /** LSN of its first group; null while it has none. */
  firstLsn: Lsn | null;
  /** LSN of its last group, once it has been trimmed: who reads it has no next one to look at. */
  lastLsn: Lsn | null;
  /** Readers that have it open: it must not be written over under them. */
  readerCount: number;
}

export function segmentPath(folder: string, number: number): string {
  return join(folder, `${hexOf(number)}.segment`);
}

export function sparePath(folder: string, number: number): string {
  return join(folder, `${hexOf(number)}.spare`);
}

function hexOf(number: number): string {
  return number.toString(16).padStart(12, '0');
}

/** The first block of a segment. */
export function encodeSegmentHead(
  segment: Pick<Segment, 'number' | 'secret' | 'sizeBytes'>,
  xxh64: Xxh64,
): Uint8Array {
  const block = new Uint8Array(LOG_BLOCK_SIZE_BYTES);
  const view = new DataView(block.buffer);
  view.setUint32(0, SEGMENT_MAGIC, true);
  view.setUint16(4, SEGMENT_VERSION, true);
  view.setBigUint64(8, BigInt(segment.number), true);
  view.setBigUint64(16, segment.secret, true);
  view.setBigUint64(24, BigInt(segment.sizeBytes), true);
  view.setBigUint64(32, xxh64(block.subarray(0, HEAD_HASHED_SIZE_BYTES), 0n), true);
  return block;
}

/** What a segment's head says, or why it is none. */
export function parseSegmentHead(
  bytes: Uint8Array,
  xxh64: Xxh64,
): Pick<Segment, 'number' | 'secret' | 'sizeBytes'> | string {
  if (bytes.length < SEGMENT_HEAD_SIZE_BYTES) return 'the head of the segment is cut short';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== SEGMENT_MAGIC) return 'no segment begins here';
  if (xxh64(bytes.subarray(0, HEAD_HASHED_SIZE_BYTES), 0n) !== view.getBigUint64(32, true)) {
    return 'the head of the segment fails its checksum';
  }
  const version = view.getUint16(4, true);
  if (version !== SEGMENT_VERSION) {
    return `a segment of version ${version}, this program reads ${SEGMENT_VERSION}`;
  }
  const number = Number(view.getBigUint64(8, true));
  return {
    number,
    secret: view.getBigUint64(16, true),
    sizeBytes: Number(view.getBigUint64(24, true)),
  };
}

/** The mark that a group of a chain has in a life of a segment. */
export function markOf(chain: bigint, secret: bigint, xxh64: Xxh64): bigint {
  CHAIN_VIEW.setBigUint64(0, chain, true);
  return xxh64(CHAIN_BYTES, secret);
}

const CHAIN_BYTES = new Uint8Array(8);
const CHAIN_VIEW = new DataView(CHAIN_BYTES.buffer);

/** Bytes that a group of this payload takes in a segment. */
export function groupSpanBytes(payloadSizeBytes: number): number {
  const sizeBytes = MARK_SIZE_BYTES + GROUP_HEAD_SIZE_BYTES + payloadSizeBytes;
  return Math.ceil(sizeBytes / LOG_BLOCK_SIZE_BYTES) * LOG_BLOCK_SIZE_BYTES;
}
