// What runs on a stream, one after the other, and waits where the writer is busy.

import type { Run } from './run-requests.ts';

export interface Job {
  /** Begins or goes on: with null, or with why the writer will not be free for it. False: it waits
   *  for the writer. */
  resume(error: Error | null): boolean;
  /** It has ended; what it has seen need not be durable yet. */
  done(): void;
  /** Nobody waits for it any more: it will not go on. */
  cancel(): void;
}

/** Several statements, or one that is not simple. */
export class RunJob implements Job {
  readonly #run: Run;
  readonly done: () => void;

  constructor(run: Run, done: () => void) {
    this.#run = run;
    this.done = done;
  }

  resume(error: Error | null): boolean {
    const { done } = error === null ? this.#run.next() : this.#run.throw(error);
    return done === true;
  }

  cancel(): void {
    this.#run.return();
  }
}
