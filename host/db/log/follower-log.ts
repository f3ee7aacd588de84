// The log of a follower: groups of another log, appended as they are. It obeys the newest epoch it
// has heard of, durably, so that a primary that was replaced finds nobody to take its groups.

import type { LogGroup, Lsn } from '../contract.ts';
import { FeedDecoder, type FeedItem, type FeedPosition } from './feed.ts';
import type { Xxh64 } from './group.ts';
import { logError } from './log-error.ts';
import type { SegmentLog } from './segment-log.ts';

export interface FollowerLogOptions {
  readonly log: SegmentLog;
  readonly xxh64: Xxh64;
  /** Called with each group once it is durable here; in order. */
  readonly onGroup?: (group: LogGroup) => void;
  /** Called when the sender has said how far it is. */
  readonly onBeat?: () => void;
}

/** How far a sender said it was, as it was last heard. */
export interface SenderProgress {
  readonly lastLsn: Lsn;
  readonly sentAtMs: number;
}

export class FollowerLog {
  readonly #options: FollowerLogOptions;
  #sender: SenderProgress | null = null;

  constructor(options: FollowerLogOptions) {
    this.#options = options;
  }

  /** What to ask a feed for. */
  get position(): FeedPosition {
    const { log } = this.#options;
    return { nextLsn: log.nextLsn, chain: log.chain };
  }

  /** Null until a sender was heard. */
  get sender(): SenderProgress | null {
    return this.#sender;
  }

  /** Follows one feed to its end. Pieces that repeat what is there are passed over. Errors:
   *  DB_LOG_FENCED where the sender's epoch is older than one known here, or groups are missing
   *  before what it sends; DB_LOG_DIVERGED, DB_FEED_CORRUPT, DB_LOG_FULL, DB_LOG_FAILED. What was
   *  taken stays: ask again from `position`. */
  async follow(feed: AsyncIterable<Uint8Array>): Promise<void> {
    const decoder = new FeedDecoder(this.#options.xxh64);
    let senderEpoch = 0;
    for await (const piece of feed) {
      for (const item of decoder.push(piece)) {
        senderEpoch = await this.#take(item, senderEpoch);
      }
    }
  }

  /** Makes this log the primary's: no group of the epochs before is taken from now on, also after
   *  a crash. Returns the new epoch. Errors: DB_LOG_FULL, DB_LOG_FAILED. */
  async promote(): Promise<number> {
    const { log } = this.#options;
    const epoch = log.epoch + 1;
    await log.begin(epoch);
    return epoch;
  }

  /** Returns the sender's epoch. */
  async #take(item: FeedItem, senderEpoch: number): Promise<number> {
    const { log, onGroup, onBeat } = this.#options;
    if (item.kind === 'beat') {
      if (item.epoch < log.epoch) {
        throw logError('DB_LOG_FENCED', `a sender of epoch ${item.epoch}, here is ${log.epoch}`);
      }
      if (item.epoch > log.epoch) await log.begin(item.epoch);
      this.#sender = { lastLsn: item.lastLsn, sentAtMs: item.sentAtMs };
      onBeat?.();
      return item.epoch;
    }
    const { group } = item;
    if (senderEpoch === 0) throw logError('DB_FEED_CORRUPT', 'the feed begins without a beat');
    if (this.#isAnother(item)) {
      throw logError('DB_LOG_DIVERGED', `another commit ${group.firstLsn} than here`);
    }
    if (group.lastLsn < log.nextLsn) return senderEpoch;
    await log.appendReceived(item, senderEpoch);
    onGroup?.(group);
    return senderEpoch;
  }

  /** Whether a group holds commits that are here otherwise. A log has its primary's groups whole:
   *  one that begins before the end here and does not end there is none of them, and none from a
   *  newer epoch than that of the last group here can have been. */
  #isAnother({ group, head }: FeedItem & { kind: 'group' }): boolean {
    const { log } = this.#options;
    if (group.firstLsn >= log.nextLsn) return false;
    if (group.lastLsn === log.nextLsn - 1) return head.chain !== log.chain;
    return group.lastLsn >= log.nextLsn || group.epoch > log.lastGroupEpoch;
  }
}
