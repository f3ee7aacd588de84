// What the host needs from its thread, as an io worker gives it: real timers, the system's
// randomness, and a store of the thread's own.

import { type Clock, type ServiceCaller, secretFiller } from '../core/index.ts';
import type { HostServices, PluginLogLevel, PluginLogLine, Timers } from './contract.ts';
import { MetricRegistry } from './metric-registry.ts';
import type { SharedStore } from './shared-store/store.ts';
import { ThreadData, ThreadQueues } from './thread-store.ts';

export const systemTimers: Timers = {
  every(ms, onTime) {
    const timer = setInterval(onTime, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
  after(ms, onTime) {
    const timer = setTimeout(onTime, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

export interface ThreadServicesOptions {
  readonly clock: Clock;
  readonly log: (line: PluginLogLine) => void;
  readonly logLevel: PluginLogLevel;
  readonly services: ServiceCaller | null;
  readonly timers?: Timers;
  /** What all threads share; without it, the thread has its own. */
  readonly store?: SharedStore;
}

/** The services of one thread. */
export function threadServices(options: ThreadServicesOptions): HostServices {
  const timers = options.timers ?? systemTimers;
  return {
    clock: options.clock,
    timers,
    fillRandom: secretFiller(),
    log: options.log,
    logLevel: options.logLevel,
    metrics: options.store?.metrics ?? new MetricRegistry(),
    data: options.store?.data ?? new ThreadData(),
    queues: options.store?.queues ?? new ThreadQueues(timers),
    services: options.services,
  };
}
