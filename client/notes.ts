// Events and the trail of fallbacks: no failure is silent.

import type { Fallback, Level, LoaderClock, LoaderEvents } from './api.ts';
import { type LoaderErrorCode, toLoaderError } from './errors.ts';
import { TRAIL_COUNT_MAX } from './limits.ts';

type Listener = (event: never) => void;

export interface FallbackPlace {
  readonly level: Level;
  readonly channel: string | null;
  readonly what: string;
  readonly origin?: string;
}

export class Notes {
  readonly #clock: LoaderClock;
  readonly #listeners = new Map<keyof LoaderEvents, Set<Listener>>();
  #trail: Fallback[] = [];

  constructor(clock: LoaderClock) {
    this.#clock = clock;
  }

  on<K extends keyof LoaderEvents>(type: K, listener: (event: LoaderEvents[K]) => void) {
    const listeners = this.#listeners.get(type) ?? new Set<Listener>();
    this.#listeners.set(type, listeners);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  emit<K extends keyof LoaderEvents>(type: K, event: LoaderEvents[K]): void {
    for (const listener of this.#listeners.get(type) ?? []) {
      try {
        (listener as (event: LoaderEvents[K]) => void)(event);
      } catch (error) {
        // A listener's fault is the app's to see, and must not stop an update.
        this.#clock.after(0, () => {
          throw error;
        });
      }
    }
  }

  /** Records a step down and returns it. `code` is for errors that are not the loader's own. */
  fallback(error: unknown, code: LoaderErrorCode, place: FallbackPlace): Fallback {
    const known = toLoaderError(error, code);
    const fallback: Fallback = {
      atMs: this.#clock.nowMs(),
      level: place.level,
      code: known.code,
      failure: known.failure,
      detail: known.message,
      channel: place.channel,
      what: place.what,
      origin: place.origin ?? null,
    };
    this.#trail.push(fallback);
    if (this.#trail.length > TRAIL_COUNT_MAX) this.#trail = this.#trail.slice(-TRAIL_COUNT_MAX);
    this.emit('fallback', fallback);
    return fallback;
  }

  trail(): readonly Fallback[] {
    return [...this.#trail];
  }
}
