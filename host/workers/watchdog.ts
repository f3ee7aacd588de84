// Watches over workers' heartbeats. An io worker that is stuck cannot close its own listener, and
// ending a thread with an open uWebSockets app aborts the process anyway, so it ends the whole
// process, with a reason; `serve --supervise` starts it again. A db worker has no such app: it is
// ended and replaced.

import { HEADER_HEARTBEATS_OFFSET } from '../../assembly/shared/memory-map.ts';
import type { Clock } from '../core/index.ts';

/** How often a worker raises its heartbeat; it does so, too, whenever some hundred requests, pieces
 *  of bodies or messages have arrived, so that a long turn under a flood is not taken for
 *  silence. */
export const HEARTBEAT_INTERVAL_MS = 1_000;
/** A worker that has been silent for this long is stuck: longer than any pause of the collector,
 *  short enough that a load balancer in front has not yet given up on the whole machine. */
export const HEARTBEAT_SILENCE_MS_MAX = 15_000;
/** A gap this long between two looks means that the whole process stood still (a stopped process, a
 *  suspended machine): that is no worker's fault, and all get their time anew. */
const STANDSTILL_MS = 5_000;

/** Raises a thread's heartbeat. */
export function beat(words: Int32Array, workerIndex: number): void {
  Atomics.add(words, workerIndex, 1);
}

/** The heartbeats of the io workers, one word each. */
export function ioHeartbeats(memory: WebAssembly.Memory): Int32Array {
  return new Int32Array(memory.buffer, HEADER_HEARTBEATS_OFFSET);
}

export class Watchdog {
  readonly #words: Int32Array;
  readonly #clock: Clock;
  readonly #silenceMsMax: number;
  readonly #seen = new Map<number, { beats: number; sinceMs: number }>();
  #lookedMs: number;

  constructor(words: Int32Array, clock: Clock, silenceMsMax = HEARTBEAT_SILENCE_MS_MAX) {
    this.#words = words;
    this.#clock = clock;
    this.#silenceMsMax = silenceMsMax;
    this.#lookedMs = clock.nowMs();
  }

  watch(workerIndex: number): void {
    const beats = Atomics.load(this.#words, workerIndex);
    this.#seen.set(workerIndex, { beats, sinceMs: this.#clock.nowMs() });
  }

  forget(workerIndex: number): void {
    this.#seen.delete(workerIndex);
  }

  /** The workers that have been silent for too long. To be asked about once a second. */
  stuck(): { workerIndex: number; silentMs: number }[] {
    const nowMs = this.#clock.nowMs();
    const stoodStill = nowMs - this.#lookedMs > STANDSTILL_MS;
    this.#lookedMs = nowMs;
    const found: { workerIndex: number; silentMs: number }[] = [];
    for (const [workerIndex, state] of this.#seen) {
      const beats = Atomics.load(this.#words, workerIndex);
      if (beats !== state.beats || stoodStill) {
        state.beats = beats;
        state.sinceMs = nowMs;
      } else if (nowMs - state.sinceMs > this.#silenceMsMax) {
        found.push({ workerIndex, silentMs: nowMs - state.sinceMs });
      }
    }
    return found;
  }
}
