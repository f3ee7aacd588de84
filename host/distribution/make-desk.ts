// Makes deltas and variants that requests found missing: each once however many ask, within a
// budget, and not again soon when it could not be made. Nobody waits for it: whoever asked has been
// answered with what there was.

import { type Clock, isGatewayError } from '../core/index.ts';
import type { Wanted } from './channel-view.ts';
import { artefactPath } from './store-paths.ts';

export interface MakeLimits {
  /** Jobs at once. */
  readonly concurrency: number;
  /** Of all jobs together, within any minute. */
  readonly cpuMsPerMinute: number;
}

export interface MakeDeskDeps {
  readonly clock: Clock;
  readonly limits: MakeLimits;
  /** Makes an artefact and stores it. False when it is not worth its room, or may not be.
   *  Errors: GW_DIST_DISK, GW_DIST_CORRUPT, GW_DIST_DELTA. */
  readonly make: (wanted: Wanted) => Promise<boolean>;
  readonly onMade: (wanted: Wanted) => void;
  readonly onRefused: (wanted: Wanted) => void;
  readonly onFault: (wanted: Wanted, error: unknown) => void;
}

export interface MakeCounts {
  readonly made: number;
  readonly refused: number;
  readonly failed: number;
  /** Not even begun: no place in the queue. */
  readonly dropped: number;
  readonly waiting: number;
}

const QUEUE_COUNT_MAX = 1_024;
const MINUTE_MS = 60_000;
/** What could not be made is tried again after this. */
const REFUSED_MS = 600_000;
const REFUSED_COUNT_MAX = 16_384;

export class MakeDesk {
  readonly #deps: MakeDeskDeps;
  /** Deltas before variants: they save most. By path, which names an artefact once. */
  readonly #queues: readonly [Map<string, Wanted>, Map<string, Wanted>] = [new Map(), new Map()];
  readonly #running = new Set<string>();
  /** Until when an artefact is not tried again, oldest first. */
  readonly #refused = new Map<string, number>();
  readonly #counts = { made: 0, refused: 0, failed: 0, dropped: 0 };
  /** CPU time that may still be spent; fills up to a minute's worth. */
  #roomMs: number;
  #filledMs: number;
  #isStopped = false;

  constructor(deps: MakeDeskDeps) {
    this.#deps = deps;
    this.#roomMs = deps.limits.cpuMsPerMinute;
    this.#filledMs = deps.clock.nowMs();
  }

  get counts(): MakeCounts {
    return { ...this.#counts, waiting: this.#queues[0].size + this.#queues[1].size };
  }

  want(wanted: Wanted): void {
    const key = artefactPath(wanted);
    const queue = this.#queues[wanted.kind === 'delta' ? 0 : 1];
    if (queue.has(key) || this.#running.has(key)) return;
    if (this.#isRefused(key)) {
      this.#deps.onRefused(wanted);
      return;
    }
    if (queue.size >= QUEUE_COUNT_MAX) {
      this.#counts.dropped += 1;
      return;
    }
    queue.set(key, wanted);
    this.tick();
  }

  /** Begins what may be begun; to be called each second, for the budget fills with time. */
  tick(): void {
    this.#fill();
    while (this.#mayBegin()) {
      const queue = this.#queues.find(({ size }) => size > 0)!;
      const [key, wanted] = queue.entries().next().value!;
      queue.delete(key);
      void this.#run(key, wanted);
    }
  }

  /** Begins nothing any more. */
  stop(): void {
    this.#isStopped = true;
    for (const queue of this.#queues) queue.clear();
  }

  #mayBegin(): boolean {
    if (this.#isStopped || this.#queues.every(({ size }) => size === 0)) return false;
    return this.#roomMs > 0 && this.#running.size < this.#deps.limits.concurrency;
  }

  async #run(key: string, wanted: Wanted): Promise<void> {
    const { clock, make, onMade, onFault } = this.#deps;
    this.#running.add(key);
    const beganMs = clock.nowMs();
    try {
      if (await make(wanted)) {
        this.#counts.made += 1;
        onMade(wanted);
      } else {
        this.#counts.refused += 1;
        this.#refuse(key, wanted);
      }
    } catch (error) {
      this.#counts.failed += 1;
      this.#refuse(key, wanted);
      if (!isGatewayError(error) || error.code !== 'GW_DIST_DISK') onFault(wanted, error);
    }
    // A job keeps one thread busy for as long as it takes.
    this.#roomMs -= clock.nowMs() - beganMs;
    this.#running.delete(key);
    this.tick();
  }

  #fill(): void {
    const { clock, limits } = this.#deps;
    const nowMs = clock.nowMs();
    const filledMs = ((nowMs - this.#filledMs) * limits.cpuMsPerMinute) / MINUTE_MS;
    this.#roomMs = Math.min(limits.cpuMsPerMinute, this.#roomMs + filledMs);
    this.#filledMs = nowMs;
  }

  #isRefused(key: string): boolean {
    const untilMs = this.#refused.get(key);
    if (untilMs === undefined) return false;
    if (untilMs > this.#deps.clock.nowMs()) return true;
    this.#refused.delete(key);
    return false;
  }

  #refuse(key: string, wanted: Wanted): void {
    if (this.#refused.size >= REFUSED_COUNT_MAX) {
      this.#refused.delete(this.#refused.keys().next().value!);
    }
    this.#refused.set(key, this.#deps.clock.nowMs() + REFUSED_MS);
    this.#deps.onRefused(wanted);
  }
}
