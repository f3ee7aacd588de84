// The oracle of the stats kernel: the same counting with plain maps and exact durations, slow and
// obvious. It knows nothing of memory.

import type { PeerStats, RouteStats } from '../../host/kernels/index.ts';

export interface StatsModel {
  record(
    routeSlot: number,
    endpointSlot: number,
    serviceSlot: number,
    status: number,
    reason: number,
    durationUs: number,
    bytesIn: number,
    bytesOut: number,
  ): void;
  begin(routeSlot: number, endpointSlot: number, serviceSlot: number): void;
  finish(routeSlot: number, endpointSlot: number, serviceSlot: number): void;
  refuse(reason: number): void;
  route(slot: number): RouteStats;
  endpoint(slot: number): PeerStats;
  service(slot: number): PeerStats;
  refusals(reason: number): number;
  /** [lowest, highest, count] of each range of durations that holds any. */
  histogram(slot: number): [number, number, number][];
}

const SLOTS = { route: 16_384, endpoint: 16_384, service: 4_096 };
const LONGEST_US = 2 ** 32 - 1;
const CONNECT_REASONS = [101, 104, 105, 201];

type Mutable<T> = {
  -readonly [Key in keyof T]: T[Key] extends readonly number[] ? number[] : number;
};

export class StatsOracle implements StatsModel {
  readonly #routes = new Map<number, Mutable<RouteStats>>();
  readonly #durations = new Map<number, number[]>();
  readonly #peers = new Map<string, Mutable<PeerStats>>();
  readonly #reasons = new Map<number, number>();

  record(
    routeSlot: number,
    endpointSlot: number,
    serviceSlot: number,
    status: number,
    reason: number,
    durationUs: number,
    bytesIn: number,
    bytesOut: number,
  ): void {
    const us = whole(durationUs, LONGEST_US);
    const sizes = [whole(bytesIn, 2 ** 53 - 1), whole(bytesOut, 2 ** 53 - 1)] as const;
    if (reason !== 0) this.refuse(reason);
    if (isSlot(routeSlot, SLOTS.route)) {
      const route = this.#routeAt(routeSlot);
      const statusClass = status >= 100 && status < 600 ? Math.floor(status / 100) : 5;
      route.requestsByClass[statusClass - 1]! += 1;
      route.durationSumUs += us;
      route.bytesIn += sizes[0];
      route.bytesOut += sizes[1];
      const family = Math.floor(reason / 100);
      if (reason !== 0) route.refusedByFamily[(family >= 1 && family <= 7 ? family : 5) - 1]! += 1;
      const durations = this.#durations.get(routeSlot) ?? [];
      this.#durations.set(routeSlot, durations);
      durations.push(us);
    }
    for (const [kind, slot] of [
      ['endpoint', endpointSlot],
      ['service', serviceSlot],
    ] as const) {
      if (!isSlot(slot, SLOTS[kind])) continue;
      const peer = this.#peerAt(`${kind}${slot}`);
      peer.requests += 1;
      if (status >= 500 || (reason >= 100 && reason < 300) || reason === 702) peer.errors += 1;
      peer.durationSumUs += us;
      peer.bytesIn += sizes[0];
      peer.bytesOut += sizes[1];
      if (reason !== 0) peer.refused += 1;
      if (CONNECT_REASONS.includes(reason)) peer.connectFailures += 1;
    }
  }

  begin(routeSlot: number, endpointSlot: number, serviceSlot: number): void {
    this.#move(routeSlot, endpointSlot, serviceSlot, 1);
  }

  finish(routeSlot: number, endpointSlot: number, serviceSlot: number): void {
    this.#move(routeSlot, endpointSlot, serviceSlot, -1);
  }

  refuse(reason: number): void {
    const key = reason >= 0 && reason < 1024 ? reason : 0;
    this.#reasons.set(key, this.refusals(key) + 1);
  }

  route(slot: number): RouteStats {
    return this.#routes.get(slot) ?? emptyRoute();
  }

  endpoint(slot: number): PeerStats {
    return this.#peers.get(`endpoint${slot}`) ?? emptyPeer();
  }

  service(slot: number): PeerStats {
    return this.#peers.get(`service${slot}`) ?? emptyPeer();
  }

  refusals(reason: number): number {
    return this.#reasons.get(reason) ?? 0;
  }

  histogram(slot: number): [number, number, number][] {
    const counts = new Map<number, [number, number, number]>();
    for (const us of this.#durations.get(slot) ?? []) {
      const [lowest, highest] = rangeOf(us);
      const range = counts.get(lowest) ?? [lowest, highest, 0];
      range[2] += 1;
      counts.set(lowest, range);
    }
    return [...counts.values()].sort((left, right) => left[0] - right[0]);
  }

  #move(routeSlot: number, endpointSlot: number, serviceSlot: number, delta: number): void {
    if (isSlot(routeSlot, SLOTS.route)) this.#routeAt(routeSlot).active += delta;
    if (isSlot(endpointSlot, SLOTS.endpoint))
      this.#peerAt(`endpoint${endpointSlot}`).active += delta;
    if (isSlot(serviceSlot, SLOTS.service)) this.#peerAt(`service${serviceSlot}`).active += delta;
  }

  #routeAt(slot: number): Mutable<RouteStats> {
    const route = this.#routes.get(slot) ?? emptyRoute();
    this.#routes.set(slot, route);
    return route;
  }

  #peerAt(key: string): Mutable<PeerStats> {
    const peer = this.#peers.get(key) ?? emptyPeer();
    this.#peers.set(key, peer);
    return peer;
  }
}

/** The range that a duration falls in: powers of two from 64 on, each cut into 32 equal parts. */
function rangeOf(us: number): [number, number] {
  if (us < 64) return [us, us];
  let power = 64;
  while (power * 2 <= us) power *= 2;
  const width = power / 32;
  const lowest = power + Math.floor((us - power) / width) * width;
  return [lowest, lowest + width - 1];
}

function isSlot(slot: number, count: number): boolean {
  return slot >= 0 && slot < count;
}

function whole(value: number, limit: number): number {
  return value > 0 ? Math.floor(Math.min(value, limit)) : 0;
}

function emptyRoute(): Mutable<RouteStats> {
  return {
    requestsByClass: [0, 0, 0, 0, 0],
    refusedByFamily: [0, 0, 0, 0, 0, 0, 0],
    durationSumUs: 0,
    bytesIn: 0,
    bytesOut: 0,
    active: 0,
  };
}

function emptyPeer(): Mutable<PeerStats> {
  return {
    requests: 0,
    errors: 0,
    active: 0,
    connectFailures: 0,
    durationSumUs: 0,
    bytesIn: 0,
    bytesOut: 0,
    refused: 0,
  };
}
