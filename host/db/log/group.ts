// A group of commits as bytes, the same in a segment, on the way to a follower and in its log. The
// head is checked before its sizes are believed, and the payload apart from it, so that a reader
// never takes memory on the word of a damaged head.
//
//   0       4         6      8              12      16          24         32          40
//   +-------+---------+------+--------------+-------+-----------+----------+-----------+
//   | magic | version | zero | payload size | epoch | first lsn | last lsn | sealed at |
//   | u32   | u16     | u16  | u32          | u32   | u64       | u64      | u64, ms   |
//   +-------+---------+------+--------------+-------+-----------+----------+-----------+
//   40                 48               56             64
//   +------------------+----------------+--------------+- - - - -+
//   | XXH64 of payload | previous chain | chain        | payload |
//   | u64              | u64            | u64          |         |
//   +------------------+----------------+--------------+- - - - -+
//   Integers are little-endian. Chain: XXH64 of bytes 0 to 56, and so of everything in this group
//   and, through the previous chain, of everything in all before it.

import type { LogGroup, Lsn } from '../contract.ts';
import {
  LOG_EPOCH_MAX,
  LOG_GROUP_COMMITS_COUNT_MAX,
  LOG_GROUP_PAYLOAD_SIZE_BYTES_MAX,
} from './limits.ts';

/** XXH64 as codec.wasm has it. */
export type Xxh64 = (bytes: Uint8Array, seed: bigint) => bigint;

/** 'SLGR' as a file shows it. */
const GROUP_MAGIC = 0x52474c53;
const GROUP_VERSION = 1;
export const GROUP_HEAD_SIZE_BYTES = 64;
/** The chain before the first group of a log that has no other. */
export const CHAIN_START = 0n;

const CHAINED_SIZE_BYTES = 56;

export interface GroupHead {
  readonly payloadSizeBytes: number;
  readonly epoch: number;
  readonly firstLsn: Lsn;
  readonly lastLsn: Lsn;
  readonly sealedAtMs: number;
  readonly payloadHash: bigint;
  readonly previousChain: bigint;
  readonly chain: bigint;
}

/** Writes head and payload to `into` at `at`; returns the group's chain. The group must pass
 *  `checkGroup`. */
export function encodeGroup(
  group: LogGroup,
  link: { readonly previousChain: bigint; readonly xxh64: Xxh64 },
  into: Uint8Array,
  at: number,
): bigint {
  const head = into.subarray(at, at + GROUP_HEAD_SIZE_BYTES);
  const view = viewOf(head);
  view.setUint32(0, GROUP_MAGIC, true);
  view.setUint16(4, GROUP_VERSION, true);
  view.setUint16(6, 0, true);
  view.setUint32(8, group.payload.length, true);
  view.setUint32(12, group.epoch, true);
  view.setBigUint64(16, BigInt(group.firstLsn), true);
  view.setBigUint64(24, BigInt(group.lastLsn), true);
  view.setBigUint64(32, BigInt(group.sealedAtMs), true);
  view.setBigUint64(40, link.xxh64(group.payload, 0n), true);
  view.setBigUint64(48, link.previousChain, true);
  const chain = link.xxh64(head.subarray(0, CHAINED_SIZE_BYTES), 0n);
  view.setBigUint64(56, chain, true);
  into.set(group.payload, at + GROUP_HEAD_SIZE_BYTES);
  return chain;
}

/** Reads a head. Returns why where it is none; a head that is returned is as it was written. */
export function parseGroupHead(bytes: Uint8Array, xxh64: Xxh64): GroupHead | string {
  if (bytes.length < GROUP_HEAD_SIZE_BYTES) return 'the head is cut short';
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== GROUP_MAGIC) return 'no group begins here';
  const chain = view.getBigUint64(56, true);
  if (xxh64(bytes.subarray(0, CHAINED_SIZE_BYTES), 0n) !== chain) {
    return 'the head fails its checksum';
  }
  const version = view.getUint16(4, true);
  if (version !== GROUP_VERSION || view.getUint16(6, true) !== 0) {
    return `a group of version ${version}, this program reads ${GROUP_VERSION}`;
  }
  const head = {
    payloadSizeBytes: view.getUint32(8, true),
    epoch: view.getUint32(12, true),
    firstLsn: Number(view.getBigUint64(16, true)),
    lastLsn: Number(view.getBigUint64(24, true)),
    sealedAtMs: Number(view.getBigUint64(32, true)),
    payloadHash: view.getBigUint64(40, true),
    previousChain: view.getBigUint64(48, true),
    chain,
  };
  return faultOfNumbers(head, head.payloadSizeBytes) ?? head;
}

/** A group out of its head and the bytes behind it, or null where they are not its payload. */
export function openGroup(head: GroupHead, payload: Uint8Array, xxh64: Xxh64): LogGroup | null {
  if (payload.length !== head.payloadSizeBytes) return null;
  if (xxh64(payload, 0n) !== head.payloadHash) return null;
  const { epoch, firstLsn, lastLsn, sealedAtMs } = head;
  return { epoch, firstLsn, lastLsn, sealedAtMs, payload };
}

/** Throws a RangeError where a group cannot be written: a mistake of the program. */
export function checkGroup(group: LogGroup): void {
  const fault = faultOfNumbers(group, group.payload.length);
  if (fault !== null) throw new RangeError(fault);
}

function faultOfNumbers(group: Omit<LogGroup, 'payload'>, payloadSizeBytes: number): string | null {
  const { epoch, firstLsn, lastLsn, sealedAtMs } = group;
  if (!isCount(epoch) || epoch === 0 || epoch > LOG_EPOCH_MAX) return `an epoch of ${epoch}`;
  if (!isCount(firstLsn) || firstLsn === 0 || !isCount(lastLsn)) {
    return `an lsn of ${firstLsn} to ${lastLsn}`;
  }
  const count = lastLsn - firstLsn + 1;
  if (count < 1 || count > LOG_GROUP_COMMITS_COUNT_MAX) {
    return `a group of ${count} commits, the limit is ${LOG_GROUP_COMMITS_COUNT_MAX}`;
  }
  if (!isCount(sealedAtMs)) return `a group sealed at ${sealedAtMs}`;
  if (payloadSizeBytes > LOG_GROUP_PAYLOAD_SIZE_BYTES_MAX) {
    const limit = LOG_GROUP_PAYLOAD_SIZE_BYTES_MAX;
    return `a payload of ${payloadSizeBytes} bytes, the limit is ${limit}`;
  }
  return null;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
