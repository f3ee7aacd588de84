// Commits as the payload of a group: what each changed of its pages. Not self-describing: the group
// says which LSNs it holds, and whoever applies it must have the pages as they were before.
//
//   payload   commit after commit, to its end
//   commit    varint: LSN less the one before it, 1 always, as a check
//             varint: pages of the database, zigzag of the difference to the commit before (or 0)
//             varint: how many pages changed
//             for each: varint: zigzag of its number less that of the page before it (or 0)
//                       varint: twice the delta's size, and 1 more where there was a page before
//                       the delta: assembly/codec/page-delta.ts
//   varint    varint.ts
//
//   UPDATE of one row in place:  01 00 01 08 13  and 9 bytes of delta

import { GatewayError } from '../../core/index.ts';
import { PAGE_DELTA_SIZE_BYTES_MAX } from '../../kernels/index.ts';
import type { CommitRecord, LogGroup, Lsn } from '../contract.ts';
import {
  COMMIT_PAGES_COUNT_MAX,
  LOG_GROUP_COMMITS_COUNT_MAX,
  LOG_GROUP_PAYLOAD_SIZE_BYTES_MAX,
  PAGE_NUMBER_MAX,
} from './limits.ts';
import { unzigzag, VARINT_SIZE_BYTES_MAX, VarintReader, writeVarint, zigzag } from './varint.ts';

/** What makes and applies deltas of pages: PageCodec of host/kernels. */
export interface PageDelta {
  encodeDelta(before: Uint8Array | null, after: Uint8Array, into: Uint8Array, at: number): number;
  /** Errors: DB_DELTA_CORRUPT. */
  decodeDelta(before: Uint8Array | null, delta: Uint8Array, into: Uint8Array): void;
}

const BUFFER_SIZE_BYTES = 65_536;
/** Room for two varints and a delta. */
const PAGE_SIZE_BYTES_MAX = PAGE_DELTA_SIZE_BYTES_MAX + 2 * VARINT_SIZE_BYTES_MAX;
/** A buffer above this is given up once its group is gone. */
const KEPT_BUFFER_SIZE_BYTES_MAX = 4_194_304;

export interface EncodedCommits {
  readonly firstLsn: Lsn;
  readonly lastLsn: Lsn;
  /** Valid until the encoder is cleared. */
  readonly payload: Uint8Array;
}

export interface CommitEncoderOptions {
  readonly pageDelta: PageDelta;
  readonly payloadSizeBytesMax?: number;
}

/** Collects the commits of one group. */
export class CommitEncoder {
  readonly #pageDelta: PageDelta;
  readonly #sizeBytesMax: number;
  #buffer = new Uint8Array(BUFFER_SIZE_BYTES);
  #sizeBytes = 0;
  #firstLsn: Lsn = 0;
  #count = 0;
  #pageCount = 0;

  constructor(options: CommitEncoderOptions) {
    this.#pageDelta = options.pageDelta;
    this.#sizeBytesMax = options.payloadSizeBytesMax ?? LOG_GROUP_PAYLOAD_SIZE_BYTES_MAX;
  }

  get commitsCount(): number {
    return this.#count;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Whether another commit may be added, of any size that fits a group of its own. */
  get isFull(): boolean {
    return this.#count >= LOG_GROUP_COMMITS_COUNT_MAX || this.#sizeBytes * 2 > this.#sizeBytesMax;
  }

  /** Adds a commit. Errors: DB_LOG_COMMIT_SIZE, and then nothing is added; RangeError where it is
   *  not the next one. Cost: 1 µs a page. */
  add(record: CommitRecord): void {
    const { lsn, pages } = record;
    if (this.#count > 0 && lsn !== this.#firstLsn + this.#count) {
      throw new RangeError(`commit ${lsn} follows ${this.#firstLsn + this.#count - 1}`);
    }
    if (pages.length > COMMIT_PAGES_COUNT_MAX) {
      throw tooLarge(`${pages.length} pages, the limit is ${COMMIT_PAGES_COUNT_MAX}`);
    }
    let at = this.#head(record);
    let pageBefore = 0;
    for (const { pageNumber, before, after } of pages) {
      const buffer = this.#room(at + PAGE_SIZE_BYTES_MAX);
      // The delta's size stands before it, so it is written where the longest size would end.
      const numberEnd = writeVarint(zigzag(pageNumber - pageBefore), buffer, at);
      const size = this.#pageDelta.encodeDelta(before, after, buffer, numberEnd + 2);
      const sizeEnd = writeVarint(size * 2 + (before === null ? 0 : 1), buffer, numberEnd);
      if (sizeEnd !== numberEnd + 2)
        buffer.copyWithin(sizeEnd, numberEnd + 2, numberEnd + 2 + size);
      at = sizeEnd + size;
      pageBefore = pageNumber;
    }
    if (at > this.#sizeBytesMax) throw tooLarge(this.#limit());
    if (this.#count === 0) this.#firstLsn = lsn;
    this.#sizeBytes = at;
    this.#pageCount = record.pageCount;
    this.#count += 1;
  }

  /** What has been collected; null where that is nothing. */
  encoded(): EncodedCommits | null {
    if (this.#count === 0) return null;
    const lastLsn = this.#firstLsn + this.#count - 1;
    const payload = this.#buffer.subarray(0, this.#sizeBytes);
    return { firstLsn: this.#firstLsn, lastLsn, payload };
  }

  /** Forgets what has been collected. */
  clear(): void {
    this.#sizeBytes = 0;
    this.#count = 0;
    this.#pageCount = 0;
    if (this.#buffer.length > KEPT_BUFFER_SIZE_BYTES_MAX) {
      this.#buffer = new Uint8Array(BUFFER_SIZE_BYTES);
    }
  }

  #head({ pageCount, pages }: CommitRecord): number {
    const buffer = this.#room(this.#sizeBytes + 3 * VARINT_SIZE_BYTES_MAX);
    const lsnEnd = writeVarint(1, buffer, this.#sizeBytes);
    const countEnd = writeVarint(zigzag(pageCount - this.#pageCount), buffer, lsnEnd);
    return writeVarint(pages.length, buffer, countEnd);
  }

  /** The buffer, with room up to `end`. A little more than the limit is had, as the last delta may
   *  be shorter than the room it is made in. */
  #room(end: number): Uint8Array {
    if (end <= this.#buffer.length) return this.#buffer;
    const most = this.#sizeBytesMax + 2 * PAGE_SIZE_BYTES_MAX;
    if (end > most) throw tooLarge(this.#limit());
    const grown = new Uint8Array(Math.min(most, Math.max(end, 2 * this.#buffer.length)));
    grown.set(this.#buffer);
    this.#buffer = grown;
    return grown;
  }

  #limit(): string {
    return `with ${this.#count} others it takes more than ${this.#sizeBytesMax} bytes`;
  }
}

function tooLarge(detail: string): GatewayError {
  return new GatewayError('DB_LOG_COMMIT_SIZE', detail);
}

export interface DecodedPage {
  readonly pageNumber: number;
  /** Whether the delta is against the page as it was; else against none. */
  readonly hasBefore: boolean;
  readonly delta: Uint8Array;
}

export interface DecodedCommit {
  readonly lsn: Lsn;
  readonly pageCount: number;
  readonly pages: readonly DecodedPage[];
}

/** The commits of a group. The deltas themselves are checked by who applies them. Errors:
 *  DB_LOG_CORRUPT for a payload that no encoder made; what came before it has been given out. */
export function* decodeCommits(group: LogGroup): Generator<DecodedCommit> {
  const reader = new VarintReader(group.payload);
  let pageCount = 0;
  for (let lsn = group.firstLsn; lsn <= group.lastLsn; ++lsn) {
    if (reader.next() !== 1) throw malformed(lsn, reader, 'an lsn');
    const pageCountStep = reader.next();
    pageCount += unzigzag(pageCountStep);
    if (pageCountStep < 0 || !isPageNumber(pageCount)) throw malformed(lsn, reader, 'a page count');
    yield { lsn, pageCount, pages: decodePages(lsn, reader) };
  }
  if (reader.leftBytes > 0) throw malformed(group.lastLsn, reader, 'bytes behind it');
}

function decodePages(lsn: Lsn, reader: VarintReader): DecodedPage[] {
  const count = reader.next();
  // A page takes three bytes or more: nobody makes a list longer than the payload.
  if (count < 0 || count > COMMIT_PAGES_COUNT_MAX || count * 3 > reader.leftBytes) {
    throw malformed(lsn, reader, 'a count of pages');
  }
  const pages: DecodedPage[] = [];
  let pageNumber = 0;
  for (let index = 0; index < count; ++index) {
    const step = reader.next();
    pageNumber += unzigzag(step);
    if (step < 0 || pageNumber < 1 || !isPageNumber(pageNumber)) {
      throw malformed(lsn, reader, 'a page number');
    }
    const size = reader.next();
    if (size < 2 || size > 2 * PAGE_DELTA_SIZE_BYTES_MAX + 1) {
      throw malformed(lsn, reader, 'the size of a delta');
    }
    const delta = reader.bytes(Math.floor(size / 2));
    if (delta === null) throw malformed(lsn, reader, 'a delta that is cut short');
    pages.push({ pageNumber, hasBefore: size % 2 === 1, delta });
  }
  return pages;
}

function isPageNumber(value: number): boolean {
  return value >= 0 && value <= PAGE_NUMBER_MAX;
}

function malformed(lsn: Lsn, reader: VarintReader, what: string): GatewayError {
  const detail = `commit ${lsn} at byte ${reader.offset} of its group: ${what}`;
  return new GatewayError('DB_LOG_CORRUPT', detail);
}
