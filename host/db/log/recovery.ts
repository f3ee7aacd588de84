// Opening a log: finds where it ends. What an end may look like:
//
//   torn tail     the last group was not whole when the power went, and nothing follows: cut
//   damage        what is not a group stands where a later group, or a durable LSN, proves that one
//                 was: DB_LOG_CORRUPT with the place, and nothing is cut
//
// A later group is proof because a group is written only after the one before has been synced.
// Groups of an earlier life of a segment's file prove nothing, and their marks tell them apart
// (segment.ts). Only the last segment that has groups is read; the ones before are checked by
// whoever reads them, as they are when a database recovers.

import { join } from 'node:path';
import type { Lsn } from '../contract.ts';
import type { LogFile } from './files.ts';
import type { GroupHead } from './group.ts';
import { GroupReader, type StoredGroup } from './group-reader.ts';
import { corruptError } from './log-error.ts';
import {
  FIRST_GROUP_OFFSET,
  parseSegmentHead,
  SEGMENT_HEAD_SIZE_BYTES,
  SEGMENT_NAME,
  type Segment,
  SPARE_NAME,
  segmentPath,
  TEMPORARY_NAME,
} from './segment.ts';
import type { LogState, StatePlace } from './state-file.ts';

const SEGMENT_NUMBER_FIRST = 1;

export interface Recovered {
  /** In order, without a gap; those from `tailIndex` + 1 on are empty. */
  readonly segments: Segment[];
  /** Paths of files that can become segments. */
  readonly spares: string[];
  /** The segment that the next group goes to; -1 where there is none. */
  readonly tailIndex: number;
  readonly tailOffset: number;
  readonly lastLsn: Lsn;
  readonly chain: bigint;
  /** The last group, which must be made durable before anybody hears of it. */
  readonly lastGroup: StoredGroup | null;
}

/** Finds the last whole group. Errors: DB_LOG_CORRUPT with its place, and those of the disk. */
export async function recover(
  place: StatePlace,
  state: LogState,
  knownDurableLsn: Lsn,
): Promise<Recovered> {
  const { segments, spares } = await listSegments(place);
  const durableLsn = Math.max(state.durableLsn, knownDurableLsn);
  const tailIndex = await findTail(place, segments);
  const tail = segments[tailIndex];
  const nothing = { lastLsn: state.baseLsn, chain: state.baseChain, lastGroup: null };
  if (tail === undefined) {
    if (durableLsn > state.baseLsn) {
      const path = segments[0]?.path ?? place.folder;
      throw corruptError(path, FIRST_GROUP_OFFSET, `no group, but lsn ${durableLsn} was durable`);
    }
    // Segments are trimmed only while a later one has a group.
    const first = segments[0];
    if (first !== undefined && first.number > SEGMENT_NUMBER_FIRST) {
      throw corruptError(
        first.path,
        FIRST_GROUP_OFFSET,
        'no group, but segments before are trimmed',
      );
    }
    const tailOffset = FIRST_GROUP_OFFSET;
    return { segments, spares, tailIndex: segments.length === 0 ? -1 : 0, tailOffset, ...nothing };
  }
  const end = await opened(place, tail, (file) => readToEnd(place, tail, file));
  if (end.lastGroup.head.epoch > state.epoch) {
    const { epoch } = end.lastGroup.head;
    const epochs = `a group of epoch ${epoch}, but epoch ${state.epoch} is begun`;
    throw corruptError(tail.path, end.lastGroup.offset, epochs);
  }
  if (end.lastGroup.head.lastLsn < durableLsn) {
    const lost = `${end.why}, but lsn ${durableLsn} was durable`;
    const next = segments[tailIndex + 1];
    // It may have been the first group of the next segment.
    const isThere = !end.isLikeNext && next !== undefined;
    if (isThere) throw corruptError(next.path, FIRST_GROUP_OFFSET, lost);
    throw corruptError(tail.path, end.lastGroup.endOffset, lost);
  }
  const { head, endOffset } = end.lastGroup;
  const found = { lastLsn: head.lastLsn, chain: head.chain, lastGroup: end.lastGroup };
  return { segments, spares, tailIndex, tailOffset: endOffset, ...found };
}

async function listSegments(place: StatePlace): Promise<{ segments: Segment[]; spares: string[] }> {
  const names = await place.files.list(place.folder);
  for (const name of names.filter((one) => TEMPORARY_NAME.test(one))) {
    await place.files.unlink(join(place.folder, name));
  }
  const spares = names
    .filter((one) => SPARE_NAME.test(one))
    .map((name) => join(place.folder, name));
  const numbers = names
    .map((name) => SEGMENT_NAME.exec(name)?.[1])
    .filter((hex) => hex !== undefined)
    .map((hex) => Number.parseInt(hex, 16))
    .sort((one, other) => one - other);
  const segments: Segment[] = [];
  for (const number of numbers) {
    const expected = (segments.at(-1)?.number ?? number - 1) + 1;
    const path = segmentPath(place.folder, number);
    if (number !== expected) {
      throw corruptError(segmentPath(place.folder, expected), 0, 'the segment is missing');
    }
    segments.push(await readSegmentHead(place, path, number));
  }
  return { segments, spares };
}

async function readSegmentHead(place: StatePlace, path: string, number: number): Promise<Segment> {
  const bytes = new Uint8Array(SEGMENT_HEAD_SIZE_BYTES);
  const file = await place.files.open(path);
  try {
    const count = await file.read(bytes, 0);
    const head = parseSegmentHead(bytes.subarray(0, count), place.xxh64);
    if (typeof head === 'string') throw corruptError(path, 0, head);
    if (head.number !== number) throw corruptError(path, 8, `it is segment ${head.number}`);
    const sizeBytes = await file.sizeBytes();
    if (sizeBytes !== head.sizeBytes) {
      throw corruptError(path, sizeBytes, `the file had ${head.sizeBytes} bytes when it was made`);
    }
    return { ...head, path, firstLsn: null, lastLsn: null, readerCount: 0 };
  } finally {
    await file.close();
  }
}

/** Index of the last segment in which a group was written, and -1 where none is; notes the first
 *  LSN of each. */
async function findTail(place: StatePlace, segments: readonly Segment[]): Promise<number> {
  let tailIndex = -1;
  for (const [index, segment] of segments.entries()) {
    await opened(place, segment, async (file) => {
      const first = await new GroupReader(file, segment, place.xxh64).next();
      if (typeof first !== 'string') segment.firstLsn = first.head.firstLsn;
      else if (!(await isWritten(place, segment, file))) return;
      const before = segments[index - 1];
      if (before !== undefined && before.firstLsn === null) {
        throw corruptError(before.path, FIRST_GROUP_OFFSET, 'no group, but later ones are there');
      }
      tailIndex = index;
      if (typeof first === 'string') throw corruptError(segment.path, FIRST_GROUP_OFFSET, first);
    });
  }
  return tailIndex;
}

/** Whether a group follows behind the first place, where none is to be read. */
async function isWritten(place: StatePlace, segment: Segment, file: LogFile): Promise<boolean> {
  const reader = new GroupReader(file, segment, place.xxh64);
  reader.skipBlock();
  return (await reader.findAnyHead()) !== null;
}

/** The last group of a segment that has one, why the next place holds none, and whether it looks as
 *  if it had. Errors:
 *  DB_LOG_CORRUPT where another follows behind that place. */
async function readToEnd(
  place: StatePlace,
  segment: Segment,
  file: LogFile,
): Promise<{ lastGroup: StoredGroup; why: string; isLikeNext: boolean }> {
  const reader = new GroupReader(file, segment, place.xxh64);
  let last: StoredGroup | null = null;
  while (true) {
    const found = await reader.next();
    const why = typeof found === 'string' ? found : faultOfLink(last, found);
    if (typeof found !== 'string' && why === null) {
      last = found;
      continue;
    }
    const offset = typeof found === 'string' ? reader.offset : found.offset;
    if (last === null) throw corruptError(segment.path, offset, why ?? 'no group');
    if (typeof found !== 'string') throw corruptError(segment.path, offset, why ?? 'no group');
    const isLikeNext = await reader.looksLikeNext(last.head);
    reader.skipBlock();
    const later = await reader.findAnyHead();
    if (later !== null) {
      throw corruptError(segment.path, offset, `${found}, but a group stands at ${later}`);
    }
    return { lastGroup: last, why: found, isLikeNext };
  }
}

/** Why a group does not go on from the one before; null where it does. */
export function faultOfLink(
  before: { readonly head: Pick<GroupHead, 'lastLsn' | 'chain' | 'epoch'> } | null,
  group: { readonly head: GroupHead },
): string | null {
  if (before === null) return null;
  const { lastLsn, chain, epoch } = before.head;
  if (group.head.firstLsn !== lastLsn + 1) {
    return `a group from lsn ${group.head.firstLsn} follows lsn ${lastLsn}`;
  }
  if (group.head.previousChain !== chain) return 'the chain is broken';
  if (group.head.epoch < epoch) return `epoch ${group.head.epoch} follows epoch ${epoch}`;
  return null;
}

async function opened<T>(
  place: StatePlace,
  segment: Segment,
  work: (file: LogFile) => Promise<T>,
): Promise<T> {
  const file = await place.files.open(segment.path);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}
