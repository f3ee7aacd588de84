import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { StatsReader, StatsWriter } from '../../host/kernels/index.ts';
import {
  LoopDelayMonitor,
  latencyHgrm,
  latencyHistogram,
  latencySummary,
} from '../../host/telemetry/index.ts';
import { testSeed } from '../support/seed.ts';
import { edgeImage, edgeInstance } from '../support/wasm.ts';

function recorded(durationsUs: readonly number[]) {
  const image = edgeImage();
  const writer = new StatsWriter(edgeInstance(image, 0));
  for (const duration of durationsUs) writer.record(2, -1, -1, 200, 0, duration, 0, 0);
  return latencyHistogram(new StatsReader(image.memory).histogram(2));
}

describe('latency', () => {
  it('percentiles are within 2 % of the exact ones', () => {
    const durations = fc.array(fc.integer({ min: 64, max: 60_000_000 }), {
      minLength: 1,
      maxLength: 400,
    });
    const check = (values: readonly number[]) => {
      const summary = latencySummary(recorded(values));
      const sorted = values.toSorted((left, right) => left - right);
      for (const [percentile, value] of Object.entries(summary.percentiles)) {
        const rank = Math.max(1, Math.ceil((Number(percentile) / 100) * sorted.length));
        const exactMs = sorted[rank - 1]! / 1e3;
        assert.ok(
          Math.abs(value - exactMs) / exactMs <= 0.02,
          `p${percentile} ${value} ${exactMs}`,
        );
      }
      const meanMs = sorted.reduce((sum, value) => sum + value, 0) / sorted.length / 1e3;
      assert.ok(Math.abs(summary.mean - meanMs) / meanMs <= 0.02);
      assert.ok(Math.abs(summary.max - sorted.at(-1)! / 1e3) / summary.max <= 0.02);
      assert.ok(Math.abs(summary.min - sorted[0]! / 1e3) / summary.min <= 0.02);
      assert.equal(summary.count, values.length);
    };
    fc.assert(fc.property(durations, check), { seed: testSeed('latency'), numRuns: 30 });
  });

  it('a route without requests has zeros, not infinities', () => {
    const summary = latencySummary(recorded([]));
    assert.deepEqual(
      [
        summary.count,
        summary.mean,
        summary.min,
        summary.max,
        ...Object.values(summary.percentiles),
      ],
      Array(11).fill(0),
    );
  });

  it('the .hgrm text is HdrHistogram’s, in milliseconds', () => {
    const durations = Array.from({ length: 1_000 }, (_, index) => (index + 1) * 1_000);
    const text = latencyHgrm(recorded(durations));
    const [head, blank, ...lines] = text.split('\n');
    assert.match(head!, /^ +Value +Percentile +TotalCount +1\/\(1-Percentile\)$/);
    assert.equal(blank, '');
    const rows = lines
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => line.trim().split(/ +/).map(Number));
    let last = [0, -1, 0];
    for (const row of rows) {
      assert.ok(row.every((cell, index) => index === 3 || Number.isFinite(cell)));
      assert.ok(row[0]! >= last[0]! && row[1]! > last[1]! && row[2]! >= last[2]!);
      last = row;
    }
    assert.deepEqual([last[1], last[2]], [1, 1_000]);
    assert.ok(Math.abs(last[0]! - 1_000) <= 20);
    const median = rows.find((row) => row[1] === 0.5)!;
    assert.ok(Math.abs(median[0]! - 500) <= 10);
    assert.match(text, /^#\[Mean +=/m);
    assert.match(text, /^#\[Max +=.+Total count +=\s+1000\]$/m);
  });

  it('no duration is too long for it', () => {
    const summary = latencySummary(recorded([0, 2 ** 40]));
    assert.ok(Math.abs(summary.max - 2 ** 32 / 1e3) / summary.max <= 0.02);
    assert.equal(summary.min, 0);
  });
});

describe('event loop delay', () => {
  it('sees a loop that was held up, and forgets it after the next sample', async () => {
    const cells = new Map<string, number>();
    const monitor = new LoopDelayMonitor({ setCell: (cell, value) => cells.set(cell, value) });
    const turn = (timeoutMs: number) => new Promise((resolve) => setTimeout(resolve, timeoutMs));
    await turn(60);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
    await turn(60);
    monitor.sample();
    assert.ok(cells.get('loopDelayMaxMs')! >= 200, `${cells.get('loopDelayMaxMs')} ms`);
    assert.ok(cells.get('loopDelayMeanMs')! <= cells.get('loopDelayMaxMs')!);
    monitor.sample();
    assert.deepEqual([...cells.values()], [0, 0, 0]);
    monitor.stop();
  });
});
