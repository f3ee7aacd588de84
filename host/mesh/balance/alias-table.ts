// Vose's alias method: draws an index with a probability in proportion to its weight, in constant
// time. A cumulative table would cost a binary search for each draw.
// Source: Vose, "A linear algorithm for generating random numbers with a given distribution", 1991.

export class AliasTable {
  readonly #thresholds: Float64Array;
  readonly #aliases: Uint16Array;
  readonly #count: number;

  /** `weights`: all positive, at most 65,536 of them. Cost: O(weights). */
  constructor(weights: Float64Array) {
    const count = weights.length;
    let total = 0;
    for (const weight of weights) total += weight;
    const thresholds = weights.map((weight) => (weight / total) * count);
    const aliases = new Uint16Array(count);
    const small: number[] = [];
    const large: number[] = [];
    for (let index = 0; index < count; index++) {
      aliases[index] = index;
      (thresholds[index]! < 1 ? small : large).push(index);
    }
    while (small.length > 0 && large.length > 0) {
      const poor = small.pop()!;
      const rich = large[large.length - 1]!;
      aliases[poor] = rich;
      thresholds[rich] = thresholds[rich]! - (1 - thresholds[poor]!);
      if (thresholds[rich]! < 1) small.push(large.pop()!);
    }
    // What is left in either list is 1 but for rounding.
    for (const index of small) thresholds[index] = 1;
    for (const index of large) thresholds[index] = 1;
    this.#thresholds = thresholds;
    this.#aliases = aliases;
    this.#count = count;
  }

  /** The index that belongs to `unit`, a number in [0, 1): its whole part chooses the column and
   *  its fraction the side, so that one draw is enough. */
  at(unit: number): number {
    const scaled = unit * this.#count;
    const column = scaled | 0;
    return scaled - column < this.#thresholds[column]! ? column : this.#aliases[column]!;
  }
}
