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
      forget();
      resolve();
    });
    const forget = onAbort(signal, () => {
      cancel();
      reject(abortError());
    });
  });
}

export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw abortError();
}

export function abortError(): LoaderError {
  return new LoaderError('LOADER_ABORTED', 'the work was aborted');
}

const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls back when the signal fires; returns what calls it off. Hundreds of files wait on one
 *  signal, for which platforms warn of a leak: here it has one listener. */
export function onAbort(signal: AbortSignal, then: () => void): () => void {
  let calls = waiting.get(signal);
  if (calls === undefined) {
    const made = new Set<() => void>();
    calls = made;
    waiting.set(signal, made);
    signal.addEventListener(
      'abort',
      () => {
        for (const call of [...made]) call();
      },
      { once: true },
    );
  }
  const all = calls;
  all.add(then);
  return () => void all.delete(then);
}

/** A signal that fires when any of `signals` does. Made by hand: `AbortSignal.any` is younger than
 *  some browsers that have ed25519. `release` stops listening. */
export function anySignal(signals: readonly (AbortSignal | undefined)[]): {
  readonly controller: AbortController;
  readonly release: () => void;
} {
  const controller = new AbortController();
  const forgets: (() => void)[] = [];
  for (const signal of signals) {
    if (signal === undefined) continue;
    if (signal.aborted) controller.abort();
    else forgets.push(onAbort(signal, () => controller.abort()));
  }
  const release = (): void => {
    for (const forget of forgets) forget();
  };
  return { controller, release };
}
