// Where segments come from and go to: the next one is made ready while the present one fills, so
// that no commit waits for zeros to be written; trimmed ones are kept to be written over.

import { join } from 'node:path';
import { type LogFile, writeAll } from './files.ts';
import {
  LOG_SEGMENT_SIZE_BYTES_FIRST,
  LOG_SPARES_COUNT_MAX,
  LOG_ZEROS_SIZE_BYTES,
} from './limits.ts';
import { isMissing } from './log-error.ts';
import {
  encodeSegmentHead,
  FIRST_GROUP_OFFSET,
  type Segment,
  segmentPath,
  sparePath,
} from './segment.ts';
import type { StatePlace } from './state-file.ts';

const NEXT_TEMPORARY_NAME = 'next.temporary';

export interface SegmentPoolOptions {
  readonly place: StatePlace;
  /** Of all but the first ones, which are shorter. */
  readonly segmentSizeBytes: number;
  /** 64 bits that no client can guess. */
  readonly newSecret: () => bigint;
  /** Paths of files to write over. */
  readonly spares: readonly string[];
  /** Empty segments that stand behind the one in use. */
  readonly ready: readonly Segment[];
  /** Number of the first segment to make. */
  readonly nextNumber: number;
}

export class SegmentPool {
  readonly #place: StatePlace;
  readonly #segmentSizeBytes: number;
  readonly #newSecret: () => bigint;
  readonly #spares: string[];
  readonly #ready: Segment[];
  #nextNumber: number;
  /** The making of a segment, which never rejects: who takes a segment tries again. */
  #making: Promise<void> | null = null;

  constructor(options: SegmentPoolOptions) {
    this.#place = options.place;
    this.#segmentSizeBytes = options.segmentSizeBytes;
    this.#newSecret = options.newSecret;
    this.#spares = [...options.spares];
    this.#ready = [...options.ready];
    this.#nextNumber = options.nextNumber;
  }

  /** Begins to make the next segment where none is ready. An error shows when it is taken. */
  prepare(): void {
    if (this.#ready.length > 0 || this.#making !== null) return;
    this.#making = this.#make(this.#usualSizeBytes)
      .then((segment) => {
        this.#ready.push(segment);
      })
      .catch(() => {})
      .finally(() => {
        this.#making = null;
      });
  }

  /** The next segment, of at least this size. Errors: those of the disk. */
  async take(sizeBytesMin: number): Promise<Segment> {
    await this.settled();
    const ready = this.#ready.shift();
    if (ready === undefined) return this.#make(Math.max(sizeBytesMin, this.#usualSizeBytes));
    if (ready.sizeBytes >= sizeBytesMin) return ready;
    return this.lengthen(ready, sizeBytesMin).catch((error: unknown) => {
      this.#ready.unshift(ready);
      throw error;
    });
  }

  /** A longer segment in the place of one that holds no group: a gap between groups would be taken
   *  for damage. Errors: those of the disk, and then either is there. */
  async lengthen(empty: Segment, sizeBytes: number): Promise<Segment> {
    await this.settled();
    return this.#makeFile({ ...empty, secret: this.#newSecret(), sizeBytes });
  }

  /** Takes back a trimmed segment. Errors: those of the disk; give it again before any other. */
  async give(segment: Segment): Promise<void> {
    const { files, folder } = this.#place;
    const unlessGone = (error: unknown): void => {
      // Gone the time before, when the names could not be synced.
      if (!isMissing(error)) throw error;
    };
    const isUsual = segment.sizeBytes === this.#segmentSizeBytes && segment.readerCount === 0;
    if (isUsual && this.#spares.length < LOG_SPARES_COUNT_MAX) {
      const spare = sparePath(folder, segment.number);
      await files.rename(segment.path, spare).catch(unlessGone);
      await files.syncFolder(folder);
      this.#spares.push(spare);
      return;
    }
    await files.unlink(segment.path).catch(unlessGone);
    await files.syncFolder(folder);
  }

  /** Waits until nothing is being made. */
  async settled(): Promise<void> {
    await this.#making;
  }

  /** Of the next segment. */
  get #usualSizeBytes(): number {
    const grown = LOG_SEGMENT_SIZE_BYTES_FIRST * 2 ** (this.#nextNumber - 1);
    return Math.min(grown, this.#segmentSizeBytes);
  }

  async #make(sizeBytes: number): Promise<Segment> {
    const number = this.#nextNumber;
    const path = segmentPath(this.#place.folder, number);
    const secret = this.#newSecret();
    const use = { firstLsn: null, lastLsn: null, readerCount: 0 };
    const segment = { number, path, secret, sizeBytes, ...use };
    const spare = sizeBytes === this.#segmentSizeBytes ? this.#spares.shift() : undefined;
    const made =
      (spare !== undefined && (await this.#makeOfSpare(segment, spare))) ||
      (await this.#makeFile(segment));
    this.#nextNumber = number + 1;
    return made;
  }

  /** Null where the spare file is not of the right size, and then it is gone. */
  async #makeOfSpare(segment: Segment, spare: string): Promise<Segment | null> {
    const { files, xxh64 } = this.#place;
    const file = await files.open(spare);
    let isUsable: boolean;
    try {
      isUsable = (await file.sizeBytes()) === segment.sizeBytes;
      if (isUsable) {
        await writeAll(file, encodeSegmentHead(segment, xxh64), 0);
        await file.datasync();
      }
    } finally {
      await file.close();
    }
    if (isUsable) return this.#placed(segment, spare);
    await files.unlink(spare);
    return null;
  }

  async #makeFile(segment: Segment): Promise<Segment> {
    const { files, folder, xxh64 } = this.#place;
    const temporary = join(folder, NEXT_TEMPORARY_NAME);
    await files.unlink(temporary).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
    });
    const file = await files.create(temporary);
    try {
      try {
        await writeAll(file, encodeSegmentHead(segment, xxh64), 0);
        await writeZeros(file, segment.sizeBytes);
      } finally {
        await file.close();
      }
      return await this.#placed(segment, temporary);
    } catch (error) {
      // What room it took is given back; the error that counts is the first.
      await files.unlink(temporary).catch(() => {});
      throw error;
    }
  }

  async #placed(segment: Segment, from: string): Promise<Segment> {
    const { files, folder } = this.#place;
    await files.rename(from, segment.path);
    await files.syncFolder(folder);
    return segment;
  }
}

/** Fills a file behind its head, synced piece by piece. */
async function writeZeros(file: LogFile, sizeBytes: number): Promise<void> {
  const zeros = new Uint8Array(Math.min(sizeBytes, LOG_ZEROS_SIZE_BYTES));
  let at = FIRST_GROUP_OFFSET;
  while (at < sizeBytes) {
    const piece = zeros.subarray(0, Math.min(zeros.length, sizeBytes - at));
    await writeAll(file, piece, at);
    await file.datasync();
    at += piece.length;
  }
}
