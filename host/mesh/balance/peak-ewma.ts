// Peak EWMA: the better of two drawn by weight, where better is a lower latency average times the
// requests in flight. A latency above the average replaces it at once (the peak), a lower one
// draws it down over time, and the average of an endpoint that gets no requests decays, so that it
// is tried again. A failure is never cheap: otherwise an endpoint that fails fast would win.
// Source: Finagle's PeakEwma, which Linkerd took over.

import type { Clock, Random } from '../../core/index.ts';
import {
  type Balancer,
  type EndpointState,
  type RequestOutcome,
  scanAvailable,
  type Targets,
} from './balancer.ts';
import { PairDraw } from './pair-draw.ts';

/** After this much time an old latency weighs 1/e. Ten seconds, as Finagle and Linkerd. */
const DECAY_MS = 10_000;
/** The average below which there is nothing to tell apart, and no division by a cold 0. */
const AVERAGE_MS_MIN = 0.01;
/** The cost of an endpoint that has a request in flight and has never answered: it is probed with
 *  one request at a time, instead of being taken for the fastest of all. */
const UNKNOWN_COST_MS = 1e9;
/** A failure doubles the average up to this: ten in a row shun an endpoint, one does not. */
const FAILURE_AVERAGE_MS_MAX = 1_000;

export class PeakEwmaBalancer implements Balancer {
  readonly kind = 'peak-ewma';
  readonly targets: Targets;
  readonly #pair: PairDraw;
  readonly #clock: Clock;
  readonly #weightMean: number;

  constructor(targets: Targets, random: Random, clock: Clock) {
    this.targets = targets;
    this.#pair = new PairDraw(targets, random);
    this.#clock = clock;
    this.#weightMean = targets.weightTotal / targets.endpoints.length;
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
    const nowMs = this.#clock.nowMs();
    const firstCost = costOf(first, nowMs, pair.weight(pair.first) / this.#weightMean);
    const secondCost = costOf(second, nowMs, pair.weight(pair.second) / this.#weightMean);
    return secondCost < firstCost ? second : first;
  }

  onDone(endpoint: EndpointState, latencyMs: number, nowMs: number, outcome: RequestOutcome): void {
    const averageMs = decayedAverageMs(endpoint, nowMs);
    let sampleMs = latencyMs;
    if (outcome === 'failed') {
      sampleMs = Math.max(latencyMs, Math.min(2 * averageMs, FAILURE_AVERAGE_MS_MAX));
    }
    if (sampleMs >= averageMs) {
      endpoint.latencyAverageMs = Math.max(sampleMs, AVERAGE_MS_MIN);
    } else {
      // decayedAverageMs has weighed the old average; the sample takes the rest of the weight.
      const elapsedMs = Math.max(0, nowMs - endpoint.latencyStampMs);
      const rest = 1 - Math.exp(-elapsedMs / DECAY_MS);
      endpoint.latencyAverageMs = Math.max(averageMs + sampleMs * rest, AVERAGE_MS_MIN);
    }
    endpoint.latencyStampMs = nowMs;
  }
}

/** `capacity`: the endpoint's weight, 1 on average. It divides the queue and not the latency, so
 *  that equal idle endpoints tie and stay divided by the draw. */
function costOf(endpoint: EndpointState, nowMs: number, capacity: number): number {
  if (endpoint.latencyAverageMs === 0 && endpoint.active > 0) {
    return (UNKNOWN_COST_MS * endpoint.active) / capacity;
  }
  return decayedAverageMs(endpoint, nowMs) * (endpoint.active / capacity + 1);
}

/** The average as it stands now, had nothing but silence followed its last change. Units: ms. */
function decayedAverageMs(endpoint: EndpointState, nowMs: number): number {
  const elapsedMs = nowMs - endpoint.latencyStampMs;
  const averageMs = endpoint.latencyAverageMs;
  if (elapsedMs <= 0 || averageMs === 0) return Math.max(averageMs, AVERAGE_MS_MIN);
  return Math.max(averageMs * Math.exp(-elapsedMs / DECAY_MS), AVERAGE_MS_MIN);
}
