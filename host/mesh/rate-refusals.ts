// What a client is told whom a rate limit refuses. In a flood most refusals say the same: they
// differ in two numbers of whole seconds, so each answer is made once and kept, for a bounded
// number of pairs. It refuses to keep more: what is rarer is made anew.

import type { RateConfig } from '../config/index.ts';
import {
  type HeaderList,
  type PreparedProblem,
  prepareProblem,
  problemWith,
} from '../core/index.ts';
import { type RateHeaders, retryAfterSeconds, secondsUp } from './rate-headers.ts';

/** Answers kept for one policy of one route in each worker; each takes less than 1 KiB, and there
 *  may be thousands of routes. A power of two, for a place is found by a mask. */
const KEPT_COUNT = 8;

interface Kept {
  readonly resetSeconds: number;
  readonly retrySeconds: number;
  readonly problem: PreparedProblem;
}

export class RateRefusals {
  readonly #headers: RateHeaders;
  readonly #index: number;
  readonly #problem: PreparedProblem;
  /** By a mix of both numbers; a newer answer takes an older one's place. */
  readonly #kept: (Kept | undefined)[] = new Array(KEPT_COUNT).fill(undefined);

  /** `index`: the policy's place in `headers`. */
  constructor(
    policy: Pick<RateConfig, 'name' | 'limit' | 'perMs'>,
    headers: RateHeaders,
    index: number,
  ) {
    const detail = `policy ${policy.name} allows ${policy.limit} per ${policy.perMs} ms`;
    this.#headers = headers;
    this.#index = index;
    this.#problem = prepareProblem('GW_RATE_LIMITED', detail);
  }

  /** The whole answer. Units: `resetMs` until the bucket is full, `retryAfterMs` until it has a
   *  token. Cost: a look into an array, while the numbers repeat; else about 1 us. */
  answer(resetMs: number, retryAfterMs: number): PreparedProblem {
    const resetSeconds = secondsUp(resetMs);
    const retrySeconds = retryAfterSeconds(retryAfterMs);
    const place = (resetSeconds + 7 * retrySeconds) & (KEPT_COUNT - 1);
    const kept = this.#kept[place];
    if (
      kept !== undefined &&
      kept.resetSeconds === resetSeconds &&
      kept.retrySeconds === retrySeconds
    ) {
      return kept.problem;
    }
    const headers: HeaderList = [];
    const item = this.#headers.item(this.#index, 0, resetMs);
    this.#headers.pushRefusal(headers, item, retryAfterMs);
    const problem = problemWith(this.#problem, headers);
    this.#kept[place] = { resetSeconds, retrySeconds, problem };
    return problem;
  }
}
