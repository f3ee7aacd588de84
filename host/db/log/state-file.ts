// What a log must know that its groups do not say: the epoch that has begun, where the log begins,
// and how far it was durable when this was written. The file is replaced as a whole.
//
//   0       4         6      8       12     16         24           32            40
//   +-------+---------+------+-------+------+----------+------------+-------------+---------+
//   | magic | version | zero | epoch | zero | base lsn | base chain | durable lsn | XXH64 of|
//   | u32   | u16     | u16  | u32   | u32  | u64      | u64        | u64         | 0 to 40 |
//   +-------+---------+------+-------+------+----------+------------+-------------+---------+

import { join } from 'node:path';
import type { Lsn } from '../contract.ts';
import { type LogFiles, writeAll } from './files.ts';
import type { Xxh64 } from './group.ts';
import { corruptError, isMissing } from './log-error.ts';

/** 'SLST' as a file shows it. */
const STATE_MAGIC = 0x54534c53;
const STATE_VERSION = 1;
const STATE_SIZE_BYTES = 48;
const STATE_HASHED_SIZE_BYTES = 40;
const STATE_NAME = 'state';
const STATE_TEMPORARY_NAME = 'state.temporary';

export interface LogState {
  /** No group of an older epoch is taken any more. */
  readonly epoch: number;
  /** The log begins behind this LSN; 0 for a database that began with it. */
  readonly baseLsn: Lsn;
  /** The chain that the group behind it goes on from. */
  readonly baseChain: bigint;
  /** At least this was durable: a log that ends before it has lost something. */
  readonly durableLsn: Lsn;
}

export interface StatePlace {
  readonly files: LogFiles;
  readonly folder: string;
  readonly xxh64: Xxh64;
}

/** Reads the state of a log; null where there is none. Errors: DB_LOG_CORRUPT. */
export async function readState(place: StatePlace): Promise<LogState | null> {
  const path = join(place.folder, STATE_NAME);
  const bytes = new Uint8Array(STATE_SIZE_BYTES);
  let count: number;
  try {
    const file = await place.files.open(path);
    count = await file.read(bytes, 0).finally(() => file.close());
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
  if (count < STATE_SIZE_BYTES) throw corruptError(path, count, 'the file is cut short');
  const view = new DataView(bytes.buffer);
  const hash = place.xxh64(bytes.subarray(0, STATE_HASHED_SIZE_BYTES), 0n);
  if (hash !== view.getBigUint64(40, true)) {
    throw corruptError(path, 0, 'the state fails its checksum');
  }
  if (view.getUint32(0, true) !== STATE_MAGIC || view.getUint16(4, true) !== STATE_VERSION) {
    throw corruptError(path, 0, `not a state of version ${STATE_VERSION}`);
  }
  return {
    epoch: view.getUint32(8, true),
    baseLsn: Number(view.getBigUint64(16, true)),
    baseChain: view.getBigUint64(24, true),
    durableLsn: Number(view.getBigUint64(32, true)),
  };
}

/** Puts a state in the place of the one before, durably. Errors: those of the disk, and then either
 *  state may be found. */
export async function writeState(place: StatePlace, state: LogState): Promise<void> {
  const { files, folder } = place;
  const bytes = new Uint8Array(STATE_SIZE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, STATE_MAGIC, true);
  view.setUint16(4, STATE_VERSION, true);
  view.setUint32(8, state.epoch, true);
  view.setBigUint64(16, BigInt(state.baseLsn), true);
  view.setBigUint64(24, state.baseChain, true);
  view.setBigUint64(32, BigInt(state.durableLsn), true);
  view.setBigUint64(40, place.xxh64(bytes.subarray(0, STATE_HASHED_SIZE_BYTES), 0n), true);
  const temporary = join(folder, STATE_TEMPORARY_NAME);
  await files.unlink(temporary).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
  });
  const file = await files.create(temporary);
  try {
    await writeAll(file, bytes, 0);
    await file.datasync();
  } finally {
    await file.close();
  }
  await files.rename(temporary, join(folder, STATE_NAME));
  await files.syncFolder(folder);
}
