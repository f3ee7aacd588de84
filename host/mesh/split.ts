// The weighted split of a route over services. Each request is drawn independently: an exact order
// would have to be shared by all workers, and a canary of 1 % needs no more than the law of large
// numbers.

import type { Random } from '../core/index.ts';

export interface SplitTarget {
  /** Index of the service in the configuration. */
  readonly service: number;
  readonly weight: number;
}

export class ServiceSplit {
  readonly #services: readonly number[];
  /** Upper bound of each service's part of [0, 1). */
  readonly #bounds: Float64Array;
  readonly #random: Random;

  /** `targets`: at least one. Weight 0 takes none, unless all are 0, which means equal. */
  constructor(targets: readonly SplitTarget[], random: Random) {
    const weighted = targets.filter((target) => target.weight > 0);
    const used = weighted.length > 0 ? weighted : targets;
    const weights = used.map((target) => (weighted.length > 0 ? target.weight : 1));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    let sum = 0;
    this.#services = used.map((target) => target.service);
    this.#bounds = Float64Array.from(weights, (weight) => {
      sum += weight;
      return sum / total;
    });
    this.#random = random;
  }

  /** The service of the next request. Cost: O(services), no draw where there is one. */
  pick(): number {
    const last = this.#services.length - 1;
    if (last === 0) return this.#services[0]!;
    const unit = this.#random.unit();
    let index = 0;
    while (index < last && unit >= this.#bounds[index]!) index++;
    return this.#services[index]!;
  }
}
