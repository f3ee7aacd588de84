// Weighted random. Each pick is independent, so workers need not agree on anything; over few
// requests it spreads worse than round-robin.

import type { Random } from '../../core/index.ts';
import { AliasTable } from './alias-table.ts';
import { type Balancer, type EndpointState, scanAvailable, type Targets } from './balancer.ts';

/** Draws before the rest is scanned: with half of the endpoints away, 1 request in 256 scans. */
const DRAWS_MAX = 8;

export class RandomBalancer implements Balancer {
  readonly kind = 'random';
  readonly targets: Targets;
  readonly #table: AliasTable;
  readonly #random: Random;

  constructor(targets: Targets, random: Random) {
    this.targets = targets;
    this.#table = new AliasTable(targets.weights);
    this.#random = random;
  }

  pick(_hash: number, excluded: EndpointState | null): EndpointState | null {
    const endpoints = this.targets.endpoints;
    for (let draw = 0; draw < DRAWS_MAX; draw++) {
      const endpoint = endpoints[this.#table.at(this.#random.unit())]!;
      if (endpoint.isAvailable && endpoint !== excluded) return endpoint;
    }
    return scanAvailable(endpoints, (this.#random.unit() * endpoints.length) | 0, excluded);
  }
}
