// What the host needs from its thread, as an io worker gives it: real timers, the system's
// randomness, and a store of the thread's own.

import { type Clock, type ServiceCaller, secretFiller } from '../core/index.ts';
import type { HostServices, PluginLogLevel, PluginLogLine, Timers } from './contract.ts';
import { MetricRegistry } from './metric-registry.ts';
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
}

/** The services of one thread. `metrics` is of the kind that can be read out. */
export function threadServices(
  options: ThreadServicesOptions,
): HostServices & { readonly metrics: MetricRegistry } {
  const timers = options.timers ?? systemTimers;
  return {
    clock: options.clock,
    timers,
    fillRandom: secretFiller(),
    log: options.log,
    logLevel: options.logLevel,
    metrics: new MetricRegistry(),
    data: new ThreadData(),
    queues: new ThreadQueues(timers),
    services: options.services,
  };
}
