// A rate policy as the limiter kernel wants it: two times in whole nanoseconds. The interval
// between tokens is rounded up, never down, so that rounding refuses rather than grants.

import { GatewayError, RATE_FILL_MS_MAX, RATE_TOKENS_MAX } from '../core/index.ts';

/** What the configuration says of a policy. */
export interface LimiterRule {
  /** Tokens that come in `perMs`. */
  readonly limit: number;
  readonly perMs: number;
  /** The bucket's capacity: what may be taken at one instant. */
  readonly burst: number;
}

export interface LimiterPolicy extends LimiterRule {
  readonly name: string;
  /** The policy's id: the halves of a 64-bit hash of its name, unsigned. */
  readonly idHigh: number;
  readonly idLow: number;
  /** Time in which one token comes. Units: ns, whole. */
  readonly intervalNs: number;
  /** Time in which an empty bucket fills. Units: ns, whole, exact in a float. */
  readonly windowNs: number;
}

/** The times of a rule. Errors: GW_CONFIG_BAD_VALUE, GW_CONFIG_LIMIT. */
export function limiterTimes(
  name: string,
  rule: LimiterRule,
): { readonly intervalNs: number; readonly windowNs: number } {
  requireTokens(name, 'limit', rule.limit);
  requireTokens(name, 'burst', rule.burst);
  const perNs = Math.round(rule.perMs * 1e6);
  if (!Number.isFinite(perNs) || perNs < 1) {
    throw bad(name, `per is ${rule.perMs} ms, must be at least 0.000001 ms`);
  }
  if (rule.perMs > RATE_FILL_MS_MAX) {
    throw over(name, `per is ${rule.perMs} ms, the limit is ${RATE_FILL_MS_MAX} ms`);
  }
  if (rule.limit > perNs) {
    throw over(name, `${rule.limit} in ${rule.perMs} ms is more than one a nanosecond`);
  }
  const limit = BigInt(rule.limit);
  const intervalNs = Number((BigInt(perNs) + limit - 1n) / limit);
  const windowNs = intervalNs * rule.burst;
  if (windowNs > RATE_FILL_MS_MAX * 1e6) {
    const fillMs = Math.ceil(windowNs / 1e6);
    throw over(name, `its bucket fills in ${fillMs} ms, the limit is ${RATE_FILL_MS_MAX} ms`);
  }
  return { intervalNs, windowNs };
}

function requireTokens(name: string, key: 'limit' | 'burst', value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw bad(name, `${key} is ${value}, must be a whole number of at least 1`);
  }
  if (value > RATE_TOKENS_MAX) throw over(name, `${key} is ${value}, at most ${RATE_TOKENS_MAX}`);
}

function bad(name: string, detail: string): GatewayError {
  return new GatewayError('GW_CONFIG_BAD_VALUE', `rate policy ${name}: ${detail}`);
}

function over(name: string, detail: string): GatewayError {
  return new GatewayError('GW_CONFIG_LIMIT', `rate policy ${name}: ${detail}`);
}
