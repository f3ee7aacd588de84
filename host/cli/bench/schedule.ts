// When requests are due: a fixed schedule that never waits for the target, so that a slow answer
// cannot postpone the requests behind it (coordinated omission). Pure arithmetic over a clock: it
// neither sends nor sleeps, and the backlog of due requests is a bounded ring.

import type { Clock } from '../../core/index.ts';

export interface ScheduleOptions {
  readonly clock: Clock;
  readonly ratePerSecond: number;
  readonly durationMs: number;
  /** Due requests that may wait for a connection. */
  readonly backlogCountMax: number;
}

/** The requests of one run: `collect` what has become due, then `take` them one by one. */
export class Schedule {
  readonly startMs: number;
  readonly requestsCount: number;
  readonly intervalMs: number;
  readonly #clock: Clock;
  readonly #ring: Float64Array;
  #issued = 0;
  #head = 0;
  #waiting = 0;
  #dropped = 0;

  constructor(options: ScheduleOptions) {
    this.#clock = options.clock;
    this.startMs = options.clock.nowMs();
    this.intervalMs = 1000 / options.ratePerSecond;
    this.requestsCount = Math.max(1, Math.round(options.durationMs / this.intervalMs));
    this.#ring = new Float64Array(Math.min(options.backlogCountMax, this.requestsCount));
  }

  /** Requests that have become due so far, dropped ones included. */
  get issuedCount(): number {
    return this.#issued;
  }

  /** Due requests not taken yet. */
  get waitingCount(): number {
    return this.#waiting;
  }

  /** Due requests that found the backlog full. They were never sent. */
  get droppedCount(): number {
    return this.#dropped;
  }

  /** Whether every request has become due. */
  get isExhausted(): boolean {
    return this.#issued === this.requestsCount;
  }

  /** When request `index` is due. Units: ms of the clock. */
  dueMs(index: number): number {
    return this.startMs + index * this.intervalMs;
  }

  /** Moves what has become due into the backlog; returns how late the oldest of it was noticed,
   *  0 when nothing was due. Units: ms. Cost: O(newly due). */
  collect(): number {
    const nowMs = this.#clock.nowMs();
    const firstDueMs = this.dueMs(this.#issued);
    if (this.isExhausted || firstDueMs > nowMs) return 0;
    const passed = Math.floor((nowMs - this.startMs) / this.intervalMs) + 1;
    const untilIndex = Math.min(this.requestsCount, Math.max(passed, this.#issued + 1));
    while (this.#issued < untilIndex) {
      if (this.#waiting === this.#ring.length) this.#dropped++;
      else this.#push(this.dueMs(this.#issued));
      this.#issued++;
    }
    return nowMs - firstDueMs;
  }

  /** Takes the oldest due request; -1 when none waits. Units: ms of the clock, when it was due. */
  take(): number {
    if (this.#waiting === 0) return -1;
    const dueMs = this.#ring[this.#head]!;
    this.#head = (this.#head + 1) % this.#ring.length;
    this.#waiting--;
    return dueMs;
  }

  /** Time until the next request is due; Infinity when none is left. Units: ms. */
  untilNextMs(): number {
    if (this.isExhausted) return Number.POSITIVE_INFINITY;
    return Math.max(0, this.dueMs(this.#issued) - this.#clock.nowMs());
  }

  #push(dueMs: number): void {
    // In bounds: the remainder of a division by the ring's length.
    this.#ring[(this.#head + this.#waiting) % this.#ring.length] = dueMs;
    this.#waiting++;
  }
}
