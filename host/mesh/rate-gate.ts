// A route's rate limits at work: reads the keys, takes the tokens, says in headers what is left.
// All of a route's policies grant, or none is charged (but for the race that takeAll documents).

import type { Exchange, HeaderList, PreparedProblem } from '../core/index.ts';
import type { Limiter } from '../kernels/index.ts';
import type { PathCapture } from './path-parameters.ts';
import type { RateRuntime } from './routes.ts';

/** Requests that lack the key share the bucket of this one, which no present key equals. */
const ABSENT_KEY = '';

export class RateGate {
  readonly #limiter: Limiter;
  readonly #keys: string[] = [];
  #headers: HeaderList = [];
  #refusal: PreparedProblem | null = null;

  constructor(limiter: Limiter) {
    this.#limiter = limiter;
  }

  /** Whether a request may pass. Afterwards `headers` tells what its answer must say, or `refusal`
   *  is the answer of the policy that refused. Cost: about 60 ns a policy, and for what passes the
   *  headers' texts. */
  pass(rates: RateRuntime, exchange: Exchange, capture: PathCapture, nowMs: number): boolean {
    const { policies, keys } = rates;
    for (let index = 0; index < keys.length; index++) {
      this.#keys[index] = keys[index]!(exchange, capture.values) ?? ABSENT_KEY;
    }
    // To set the length costs a call into the runtime, even where it changes nothing.
    if (this.#keys.length !== keys.length) this.#keys.length = keys.length;
    const limiter = this.#limiter;
    const refusing = limiter.takeAll(policies, this.#keys, nowMs);
    if (refusing >= 0) {
      this.#refusal = rates.refusals[refusing]!.answer(limiter.resetMs, limiter.retryAfterMs);
      return false;
    }
    this.#headers = [];
    let items = '';
    for (let index = 0; index < policies.length; index++) {
      if (policies.length > 1) limiter.select(index);
      const item = rates.headers.item(index, limiter.remaining, limiter.resetMs);
      items = items === '' ? item : `${items}, ${item}`;
    }
    rates.headers.push(this.#headers, items);
    return true;
  }

  /** What the answer to the last request that passed must carry. */
  get headers(): HeaderList {
    return this.#headers;
  }

  /** The whole answer to the last request that was refused. */
  get refusal(): PreparedProblem {
    return this.#refusal!;
  }
}
