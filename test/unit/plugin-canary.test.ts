// When a canary is rolled back: not by chance, not for what the version beside it does as well, and
// soon when it is broken.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SeededRandom } from '../../host/core/index.ts';
import { canaryFault, type Trial } from '../../host/workers/plugins/canary-rule.ts';
import { testSeed } from '../support/seed.ts';

const trial = (failures: number, requests: number): Trial => ({ failures, requests });

describe('the fault of a canary', () => {
  it('is none with few failures, and one when they are many and only its own', () => {
    assert.equal(canaryFault(trial(4, 4), trial(0, 10_000)), null);
    assert.equal(
      canaryFault(trial(5, 5), trial(0, 95)),
      'it failed 5 of 5 requests, the version before 0 of 95 requests',
    );
    assert.equal(canaryFault(trial(30, 10_000), trial(25, 10_000)), null);
    assert.notEqual(canaryFault(trial(200, 10_000), trial(25, 100_000)), null);
    // Both fail all the same: the fault is elsewhere.
    assert.equal(canaryFault(trial(500, 500), trial(9_500, 9_500)), null);
  });

  it('counts failures outside of requests, and does without a version beside it', () => {
    assert.notEqual(canaryFault(trial(8, 0), trial(0, 1_000)), null);
    assert.notEqual(canaryFault(trial(20, 40), trial(0, 0)), null);
    assert.equal(canaryFault(trial(5, 400), trial(0, 0)), null);
  });

  it('is not found by looking often at two versions that are the same', () => {
    const random = new SeededRandom(testSeed('canary that is no worse'));
    let wrong = 0;
    for (let run = 0; run < 300; run++) {
      const share = [0.001, 0.02, 0.2, 0.6][run % 4]!;
      const counts = { own: trial(0, 0), beside: trial(0, 0) };
      let isWrong = false;
      for (let request = 1; request <= 4_000; request++) {
        const side = random.unit() < 0.05 ? 'own' : 'beside';
        const { failures, requests } = counts[side];
        counts[side] = trial(failures + (random.unit() < share ? 1 : 0), requests + 1);
        if (request % 100 === 0) isWrong ||= canaryFault(counts.own, counts.beside) !== null;
      }
      if (isWrong) wrong += 1;
    }
    // One look is wrong once in some ten thousand; 300 runs of 40 looks that hang together.
    assert.ok(wrong <= 6, `${wrong} of 300 canaries were rolled back for nothing`);
  });

  it('is found within a thousand requests when a canary of 5% fails each tenth', () => {
    const random = new SeededRandom(testSeed('canary that is worse'));
    let own = trial(0, 0);
    let request = 0;
    for (; canaryFault(own, trial(0, request * 19)) === null; request++) {
      own = trial(own.failures + (random.unit() < 0.1 ? 1 : 0), own.requests + 1);
      assert.ok(request < 1_000, `${own.failures} of ${own.requests} failed, and it stays`);
    }
  });
});
