// What every limiter must do, kernel and oracle alike.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { RateLimiter } from './limiter-oracle.ts';

const START_MS = 86_400_000;

/** Registers the cases for one implementation; `create` makes an empty limiter. */
export function limiterCases<P>(create: () => RateLimiter<P>): void {
  it('grants a burst at one instant, then one per interval', () => {
    const limiter = create();
    const policy = limiter.policy('route/per-user', { limit: 10, perMs: 1000, burst: 3 });
    const granted = [0, 1, 2, 3].map(() => limiter.take(policy, 'ada', START_MS));
    assert.deepEqual(granted, [true, true, true, false]);
    assert.equal(limiter.take(policy, 'ada', START_MS + 99.999), false);
    assert.equal(limiter.take(policy, 'ada', START_MS + 100), true);
    assert.equal(limiter.take(policy, 'ada', START_MS + 100), false);
    assert.equal(limiter.take(policy, 'ada', START_MS + 60_000), true);
    assert.equal(limiter.remaining, 2);
  });

  it('tells what is left, when a token comes and when the bucket is full', () => {
    const limiter = create();
    const policy = limiter.policy('p', { limit: 4, perMs: 1000, burst: 2 });
    assert.equal(limiter.take(policy, 'k', START_MS), true);
    assert.deepEqual([limiter.remaining, limiter.retryAfterMs, limiter.resetMs], [1, 0, 250]);
    assert.equal(limiter.take(policy, 'k', START_MS + 50), true);
    assert.deepEqual([limiter.remaining, limiter.retryAfterMs, limiter.resetMs], [0, 0, 450]);
    assert.equal(limiter.take(policy, 'k', START_MS + 100), false);
    assert.deepEqual([limiter.remaining, limiter.retryAfterMs, limiter.resetMs], [0, 150, 400]);
  });

  it('a refusal costs nothing', () => {
    const limiter = create();
    const policy = limiter.policy('p', { limit: 1, perMs: 1000, burst: 1 });
    assert.equal(limiter.take(policy, 'k', START_MS), true);
    for (let step = 0; step < 100; ++step) {
      assert.equal(limiter.take(policy, 'k', START_MS + step), false);
      assert.equal(limiter.retryAfterMs, 1000 - step);
    }
    assert.equal(limiter.take(policy, 'k', START_MS + 1000), true);
  });

  it('keeps keys and policies apart', () => {
    const limiter = create();
    const rule = { limit: 1, perMs: 1000, burst: 1 };
    const keys = ['', 'a', 'aa', 'a\0', '\0', '慡', 'é', 'Ã©', '\ud800', '\ud801', '👍'];
    const long = 'x'.repeat(64);
    keys.push(long, `${long}x`, `${long}y`, '👍'.repeat(5000), `${'👍'.repeat(4999)}👎`);
    keys.push('x'.repeat(16_383), `${'x'.repeat(16_382)}y`, 'x'.repeat(16_384));
    for (const name of ['one', 'two', 'onetwo', 'two\0']) {
      const policy = limiter.policy(name, rule);
      for (const key of keys) assert.equal(limiter.take(policy, key, START_MS), true, key);
      for (const key of keys) assert.equal(limiter.take(policy, key, START_MS), false, key);
    }
  });

  it('the same name is the same bucket, also with other numbers', () => {
    const limiter = create();
    const before = limiter.policy('p', { limit: 10, perMs: 1000, burst: 2 });
    limiter.take(before, 'k', START_MS);
    limiter.take(before, 'k', START_MS);
    const after = limiter.policy('p', { limit: 20, perMs: 1000, burst: 5 });
    assert.equal(limiter.take(after, 'k', START_MS), true);
    assert.equal(limiter.take(after, 'k', START_MS), false);
    assert.equal(limiter.take(after, 'k', START_MS + 50), true);
  });

  it('holds one a nanosecond and one in a hundred days', () => {
    const limiter = create();
    const fast = limiter.policy('fast', { limit: 1e9, perMs: 1000, burst: 1000 });
    for (let taken = 0; taken < 1000; ++taken) assert.ok(limiter.take(fast, 'k', START_MS));
    assert.equal(limiter.take(fast, 'k', START_MS), false);
    assert.equal(limiter.retryAfterMs, 1e-6);
    const slow = limiter.policy('slow', { limit: 1, perMs: 7_776_000_000, burst: 1 });
    assert.equal(limiter.take(slow, 'k', START_MS), true);
    assert.equal(limiter.take(slow, 'k', START_MS + 7_775_999_999.9), false);
    assert.equal(limiter.take(slow, 'k', START_MS + 7_776_000_000), true);
  });

  it('a clock that steps back grants nothing more', () => {
    const limiter = create();
    const policy = limiter.policy('p', { limit: 1000, perMs: 1000, burst: 5 });
    let granted = 0;
    for (let step = 0; step < 1000; ++step) {
      const skewMs = (step % 7) * 0.003;
      if (limiter.take(policy, 'k', START_MS - skewMs)) granted += 1;
    }
    assert.equal(granted, 5);
  });

  it('takes from all buckets or from none', () => {
    const limiter = create();
    const wide = limiter.policy('wide', { limit: 100, perMs: 1000, burst: 10 });
    const narrow = limiter.policy('narrow', { limit: 1, perMs: 1000, burst: 2 });
    const both = [wide, narrow];
    assert.equal(limiter.takeAll(both, ['k', 'k'], START_MS), -1);
    assert.equal(limiter.remaining, 1, 'of the narrow one');
    limiter.select(0);
    assert.equal(limiter.remaining, 9);
    assert.equal(limiter.takeAll(both, ['k', 'k'], START_MS), -1);
    for (let step = 0; step < 20; ++step) {
      assert.equal(limiter.takeAll(both, ['k', 'k'], START_MS), 1);
      assert.equal(limiter.retryAfterMs, 1000);
    }
    for (let left = 7; left >= 0; --left) {
      assert.equal(limiter.take(wide, 'k', START_MS), true);
      assert.equal(limiter.remaining, left);
    }
    assert.equal(limiter.takeAll(both, ['k', 'other'], START_MS), 0);
    assert.equal(limiter.takeAll([narrow], ['other'], START_MS), -1);
    assert.equal(limiter.remaining, 1);
    limiter.select(0);
    assert.deepEqual([limiter.remaining, limiter.resetMs], [1, 1000]);
  });
}
