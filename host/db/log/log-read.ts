// Reading a log while it is written and trimmed: every group is checked by itself and as the
// successor of the one before. Nothing that is not yet durable is shown.

import type { Lsn } from '../contract.ts';
import type { LogFile } from './files.ts';
import { GroupReader, type StoredGroup } from './group-reader.ts';
import { corruptError, diskError, isMissing, logError } from './log-error.ts';
import { faultOfLink } from './recovery.ts';
import type { Segment } from './segment.ts';
import type { StatePlace } from './state-file.ts';

/** What of a log its readers see; changed by its writer only. */
export interface ReadableLog {
  /** Those that hold groups, and the one in use. */
  readonly segments: Segment[];
  /** The last durable LSN. */
  lastLsn: Lsn;
  /** Chain and epoch of the last group. */
  chain: bigint;
  lastEpoch: number;
}

/** What a group is checked against. */
interface Link {
  readonly lastLsn: Lsn;
  readonly chain: bigint;
  readonly epoch: number;
}

export interface ReadStart {
  readonly fromLsn: Lsn;
  /** What stands before the first group that the log ever had. */
  readonly base: Link;
}

/** Groups from the one that holds `fromLsn` on, to the last that is durable when it comes there.
 *  Errors: DB_LOG_TRIMMED, DB_LOG_CORRUPT with file and place, DB_LOG_FAILED. */
export async function* readGroups(
  place: StatePlace,
  log: ReadableLog,
  { fromLsn, base }: ReadStart,
): AsyncGenerator<StoredGroup> {
  const firstLsn = log.segments[0]?.firstLsn ?? base.lastLsn + 1;
  if (fromLsn < firstLsn) {
    throw logError('DB_LOG_TRIMMED', `lsn ${fromLsn}, the log begins at ${firstLsn}`);
  }
  if (fromLsn > log.lastLsn) return;
  let segment = log.segments.findLast((one) => one.firstLsn !== null && one.firstLsn <= fromLsn)!;
  let before: Link | null = segment.firstLsn === base.lastLsn + 1 ? base : null;
  // Closing a segment's file takes a moment, in which the log goes on.
  const end = { isOfLog: false };
  while (true) {
    for await (const stored of readSegment(place, log, { segment, before, end })) {
      before = stored.head;
      if (stored.head.lastLsn >= fromLsn) yield stored;
    }
    if (end.isOfLog) return;
    const { number } = segment;
    const next = log.segments.find((one) => one.number === number + 1);
    if (next === undefined) {
      throw logError('DB_LOG_TRIMMED', `lsn ${before!.lastLsn + 1} was trimmed while it was read`);
    }
    segment = next;
  }
}

interface SegmentStart {
  readonly segment: Segment;
  readonly before: Link | null;
  /** Whether the log had no more when the reader came to its end. */
  readonly end: { isOfLog: boolean };
}

/** The groups of one segment, to its end or the log's. */
async function* readSegment(
  place: StatePlace,
  log: ReadableLog,
  from: SegmentStart,
): AsyncGenerator<StoredGroup> {
  const { segment, end } = from;
  let before = from.before;
  segment.readerCount += 1;
  let file: LogFile | null = null;
  try {
    file = await openSegment(place, segment);
    const reader = new GroupReader(file, segment, place.xxh64);
    while (before === null || !isSegmentEnd(log, segment, before.lastLsn)) {
      end.isOfLog = before !== null && before.lastLsn === log.lastLsn;
      if (end.isOfLog) return;
      const stored = await nextGroup(reader, segment);
      const fault = before === null ? null : faultOfLink({ head: before }, stored);
      if (fault !== null) throw corruptError(segment.path, stored.offset, fault);
      before = stored.head;
      yield stored;
    }
  } finally {
    segment.readerCount -= 1;
    await file?.close();
  }
}

/** Whether nothing in the segment follows this LSN. */
function isSegmentEnd(log: ReadableLog, segment: Segment, lsn: Lsn): boolean {
  if (lsn === segment.lastLsn) return true;
  const next = log.segments.find((one) => one.number === segment.number + 1);
  return next !== undefined && next.firstLsn === lsn + 1;
}

async function openSegment(place: StatePlace, segment: Segment): Promise<LogFile> {
  try {
    return await place.files.open(segment.path);
  } catch (error) {
    if (isMissing(error)) throw logError('DB_LOG_TRIMMED', `${segment.path} was trimmed`, error);
    throw diskError(error, `reading ${segment.path}`);
  }
}

async function nextGroup(reader: GroupReader, segment: Segment): Promise<StoredGroup> {
  try {
    const found = await reader.next();
    if (typeof found !== 'string') return found;
    // It may have been read ahead before the group was there.
    reader.forget();
    const again = await reader.next();
    if (typeof again !== 'string') return again;
    throw corruptError(segment.path, reader.offset, again);
  } catch (error) {
    throw diskError(error, `reading ${segment.path}`);
  }
}
