import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Schedule } from '../../host/cli/bench/schedule.ts';
import { ManualClock } from '../../host/core/index.ts';

function schedule(
  clock: ManualClock,
  part: Partial<{ ratePerSecond: number; durationMs: number; backlogCountMax: number }> = {},
): Schedule {
  return new Schedule({
    clock,
    ratePerSecond: 100,
    durationMs: 1000,
    backlogCountMax: 50,
    ...part,
  });
}

describe('the schedule of the open loop', () => {
  it('has request k due k intervals after the start, whatever the target does', () => {
    const clock = new ManualClock(5000);
    const plan = schedule(clock);
    assert.equal(plan.requestsCount, 100);
    assert.equal(plan.collect(), 0);
    const taken: number[] = [];
    for (let step = 0; step < 100; step++) {
      clock.advance(10);
      plan.collect();
      for (let dueMs = plan.take(); dueMs >= 0; dueMs = plan.take()) taken.push(dueMs);
    }
    assert.deepEqual(
      taken,
      Array.from({ length: 100 }, (_, index) => 5000 + index * 10),
    );
    assert.ok(plan.isExhausted);
    assert.equal(plan.droppedCount, 0);
    assert.equal(plan.untilNextMs(), Number.POSITIVE_INFINITY);
  });

  it('keeps the due times of requests that had to wait', () => {
    const clock = new ManualClock(0);
    const plan = schedule(clock);
    clock.advance(255);
    plan.collect();
    assert.equal(plan.waitingCount, 26);
    assert.equal(plan.take(), 0);
    assert.equal(plan.take(), 10);
    assert.equal(plan.waitingCount, 24);
  });

  it('drops what finds the backlog full, counts it and keeps the oldest', () => {
    const clock = new ManualClock(0);
    const plan = schedule(clock, { backlogCountMax: 10 });
    clock.advance(500);
    plan.collect();
    assert.equal(plan.issuedCount, 51);
    assert.equal(plan.waitingCount, 10);
    assert.equal(plan.droppedCount, 41);
    assert.equal(plan.take(), 0);
    clock.advance(500);
    plan.collect();
    assert.equal(plan.issuedCount, 100);
    assert.equal(plan.issuedCount, plan.droppedCount + plan.waitingCount + 1);
  });

  it('says how late the caller looked and how long it may sleep', () => {
    const clock = new ManualClock(0);
    const plan = schedule(clock);
    plan.collect();
    assert.equal(plan.untilNextMs(), 10);
    clock.advance(13);
    assert.equal(plan.collect(), 3);
    assert.equal(plan.untilNextMs(), 7);
  });

  it('makes exactly rate times duration requests, however coarse the steps', () => {
    for (const [ratePerSecond, durationMs, stepMs] of [
      [7, 1000, 1],
      [33_333, 300, 0.7],
      [0.5, 10_000, 999],
      [1_000_000, 20, 3],
    ] as const) {
      const clock = new ManualClock(123.456);
      const plan = schedule(clock, { ratePerSecond, durationMs, backlogCountMax: 1_000_000 });
      let taken = 0;
      for (let steps = 0; !plan.isExhausted && steps < 1_000_000; steps++) {
        plan.collect();
        while (plan.take() >= 0) taken++;
        clock.advance(stepMs);
      }
      assert.equal(taken, Math.round((ratePerSecond * durationMs) / 1000));
    }
  });
});
