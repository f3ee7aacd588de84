// The log of one database in a folder of segments. One group is written and synced at a time; the
// order of things is what recovery relies on (recovery.ts). After an error of the disk it takes
// nothing more: what a failed sync left of a file only a new opening can tell.

import type { GatewayError } from '../../core/index.ts';
import type { LogBound, LogGroup, LogStore, Lsn } from '../contract.ts';
import { type LogFile, writeAll } from './files.ts';
import { checkGroup, encodeGroup } from './group.ts';
import type { StoredGroup } from './group-reader.ts';
import { LOG_BLOCK_SIZE_BYTES, LOG_EPOCH_MAX } from './limits.ts';
import { diskError, logError } from './log-error.ts';
import { type OpenedLog, openLog, type SegmentLogOptions } from './log-open.ts';
import { type ReadableLog, readGroups } from './log-read.ts';
import {
  FIRST_GROUP_OFFSET,
  groupSpanBytes,
  MARK_SIZE_BYTES,
  markOf,
  type Segment,
} from './segment.ts';
import type { SegmentPool } from './segment-pool.ts';
import { type LogState, type StatePlace, writeState } from './state-file.ts';

export type { SegmentLogOptions } from './log-open.ts';

/** A group of another log, checked by itself. */
export type ReceivedGroup = Pick<StoredGroup, 'head' | 'group'>;

export type DurableListener = (lastLsn: Lsn) => void;

/** Buffers up to this size are kept from one append to the next. */
const KEPT_BUFFER_SIZE_BYTES_MAX = 4_194_304;

export class SegmentLog implements LogStore {
  readonly #place: StatePlace;
  readonly #pool: SegmentPool;
  readonly #listeners = new Set<DurableListener>();
  readonly #readable: ReadableLog;
  /** Segments that are to leave the folder, oldest first. */
  readonly #trimmed: Segment[] = [];
  #state: LogState;
  #file: LogFile;
  #active: Segment;
  #offset: number;
  #buffer = new Uint8Array(16 * LOG_BLOCK_SIZE_BYTES);
  #failure: GatewayError | null = null;
  #isClosed = false;
  #sizeBytes = 0;
  #append: Promise<void> | null = null;
  /** The last of the jobs that wait for each other: trims and new epochs. */
  #jobs: Promise<unknown> = Promise.resolve();

  private constructor(parts: OpenedLog) {
    this.#place = parts.place;
    this.#pool = parts.pool;
    this.#state = parts.state;
    this.#file = parts.file;
    this.#active = parts.active;
    this.#offset = parts.offset;
    this.#readable = parts.readable;
    this.#measure();
  }

  /** Opens a log, or makes one. What it then holds is durable. Errors: DB_LOG_CORRUPT with file and
   *  place, DB_LOG_FULL, DB_LOG_FAILED. */
  static async open(options: SegmentLogOptions): Promise<SegmentLog> {
    try {
      return new SegmentLog(await openLog(options));
    } catch (error) {
      throw diskError(error, `opening the log in ${options.folder}`);
    }
  }

  get epoch(): number {
    return this.#state.epoch;
  }

  /** The epoch of the last group here; 0 where there is none. */
  get lastGroupEpoch(): number {
    return this.#readable.lastEpoch;
  }

  get nextLsn(): Lsn {
    return this.#readable.lastLsn + 1;
  }

  get firstLsn(): Lsn {
    return this.#readable.segments[0]?.firstLsn ?? this.#state.baseLsn + 1;
  }

  /** The chain of the last group: two logs that agree on it at one LSN hold the same commits. */
  get chain(): bigint {
    return this.#readable.chain;
  }

  /** Segments of whole groups, and the one in use. Units: bytes. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get isOpen(): boolean {
    return !this.#isClosed;
  }

  /** Why the log takes nothing more, or null. */
  get failure(): GatewayError | null {
    return this.#failure;
  }

  async append(expectedLsn: Lsn, group: LogGroup): Promise<void> {
    checkGroup(group);
    this.#checkOpen();
    if (group.epoch !== this.epoch) {
      throw logError(
        'DB_LOG_FENCED',
        `a group of epoch ${group.epoch}, the log's is ${this.epoch}`,
      );
    }
    if (expectedLsn !== this.nextLsn || group.firstLsn !== expectedLsn) {
      const from = `a group from lsn ${group.firstLsn}, expected ${expectedLsn}`;
      throw logError('DB_LOG_FENCED', `${from}, the log's next is ${this.nextLsn}`);
    }
    await this.#appendChecked(group);
  }

  /** Appends a group that another log sent, whose epoch is `senderEpoch`; the group itself may be
   *  of an older one. Errors: as for append, and DB_LOG_DIVERGED where the group goes on from
   *  something that this log does not hold. */
  async appendReceived(received: ReceivedGroup, senderEpoch: number): Promise<void> {
    const { group, head } = received;
    this.#checkOpen();
    if (senderEpoch !== this.epoch) {
      throw logError(
        'DB_LOG_FENCED',
        `a sender of epoch ${senderEpoch}, the log's is ${this.epoch}`,
      );
    }
    const { chain, lastEpoch } = this.#readable;
    if (group.firstLsn !== this.nextLsn) {
      const from = `a group from lsn ${group.firstLsn}`;
      throw logError('DB_LOG_FENCED', `${from}, the log's next is ${this.nextLsn}`);
    }
    if (head.previousChain !== chain) {
      throw logError('DB_LOG_DIVERGED', `the group from lsn ${group.firstLsn} has another past`);
    }
    if (group.epoch < lastEpoch || group.epoch > senderEpoch) {
      const epochs = `between ${lastEpoch} and ${senderEpoch}`;
      throw logError('DB_LOG_DIVERGED', `a group of epoch ${group.epoch}, expected ${epochs}`);
    }
    await this.#appendChecked(group);
  }

  async #appendChecked(group: LogGroup): Promise<void> {
    if (this.#append !== null) throw new RangeError('an append is under way');
    this.#append = this.#write(group);
    try {
      await this.#append;
    } catch (error) {
      this.#failure = diskError(error, `writing ${this.#active.path}`);
      throw this.#failure;
    } finally {
      this.#append = null;
    }
    for (const listener of this.#listeners) listener(group.lastLsn);
  }

  async *read(fromLsn: Lsn): AsyncGenerator<LogGroup> {
    for await (const { group } of this.readStored(fromLsn)) yield group;
  }

  /** As `read`, with the bytes as they stand in the log. */
  readStored(fromLsn: Lsn): AsyncGenerator<StoredGroup> {
    const base = { lastLsn: this.#state.baseLsn, chain: this.#state.baseChain, epoch: 0 };
    return readGroups(this.#place, this.#readable, { fromLsn, base });
  }

  /** Calls back after each append; the listener must not throw. Returns how to stop it. */
  onDurable(listener: DurableListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Begins a newer epoch: once this resolves, no group of an older one is taken, also after a
   *  crash. Errors: DB_LOG_FENCED where the epoch is not newer, DB_LOG_FULL, DB_LOG_FAILED. */
  begin(epoch: number): Promise<void> {
    return this.#afterJobs(async () => {
      this.#checkOpen();
      if (epoch <= this.epoch || epoch > LOG_EPOCH_MAX) {
        throw logError('DB_LOG_FENCED', `epoch ${epoch} cannot follow epoch ${this.epoch}`);
      }
      await this.#append?.catch(() => {});
      const state = { ...this.#state, epoch, durableLsn: this.#readable.lastLsn };
      try {
        await writeState(this.#place, state);
      } catch (error) {
        this.#failure = diskError(error, `beginning epoch ${epoch}`);
        throw this.#failure;
      }
      this.#state = state;
    });
  }

  /** Frees segments that hold nothing newer than `toLsn`; never the one that holds the last group.
   *  While it is larger than a bound says, also those that hold nothing newer than the bound's LSN.
   *  Errors: DB_LOG_FAILED, and the log goes on. */
  trim(toLsn: Lsn, bound?: LogBound): Promise<void> {
    return this.#afterJobs(async () => {
      this.#cut(toLsn, 0);
      if (bound !== undefined) this.#cut(bound.toLsn, bound.sizeBytesMax);
      // Oldest first, and none is passed over: a gap would be taken for damage.
      for (let segment = this.#trimmed[0]; segment !== undefined; segment = this.#trimmed[0]) {
        const { path } = segment;
        await this.#pool.give(segment).catch((error: unknown) => {
          throw diskError(error, `trimming ${path}`);
        });
        this.#trimmed.shift();
      }
    });
  }

  /** Takes segments out of the sight of readers who begin from now on. */
  #cut(toLsn: Lsn, sizeBytesMin: number): void {
    const { segments } = this.#readable;
    while (this.#sizeBytes > sizeBytesMin) {
      const next = segments[1];
      if (next === undefined || next.firstLsn === null || next.firstLsn - 1 > toLsn) return;
      const segment = segments.shift()!;
      segment.lastLsn = next.firstLsn - 1;
      this.#trimmed.push(segment);
      this.#measure();
    }
  }

  /** Waits for what is under way, and notes how far the log is durable. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#append?.catch(() => {});
    await this.#jobs;
    await this.#pool.settled();
    // Only a help for the next opening: without it the log is whole all the same.
    const state = { ...this.#state, durableLsn: this.#readable.lastLsn };
    if (this.#failure === null) await writeState(this.#place, state).catch(() => {});
    await this.#file.close().catch(() => {});
  }

  #checkOpen(): void {
    if (this.#isClosed) throw logError('DB_LOG_FAILED', 'the log is closed');
    if (this.#failure === null) return;
    throw logError('DB_LOG_FAILED', `open it again, after ${this.#failure.message}`);
  }

  #afterJobs<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#jobs.then(job);
    this.#jobs = result.catch(() => {});
    return result;
  }

  async #write(group: LogGroup): Promise<void> {
    const spanBytes = groupSpanBytes(group.payload.length);
    if (this.#offset + spanBytes > this.#active.sizeBytes) await this.#roll(spanBytes);
    const buffer = this.#bufferOf(spanBytes);
    const { xxh64 } = this.#place;
    const link = { previousChain: this.#readable.chain, xxh64 };
    const chain = encodeGroup(group, link, buffer, MARK_SIZE_BYTES);
    const mark = markOf(chain, this.#active.secret, xxh64);
    new DataView(buffer.buffer).setBigUint64(0, mark, true);
    await writeAll(this.#file, buffer.subarray(0, spanBytes), this.#offset);
    await this.#file.datasync();
    this.#offset += spanBytes;
    this.#active.firstLsn ??= group.firstLsn;
    this.#readable.lastLsn = group.lastLsn;
    this.#readable.chain = chain;
    this.#readable.lastEpoch = group.epoch;
  }

  /** Zeros as far as the span goes behind what is written: what was in the buffer is overwritten or
   *  zeroed. */
  #bufferOf(spanBytes: number): Uint8Array<ArrayBuffer> {
    if (spanBytes > KEPT_BUFFER_SIZE_BYTES_MAX) return new Uint8Array(spanBytes);
    if (spanBytes > this.#buffer.length) this.#buffer = new Uint8Array(2 * spanBytes);
    this.#buffer.fill(0, spanBytes - LOG_BLOCK_SIZE_BYTES, spanBytes);
    return this.#buffer;
  }

  async #roll(spanBytes: number): Promise<void> {
    const sizeBytes = FIRST_GROUP_OFFSET + spanBytes;
    const { segments } = this.#readable;
    const isEmpty = this.#active.firstLsn === null;
    const segment = await (isEmpty
      ? this.#pool.lengthen(this.#active, sizeBytes)
      : this.#pool.take(sizeBytes));
    const file = await this.#place.files.open(segment.path);
    await this.#file.close();
    this.#file = file;
    this.#active = segment;
    this.#offset = FIRST_GROUP_OFFSET;
    if (isEmpty) segments.pop();
    segments.push(segment);
    this.#measure();
    this.#pool.prepare();
  }

  #measure(): void {
    this.#sizeBytes = this.#readable.segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }
}
