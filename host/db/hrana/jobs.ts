// What runs on a stream, one after the other, and waits where the writer is busy or the turn over.

import type { Pause, Run } from './run-requests.ts';

/** What a job has come to: its end, or what it waits for. */
export type JobState = 'ended' | Pause;

export interface Job {
  /** Begins or goes on: with null, or with why the writer will not be free for it. */
  resume(error: Error | null): JobState;
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

  resume(error: Error | null): JobState {
    const step = error === null ? this.#run.next() : this.#run.throw(error);
    return step.done === true ? 'ended' : step.value;
  }

  cancel(): void {
    this.#run.return();
  }
}
