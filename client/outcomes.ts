// Telling the origin how releases fare: in batches, behind the app's back, and never in its way.
// What could not be sent waits in the state, within bounds, for the next time.

import type { LoaderClock, LoaderLimits } from './api.ts';
import { pause } from './clock.ts';
import { toLoaderError } from './errors.ts';
import { OUTCOMES_SENT_COUNT_MAX, OUTCOMES_WAITING_COUNT_MAX } from './limits.ts';
import type { Network } from './network.ts';
import type { Notes } from './notes.ts';
import type { Outcome, StateKeeper } from './state.ts';

/** Outcomes come in bursts: delivered and applied are one request. */
const GATHER_MS = 100;

export interface OutcomesOptions {
  readonly keeper: StateKeeper;
  readonly network: Network;
  readonly notes: Notes;
  readonly clock: LoaderClock;
  readonly limits: LoaderLimits;
  readonly signal: AbortSignal;
  readonly deviceId: () => string;
}

export class Outcomes {
  readonly #options: OutcomesOptions;
  #fresh: Outcome[] = [];
  readonly #told = new Set<string>();
  #sending: Promise<void> | null = null;

  constructor(options: OutcomesOptions) {
    this.#options = options;
  }

  /** The same outcome of the same release is told once in a life of the loader. */
  add(outcome: Outcome): void {
    if (this.#told.has(keyOf(outcome))) return;
    this.#told.add(keyOf(outcome));
    this.#fresh.push(outcome);
    this.send();
  }

  /** Begins to send what waits. */
  send(): void {
    if (this.#sending !== null || this.#options.signal.aborted) return;
    this.#sending = this.#run().finally(() => {
      this.#sending = null;
      if (this.#fresh.length > 0) this.send();
    });
  }

  /** Settles when nothing is being sent. */
  async idle(): Promise<void> {
    while (this.#sending !== null) await this.#sending;
  }

  /** Keeps what was not sent. Never throws. */
  async keep(): Promise<void> {
    const fresh = this.#fresh;
    if (fresh.length === 0) return;
    this.#fresh = [];
    try {
      await this.#options.keeper.change((state) => {
        const waiting = new Map(state.outcomes.map((one) => [keyOf(one), one]));
        for (const one of fresh) waiting.set(keyOf(one), one);
        return { ...state, outcomes: [...waiting.values()].slice(-OUTCOMES_WAITING_COUNT_MAX) };
      });
    } catch (error) {
      this.#note(error);
    }
  }

  async #run(): Promise<void> {
    const { clock, signal, keeper } = this.#options;
    try {
      await pause(clock, GATHER_MS, signal);
      await this.keep();
      while (keeper.state.outcomes.length > 0 && (await this.#sendBatch())) await this.keep();
    } catch {
      // Closed while it waited; close() keeps what is left.
    }
  }

  /** Whether a batch is off the list. */
  async #sendBatch(): Promise<boolean> {
    const { keeper, network, limits, clock, signal, deviceId } = this.#options;
    const batch = keeper.state.outcomes.slice(0, OUTCOMES_SENT_COUNT_MAX);
    for (let round = 0; round < limits.rounds; round += 1) {
      if (round > 0) await pause(clock, network.origins.backoffMs(round), signal);
      for (const origin of network.origins.ordered()) {
        try {
          await network.report(origin, deviceId(), batch, signal);
          return await this.#drop(batch);
        } catch (error) {
          const known = toLoaderError(error, 'LOADER_NETWORK');
          this.#note(known, origin);
          // Reports that an origin does not want are not offered for ever.
          if (known.code === 'LOADER_REFUSED') return await this.#drop(batch);
        }
      }
    }
    return false;
  }

  async #drop(batch: readonly Outcome[]): Promise<boolean> {
    const sent = new Set(batch.map(keyOf));
    try {
      await this.#options.keeper.change((state) => {
        return { ...state, outcomes: state.outcomes.filter((one) => !sent.has(keyOf(one))) };
      });
      return true;
    } catch (error) {
      this.#note(error);
      return false;
    }
  }

  #note(error: unknown, origin?: string): void {
    const place = { level: 'check', channel: null, what: 'outcomes' } as const;
    const whole = origin === undefined ? place : { ...place, origin };
    this.#options.notes.fallback(error, 'LOADER_NETWORK', whole);
  }
}

function keyOf({ channel, sequence, outcome, cause }: Outcome): string {
  return `${channel} ${sequence} ${outcome} ${cause ?? ''}`;
}
