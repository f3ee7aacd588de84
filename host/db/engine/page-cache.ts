// Pages of the page source in memory, for all connections of a database: the source unpacks and
// checks a page each time it is asked, which takes ten times as long as a copy. Pages leave by the
// clock rule: the first that was not asked for since the hand last came by.

import { DB_PAGE_SIZE_BYTES } from '../contract.ts';

export class PageCache {
  readonly #slots = new Map<number, number>();
  readonly #pageNumbers: Uint32Array;
  readonly #wasAsked: Uint8Array;
  /** Made when they are first used. */
  readonly #pages: Uint8Array[] = [];
  readonly #free: number[] = [];
  #hand = 0;

  constructor(sizeBytesMax: number) {
    const count = Math.floor(sizeBytesMax / DB_PAGE_SIZE_BYTES);
    this.#pageNumbers = new Uint32Array(count);
    this.#wasAsked = new Uint8Array(count);
  }

  /** Copies a page. False: it is not here. */
  read(pageNumber: number, into: Uint8Array): boolean {
    const slot = this.#slots.get(pageNumber);
    if (slot === undefined) return false;
    this.#wasAsked[slot] = 1;
    into.set(this.#pages[slot]!);
    return true;
  }

  /** Keeps a copy of a page; whatever was here of it is gone. */
  keep(pageNumber: number, bytes: Uint8Array): void {
    const slot = this.#slots.get(pageNumber) ?? this.#take(pageNumber);
    if (slot < this.#pages.length) this.#pages[slot]!.set(bytes);
  }

  forget(pageNumber: number): void {
    const slot = this.#slots.get(pageNumber);
    if (slot === undefined) return;
    this.#slots.delete(pageNumber);
    this.#free.push(slot);
  }

  clear(): void {
    for (const pageNumber of [...this.#slots.keys()]) this.forget(pageNumber);
  }

  /** A slot for a page; one that is not there where the cache has none. */
  #take(pageNumber: number): number {
    const count = this.#pageNumbers.length;
    if (count === 0) return 0;
    let slot = this.#free.pop();
    if (slot === undefined) {
      if (this.#pages.length < count) {
        slot = this.#pages.length;
        this.#pages.push(new Uint8Array(DB_PAGE_SIZE_BYTES));
      } else slot = this.#evict();
    }
    this.#pageNumbers[slot] = pageNumber;
    this.#wasAsked[slot] = 0;
    this.#slots.set(pageNumber, slot);
    return slot;
  }

  #evict(): number {
    const count = this.#pageNumbers.length;
    for (;;) {
      const slot = this.#hand;
      this.#hand = (slot + 1) % count;
      if (this.#wasAsked[slot] === 0) {
        this.#slots.delete(this.#pageNumbers[slot]!);
        return slot;
      }
      this.#wasAsked[slot] = 0;
    }
  }
}
