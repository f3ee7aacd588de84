// What a filter needs from a host, without a gateway: a clock that stands still, chance from a
// fixed seed, and a log that is kept. The same case always gives the same result.

import { ManualClock, SeededRandom, type ServiceCaller } from '../../core/index.ts';
import {
  type HostServices,
  type PluginLogLine,
  type Timers,
  threadServices,
} from '../../proxywasm/index.ts';

const SEED = 1;

export interface BenchServices extends HostServices {
  readonly clock: ManualClock;
  readonly lines: readonly PluginLogLine[];
}

/** `wallMs`: what the clock says at the beginning. */
export function benchServices(wallMs: number, services: ServiceCaller): BenchServices {
  const random = new SeededRandom(SEED);
  const lines: PluginLogLine[] = [];
  const clock = new ManualClock(0, wallMs);
  const given = threadServices({
    clock,
    log: (line) => void lines.push(line),
    logLevel: 'debug',
    services,
    timers: silentTimers,
  });
  const fillRandom = (bytes: Uint8Array): void => {
    for (let index = 0; index < bytes.length; index++) bytes[index] = random.uint32() & 0xff;
  };
  return { ...given, clock, fillRandom, lines };
}

/** Nothing ticks: a case says itself when time passes. */
const silentTimers: Timers = { every: () => () => {}, after: () => () => {} };
