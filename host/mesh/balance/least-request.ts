// Least request: the better of two drawn by weight, where better is fewer requests in flight for
// its weight. It sees only this worker's requests, which is enough: workers draw independently.

import type { Random } from '../../core/index.ts';
import { type Balancer, type EndpointState, scanAvailable, type Targets } from './balancer.ts';
import { PairDraw } from './pair-draw.ts';

export class LeastRequestBalancer implements Balancer {
  readonly kind = 'least-request';
  readonly targets: Targets;
  readonly #pair: PairDraw;

  constructor(targets: Targets, random: Random) {
    this.targets = targets;
    this.#pair = new PairDraw(targets, random);
  }

  pick(_hash: number, excluded: EndpointState | null): EndpointState | null {
    const pair = this.#pair;
    pair.draw(excluded);
    if (pair.first === -1) {
      return scanAvailable(this.targets.endpoints, pair.scanStart(), excluded);
    }
    const first = pair.endpoint(pair.first);
    if (pair.second === -1) return first;
    const second = pair.endpoint(pair.second);
    // active / weight of both, multiplied out. A tie, as of idle endpoints, keeps the first, which
    // was drawn by weight.
    const firstLoad = first.active * pair.weight(pair.second);
    const secondLoad = second.active * pair.weight(pair.first);
    return secondLoad < firstLoad ? second : first;
  }
}
