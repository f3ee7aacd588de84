// Ring hash (ketama): each endpoint owns points on a ring of 2^32 in proportion to its weight, and
// a key belongs to the first point at or after its hash. An endpoint that leaves gives up only its
// own arcs. The points of an endpoint depend on itself alone, not on the others nor on their order
// in the file, so that every worker and every reload builds the same ring.
// Source: https://www.metabrew.com/article/libketama-consistent-hashing-algo-memcached-clients

import { hash32, mix32 } from '../hash32.ts';
import {
  type Balancer,
  type EndpointState,
  endpointKey,
  scanAvailable,
  type Targets,
} from './balancer.ts';

/** Points for a weight of 1; ketama's number: shares differ by about 1/sqrt(160), 8 %. */
const POINTS_PER_WEIGHT = 160;
/** Points of a whole ring (2.5 MiB with its index). Above it, all weights are halved together until
 *  they fit; an endpoint keeps at least one point. */
const RING_POINTS_MAX = 262_144;
/** Points looked at for another endpoint before the rest is scanned. */
const WALK_MAX = 512;
/** More than there can be endpoints in a service (ENDPOINTS_COUNT_MAX). */
const RANK_SPAN = 65_536;

export class RingHashBalancer implements Balancer {
  readonly kind = 'ring-hash';
  readonly targets: Targets;
  /** Point hashes in rising order, and whose each is. */
  readonly #hashes: Uint32Array;
  readonly #owners: Uint16Array;
  /** `#firsts[hash >>> #shift]`: the first point that is not before that part of the ring. */
  readonly #firsts: Uint32Array;
  readonly #shift: number;

  constructor(targets: Targets) {
    const order = nameOrder(targets);
    const points = ringPoints(targets, order);
    const count = points.length;
    this.targets = targets;
    this.#hashes = new Uint32Array(count);
    this.#owners = new Uint16Array(count);
    for (let index = 0; index < count; index++) {
      this.#hashes[index] = Math.floor(points[index]! / RANK_SPAN);
      this.#owners[index] = order[points[index]! % RANK_SPAN]!;
    }
    const bits = Math.max(1, Math.ceil(Math.log2(count)));
    this.#shift = 32 - bits;
    this.#firsts = new Uint32Array(2 ** bits);
    for (let part = 0, index = 0; part < this.#firsts.length; part++) {
      const start = part * 2 ** this.#shift;
      while (index < count && this.#hashes[index]! < start) index++;
      this.#firsts[part] = index;
    }
  }

  pick(hash: number, excluded: EndpointState | null): EndpointState | null {
    const endpoints = this.targets.endpoints;
    const hashes = this.#hashes;
    // Keys are mixed once more: a caller's hash may be poor, and must not meet a point's own.
    const key = mix32(hash ^ 0x5bd1e995);
    let index = this.#firsts[key >>> this.#shift]!;
    while (index < hashes.length && hashes[index]! < key) index++;
    for (let step = 0; step < WALK_MAX; step++, index++) {
      if (index >= hashes.length) index = 0;
      const endpoint = endpoints[this.#owners[index]!]!;
      if (endpoint.isAvailable && endpoint !== excluded) return endpoint;
    }
    return scanAvailable(endpoints, key % endpoints.length, excluded);
  }
}

/** Endpoints in the order of their names, which the file's order does not change. */
function nameOrder(targets: Targets): number[] {
  const names = targets.endpoints.map((endpoint) => endpointKey(endpoint.config));
  const order = names.map((_, index) => index);
  return order.sort((left, right) => (names[left]! < names[right]! ? -1 : 1));
}

/** All points in rising order, each as hash * RANK_SPAN + the owner's place in `order`: numbers
 *  below 2^48 sort ten times faster than objects, and equal hashes are settled by name. */
function ringPoints(targets: Targets, order: readonly number[]): Float64Array {
  let factor = POINTS_PER_WEIGHT;
  while (targets.weightTotal * factor > RING_POINTS_MAX) factor /= 2;
  const counts = Array.from(targets.weights, (weight) => Math.max(1, Math.floor(weight * factor)));
  const points = new Float64Array(counts.reduce((sum, count) => sum + count, 0));
  let filled = 0;
  for (let rank = 0; rank < order.length; rank++) {
    const owner = order[rank]!;
    const seed = hash32(endpointKey(targets.endpoints[owner]!.config));
    for (let replica = 0; replica < counts[owner]!; replica++) {
      points[filled++] = replicaHash(seed, replica) * RANK_SPAN + rank;
    }
  }
  return points.sort();
}

function replicaHash(seed: number, replica: number): number {
  return mix32(seed ^ mix32(Math.imul(replica + 1, 0x9e3779b1)));
}
