// From a folder to a log that can be written: reads the state, recovers the end, and makes sure
// of it.

import { secretBytes } from '../../core/index.ts';
import type { Lsn } from '../contract.ts';
import { type LogFile, type LogFiles, writeAll } from './files.ts';
import { CHAIN_START, type Xxh64 } from './group.ts';
import {
  LOG_BLOCK_SIZE_BYTES,
  LOG_SEGMENT_SIZE_BYTES,
  LOG_SEGMENT_SIZE_BYTES_MIN,
} from './limits.ts';
import { corruptError } from './log-error.ts';
import type { ReadableLog } from './log-read.ts';
import { nodeLogFiles } from './node-files.ts';
import { type Recovered, recover } from './recovery.ts';
import { SEGMENT_NAME, type Segment } from './segment.ts';
import { SegmentPool } from './segment-pool.ts';
import { type LogState, readState, type StatePlace, writeState } from './state-file.ts';

export interface SegmentLogOptions {
  /** The log's own; made where it is not there. */
  readonly folder: string;
  readonly xxh64: Xxh64;
  readonly files?: LogFiles;
  /** Units: a multiple of 4,096. */
  readonly segmentSizeBytes?: number;
  /** What others know to have been durable, as a page store does: a log that ends before it is
   *  damaged. */
  readonly durableLsn?: Lsn;
  /** Where a new log begins, as that of a branch does; an old one keeps its own. */
  readonly base?: { readonly lsn: Lsn; readonly chain: bigint; readonly epoch: number };
  readonly newSecret?: () => bigint;
}

export interface OpenedLog {
  readonly place: StatePlace;
  readonly pool: SegmentPool;
  readonly state: LogState;
  readonly file: LogFile;
  readonly active: Segment;
  readonly offset: number;
  readonly readable: ReadableLog;
}

/** Finds what is there, makes what is not, and makes the last group durable. Errors:
 *  DB_LOG_CORRUPT with file and place, and those of the disk. */
export async function openLog(options: SegmentLogOptions): Promise<OpenedLog> {
  const { folder, xxh64, files = nodeLogFiles } = options;
  const segmentSizeBytes = options.segmentSizeBytes ?? LOG_SEGMENT_SIZE_BYTES;
  if (segmentSizeBytes % LOG_BLOCK_SIZE_BYTES !== 0) throw new RangeError('not whole blocks');
  if (segmentSizeBytes < LOG_SEGMENT_SIZE_BYTES_MIN) throw new RangeError('too small a segment');
  const place = { files, folder, xxh64 };
  await files.makeFolder(folder);
  // Names that a process left behind may not be durable yet.
  await files.syncFolder(folder);
  const state = (await readState(place)) ?? (await makeState(place, options));
  const found = await recover(place, state, options.durableLsn ?? 0);
  const pool = new SegmentPool({
    place,
    segmentSizeBytes,
    newSecret: options.newSecret ?? newSecret,
    spares: found.spares,
    ready: found.segments.slice(found.tailIndex + 1),
    nextNumber: (found.segments.at(-1)?.number ?? 0) + 1,
  });
  const segments = found.segments.slice(0, found.tailIndex + 1);
  if (found.tailIndex < 0) segments.push(await pool.take(LOG_SEGMENT_SIZE_BYTES_MIN));
  const active = segments.at(-1)!;
  const file = await files.open(active.path);
  await makeDurable(file, found).catch(async (error: unknown) => {
    await file.close();
    throw error;
  });
  pool.prepare();
  const { lastLsn, chain, lastGroup } = found;
  const readable = { segments, lastLsn, chain, lastEpoch: lastGroup?.head.epoch ?? 0 };
  return { place, pool, state, file, active, offset: found.tailOffset, readable };
}

async function makeState(place: StatePlace, options: SegmentLogOptions): Promise<LogState> {
  const names = await place.files.list(place.folder);
  const orphan = names.find((name) => SEGMENT_NAME.test(name));
  if (orphan !== undefined) throw corruptError(`${place.folder}/state`, 0, 'the file is missing');
  const { lsn, chain, epoch } = options.base ?? { lsn: 0, chain: CHAIN_START, epoch: 1 };
  const state = { epoch, baseLsn: lsn, baseChain: chain, durableLsn: lsn };
  await writeState(place, state);
  return state;
}

/** The last group may be in the page cache and nowhere else: never synced, or the sync failed and
 *  the cache calls it clean. Written once more, the sync is about it. */
async function makeDurable(file: LogFile, found: Recovered): Promise<void> {
  if (found.lastGroup === null) return;
  const { offset, endOffset } = found.lastGroup;
  const bytes = new Uint8Array(endOffset - offset);
  await file.read(bytes, offset);
  await writeAll(file, bytes, offset);
  await file.datasync();
}

function newSecret(): bigint {
  return new DataView(secretBytes(8).buffer).getBigUint64(0);
}
