// Tells that a thread gets on with what comes to it. Under a flood one turn of the event loop may
// take longer than a watchdog waits, though no timer runs in it and nothing is stuck: each arrival
// is a step, and an endless loop takes none. It is not for what a thread does of itself.

/** Arrivals between two reports: cheap to count, and at the most some 100 us of work each. */
const ARRIVALS_COUNT = 256;

export class Progress {
  readonly #report: () => void;
  #leftCount = ARRIVALS_COUNT;

  constructor(report: () => void) {
    this.#report = report;
  }

  /** A request, a piece of a body, a message or a read of a socket has arrived. Cost: 1 ns. */
  noteArrival(): void {
    this.#leftCount -= 1;
    if (this.#leftCount > 0) return;
    this.#leftCount = ARRIVALS_COUNT;
    this.#report();
  }
}
