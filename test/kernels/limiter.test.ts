// The limiter kernel against its oracle on one thread: the cases, random sequences, and the window
// property that is the policy. Threads are in limiter-threads.test.ts.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  LIMITER_HASHES_COUNT,
  LIMITER_KEY_OFFSET,
  LIMITER_SCRATCH_OFFSET,
} from '../../assembly/shared/limiter-layout.ts';
import { SCRATCH_OFFSET } from '../../assembly/shared/memory-map.ts';
import { isGatewayError, RATE_POLICIES_COUNT_MAX } from '../../host/core/index.ts';
import { initialiseLimiter, Limiter, type LimiterRule } from '../../host/kernels/index.ts';
import { testSeed } from '../support/seed.ts';
import { edgeImage, edgeInstance } from '../support/wasm.ts';
import { limiterCases } from './limiter.cases.ts';
import { LimiterOracle } from './limiter-oracle.ts';
import { sipHashOracle } from './siphash-oracle.ts';

const SEED = new Uint8Array(16).map((_, index) => index);
const seed = testSeed('limiter');

function createLimiter(): Limiter {
  const image = edgeImage();
  initialiseLimiter(image, { seed: SEED });
  return new Limiter(edgeInstance(image));
}

describe('the oracle', () => limiterCases(() => new LimiterOracle()));
describe('the kernel', () => limiterCases(() => createLimiter()));

const rules = fc.record({
  limit: fc.integer({ min: 1, max: 100_000 }),
  perMs: fc.constantFrom(1, 7.5, 100, 1000, 60_000),
  burst: fc.integer({ min: 1, max: 40 }),
});
const steps = fc.array(
  fc.record({
    policies: fc.uniqueArray(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 3 }),
    key: fc.constantFrom('ada', 'grace', 'käthe', 'x'.repeat(100), ''),
    // Mostly forward by a part of an interval, sometimes slightly back, sometimes far ahead.
    deltaMs: fc.oneof(
      { weight: 6, arbitrary: fc.double({ min: 0, max: 0.5, noNaN: true }) },
      { weight: 2, arbitrary: fc.double({ min: -0.01, max: 0, noNaN: true }) },
      { weight: 1, arbitrary: fc.double({ min: 0, max: 2000, noNaN: true }) },
    ),
  }),
  { maxLength: 200 },
);

describe('random sequences', () => {
  it('kernel and oracle decide and tell the same', () => {
    const kernel = createLimiter();
    let run = 0;
    // No bucket is ever evicted here: after an eviction a clock that steps back may be refused
    // where the oracle, which never forgets, grants.
    fc.assert(
      fc.property(fc.tuple(rules, rules, rules), steps, (threeRules, sequence) => {
        run += 1;
        const oracle = new LimiterOracle();
        const names = ['a', 'b', 'c'].map((name) => `${name}/${run}`);
        const ours = names.map((name, index) => kernel.policy(name, threeRules[index]!));
        const theirs = names.map((name, index) => oracle.policy(name, threeRules[index]!));
        // Runs are an hour apart, so that the buckets of the last are idle.
        let nowMs = 3_600_000 * run;
        for (const { policies, key, deltaMs } of sequence) {
          nowMs += deltaMs;
          const keys = policies.map(() => key);
          const expected = oracle.takeAll(
            policies.map((index) => theirs[index]!),
            keys,
            nowMs,
          );
          const actual = kernel.takeAll(
            policies.map((index) => ours[index]!),
            keys,
            nowMs,
          );
          assert.equal(actual, expected);
          assert.equal(kernel.remaining, oracle.remaining);
          assert.equal(kernel.retryAfterMs, oracle.retryAfterMs);
          assert.equal(kernel.resetMs, oracle.resetMs);
        }
      }),
      { seed, numRuns: 300 },
    );
    assert.deepEqual([kernel.evictionCount(), kernel.overflowCount()], [0, 0]);
  });

  it('no interval sees more grants than burst + floor(length / interval)', () => {
    const kernel = createLimiter();
    let run = 0;
    fc.assert(
      fc.property(rules, steps, (rule, sequence) => {
        run += 1;
        const policy = kernel.policy(`w/${run}`, rule);
        let nowMs = 3_600_000 * run;
        const grantsNs: number[] = [];
        for (const { deltaMs } of sequence) {
          nowMs += deltaMs;
          if (kernel.take(policy, 'k', nowMs)) grantsNs.push(Math.floor(nowMs * 1e6));
        }
        grantsNs.sort((a, b) => a - b);
        for (let from = 0; from < grantsNs.length; ++from) {
          for (let to = from; to < grantsNs.length; ++to) {
            const lengthNs = grantsNs[to]! - grantsNs[from]!;
            const allowed = rule.burst + Math.floor(lengthNs / policy.intervalNs);
            assert.ok(to - from + 1 <= allowed);
          }
        }
      }),
      { seed, numRuns: 300 },
    );
  });
});

describe('the key hash', () => {
  const image = edgeImage();
  initialiseLimiter(image, { seed: SEED });
  const instance = edgeInstance(image);
  const hash = instance.exports.limiterHash as (...args: number[]) => void;
  const bytes = new Uint8Array(image.memory.buffer, SCRATCH_OFFSET, 65_536);
  const hashes = new DataView(image.memory.buffer, SCRATCH_OFFSET + LIMITER_SCRATCH_OFFSET);

  /** Hashes a message of at least 8 bytes: the word before the key, then the key. */
  function kernelHash(message: Uint8Array): bigint {
    const word = new DataView(message.buffer, message.byteOffset);
    bytes.set(message.subarray(8), LIMITER_KEY_OFFSET);
    hash(0, 3, message.length - 8, word.getUint32(4, true), word.getUint32(0, true));
    return hashes.getBigUint64(3 * 8, true);
  }

  // From OpenSSL's SIPHASH with c-rounds 1, d-rounds 3, key 00..0f, message 00, 01, 02, ...
  const vectors: readonly (readonly [sizeBytes: number, hex: string])[] = [
    [8, '8E9A298D11959036'],
    [9, 'E43D066CB38EA425'],
    [15, '5699512A6DD820D3'],
    [16, '668B907D1ADD4FCC'],
    [17, '0CD8DB639068F29C'],
    [64, '65604A4BEC9779F1'],
  ];
  for (const [sizeBytes, hex] of vectors) {
    it(`is SipHash-1-3 for ${sizeBytes} bytes`, () => {
      const message = new Uint8Array(sizeBytes).map((_, index) => index);
      const expected = Buffer.from(hex, 'hex').readBigUInt64LE();
      assert.equal(sipHashOracle(SEED, message), expected);
      assert.equal(kernelHash(message), expected);
    });
  }

  it('is what the oracle says for any bytes, whatever stood there before', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 300 }), (message) => {
        bytes.fill(0xa5, LIMITER_KEY_OFFSET, LIMITER_KEY_OFFSET + 400);
        assert.equal(kernelHash(message.slice()), sipHashOracle(SEED, message));
      }),
      { seed },
    );
  });
});

describe('bad input', () => {
  const limiter = createLimiter();
  const rule: LimiterRule = { limit: 10, perMs: 1000, burst: 10 };
  const refused: readonly (readonly [Partial<LimiterRule>, string, RegExp])[] = [
    [{ limit: 0 }, 'GW_CONFIG_BAD_VALUE', /limit is 0/],
    [{ limit: 1.5 }, 'GW_CONFIG_BAD_VALUE', /limit is 1.5/],
    [{ limit: Number.NaN }, 'GW_CONFIG_BAD_VALUE', /limit is NaN/],
    [{ limit: 1_000_000_001 }, 'GW_CONFIG_LIMIT', /limit is 1000000001, at most 1000000000/],
    [{ limit: 1001, perMs: 0.001 }, 'GW_CONFIG_LIMIT', /more than one a nanosecond/],
    [{ burst: -1 }, 'GW_CONFIG_BAD_VALUE', /burst is -1/],
    [{ burst: 2e9 }, 'GW_CONFIG_LIMIT', /burst is 2000000000/],
    [{ perMs: 0 }, 'GW_CONFIG_BAD_VALUE', /per is 0 ms/],
    [{ perMs: Number.POSITIVE_INFINITY }, 'GW_CONFIG_BAD_VALUE', /per is Infinity/],
    [{ perMs: 7_776_000_001 }, 'GW_CONFIG_LIMIT', /the limit is 7776000000 ms/],
    [{ limit: 1, perMs: 3_600_000, burst: 1e6 }, 'GW_CONFIG_LIMIT', /fills in 3600000000000 ms/],
  ];
  for (const [change, code, message] of refused) {
    it(`refuses ${JSON.stringify(change)}`, () => {
      assert.throws(
        () => limiter.policy('pay/per-user', { ...rule, ...change }),
        (error) => isGatewayError(error) && error.code === code && message.test(error.message),
      );
    });
  }

  it('rounds the interval up, also where a float would not', () => {
    assert.equal(limiter.policy('p', { limit: 3, perMs: 1000, burst: 1 }).intervalNs, 333_333_334);
    const close = limiter.policy('p', { limit: 999_999_999, perMs: 7_776_000_000, burst: 1 });
    assert.equal(close.intervalNs, 7_776_001);
  });

  it('refuses more policies than there are hash slots', () => {
    assert.equal(RATE_POLICIES_COUNT_MAX, LIMITER_HASHES_COUNT);
    const policies = Array.from({ length: 17 }, (_, index) => limiter.policy(`p${index}`, rule));
    const keys = policies.map(() => 'k');
    assert.equal(limiter.takeAll(policies.slice(1), keys.slice(1), 1000), -1);
    assert.throws(() => limiter.takeAll(policies, keys, 1000), RangeError);
    assert.throws(() => limiter.takeAll(policies.slice(1), keys, 1000), RangeError);
  });

  it('refuses a region that is not set up, and a set-up that is wrong', () => {
    const image = edgeImage();
    assert.throws(() => new Limiter(edgeInstance(image)), /not initialised/);
    assert.throws(() => initialiseLimiter(image, { seed: new Uint8Array(8) }), /8 bytes/);
    assert.throws(() => initialiseLimiter(image, { seed: SEED, setCount: 0 }), RangeError);
    assert.throws(() => initialiseLimiter(image, { seed: SEED, setCount: 130_801 }), RangeError);
  });
});
