// Chooses the algorithm that a service names. A service of one endpoint needs none, and no
// algorithm pays for that case.

import type { BalanceKind } from '../../config/index.ts';
import {
  areSameTargets,
  type Balancer,
  type BalancerDeps,
  type EndpointState,
  selectTargets,
  type Targets,
} from './balancer.ts';
import { LeastRequestBalancer } from './least-request.ts';
import { MaglevBalancer } from './maglev.ts';
import { PeakEwmaBalancer } from './peak-ewma.ts';
import { RandomBalancer } from './random.ts';
import { RingHashBalancer } from './ring-hash.ts';
import { RoundRobinBalancer } from './round-robin.ts';

/** Makes a service's balancer. `previous`, the balancer before a reload, is returned itself if
 *  nothing that it was made from has changed: tables are dear, and round-robin keeps its place.
 *  Cost: O(endpoints); ring-hash and maglev 1 to 10 ms, with
 *  1,000 endpoints about 50 ms. */
export function createBalancer(
  kind: BalanceKind,
  endpoints: readonly EndpointState[],
  deps: BalancerDeps,
  previous: Balancer | null = null,
): Balancer {
  const targets = selectTargets(endpoints);
  if (previous?.kind === kind && areSameTargets(previous.targets, targets)) return previous;
  if (targets.endpoints.length <= 1) return new SingleBalancer(kind, targets);
  switch (kind) {
    case 'round-robin':
      return new RoundRobinBalancer(targets, deps.random);
    case 'random':
      return new RandomBalancer(targets, deps.random);
    case 'least-request':
      return new LeastRequestBalancer(targets, deps.random);
    case 'peak-ewma':
      return new PeakEwmaBalancer(targets, deps.random, deps.clock);
    case 'ring-hash':
      return new RingHashBalancer(targets);
    case 'maglev':
      return new MaglevBalancer(targets);
  }
}

/** One endpoint, or none. */
class SingleBalancer implements Balancer {
  readonly kind: BalanceKind;
  readonly targets: Targets;
  readonly #endpoint: EndpointState | null;

  constructor(kind: BalanceKind, targets: Targets) {
    this.kind = kind;
    this.targets = targets;
    this.#endpoint = targets.endpoints[0] ?? null;
  }

  pick(_hash: number, _excluded: EndpointState | null): EndpointState | null {
    return this.#endpoint?.isAvailable ? this.#endpoint : null;
  }
}
