// The thread's time, which the streams of all its databases share: statements block it, and however
// many of them one message holds, what else waits for the thread gets on after TURN_MS_MAX and one
// statement. Streams that have more to run rest until then, and go on in the order of their coming.

import type { Clock } from '../../core/index.ts';

/** A turn of the event loop does not begin another statement after this. */
export const TURN_MS_MAX = 25;

export class Turn {
  readonly #clock: Clock;
  readonly #resting: (() => void)[] = [];
  #isOpen = false;
  #beganMs = 0;
  #nowMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** As of the time that was noted last. */
  get isOver(): boolean {
    return this.#isOpen && this.#nowMs - this.#beganMs >= TURN_MS_MAX;
  }

  /** A statement begins or has ended. */
  note(nowMs: number): void {
    this.#nowMs = nowMs;
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#beganMs = nowMs;
    setImmediate(() => this.#end());
  }

  /** Calls back in another turn. Only while this one is over. */
  rest(resume: () => void): void {
    this.#resting.push(resume);
  }

  #end(): void {
    this.#isOpen = false;
    if (this.#resting.length === 0) return;
    this.note(this.#clock.nowMs());
    while (this.#resting.length > 0 && !this.isOver) this.#resting.shift()!();
  }
}
