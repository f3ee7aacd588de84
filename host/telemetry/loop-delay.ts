// How late a worker's event loop is: the first sign of a worker that does too much at once. The
// histogram is Node's own, filled by a timer of its loop.

import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { StatsWriter } from '../kernels/index.ts';

const RESOLUTION_MS = 20;

/** Measures from its construction to stop(). */
export class LoopDelayMonitor {
  readonly #histogram: IntervalHistogram;
  readonly #writer: Pick<StatsWriter, 'setCell'>;

  constructor(writer: Pick<StatsWriter, 'setCell'>) {
    this.#writer = writer;
    this.#histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    this.#histogram.enable();
  }

  /** Writes the delays since the last call to the worker's cells; call it about once a second. */
  sample(): void {
    const { mean, max } = this.#histogram;
    this.#writer.setCell('loopDelayMeanMs', delayMs(mean));
    this.#writer.setCell('loopDelayP99Ms', delayMs(this.#histogram.percentile(99)));
    this.#writer.setCell('loopDelayMaxMs', delayMs(max));
    this.#histogram.reset();
  }

  stop(): void {
    this.#histogram.disable();
  }
}

/** Node counts from tick to tick, so its own interval is taken off. Not a number when empty. */
function delayMs(nanoseconds: number): number {
  const ms = nanoseconds / 1e6 - RESOLUTION_MS;
  return ms > 0 ? ms : 0;
}
