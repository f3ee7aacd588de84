// Holds replies until what they show is durable. Most wait for the newest state or the one before
// it, and they are let go a group at a time.

import type { Lsn } from './contract.ts';

/** Called once: with null when the state is durable, with an error when it never will be. */
export type DurableCallback = (error: Error | null) => void;

interface Waiter {
  readonly lsn: Lsn;
  readonly done: DurableCallback;
}

export class DurabilityGate {
  #durableLsn: Lsn;
  #waiters: Waiter[] = [];

  constructor(durableLsn: Lsn) {
    this.#durableLsn = durableLsn;
  }

  get durableLsn(): Lsn {
    return this.#durableLsn;
  }

  get waitingCount(): number {
    return this.#waiters.length;
  }

  /** Calls at once where the state is durable already. */
  wait(lsn: Lsn, done: DurableCallback): void {
    if (lsn <= this.#durableLsn) done(null);
    else this.#waiters.push({ lsn, done });
  }

  /** Lets go what waits for `lsn` or less, in the order in which it came. */
  advance(lsn: Lsn): void {
    this.#durableLsn = lsn;
    const waiters = this.#waiters;
    this.#waiters = waiters.filter((waiter) => waiter.lsn > lsn);
    for (const waiter of waiters) if (waiter.lsn <= lsn) waiter.done(null);
  }

  /** Nothing that is not durable will be. */
  fail(error: Error): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.done(error);
  }
}
