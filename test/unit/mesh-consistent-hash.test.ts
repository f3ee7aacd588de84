import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ManualClock, SeededRandom } from '../../host/core/index.ts';
import { createEndpoints, type EndpointState } from '../../host/mesh/balance/balancer.ts';
import { createBalancer } from '../../host/mesh/balance/create-balancer.ts';
import { hash32 } from '../../host/mesh/hash32.ts';
import { endpointConfig } from '../support/endpoints.ts';
import { testSeed } from '../support/seed.ts';

const seed = testSeed('mesh-consistent-hash');
const KEYS = 3000;
const keys = Array.from({ length: KEYS }, (_, index) => hash32(`user-${seed}-${index}`));

type Spec = readonly [port: number, weight: number];

function placements(kind: 'ring-hash' | 'maglev', specs: readonly Spec[]): number[] {
  const configs = specs.map(([port, weight]) => endpointConfig(port, weight));
  return placementsOf(kind, createEndpoints(configs, []));
}

function placementsOf(kind: 'ring-hash' | 'maglev', endpoints: EndpointState[]): number[] {
  const deps = { random: new SeededRandom(1), clock: new ManualClock() };
  const balancer = createBalancer(kind, endpoints, deps);
  return keys.map((key) => balancer.pick(key, null)!.config.port);
}

const specsArbitrary = fc.uniqueArray(
  fc.tuple(fc.integer({ min: 1, max: 60_000 }), fc.integer({ min: 1, max: 5 })),
  { minLength: 2, maxLength: 12, selector: ([port]) => port },
);

describe('hash32', () => {
  it('is the same for ever: golden values', () => {
    const hashes = ['', 'a', 'user-1', 'ключ'].map(hash32);
    assert.deepEqual(hashes, [2_872_998_923, 444_641_715, 2_005_895_916, 3_185_335_672]);
  });

  it('spreads short keys over all bits', () => {
    const ones = new Array<number>(32).fill(0);
    for (let key = 0; key < 4000; key++) {
      const hash = hash32(`${key}`);
      for (let bit = 0; bit < 32; bit++) ones[bit]! += (hash >>> bit) & 1;
    }
    for (const count of ones) assert.ok(Math.abs(count - 2000) < 200, `${count} of 4000`);
  });
});

for (const kind of ['ring-hash', 'maglev'] as const) {
  describe(`consistent hashing: ${kind}`, () => {
    it('places keys alike in every worker and in any order of the file', () => {
      fc.assert(
        fc.property(specsArbitrary, (specs) => {
          const sorted = [...specs].sort((left, right) => left[0] - right[0]);
          assert.deepEqual(placements(kind, specs), placements(kind, sorted));
        }),
        { seed, numRuns: 12 },
      );
    });

    it('moves few keys when an endpoint leaves', () => {
      fc.assert(
        fc.property(specsArbitrary, fc.nat(), (specs, leavingAt) => {
          const leaving = specs[leavingAt % specs.length]!;
          const before = placements(kind, specs);
          const after = placements(
            kind,
            specs.filter((spec) => spec !== leaving),
          );
          let moved = 0;
          for (let index = 0; index < KEYS; index++) {
            if (before[index] !== leaving[0] && before[index] !== after[index]) moved++;
          }
          // A ring moves none but the leaver's own; Maglev's paper measures a few per cent.
          assert.ok(moved <= (kind === 'ring-hash' ? 0 : KEYS * 0.12), `${moved} keys moved`);
        }),
        { seed, numRuns: 12 },
      );
    });

    it('moves only the keys of an endpoint that is ejected, and back', () => {
      const specs: Spec[] = Array.from({ length: 8 }, (_, index) => [8000 + index, 1]);
      const endpoints = createEndpoints(
        specs.map(([port, weight]) => endpointConfig(port, weight)),
        [],
      );
      const before = placementsOf(kind, endpoints);
      endpoints[3]!.isAvailable = false;
      const during = placementsOf(kind, endpoints);
      const takers = new Map<number, number>();
      for (let index = 0; index < KEYS; index++) {
        if (before[index] !== 8003) assert.equal(during[index], before[index]);
        else takers.set(during[index]!, (takers.get(during[index]!) ?? 0) + 1);
      }
      assert.ok(takers.size >= 5, 'the keys spread over the others');
      endpoints[3]!.isAvailable = true;
      assert.deepEqual(placementsOf(kind, endpoints), before);
    });

    it('bounds its table however large the weights are', () => {
      const counts = new Map<number, number>();
      for (const port of placements(kind, [
        [1, 3_000_000],
        [2, 1_000_000],
        [3, 1],
      ])) {
        counts.set(port, (counts.get(port) ?? 0) + 1);
      }
      assert.ok(Math.abs(counts.get(1)! / KEYS - 0.75) < 0.05);
      assert.ok((counts.get(3) ?? 0) < 5);
    });
  });
}

describe('maglev', () => {
  it('divides its places to within one in a thousand', () => {
    const size = 50;
    const endpoints = createEndpoints(
      Array.from({ length: size }, (_, index) => endpointConfig(7000 + index)),
      [],
    );
    const deps = { random: new SeededRandom(1), clock: new ManualClock() };
    const balancer = createBalancer('maglev', endpoints, deps);
    const counts = new Array<number>(size).fill(0);
    const picks = 400_000;
    for (let pick = 0; pick < picks; pick++) counts[balancer.pick(pick, null)!.index]!++;
    for (const count of counts) {
      const expected = picks / size;
      assert.ok(Math.abs(count - expected) < 0.002 * expected + 5 * Math.sqrt(expected));
    }
  });
});
