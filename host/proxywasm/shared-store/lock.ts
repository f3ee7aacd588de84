// A lock in shared memory that knows who holds it, so that what a dead thread held can be taken
// from it. Sections under it last microseconds; a waiter spins first, then sleeps in short bounded
// turns, and gives up rather than hold up its worker.
//
//   the word   0 for free, else the owner's number; the top bit but one: somebody waits

import { HEAD_LOCK, HEAD_TIMEOUTS, HEAD_WAITS } from './layout.ts';

const WAITERS_BIT = 0x4000_0000;
const SPINS_MAX = 200;
const TURN_MS = 2;
/** Much longer than a section takes, also when its thread loses its core in it: 200 ms. */
const TURNS_MAX = 100;

export class StoreLock {
  readonly #head: Int32Array;
  readonly #owner: number;

  /** `owner`: from 1 on, another for each thread. */
  constructor(head: Int32Array, owner: number) {
    this.#head = head;
    this.#owner = owner;
  }

  /** Takes it. False when it was not to be had in time. Cost: 50 ns when it is free. */
  take(): boolean {
    const head = this.#head;
    if (Atomics.compareExchange(head, HEAD_LOCK, 0, this.#owner) === 0) return true;
    for (let spin = 0; spin < SPINS_MAX; spin++) {
      if (Atomics.load(head, HEAD_LOCK) !== 0) continue;
      if (Atomics.compareExchange(head, HEAD_LOCK, 0, this.#owner) === 0) return true;
    }
    Atomics.add(head, HEAD_WAITS, 1);
    for (let turn = 0; turn < TURNS_MAX; turn++) {
      const seen = Atomics.load(head, HEAD_LOCK);
      if (seen === 0) {
        // Others may sleep too: whoever has slept hands the mark on.
        const mine = this.#owner | WAITERS_BIT;
        if (Atomics.compareExchange(head, HEAD_LOCK, 0, mine) === 0) return true;
        continue;
      }
      const marked = seen | WAITERS_BIT;
      if (seen !== marked && Atomics.compareExchange(head, HEAD_LOCK, seen, marked) !== seen) {
        continue;
      }
      Atomics.wait(head, HEAD_LOCK, marked, TURN_MS);
    }
    Atomics.add(head, HEAD_TIMEOUTS, 1);
    return false;
  }

  release(): void {
    const before = Atomics.exchange(this.#head, HEAD_LOCK, 0);
    if ((before & WAITERS_BIT) !== 0) Atomics.notify(this.#head, HEAD_LOCK, 1);
  }

  /** Takes it from an owner that is dead. False where that one does not hold it. */
  takeFrom(owner: number): boolean {
    for (;;) {
      const seen = Atomics.load(this.#head, HEAD_LOCK);
      if ((seen & ~WAITERS_BIT) !== owner) return false;
      const mine = this.#owner | WAITERS_BIT;
      if (Atomics.compareExchange(this.#head, HEAD_LOCK, seen, mine) === seen) return true;
    }
  }
}
