// How the mesh hands a matched request to a plane that answers it: a handler for each route, so
// that the two know nothing of each other.

import type { ExchangeHandler } from './exchange.ts';

/** What a plane is told of a route. */
export interface PlaneRoute {
  /** What stands before everything that the route matches: `/r` of `/r/*`. */
  readonly prefix: string;
  /** Channels that the route serves; empty for all. */
  readonly channels: readonly string[];
}

export interface RoutePlane {
  /** The handler of a route's exchanges. Their path is normalised. */
  handler(route: PlaneRoute): ExchangeHandler;
}
