// Time and chance of the platform; tests bring their own.

import type { LoaderClock } from './api.ts';
import { LoaderError } from './errors.ts';

export const PLATFORM_CLOCK: LoaderClock = {
  nowMs: () => Date.now(),
  after: (ms, then) => {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};

/** Errors: LOADER_ABORTED when the signal fires first. */
export function pause(clock: LoaderClock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(abortError());
    const cancel = clock.after(ms, () => {
      signal.removeEventListener('abort', abort);
      resolve();
    });
    const abort = (): void => {
      cancel();
      reject(abortError());
    };
    signal.addEventListener('abort', abort, { once: true });
  });
}

export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw abortError();
}

export function abortError(): LoaderError {
  return new LoaderError('LOADER_ABORTED', 'the work was aborted');
}

/** A signal that fires when any of `signals` does. Called by hand: `AbortSignal.any` is younger than
 *  the browsers that decode what we send. `release` stops listening. */
export function anySignal(signals: readonly (AbortSignal | undefined)[]): {
  readonly controller: AbortController;
  readonly release: () => void;
} {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  const given = signals.filter((signal) => signal !== undefined);
  for (const signal of given) {
    if (signal.aborted) controller.abort();
    signal.addEventListener('abort', abort, { once: true });
  }
  const release = (): void => {
    for (const signal of given) signal.removeEventListener('abort', abort);
  };
  return { controller, release };
}
