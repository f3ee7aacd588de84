// The contract of load balancing: what a balancer sees of an endpoint, and the one call that picks.
// A balancer never counts requests in flight and never decides about health: the pipeline and the
// health features write those into the endpoint's state, and every algorithm reads the same fields.

import type { BalanceKind, EndpointConfig } from '../../config/index.ts';
import type { Clock, Random } from '../../core/index.ts';

/** One endpoint as one worker sees it. It survives a reload that keeps the endpoint, so that
 *  requests in flight stay counted; `config` and `index` are then those of the newest reload. */
export interface EndpointState {
  config: EndpointConfig;
  /** Its place in the service's list. */
  index: number;
  /** Requests in flight of this worker. Written by the pipeline. */
  active: number;
  /** False: ejected or unhealthy, and not to be picked. */
  isAvailable: boolean;
  /** Moving average of the latency; 0 before the first answer. Units: ms. */
  latencyAverageMs: number;
  /** When `latencyAverageMs` was last written. Units: ms of the shared clock. */
  latencyStampMs: number;
}

export type RequestOutcome = 'answered' | 'failed';

export interface Balancer {
  readonly kind: BalanceKind;
  readonly targets: Targets;
  /** Picks the endpoint of a request, or null when none is available. `hash` is any 32-bit key
   *  hash and decides only in consistent hashing. `excluded`, which a retry has just tried, is
   *  picked only when no other is available. Cost: O(1) while a fair share of the endpoints is
   *  available, at worst O(endpoints); no allocation. */
  pick(hash: number, excluded: EndpointState | null): EndpointState | null;
  /** Tells the latency of a request that ended; only latency-aware algorithms have it. */
  onDone?(endpoint: EndpointState, latencyMs: number, nowMs: number, outcome: RequestOutcome): void;
}

export interface BalancerDeps {
  readonly random: Random;
  readonly clock: Clock;
}

/** The endpoints that may be picked and their weights, frozen when the balancer was made. */
export interface Targets {
  readonly endpoints: readonly EndpointState[];
  readonly weights: Float64Array;
  readonly weightTotal: number;
}

/** Makes the states of a service's endpoints. An endpoint that stood in `previous`, known by
 *  protocol and address, keeps its state object. */
export function createEndpoints(
  configs: readonly EndpointConfig[],
  previous: readonly EndpointState[],
): EndpointState[] {
  const kept = new Map<string, EndpointState[]>();
  for (const state of previous) {
    const key = endpointKey(state.config);
    const same = kept.get(key);
    if (same === undefined) kept.set(key, [state]);
    else same.push(state);
  }
  return configs.map((config, index) => {
    const state = kept.get(endpointKey(config))?.shift();
    if (state === undefined) return newState(config, index);
    state.config = config;
    state.index = index;
    return state;
  });
}

/** What makes two endpoints the same one. Shape: `http://127.0.0.1:9001`. */
export function endpointKey(config: EndpointConfig): string {
  return `${config.protocol}://${config.host}:${config.port}`;
}

/** Selects what may be picked: weight 0 is never, unless all weights are 0, which means equal. */
export function selectTargets(all: readonly EndpointState[]): Targets {
  const weighted = all.filter((endpoint) => endpoint.config.weight > 0);
  const endpoints = weighted.length > 0 ? weighted : [...all];
  const weights = new Float64Array(endpoints.length);
  let weightTotal = 0;
  for (let index = 0; index < endpoints.length; index++) {
    weights[index] = weighted.length > 0 ? endpoints[index]!.config.weight : 1;
    weightTotal += weights[index]!;
  }
  return { endpoints, weights, weightTotal };
}

/** Whether two selections are the same objects with the same weights, in the same order. */
export function areSameTargets(left: Targets, right: Targets): boolean {
  if (left.endpoints.length !== right.endpoints.length) return false;
  for (let index = 0; index < left.endpoints.length; index++) {
    if (left.endpoints[index] !== right.endpoints[index]) return false;
    if (left.weights[index] !== right.weights[index]) return false;
  }
  return true;
}

/** The last resort of every algorithm: the first available endpoint from `start` on, `excluded`
 *  only when it is the only one. Cost: O(endpoints). */
export function scanAvailable(
  endpoints: readonly EndpointState[],
  start: number,
  excluded: EndpointState | null,
): EndpointState | null {
  const count = endpoints.length;
  for (let step = 0, index = start; step < count; step++, index++) {
    if (index >= count) index -= count;
    const endpoint = endpoints[index]!;
    if (endpoint.isAvailable && endpoint !== excluded) return endpoint;
  }
  if (excluded?.isAvailable && endpoints.includes(excluded)) return excluded;
  return null;
}

function newState(config: EndpointConfig, index: number): EndpointState {
  return {
    config,
    index,
    active: 0,
    isAvailable: true,
    latencyAverageMs: 0,
    latencyStampMs: 0,
  };
}
