// `RateLimit`, `RateLimit-Policy` and `Retry-After` of a route's rate limits. The policy part never
// changes and is made once; a response costs one short text per policy.
// Source: draft-ietf-httpapi-ratelimit-headers, RFC 9651 (structured fields), RFC 9110 10.2.3.

import type { RateConfig } from '../config/index.ts';
import type { HeaderList } from '../core/index.ts';

/** The largest integer of a structured field. Source: RFC 9651 section 3.3.1. */
const SF_INTEGER_MAX = 999_999_999_999_999;

export class RateHeaders {
  /** Shape: `"per-user";q=100;w=1, "daily";q=1000;w=86400`. */
  readonly policy: string;
  readonly #prefixes: readonly string[];

  /** `policies`: a route's limits; indexes below are places in it. */
  constructor(policies: readonly Pick<RateConfig, 'name' | 'limit' | 'perMs'>[]) {
    this.#prefixes = policies.map((policy) => `${sfString(policy.name)};r=`);
    this.policy = policies.map(policyItem).join(', ');
  }

  /** One policy's state. Shape: `"per-user";r=50;t=30`. `remaining`: what may still be sent at
   *  once. Units: `resetMs` until the bucket is full again; told in seconds, rounded up. */
  item(index: number, remaining: number, resetMs: number): string {
    return `${this.#prefixes[index]}${wholeCount(remaining)};t=${secondsUp(resetMs)}`;
  }

  /** Puts the fields behind a response's headers. `items`: of item(), one per policy, joined
   *  with `, ` by the caller where there are several. */
  push(headers: HeaderList, items: string): void {
    headers.push('ratelimit-policy', this.policy, 'ratelimit', items);
  }

  /** Puts the fields and Retry-After behind a refusal's headers. */
  pushRefusal(headers: HeaderList, items: string, retryAfterMs: number): void {
    this.push(headers, items);
    headers.push('retry-after', String(retryAfterSeconds(retryAfterMs)));
  }
}

/** What a refused client is told to wait: 0 would invite it to come back at once, before the
 *  bucket has a token. */
export function retryAfterSeconds(retryAfterMs: number): number {
  return Math.max(1, secondsUp(retryAfterMs));
}

/** `w` counts whole seconds; a window that is none is left out rather than told wrong. */
function policyItem(policy: Pick<RateConfig, 'name' | 'limit' | 'perMs'>): string {
  const quota = `${sfString(policy.name)};q=${wholeCount(policy.limit)}`;
  const isWhole = policy.perMs >= 1000 && policy.perMs % 1000 === 0;
  return isWhole ? `${quota};w=${policy.perMs / 1000}` : quota;
}

/** A structured-field string: printable ASCII in quotes; other characters percent-encoded.
 *  Source: RFC 9651 section 4.1.6. */
function sfString(text: string): string {
  const ascii = text.replace(/[^\x20-\x7e]/gu, (character) => {
    const isLone = character.length === 1 && /[\ud800-\udfff]/.test(character);
    return isLone ? '?' : encodeURIComponent(character);
  });
  return `"${ascii.replace(/["\\]/g, '\\$&')}"`;
}

function wholeCount(value: number): number {
  return value > 0 ? Math.min(Math.floor(value), SF_INTEGER_MAX) : 0;
}

/** A time in whole seconds, rounded up. */
export function secondsUp(durationMs: number): number {
  return durationMs > 0 ? Math.min(Math.ceil(durationMs / 1000), SF_INTEGER_MAX) : 0;
}
