// A worker that gets on with a flood is slow and not stuck; one that takes no step is stuck.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock, Progress } from '../../host/core/index.ts';
import { beat, HEARTBEAT_SILENCE_MS_MAX, Watchdog } from '../../host/workers/watchdog.ts';

const LOOK_MS = 1_000;
const LOOKS_COUNT = (3 * HEARTBEAT_SILENCE_MS_MAX) / LOOK_MS;

/** Looks once a second for three times as long as a silence may last. */
function stuckAfter(step: (progress: Progress) => void): number[] {
  const clock = new ManualClock();
  const words = new Int32Array(new SharedArrayBuffer(8));
  const watchdog = new Watchdog(words, clock);
  watchdog.watch(1);
  const progress = new Progress(() => beat(words, 1));
  const found = new Set<number>();
  for (let look = 0; look < LOOKS_COUNT; look++) {
    step(progress);
    clock.advance(LOOK_MS);
    for (const { workerIndex } of watchdog.stuck()) found.add(workerIndex);
  }
  return [...found];
}

describe('the watchdog', () => {
  // No timer runs in a long turn of the event loop, so a flood of tiny frames looked like silence.
  it('spares a worker at which things arrive, though its timer does not run', () => {
    const flood = (progress: Progress) => {
      for (let count = 0; count < 100; count++) progress.noteArrival();
    };
    assert.deepEqual(stuckAfter(flood), []);
  });

  it('finds a worker that takes no step', () => {
    assert.deepEqual(
      stuckAfter(() => {}),
      [1],
    );
  });
});
