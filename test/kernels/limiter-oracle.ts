// The limiter as a map of whole numbers: one time per bucket, no table, no threads.

export interface OraclePolicy {
  readonly name: string;
  readonly intervalNs: number;
  readonly windowNs: number;
}

/** What the suite drives: the kernel's face and the oracle both have this shape. */
export interface RateLimiter<P> {
  policy(name: string, rule: { limit: number; perMs: number; burst: number }): P;
  take(policy: P, key: string, nowMs: number): boolean;
  takeAll(policies: readonly P[], keys: readonly string[], nowMs: number): number;
  select(index: number): void;
  readonly remaining: number;
  readonly retryAfterMs: number;
  readonly resetMs: number;
}

export class LimiterOracle implements RateLimiter<OraclePolicy> {
  readonly #tats = new Map<string, bigint>();
  #lasts: { tat: bigint; now: bigint; policy: OraclePolicy }[] = [];
  #selected = 0;
  #refusedBy = -1;

  policy(name: string, rule: { limit: number; perMs: number; burst: number }): OraclePolicy {
    const intervalNs = Math.ceil((rule.perMs * 1e6) / rule.limit);
    return { name, intervalNs, windowNs: intervalNs * rule.burst };
  }

  take(policy: OraclePolicy, key: string, nowMs: number): boolean {
    return this.takeAll([policy], [key], nowMs) === -1;
  }

  takeAll(policies: readonly OraclePolicy[], keys: readonly string[], nowMs: number): number {
    const now = BigInt(Math.floor(nowMs * 1e6));
    this.#lasts = [];
    this.#refusedBy = -1;
    for (const [index, policy] of policies.entries()) {
      const tat = this.#tatOf(policy, keys[index]!);
      const base = tat > now ? tat : now;
      this.#lasts.push({ tat: base, now, policy });
      this.#selected = index;
      if (base + BigInt(policy.intervalNs) > now + BigInt(policy.windowNs)) {
        this.#refusedBy = index;
        return index;
      }
    }
    for (const [index, policy] of policies.entries()) {
      const last = this.#lasts[index]!;
      last.tat += BigInt(policy.intervalNs);
      this.#tats.set(bucketName(policy, keys[index]!), last.tat);
    }
    const remaining = policies.map((_, index) => {
      this.#selected = index;
      return this.remaining;
    });
    this.#selected = remaining.indexOf(Math.min(...remaining));
    return -1;
  }

  select(index: number): void {
    this.#selected = index;
  }

  get remaining(): number {
    const { tat, now, policy } = this.#lasts[this.#selected]!;
    const left = (now + BigInt(policy.windowNs) - tat) / BigInt(policy.intervalNs);
    // Below nothing after a clock has stepped back by more than an interval.
    return left < 0n ? 0 : Number(left);
  }

  get retryAfterMs(): number {
    const { tat, now, policy } = this.#lasts[this.#selected]!;
    if (this.#refusedBy !== this.#selected) return 0;
    return Number(tat + BigInt(policy.intervalNs) - now - BigInt(policy.windowNs)) / 1e6;
  }

  get resetMs(): number {
    const { tat, now } = this.#lasts[this.#selected]!;
    return Number(tat - now) / 1e6;
  }

  #tatOf(policy: OraclePolicy, key: string): bigint {
    return this.#tats.get(bucketName(policy, key)) ?? 0n;
  }
}

function bucketName(policy: OraclePolicy, key: string): string {
  return JSON.stringify([policy.name, key]);
}
