// Services as one worker runs them: endpoints with their pools, and a balancer over them. A reload
// keeps what it does not change: an endpoint's open connections and its count of requests in
// flight go on under the new configuration.

import { readFileSync } from 'node:fs';
import type { EndpointConfig, ServiceConfig, Snapshot } from '../config/index.ts';
import type { Clock, Progress, Random, UploadBudget } from '../core/index.ts';
import { type Balancer, createEndpoints, type EndpointState } from './balance/balancer.ts';
import { createBalancer } from './balance/create-balancer.ts';
import type { Deadlines } from './upstream/deadlines.ts';
import { Http2Pool } from './upstream/http2-pool.ts';
import { UpstreamPool } from './upstream/pool.ts';

export interface EndpointRuntime {
  readonly state: EndpointState;
  readonly pool: UpstreamPool;
  /** For gRPC; without a connection until one is needed. */
  readonly http2Pool: Http2Pool;
  readonly seriesSlot: number;
  /** For the access log: `http://127.0.0.1:9001`. */
  readonly label: string;
}

type EndpointPools = Pick<EndpointRuntime, 'pool' | 'http2Pool'>;

export interface ServiceRuntime {
  readonly config: ServiceConfig;
  readonly seriesSlot: number;
  readonly balancer: Balancer;
  /** PEM of the authorities to trust; `''` for the system's. */
  readonly caPem: string;
  /** By EndpointState.index. */
  readonly endpoints: readonly EndpointRuntime[];
}

export interface ServiceDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly deadlines: Deadlines;
  readonly uploadBudget: UploadBudget;
  readonly progress: Progress;
}

export interface SeriesSlots {
  readonly services: Int32Array;
  readonly endpoints: Int32Array;
}

export class ServiceSet {
  readonly #services: ServiceRuntime[] = [];
  #named: Map<string, ServiceRuntime> | null = null;
  readonly #pools = new Map<string, EndpointPools>();

  constructor(
    snapshot: Snapshot,
    slots: SeriesSlots,
    previous: ServiceSet | null,
    deps: ServiceDeps,
  ) {
    const before = previous === null ? new Map<string, ServiceRuntime>() : previous.#byName();
    let firstEndpoint = 0;
    for (let index = 0; index < snapshot.serviceCount; index++) {
      const config = snapshot.service(index);
      const known = before.get(config.name);
      const states = createEndpoints(
        config.endpoints,
        known?.endpoints.map((endpoint) => endpoint.state) ?? [],
      );
      const first = firstEndpoint;
      const endpoints = states.map((state, place) => ({
        state,
        ...this.#poolsOf(config, state.config, previous, deps),
        seriesSlot: slots.endpoints[first + place]!,
        label: `${state.config.protocol}://${state.config.host}:${state.config.port}`,
      }));
      firstEndpoint += states.length;
      this.#services.push({
        config,
        seriesSlot: slots.services[index]!,
        balancer: createBalancer(config.balance, states, deps, known?.balancer ?? null),
        caPem: config.tls.ca === '' ? '' : readFileSync(config.tls.ca, 'utf8'),
        endpoints,
      });
    }
  }

  /** Undefined where there is none of this name. Cost: O(1). */
  named(name: string): ServiceRuntime | undefined {
    this.#named ??= this.#byName();
    return this.#named.get(name);
  }

  service(index: number): ServiceRuntime {
    return this.#services[index]!;
  }

  /** Closes the pools that `next` has not taken over, each when its last request has ended. */
  retire(next: ServiceSet | null): void {
    for (const [key, pools] of this.#pools) {
      if (next !== null && next.#pools.get(key) === pools) continue;
      pools.pool.close();
      pools.http2Pool.close();
    }
  }

  #byName(): Map<string, ServiceRuntime> {
    return new Map(this.#services.map((service) => [service.config.name, service]));
  }

  #poolsOf(
    service: ServiceConfig,
    endpoint: EndpointConfig,
    previous: ServiceSet | null,
    deps: ServiceDeps,
  ): EndpointPools {
    const key = poolKey(service, endpoint);
    const before = previous === null ? undefined : previous.#pools.get(key);
    const pools = this.#pools.get(key) ?? before ?? newPools(service, endpoint, deps);
    this.#pools.set(key, pools);
    return pools;
  }
}

function newPools(
  service: ServiceConfig,
  endpoint: EndpointConfig,
  deps: ServiceDeps,
): EndpointPools {
  return {
    pool: new UpstreamPool(endpoint, service, deps),
    http2Pool: new Http2Pool(endpoint, service, deps),
  };
}

/** What must stay the same for connections to be worth keeping: all but weight and labels. */
function poolKey(service: ServiceConfig, endpoint: EndpointConfig): string {
  const { protocol, host, port } = endpoint;
  const { name, pool, pipeline, tls } = service;
  return JSON.stringify([name, protocol, host, port, pool, pipeline, tls]);
}
