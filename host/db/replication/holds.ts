// How far back a log is kept for followers: to where the slowest of them is, and no longer than the
// bounds say. A follower past a bound is not waited for, and takes a snapshot instead.

import type { Clock } from '../../core/index.ts';
import type { Lsn } from '../contract.ts';
import { HELD_FOLLOWERS_COUNT_MAX } from './limits.ts';

export interface HoldLimits {
  readonly sizeBytesMax: number;
  /** How long a follower is waited for that does not ask. */
  readonly ageMsMax: number;
}

interface Hold {
  nextLsn: Lsn;
  seenAtMs: number;
}

export class LogHolds {
  readonly #clock: Clock;
  readonly #limits: HoldLimits;
  readonly #holds = new Map<string, Hold>();

  /** Nobody knows at first who follows: what the log has is kept as for one that needs it all. */
  constructor(clock: Clock, limits: HoldLimits, firstLsn: Lsn) {
    this.#clock = clock;
    this.#limits = limits;
    if (limits.sizeBytesMax > 0) {
      this.#holds.set('', { nextLsn: firstLsn, seenAtMs: clock.nowMs() });
    }
  }

  /** A follower, or a snapshot on its way to one, asks for what begins here. */
  note(follower: string, nextLsn: Lsn): void {
    const seenAtMs = this.#clock.nowMs();
    if (!this.#holds.has(follower) && this.#holds.size > HELD_FOLLOWERS_COUNT_MAX) return;
    this.#holds.set(follower, { nextLsn, seenAtMs });
  }

  release(follower: string): void {
    this.#holds.delete(follower);
  }

  /** Up to where a log may be trimmed that is folded up to `foldedLsn`. */
  trimLsn(foldedLsn: Lsn, logSizeBytes: number): Lsn {
    const { sizeBytesMax, ageMsMax } = this.#limits;
    const nowMs = this.#clock.nowMs();
    let trimLsn = foldedLsn;
    for (const [follower, { nextLsn, seenAtMs }] of this.#holds) {
      if (nowMs - seenAtMs > ageMsMax) this.#holds.delete(follower);
      else trimLsn = Math.min(trimLsn, nextLsn - 1);
    }
    return logSizeBytes > sizeBytesMax ? foldedLsn : trimLsn;
  }
}
