// Maglev: a table of a prime number of places that endpoints fill in turns, each in its own order,
// as often as its weight says. Shares are exact to one place in a thousand, better than a ring's,
// and a pick is one load; an endpoint that leaves moves a few keys of the others too.
// Source: Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", 2016.

import { hash32, mix32 } from '../hash32.ts';
import {
  type Balancer,
  type EndpointState,
  endpointKey,
  scanAvailable,
  type Targets,
} from './balancer.ts';

/** Prime; the paper's own choice, at least 100 places each for 655 endpoints. 128 KiB. */
const TABLE_SIZE_SMALL = 65_537;
/** Prime; for more endpoints than that. 1.3 MiB. */
const TABLE_SIZE_LARGE = 655_373;
const SMALL_ENDPOINTS_MAX = 655;
/** Other places tried for a key whose endpoint is away. Each is drawn from the key, so that the
 *  keys of one endpoint that is away spread over all others by weight. */
const PROBES_MAX = 16;
const EMPTY = 0xffff;

export class MaglevBalancer implements Balancer {
  readonly kind = 'maglev';
  readonly targets: Targets;
  readonly #table: Uint16Array;

  constructor(targets: Targets) {
    this.targets = targets;
    this.#table = maglevTable(targets);
  }

  pick(hash: number, excluded: EndpointState | null): EndpointState | null {
    const endpoints = this.targets.endpoints;
    const table = this.#table;
    let key = mix32(hash ^ 0x5bd1e995);
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      const endpoint = endpoints[table[key % table.length]!]!;
      if (endpoint.isAvailable && endpoint !== excluded) return endpoint;
      key = mix32(key + 0x9e3779b9);
    }
    return scanAvailable(endpoints, key % endpoints.length, excluded);
  }
}

/** Fills the table. Endpoints take turns in the order of their names, not of the file. */
function maglevTable(targets: Targets): Uint16Array {
  const count = targets.endpoints.length;
  const size = count <= SMALL_ENDPOINTS_MAX ? TABLE_SIZE_SMALL : TABLE_SIZE_LARGE;
  const names = targets.endpoints.map((endpoint) => endpointKey(endpoint.config));
  const order = names.map((_, index) => index);
  order.sort((left, right) => (names[left]! < names[right]! ? -1 : 1));
  const places = Uint32Array.from(names, (name) => hash32(name) % size);
  const skips = Uint32Array.from(names, (name) => {
    return (mix32(hash32(name) ^ 0x9e3779b9) % (size - 1)) + 1;
  });
  const weightMax = targets.weights.reduce((most, weight) => Math.max(most, weight), 0);
  const taken = new Float64Array(count);
  const table = new Uint16Array(size).fill(EMPTY);
  let filled = 0;
  // In round r an endpoint may have taken up to r * weight / weightMax places: the heaviest takes
  // one in each round, so the table fills in at most `size` rounds.
  for (let round = 1; filled < size; round++) {
    for (const index of order) {
      if (taken[index]! * weightMax >= round * targets.weights[index]!) continue;
      let place = places[index]!;
      while (table[place] !== EMPTY) place = (place + skips[index]!) % size;
      table[place] = index;
      places[index] = (place + skips[index]!) % size;
      taken[index] = taken[index]! + 1;
      if (++filled === size) break;
    }
  }
  return table;
}
