// Smooth weighted round-robin: over any `weightTotal` picks each endpoint gets exactly its weight,
// and the picks of one endpoint lie evenly among the others'. The usual form (nginx) walks over all
// endpoints for each pick; here the order, which repeats, is worked out once: pick k of an endpoint
// falls due at (k + phase) / weight, and picks follow by due time; phases differ, so that endpoints
// of small weight do not come in a row. An endpoint that is away is stepped over, which leaves the
// order and the shares of the others as they were.

import type { Random } from '../../core/index.ts';
import { type Balancer, type EndpointState, scanAvailable, type Targets } from './balancer.ts';

/** Longest order kept as a table (128 KiB). Beyond it a heap gives the same order at O(log n). */
const SCHEDULE_LENGTH_MAX = 65_536;
/** Picks skipped at random at the start, where there is no table to start in the middle of. */
const START_SKIP_MAX = 4_096;
/** Steps over endpoints that are away before the rest is scanned. */
const STEPS_MAX = 256;

export class RoundRobinBalancer implements Balancer {
  readonly kind = 'round-robin';
  readonly targets: Targets;
  readonly #schedule: Uint16Array | null;
  readonly #dueOrder: DueOrder;
  #position = 0;

  constructor(targets: Targets, random: Random) {
    const weights = reduceWeights(targets.weights);
    const length = weights.reduce((sum, weight) => sum + weight, 0);
    this.targets = targets;
    this.#dueOrder = new DueOrder(weights);
    // Workers begin at different places, or each endpoint would get its requests in bursts.
    if (length <= SCHEDULE_LENGTH_MAX) {
      this.#schedule = Uint16Array.from({ length }, () => this.#dueOrder.next());
      this.#position = (random.unit() * length) | 0;
    } else {
      this.#schedule = null;
      const skipped = random.unit() * START_SKIP_MAX;
      for (let skip = 0; skip < skipped; skip++) this.#dueOrder.next();
    }
  }

  pick(_hash: number, excluded: EndpointState | null): EndpointState | null {
    const endpoints = this.targets.endpoints;
    let index = 0;
    for (let step = 0; step < STEPS_MAX; step++) {
      index = this.#next();
      const endpoint = endpoints[index]!;
      if (endpoint.isAvailable && endpoint !== excluded) return endpoint;
    }
    return scanAvailable(endpoints, index, excluded);
  }

  #next(): number {
    const schedule = this.#schedule;
    if (schedule === null) return this.#dueOrder.next();
    const position = this.#position;
    this.#position = position + 1 === schedule.length ? 0 : position + 1;
    return schedule[position]!;
  }
}

/** Divides whole weights by their greatest common divisor; fractions are first scaled to
 *  thousandths, which is finer than any configuration asks for. */
function reduceWeights(weights: Float64Array): Float64Array {
  const isWhole = weights.every((weight) => Number.isInteger(weight));
  const whole = isWhole ? weights : weights.map((w) => Math.max(1, Math.round(w * 1000)));
  const divisor = whole.reduce(greatestCommonDivisor);
  return whole.map((weight) => weight / divisor);
}

function greatestCommonDivisor(left: number, right: number): number {
  return right === 0 ? left : greatestCommonDivisor(right, left % right);
}

/** A binary heap of endpoints by the due time of their next pick; ties go to the lower index.
 *  Due times are computed anew for each pick and start over every `weightTotal` picks, so that no
 *  rounding adds up. */
class DueOrder {
  readonly #weights: Float64Array;
  readonly #phases: Float64Array;
  readonly #dues: Float64Array;
  readonly #counts: Float64Array;
  readonly #heap: Uint32Array;

  constructor(weights: Float64Array) {
    const count = weights.length;
    this.#weights = weights;
    this.#counts = new Float64Array(count);
    // Multiples of the golden ratio are the most even phases for any number of endpoints.
    this.#phases = weights.map((_, index) => (0.5 + index * 0.6180339887498949) % 1);
    this.#dues = weights.map((weight, index) => this.#phases[index]! / weight);
    this.#heap = Uint32Array.from({ length: count }, (_, index) => index);
    for (let place = (count >> 1) - 1; place >= 0; place--) this.#sink(place);
  }

  /** The index whose pick is due, and schedules its next. Cost: O(log endpoints). */
  next(): number {
    const index = this.#heap[0]!;
    const weight = this.#weights[index]!;
    const count = this.#counts[index]! + 1;
    this.#counts[index] = count;
    // Whole rounds are added apart: (count + phase) / weight alone would lose digits in time.
    const round = Math.floor(count / weight);
    this.#dues[index] = round + (count - round * weight + this.#phases[index]!) / weight;
    this.#sink(0);
    return index;
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const moving = heap[from]!;
    let place = from;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!this.#isBefore(heap[child]!, moving)) break;
      heap[place] = heap[child]!;
      place = child;
    }
    heap[place] = moving;
  }

  #isBefore(left: number, right: number): boolean {
    const difference = this.#dues[left]! - this.#dues[right]!;
    return difference < 0 || (difference === 0 && left < right);
  }
}
