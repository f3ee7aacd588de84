// A route of the plane: which channels it serves, and the resources of its addresses that were
// asked for lately, so that a request for one of them finds everything with one look-up.

import type { PlaneRoute } from '../core/index.ts';
import { BoundedCache } from './bounded-cache.ts';
import type { Resource } from './resource.ts';

/** Addresses whose resources are kept ready. */
const RESOURCES_COUNT_MAX = 16_384;

export class ServedRoute {
  readonly prefix: string;
  readonly #channels: readonly string[];
  readonly #resources = new BoundedCache<Resource>(RESOURCES_COUNT_MAX);
  #epoch = 0;

  constructor({ prefix, channels }: PlaneRoute) {
    this.prefix = prefix;
    this.#channels = channels;
  }

  serves(channel: string): boolean {
    return this.#channels.length === 0 || this.#channels.includes(channel);
  }

  /** By path, and none of an older epoch: what channels offer may have changed. */
  resources(epoch: number): BoundedCache<Resource> {
    if (epoch !== this.#epoch) this.#resources.clear();
    this.#epoch = epoch;
    return this.#resources;
  }
}
