import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { BalanceKind } from '../../host/config/index.ts';
import { ManualClock, SeededRandom } from '../../host/core/index.ts';
import {
  type Balancer,
  createEndpoints,
  type EndpointState,
} from '../../host/mesh/balance/balancer.ts';
import { createBalancer } from '../../host/mesh/balance/create-balancer.ts';
import { hash32 } from '../../host/mesh/hash32.ts';
import { endpointConfig, endpointsOf } from '../support/endpoints.ts';
import { testSeed } from '../support/seed.ts';

const seed = testSeed('mesh-balance');
const KINDS: readonly BalanceKind[] = [
  'round-robin',
  'random',
  'least-request',
  'peak-ewma',
  'ring-hash',
  'maglev',
];

function balancerOf(kind: BalanceKind, endpoints: readonly EndpointState[]): Balancer {
  return createBalancer(kind, endpoints, {
    random: new SeededRandom(seed),
    clock: new ManualClock(),
  });
}

/** How often each endpoint is picked, by index. */
function countPicks(balancer: Balancer, picks: number, size: number): number[] {
  const counts = new Array<number>(size).fill(0);
  for (let pick = 0; pick < picks; pick++) {
    const endpoint = balancer.pick(hash32(`key-${pick}`), null);
    assert.ok(endpoint !== null);
    counts[endpoint.index]!++;
  }
  return counts;
}

function assertShares(counts: readonly number[], weights: readonly number[], tolerance: number) {
  const picks = counts.reduce((sum, count) => sum + count, 0);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  for (let index = 0; index < weights.length; index++) {
    const expected = (picks * weights[index]!) / total;
    const difference = Math.abs(counts[index]! - expected);
    assert.ok(
      difference <= tolerance * expected + 4 * Math.sqrt(expected),
      `endpoint ${index}: ${counts[index]} picks, ${expected} expected`,
    );
  }
}

for (const kind of KINDS) {
  describe(`every balancer: ${kind}`, () => {
    it('has null for no endpoint, and for none available', () => {
      assert.equal(balancerOf(kind, []).pick(1, null), null);
      for (const size of [1, 2, 5, 70]) {
        const endpoints = endpointsOf(new Array(size).fill(1));
        const balancer = balancerOf(kind, endpoints);
        for (const endpoint of endpoints) endpoint.isAvailable = false;
        assert.equal(balancer.pick(7, null), null);
        endpoints[size - 1]!.isAvailable = true;
        for (let key = 0; key < 50; key++) {
          assert.equal(balancer.pick(key, null), endpoints[size - 1]);
        }
      }
    });

    it('never picks weight 0, unless all are 0', () => {
      const endpoints = endpointsOf([0, 3, 0, 1]);
      const balancer = balancerOf(kind, endpoints);
      const counts = countPicks(balancer, 2000, 4);
      assert.equal(counts[0]! + counts[2]!, 0);
      assert.ok(counts[1]! > 0 && counts[3]! > 0);
      endpoints[1]!.isAvailable = false;
      endpoints[3]!.isAvailable = false;
      assert.equal(balancer.pick(1, null), null);
      assertShares(countPicks(balancerOf(kind, endpointsOf([0, 0])), 4000, 2), [1, 1], 0.25);
    });

    it('never picks what is unavailable or excluded while another is left', () => {
      fc.assert(
        fc.property(
          fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.boolean()), {
            minLength: 1,
            maxLength: 12,
          }),
          fc.nat(),
          fc.integer(),
          (specs, excludedAt, hash) => {
            const endpoints = endpointsOf(specs.map(([weight]) => weight));
            const balancer = balancerOf(kind, endpoints);
            specs.forEach(([, isAvailable], index) => {
              endpoints[index]!.isAvailable = isAvailable;
            });
            const excluded = endpoints[excludedAt % endpoints.length]!;
            const usable = balancer.targets.endpoints.filter((one) => one.isAvailable);
            for (let round = 0; round < 20; round++) {
              const picked = balancer.pick((hash + round) >>> 0, excluded);
              if (usable.length === 0) assert.equal(picked, null);
              else if (usable.length === 1) assert.equal(picked, usable[0]);
              else assert.ok(usable.includes(picked!) && picked !== excluded);
            }
          },
        ),
        { seed, numRuns: kind === 'maglev' ? 10 : 60 },
      );
    });

    it('divides keys by weight', () => {
      const weights = [1, 2, 3, 4];
      const counts = countPicks(balancerOf(kind, endpointsOf(weights)), 100_000, 4);
      assertShares(counts, weights, kind === 'ring-hash' ? 0.25 : 0.02);
    });

    it('is kept by a reload that changes nothing it was made from', () => {
      const configs = [endpointConfig(1, 2), endpointConfig(2, 1)];
      const before = createEndpoints(configs, []);
      const balancer = balancerOf(kind, before);
      const deps = { random: new SeededRandom(seed), clock: new ManualClock() };
      const after = createEndpoints([...configs.map((config) => ({ ...config }))], before);
      assert.equal(createBalancer(kind, after, deps, balancer), balancer);
      const heavier = createEndpoints([endpointConfig(1, 3), endpointConfig(2, 1)], after);
      const rebuilt = createBalancer(kind, heavier, deps, balancer);
      assert.notEqual(rebuilt, balancer);
      assert.equal(rebuilt.targets.weightTotal, 4);
    });
  });
}

describe('endpoint states over a reload', () => {
  it('are kept by address, so that requests in flight stay counted', () => {
    const before = createEndpoints([endpointConfig(1), endpointConfig(2), endpointConfig(3)], []);
    before[2]!.active = 5;
    before[2]!.latencyAverageMs = 12;
    const after = createEndpoints([endpointConfig(3, 7), endpointConfig(4)], before);
    assert.equal(after[0], before[2]);
    assert.deepEqual(
      [after[0]!.active, after[0]!.index, after[0]!.config.weight, after[0]!.latencyAverageMs],
      [5, 0, 7, 12],
    );
    assert.deepEqual([after[1]!.active, after[1]!.index], [0, 1]);
  });

  it('are never shared by an address that is listed twice', () => {
    const before = createEndpoints([endpointConfig(1), endpointConfig(1)], []);
    assert.notEqual(before[0], before[1]);
    const after = createEndpoints(
      [endpointConfig(1), endpointConfig(1), endpointConfig(1)],
      before,
    );
    assert.equal(new Set(after).size, 3);
    assert.deepEqual(after.slice(0, 2), before);
  });

  it('are not kept over a change of protocol', () => {
    const before = createEndpoints([endpointConfig(1)], []);
    const after = createEndpoints([{ ...endpointConfig(1), protocol: 'https' }], before);
    assert.notEqual(after[0], before[0]);
  });
});

describe('round-robin', () => {
  it('gives each endpoint exactly its weight in any window of the sum of weights', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 2, maxLength: 30 }),
        fc.nat({ max: 500 }),
        (weights, skipped) => {
          const balancer = balancerOf('round-robin', endpointsOf(weights));
          for (let skip = 0; skip < skipped; skip++) balancer.pick(0, null);
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          assert.deepEqual(countPicks(balancer, total, weights.length), weights);
        },
      ),
      { seed, numRuns: 200 },
    );
  });

  it('is smooth: picks of one endpoint lie evenly among the others', () => {
    const weights = [5, 1, 1];
    const balancer = balancerOf('round-robin', endpointsOf(weights));
    const picks = Array.from({ length: 70 }, () => balancer.pick(0, null)!.index);
    for (let from = 0; from + 7 <= picks.length; from++) {
      assert.equal(picks.slice(from, from + 7).filter((index) => index === 0).length, 5);
    }
    for (let from = 0; from + 5 <= picks.length; from++) {
      assert.ok(
        picks.slice(from, from + 5).some((index) => index !== 0),
        'five in a row',
      );
    }
  });

  it('keeps the shares of the others exact while one is away', () => {
    const weights = [3, 2, 4];
    const endpoints = endpointsOf(weights);
    const balancer = balancerOf('round-robin', endpoints);
    endpoints[1]!.isAvailable = false;
    assert.deepEqual(countPicks(balancer, 70, 3), [30, 0, 40]);
  });

  it('is as exact with weights too large for a table', () => {
    const weights = [70_001, 30_001, 1];
    const balancer = balancerOf('round-robin', endpointsOf(weights));
    assert.deepEqual(countPicks(balancer, 100_003, 3), weights);
    assert.deepEqual(
      countPicks(balancer, 300_009, 3),
      weights.map((weight) => 3 * weight),
    );
  });

  it('starts workers at different places', () => {
    const starts = new Set<number>();
    for (let worker = 0; worker < 40; worker++) {
      const deps = { random: new SeededRandom(seed + worker), clock: new ManualClock() };
      const endpoints = endpointsOf([1, 1, 1, 1]);
      starts.add(createBalancer('round-robin', endpoints, deps).pick(0, null)!.index);
    }
    assert.ok(starts.size > 1);
  });
});

describe('least-request', () => {
  it('takes the emptier of two, by weight', () => {
    const endpoints = endpointsOf([1, 1]);
    const balancer = balancerOf('least-request', endpoints);
    endpoints[0]!.active = 3;
    endpoints[1]!.active = 2;
    for (let round = 0; round < 50; round++) assert.equal(balancer.pick(0, null), endpoints[1]);
    const weighted = endpointsOf([4, 1]);
    const second = balancerOf('least-request', weighted);
    weighted[0]!.active = 3;
    weighted[1]!.active = 1;
    for (let round = 0; round < 50; round++) assert.equal(second.pick(0, null), weighted[0]);
  });

  it('divides an idle service by weight', () => {
    // With (active + 1) / weight as the load, the heavier of two idle endpoints won every time, and
    // the light ones got nothing until the heavy ones had a queue.
    const endpoints = endpointsOf([100, 1, 1]);
    const counts = countPicks(balancerOf('least-request', endpoints), 20_400, 3);
    assertShares(counts, [100, 1, 1], 0.05);
  });

  it('holds the largest queue far below that of random placement', () => {
    const size = 200;
    const queueMax = (kind: BalanceKind) => {
      const endpoints = endpointsOf(new Array(size).fill(1));
      const balancer = balancerOf(kind, endpoints);
      for (let request = 0; request < size * 10; request++) balancer.pick(0, null)!.active++;
      return Math.max(...endpoints.map((endpoint) => endpoint.active));
    };
    assert.ok(queueMax('least-request') <= 13);
    assert.ok(queueMax('random') > queueMax('least-request'));
  });
});

describe('peak-ewma', () => {
  function peakOf(endpoints: readonly EndpointState[]) {
    const clock = new ManualClock();
    const random = new SeededRandom(seed);
    return { clock, balancer: createBalancer('peak-ewma', endpoints, { random, clock }) };
  }

  it('prefers the faster endpoint, and the slower when the faster is full', () => {
    const endpoints = endpointsOf([1, 1]);
    const { clock, balancer } = peakOf(endpoints);
    balancer.onDone!(endpoints[0]!, 100, clock.nowMs(), 'answered');
    balancer.onDone!(endpoints[1]!, 10, clock.nowMs(), 'answered');
    for (let round = 0; round < 50; round++) assert.equal(balancer.pick(0, null), endpoints[1]);
    endpoints[1]!.active = 10;
    for (let round = 0; round < 50; round++) assert.equal(balancer.pick(0, null), endpoints[0]);
  });

  it('takes a peak at once and forgets it over time', () => {
    const endpoints = endpointsOf([1, 1]);
    const { clock, balancer } = peakOf(endpoints);
    const [slow, steady] = endpoints as [EndpointState, EndpointState];
    balancer.onDone!(slow, 5, clock.nowMs(), 'answered');
    balancer.onDone!(steady, 10, clock.nowMs(), 'answered');
    assert.equal(balancer.pick(0, null), slow);
    balancer.onDone!(slow, 500, clock.nowMs(), 'answered');
    assert.equal(slow.latencyAverageMs, 500);
    assert.equal(balancer.pick(0, null), steady);
    clock.advance(10_000);
    balancer.onDone!(slow, 5, clock.nowMs(), 'answered');
    const expected = 500 * Math.exp(-1) + 5 * (1 - Math.exp(-1));
    assert.ok(Math.abs(slow.latencyAverageMs - expected) < 1e-9);
  });

  it('tries an endpoint again that had no request for long', () => {
    const endpoints = endpointsOf([1, 1]);
    const { clock, balancer } = peakOf(endpoints);
    balancer.onDone!(endpoints[0]!, 1000, clock.nowMs(), 'answered');
    let waitedMs = 0;
    for (; waitedMs < 200_000; waitedMs += 1000) {
      clock.advance(1000);
      balancer.onDone!(endpoints[1]!, 10, clock.nowMs(), 'answered');
      if (balancer.pick(0, null) === endpoints[0]) break;
    }
    assert.ok(waitedMs > 20_000 && waitedMs < 100_000, `waited ${waitedMs}`);
  });

  it('does not let an endpoint win that fails fast', () => {
    const endpoints = endpointsOf([1, 1]);
    const { clock, balancer } = peakOf(endpoints);
    for (const endpoint of endpoints) balancer.onDone!(endpoint, 20, clock.nowMs(), 'answered');
    for (let failure = 0; failure < 20; failure++) {
      clock.advance(1);
      balancer.onDone!(endpoints[0]!, 0.1, clock.nowMs(), 'failed');
    }
    assert.ok(endpoints[0]!.latencyAverageMs > 900 && endpoints[0]!.latencyAverageMs <= 1000);
    for (let round = 0; round < 50; round++) assert.equal(balancer.pick(0, null), endpoints[1]);
  });

  it('probes an endpoint that has never answered with one request at a time', () => {
    const endpoints = endpointsOf([1, 1]);
    const { clock, balancer } = peakOf(endpoints);
    balancer.onDone!(endpoints[0]!, 5, clock.nowMs(), 'answered');
    assert.equal(balancer.pick(0, null), endpoints[1]);
    endpoints[1]!.active = 1;
    endpoints[0]!.active = 50;
    for (let round = 0; round < 50; round++) assert.equal(balancer.pick(0, null), endpoints[0]);
  });
});
