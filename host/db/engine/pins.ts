// Which LSNs are held: a small sorted list with counts. Nearly always the newest one is pinned and
// unpinned again, which touches the end of the list only.

import type { Lsn } from '../contract.ts';

export class Pins {
  readonly #lsns: Lsn[] = [];
  readonly #counts: number[] = [];

  /** The oldest pinned LSN; Infinity where nothing is pinned. */
  get oldest(): Lsn {
    return this.#lsns[0] ?? Number.POSITIVE_INFINITY;
  }

  add(lsn: Lsn): void {
    let index = this.#lsns.length - 1;
    if (index < 0 || this.#lsns[index]! < lsn) {
      this.#lsns.push(lsn);
      this.#counts.push(1);
      return;
    }
    while (index >= 0 && this.#lsns[index]! > lsn) index--;
    if (index >= 0 && this.#lsns[index] === lsn) {
      this.#counts[index]!++;
      return;
    }
    this.#lsns.splice(index + 1, 0, lsn);
    this.#counts.splice(index + 1, 0, 1);
  }

  /** True where this was the last pin of the LSN. */
  remove(lsn: Lsn): boolean {
    const index = this.#lsns.lastIndexOf(lsn);
    if (index < 0) throw new RangeError(`LSN ${lsn} is not pinned`);
    if (--this.#counts[index]! > 0) return false;
    if (index === this.#lsns.length - 1) {
      this.#lsns.pop();
      this.#counts.pop();
    } else {
      this.#lsns.splice(index, 1);
      this.#counts.splice(index, 1);
    }
    return true;
  }

  /** Whether an LSN in [from, to) is pinned. Cost: O(distinct pins), from the newest. */
  hasIn(from: Lsn, to: Lsn): boolean {
    for (let index = this.#lsns.length - 1; index >= 0; index--) {
      const lsn = this.#lsns[index]!;
      if (lsn < from) return false;
      if (lsn < to) return true;
    }
    return false;
  }
}
