// The requests of one pool that wait for a connection, first come, first served, and how many
// connections they could use. It refuses to grow beyond its limit.

import type { Call } from './call.ts';

export class WaitingQueue {
  readonly #calls: Call[] = [];
  readonly #countMax: number;
  #exclusiveCount = 0;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  get count(): number {
    return this.#calls.length;
  }

  get isFull(): boolean {
    return this.#calls.length >= this.#countMax;
  }

  /** The next to be served. */
  get first(): Call | undefined {
    return this.#calls[0];
  }

  /** How many connections would serve them all at once. */
  connectionsWanted(pipeline: number): number {
    const shareableCount = this.#calls.length - this.#exclusiveCount;
    return this.#exclusiveCount + Math.ceil(shareableCount / pipeline);
  }

  push(call: Call): void {
    this.#calls.push(call);
    if (!call.isShareable) this.#exclusiveCount += 1;
  }

  /** Puts a call before all others; it has waited before. */
  pushFront(call: Call): void {
    this.#calls.unshift(call);
    if (!call.isShareable) this.#exclusiveCount += 1;
  }

  shift(): Call | undefined {
    const call = this.#calls.shift();
    if (call !== undefined && !call.isShareable) this.#exclusiveCount -= 1;
    return call;
  }

  remove(call: Call): void {
    const index = this.#calls.indexOf(call);
    if (index < 0) return;
    this.#calls.splice(index, 1);
    if (!call.isShareable) this.#exclusiveCount -= 1;
  }

  /** Takes out those whose time has come. Units: ms of the clock. */
  takeOverdue(nowMs: number): Call[] {
    const overdue = this.#calls.filter((call) => call.dueMs <= nowMs);
    for (const call of overdue) this.remove(call);
    return overdue;
  }

  /** The earliest time at which one of them gives up; Infinity when there is none. */
  nextDueMs(): number {
    let nextMs = Infinity;
    for (const call of this.#calls) nextMs = Math.min(nextMs, call.dueMs);
    return nextMs;
  }
}
