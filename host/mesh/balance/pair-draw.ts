// Draws the two endpoints of a power-of-two-choices pick. Choosing the better of two random ones
// avoids the herd that choosing the best of all makes when many workers see the same old numbers.
// Source: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001.

import type { Random } from '../../core/index.ts';
import { AliasTable } from './alias-table.ts';
import type { EndpointState, Targets } from './balancer.ts';

/** Draws of one side before the other side stands alone. */
const DRAWS_MAX = 8;

export class PairDraw {
  readonly #endpoints: readonly EndpointState[];
  readonly #weights: Float64Array;
  readonly #random: Random;
  readonly #table: AliasTable;
  /** The drawn places; -1 for none. Fields, because a pair would be an allocation. */
  first = -1;
  second = -1;

  constructor(targets: Targets, random: Random) {
    this.#endpoints = targets.endpoints;
    this.#weights = targets.weights;
    this.#random = random;
    this.#table = new AliasTable(targets.weights);
  }

  /** Draws by weight; both are available and differ. `second` stays -1 where only one was found;
   *  `first` is -1 where nothing was, and the caller must scan. */
  draw(excluded: EndpointState | null): void {
    this.first = this.#drawOne(excluded, -1);
    this.second = this.first === -1 ? -1 : this.#drawOne(excluded, this.first);
  }

  endpoint(place: number): EndpointState {
    return this.#endpoints[place]!;
  }

  weight(place: number): number {
    return this.#weights[place]!;
  }

  /** A place from which a scan begins, so that not all workers begin with the first. */
  scanStart(): number {
    return (this.#random.unit() * this.#endpoints.length) | 0;
  }

  #drawOne(excluded: EndpointState | null, taken: number): number {
    const count = this.#endpoints.length;
    for (let draw = 0; draw < DRAWS_MAX; draw++) {
      let place = this.#table.at(this.#random.unit());
      // Two endpoints: the second can only be the other one.
      if (place === taken) {
        if (count !== 2) continue;
        place = 1 - taken;
      }
      const endpoint = this.#endpoints[place]!;
      if (endpoint.isAvailable && endpoint !== excluded) return place;
    }
    return -1;
  }
}
