// One published configuration as one worker runs it. Exchanges keep the generation they began with
// until they end, so a reload changes nothing for them; when the last has left, the generation says
// so, and what only it needed can be given to others.

import type { Snapshot } from '../config/index.ts';
import { ClientAddress } from './client-address.ts';
import { ForwardHeaders } from './forward-headers.ts';
import { type RouteDeps, RouteSet } from './routes.ts';
import { type SeriesSlots, type ServiceDeps, ServiceSet } from './services.ts';
import type { TraceparentSource } from './trace-context.ts';

export interface GenerationSlots extends SeriesSlots {
  readonly routes: Int32Array;
}

export interface GenerationDeps extends ServiceDeps, RouteDeps {
  readonly traceparents: TraceparentSource;
}

export class Generation {
  readonly snapshot: Snapshot;
  readonly services: ServiceSet;
  readonly routes: RouteSet;
  readonly clientAddress: ClientAddress;
  readonly forwardHeaders: ForwardHeaders;
  readonly #onReleased: (generation: number) => void;
  #activeCount = 0;
  #successor: Generation | null = null;

  constructor(
    snapshot: Snapshot,
    slots: GenerationSlots,
    previous: Generation | null,
    deps: GenerationDeps,
    onReleased: (generation: number) => void,
  ) {
    this.snapshot = snapshot;
    this.clientAddress = new ClientAddress(snapshot.trustedProxies);
    this.forwardHeaders = new ForwardHeaders(this.clientAddress, deps.traceparents);
    this.services = new ServiceSet(snapshot, slots, previous?.services ?? null, deps);
    this.routes = new RouteSet(snapshot, slots.routes, this.services, this.clientAddress, deps);
    this.#onReleased = onReleased;
  }

  /** An exchange goes on beyond the call that began it; leave() follows exactly once. */
  enter(): void {
    this.#activeCount += 1;
  }

  leave(): void {
    this.#activeCount -= 1;
    if (this.#successor !== null && this.#activeCount === 0) {
      this.#onReleased(this.snapshot.generation);
    }
  }

  /** No exchange begins here any more. */
  retire(successor: Generation): void {
    this.#successor = successor;
    this.services.retire(successor.services);
    if (this.#activeCount === 0) this.#onReleased(this.snapshot.generation);
  }

  /** The process is ending: connections close as their last request ends. */
  close(): void {
    this.services.retire(null);
  }
}
