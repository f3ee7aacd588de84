// Which origin is asked next, how often, and how long is waited in between.

import type { Fallback, LoaderClock, LoaderLimits } from './api.ts';
import { pause, throwIfAborted } from './clock.ts';
import { isFinal, LoaderError, toLoaderError } from './errors.ts';
import type { FallbackPlace, Notes } from './notes.ts';

export interface OriginTask<T> {
  readonly place: Omit<FallbackPlace, 'origin'>;
  readonly signal: AbortSignal;
  /** Tries one origin. `round` counts from 0. */
  readonly attempt: (origin: string, round: number) => Promise<T>;
}

export class Origins {
  readonly #origins: readonly string[];
  readonly #clock: LoaderClock;
  readonly #limits: LoaderLimits;
  readonly #notes: Notes;
  readonly #restUntilMs = new Map<string, number>();

  constructor(
    origins: readonly string[],
    tools: { readonly clock: LoaderClock; readonly limits: LoaderLimits; readonly notes: Notes },
  ) {
    this.#origins = origins;
    this.#clock = tools.clock;
    this.#limits = tools.limits;
    this.#notes = tools.notes;
  }

  /** In the app's order; those that could not be reached lately come last. */
  ordered(): string[] {
    const nowMs = this.#clock.nowMs();
    const isResting = (origin: string): boolean => (this.#restUntilMs.get(origin) ?? 0) > nowMs;
    return [
      ...this.#origins.filter((origin) => !isResting(origin)),
      ...this.#origins.filter(isResting),
    ];
  }

  /** Tries every origin, round after round with growing pauses, until one gives the thing.
   *  Errors: LOADER_UNAVAILABLE with what was tried; LOADER_ABORTED at once. */
  async run<T>({ place, signal, attempt }: OriginTask<T>): Promise<T> {
    const trail: Fallback[] = [];
    for (let round = 0; round < this.#limits.rounds; round += 1) {
      if (round > 0) await pause(this.#clock, this.backoffMs(round), signal);
      let mayHelp = false;
      for (const origin of this.ordered()) {
        throwIfAborted(signal);
        try {
          return await attempt(origin, round);
        } catch (error) {
          const known = toLoaderError(error, 'LOADER_NETWORK');
          if (isFinal(known)) throw known;
          trail.push(this.#notes.fallback(known, 'LOADER_NETWORK', { ...place, origin }));
          mayHelp = this.failed(origin, known) || mayHelp;
        }
      }
      if (!mayHelp) break;
    }
    const last = trail.at(-1);
    const why = last === undefined ? 'there is no origin' : last.detail;
    const detail = `${place.what} came from no origin: ${why}`;
    throw new LoaderError('LOADER_UNAVAILABLE', detail, { trail });
  }

  /** Notes a failure; whether the same question may be answered better later. */
  failed(origin: string, error: LoaderError): boolean {
    if (error.code === 'LOADER_NETWORK') {
      this.#restUntilMs.set(origin, this.#clock.nowMs() + this.#limits.originRestMs);
    }
    return error.code === 'LOADER_NETWORK' || error.code === 'LOADER_HASH';
  }

  /** Half of a doubling time for certain, and half by chance: devices that failed together do not
   *  come back together. */
  backoffMs(round: number): number {
    const { backoffMs, backoffMsMax } = this.#limits;
    const whole = Math.min(backoffMsMax, backoffMs * 2 ** (round - 1));
    return whole / 2 + (this.#clock.random() * whole) / 2;
  }
}
