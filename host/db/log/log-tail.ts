// The end of a log as its followers see it: each reads at its own pace from the segments, and waits
// there for more. Nothing is queued for a slow one; it falls behind, and in the end out of the log.

import type { Clock } from '../../core/index.ts';
import type { Lsn } from '../contract.ts';
import { encodeBeat, type FeedPosition } from './feed.ts';
import type { Xxh64 } from './group.ts';
import { FEED_BEAT_INTERVAL_MS, LOG_FOLLOWERS_COUNT_MAX } from './limits.ts';
import { logError } from './log-error.ts';
import type { SegmentLog } from './segment-log.ts';

export interface LogTailOptions {
  readonly log: SegmentLog;
  readonly xxh64: Xxh64;
  readonly clock: Clock;
  readonly beatIntervalMs?: number;
  readonly followersCountMax?: number;
}

interface Follower {
  nextLsn: Lsn;
}

export class LogTail {
  readonly #options: LogTailOptions;
  readonly #followers = new Set<Follower>();

  constructor(options: LogTailOptions) {
    this.#options = options;
  }

  get followersCount(): number {
    return this.#followers.size;
  }

  /** The oldest LSN that a follower still wants, or null where none follows: what a trim may
   *  spare. */
  get neededLsn(): Lsn | null {
    if (this.#followers.size === 0) return null;
    return Math.min(...[...this.#followers].map(({ nextLsn }) => nextLsn));
  }

  /** The log as a stream from a position on, without an end: a beat, groups, and beats while there
   *  is nothing to send. Ends when the signal says so, or when the log's epoch changes or it is
   *  closed. Errors: DB_LOG_DIVERGED where the position is none of this log, DB_LOG_TRIMMED,
   *  DB_LOG_FOLLOWERS, and those of reading. */
  async *feed(position: FeedPosition, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { log } = this.#options;
    const countMax = this.#options.followersCountMax ?? LOG_FOLLOWERS_COUNT_MAX;
    if (this.#followers.size >= countMax) {
      throw logError('DB_LOG_FOLLOWERS', `${countMax} follow it, which is the limit`);
    }
    const follower: Follower = { nextLsn: position.nextLsn };
    this.#followers.add(follower);
    const { epoch } = log;
    try {
      await this.#check(position);
      yield this.#beat(epoch);
      while (!signal.aborted && log.isOpen && log.epoch === epoch) {
        if (follower.nextLsn === log.nextLsn) {
          await this.#more(follower.nextLsn, signal);
          if (!signal.aborted && log.epoch === epoch) yield this.#beat(epoch);
          continue;
        }
        for await (const { head, bytes } of log.readStored(follower.nextLsn)) {
          // A group of another epoch is another feed's.
          if (signal.aborted || log.epoch !== epoch) break;
          yield bytes;
          follower.nextLsn = head.lastLsn + 1;
        }
      }
    } finally {
      this.#followers.delete(follower);
    }
  }

  /** What the log has from a position on, about as much as `sizeBytes`, behind a beat; where there
   *  is nothing, one beat, and after `waitMs` another. Errors: as for feed. */
  async poll(
    position: FeedPosition,
    { sizeBytes, waitMs }: { readonly sizeBytes: number; readonly waitMs: number },
  ): Promise<Uint8Array[]> {
    const { log } = this.#options;
    const { epoch } = log;
    await this.#check(position);
    if (position.nextLsn === log.nextLsn) {
      await this.#more(position.nextLsn, AbortSignal.timeout(waitMs));
    }
    const pieces = [this.#beat(epoch)];
    let size = 0;
    for await (const { bytes } of log.readStored(position.nextLsn)) {
      // A group of another epoch is another feed's.
      if (log.epoch !== epoch) break;
      // The reader uses its buffer again.
      pieces.push(bytes.slice());
      size += bytes.length;
      if (size >= sizeBytes) break;
    }
    return pieces;
  }

  /** The chain behind the commit at an LSN at which a group ends, or with which the log begins.
   *  Errors: DB_LOG_TRIMMED; DB_LOG_DIVERGED where no group ends there. */
  async chainAt(lsn: Lsn): Promise<bigint> {
    const { log } = this.#options;
    if (lsn === log.nextLsn - 1) return log.chain;
    for await (const { head } of log.readStored(lsn + 1)) {
      if (head.firstLsn === lsn + 1) return head.previousChain;
      break;
    }
    throw logError('DB_LOG_DIVERGED', `no group ends with lsn ${lsn}`);
  }

  /** Errors: DB_LOG_DIVERGED where the follower's past is not this log's. */
  async #check({ nextLsn, chain }: FeedPosition): Promise<void> {
    const { log } = this.#options;
    if (nextLsn > log.nextLsn) {
      throw logError(
        'DB_LOG_DIVERGED',
        `it has lsn ${nextLsn - 1}, the log ends at ${log.nextLsn - 1}`,
      );
    }
    let pastChain = log.chain;
    let firstLsn = nextLsn;
    if (nextLsn < log.nextLsn) {
      for await (const { head } of log.readStored(nextLsn)) {
        pastChain = head.previousChain;
        firstLsn = head.firstLsn;
        break;
      }
    }
    if (firstLsn !== nextLsn || pastChain !== chain) {
      throw logError('DB_LOG_DIVERGED', `its commits up to lsn ${nextLsn - 1} are not this log's`);
    }
  }

  #beat(epoch: number): Uint8Array {
    const { log, clock, xxh64 } = this.#options;
    return encodeBeat({ epoch, lastLsn: log.nextLsn - 1, sentAtMs: clock.wallMs() }, xxh64);
  }

  /** Waits until the log goes on from here, or for the time of a beat. */
  #more(nextLsn: Lsn, signal: AbortSignal): Promise<void> {
    const { log } = this.#options;
    if (log.nextLsn !== nextLsn || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        stop();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, this.#options.beatIntervalMs ?? FEED_BEAT_INTERVAL_MS);
      const stop = log.onDurable(done);
      signal.addEventListener('abort', done);
    });
  }
}
