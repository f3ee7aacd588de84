// The thread's time, which the streams of all its databases share: statements block it, and however
// many of them one message holds, what else waits for the thread gets on after TURN_MS_MAX and one
// statement. Streams that have more to run rest until then, and go on in the order of their coming.
//
//   messages ─► statements ──over──► the event loop looks for messages ─► statements
//                   └─ rest ─────────────────────────────────────────────► one, or more of them

/** A turn of the event loop does not begin another statement after this. */
export const TURN_MS_MAX = 25;

export class Turn {
  readonly #resting: (() => void)[] = [];
  #isOpen = false;
  #isResumeDue = false;
  #beganMs = 0;
  #nowMs = 0;

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
    if (this.#resting.length === 0 || this.#isResumeDue) return;
    this.#isResumeDue = true;
    // Not yet: what has come meanwhile is first, and has not been looked for.
    setImmediate(() => this.#resume());
  }

  /** One at least: what comes must not keep them for ever. */
  #resume(): void {
    this.#isResumeDue = false;
    do this.#resting.shift()?.();
    while (this.#resting.length > 0 && !this.isOver);
    // Where nobody has run anything there is no end to come.
    if (this.#resting.length > 0) this.note(this.#nowMs);
  }
}
