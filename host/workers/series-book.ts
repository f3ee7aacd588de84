// Which series slot each route, service and endpoint counts in. Slots follow names over reloads; a
// slot whose name is gone is given away only when no worker has an exchange of the generation that
// knew it in flight.

import type { Snapshot } from '../config/index.ts';
import { SeriesRegistry } from '../kernels/index.ts';
import { endpointSeriesName } from '../telemetry/index.ts';
import type { PublishedSlots } from './messages.ts';

export class SeriesBook {
  readonly routes: SeriesRegistry;
  readonly services: SeriesRegistry;
  readonly endpoints: SeriesRegistry;
  #routeIndexes: ReadonlyMap<string, number> = new Map();
  /** Per generation that was superseded: the workers that still have exchanges of it. */
  readonly #held = new Map<number, Set<number>>();

  constructor(memory: WebAssembly.Memory) {
    this.routes = new SeriesRegistry('route', memory);
    this.services = new SeriesRegistry('service', memory);
    this.endpoints = new SeriesRegistry('endpoint', memory);
  }

  /** Finds the slots of a configuration that is about to be published. */
  assign(snapshot: Snapshot): PublishedSlots {
    const { generation } = snapshot;
    const routes: string[] = [];
    for (let index = 0; index < snapshot.routeCount; index++)
      routes.push(snapshot.routeName(index));
    this.#routeIndexes = new Map(routes.map((name, index) => [name, index]));
    const services: string[] = [];
    const endpoints: string[] = [];
    for (let index = 0; index < snapshot.serviceCount; index++) {
      const service = snapshot.service(index);
      services.push(service.name);
      for (const endpoint of service.endpoints) {
        endpoints.push(endpointSeriesName(service.name, endpoint.authority));
      }
    }
    return {
      routes: shared(this.routes.assign(generation, routes)),
      services: shared(this.services.assign(generation, services)),
      endpoints: shared(this.endpoints.assign(generation, endpoints)),
    };
  }

  /** A route's place in the newest configuration. */
  routeIndex(name: string): number | undefined {
    return this.#routeIndexes.get(name);
  }

  /** `generation` was superseded while `workers` served it. */
  superseded(generation: number, workers: Iterable<number>): void {
    this.#held.set(generation, new Set(workers));
    this.#retire();
  }

  /** A worker has no exchange of a generation in flight any more. */
  released(workerIndex: number, generation: number): void {
    this.#held.get(generation)?.delete(workerIndex);
    this.#retire();
  }

  /** A worker is gone, and its exchanges with it. */
  workerGone(workerIndex: number): void {
    for (const workers of this.#held.values()) workers.delete(workerIndex);
    this.#retire();
  }

  /** What generation N dropped was last counted by N - 1 and those before it. */
  #retire(): void {
    for (const [generation, workers] of this.#held) {
      if (workers.size > 0) return;
      this.#held.delete(generation);
      for (const registry of [this.routes, this.services, this.endpoints]) {
        registry.retire(generation + 1);
      }
    }
  }
}

function shared(slots: Int32Array): Int32Array {
  const copy = new Int32Array(new SharedArrayBuffer(slots.byteLength));
  copy.set(slots);
  return copy;
}
