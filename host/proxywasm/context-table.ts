// The streams of one instance by their ids. No Map: one that entries come to and go from all the
// time leaves its old tables behind, each pointing to the next; when the first of them has grown
// old, every stream that was in one of the others outlives the young generation, until the whole
// heap is collected. Here newer streams point to older ones, never the other way round.

import type { StreamContext } from './contexts.ts';

const BUCKETS_COUNT_MIN = 16;

export class ContextTable {
  /** Lists of streams, linked by `next`, at the lower bits of their ids. */
  #buckets: (StreamContext | null)[] = emptyBuckets(BUCKETS_COUNT_MIN);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): StreamContext | undefined {
    let context = this.#buckets[id & (this.#buckets.length - 1)] ?? null;
    while (context !== null && context.id !== id) context = context.next;
    return context ?? undefined;
  }

  /** Adds a stream whose id no other has. */
  add(context: StreamContext): void {
    if (this.#size === this.#buckets.length) this.#grow();
    this.#put(context);
    this.#size += 1;
  }

  /** Removes a stream. False where it is not here. */
  delete(context: StreamContext): boolean {
    const place = context.id & (this.#buckets.length - 1);
    let before: StreamContext | null = null;
    let found = this.#buckets[place] ?? null;
    while (found !== null && found !== context) {
      before = found;
      found = found.next;
    }
    if (found === null) return false;
    if (before === null) this.#buckets[place] = context.next;
    else before.next = context.next;
    context.next = null;
    this.#size -= 1;
    return true;
  }

  /** All streams that are here now. */
  all(): StreamContext[] {
    const all: StreamContext[] = [];
    for (const first of this.#buckets) {
      for (let context = first; context !== null; context = context.next) all.push(context);
    }
    return all;
  }

  #put(context: StreamContext): void {
    const place = context.id & (this.#buckets.length - 1);
    context.next = this.#buckets[place] ?? null;
    this.#buckets[place] = context;
  }

  #grow(): void {
    const all = this.all();
    this.#buckets = emptyBuckets(2 * this.#buckets.length);
    for (const context of all) this.#put(context);
  }
}

function emptyBuckets(count: number): (StreamContext | null)[] {
  return new Array<StreamContext | null>(count).fill(null);
}
