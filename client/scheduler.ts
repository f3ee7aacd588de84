// Bounded concurrency with priorities: what the app waits for goes before what it may want later.

import { abortError, onAbort } from './clock.ts';
import { LoaderError } from './errors.ts';
import { PRIORITIES, type Priority } from './model.ts';

interface Waiting {
  readonly begin: () => void;
}

export class Scheduler {
  readonly #concurrency: number;
  readonly #waiting: ReadonlyMap<Priority, Waiting[]>;
  #runningCount = 0;

  constructor(concurrency: number) {
    this.#concurrency = concurrency;
    this.#waiting = new Map(PRIORITIES.map((priority) => [priority, []]));
  }

  /** Runs `task` when its turn comes. Errors: LOADER_ABORTED while it waits, and the task's. */
  async run<T>(priority: Priority, signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    if (signal.aborted) throw abortError();
    await this.#turn(priority, signal);
    try {
      return await task();
    } finally {
      this.#runningCount -= 1;
      this.#next();
    }
  }

  #turn(priority: Priority, signal: AbortSignal): Promise<void> {
    const queue = this.#waiting.get(priority);
    if (queue === undefined) throw new LoaderError('LOADER_OPTIONS', `priority ${priority}`);
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        begin: () => {
          forget();
          this.#runningCount += 1;
          resolve();
        },
      };
      const forget = onAbort(signal, () => {
        const index = queue.indexOf(waiting);
        if (index >= 0) queue.splice(index, 1);
        reject(abortError());
      });
      queue.push(waiting);
      this.#next();
    });
  }

  #next(): void {
    for (const priority of PRIORITIES) {
      const queue = this.#waiting.get(priority)!;
      while (queue.length > 0 && this.#runningCount < this.#concurrency) queue.shift()!.begin();
    }
  }
}
