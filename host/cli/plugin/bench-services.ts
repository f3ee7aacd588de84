// What a filter needs from a host, without a gateway: a clock that stands still, chance from a
// fixed seed, data and queues in memory, and a log that is kept. The same case always gives the
// same result.

import { ManualClock, SeededRandom } from '../../core/index.ts';
import type {
  HostServices,
  PluginLogLine,
  PluginMetrics,
  SharedData,
  SharedQueues,
  Timers,
} from '../../proxywasm/index.ts';

const SEED = 1;
const QUEUES_COUNT_MAX = 256;

export interface BenchServices extends HostServices {
  readonly clock: ManualClock;
  readonly lines: PluginLogLine[];
}

/** `wallMs`: what the clock says at the beginning. */
export function benchServices(wallMs: number): BenchServices {
  const random = new SeededRandom(SEED);
  const lines: PluginLogLine[] = [];
  return {
    clock: new ManualClock(0, wallMs),
    timers: silentTimers,
    fillRandom: (bytes) => {
      for (let index = 0; index < bytes.length; index++) bytes[index] = random.uint32() & 0xff;
    },
    log: (line) => {
      lines.push(line);
    },
    logLevel: 'debug',
    metrics: benchMetrics(),
    data: benchData(),
    queues: benchQueues(),
    services: null,
    lines,
  };
}

/** Nothing ticks: a case says itself when time passes. */
const silentTimers: Timers = { every: () => () => {}, after: () => () => {} };

function benchMetrics(): PluginMetrics {
  const values: number[] = [];
  const ids = new Map<string, number>();
  const change = (id: number, value: (before: number) => number): boolean => {
    const before = values[id];
    if (before === undefined) return false;
    values[id] = value(before);
    return true;
  };
  return {
    define(plugin, kind, name) {
      const key = `${plugin}\n${kind}\n${name}`;
      const known = ids.get(key);
      if (known !== undefined) return known;
      ids.set(key, values.length);
      return values.push(0) - 1;
    },
    record: (id, value) => change(id, () => value),
    increment: (id, delta) => change(id, (before) => before + delta),
    value: (id) => values[id],
  };
}

function benchData(): SharedData {
  const entries = new Map<string, { readonly value: Uint8Array; readonly cas: number }>();
  return {
    get: (vmId, key) => entries.get(`${vmId}\n${key}`) ?? null,
    set(vmId, key, value, cas) {
      const before = entries.get(`${vmId}\n${key}`)?.cas ?? 0;
      if (cas !== 0 && cas !== before) return 'cas-mismatch';
      entries.set(`${vmId}\n${key}`, { value: value.slice(), cas: before + 1 });
      return 'ok';
    },
  };
}

function benchQueues(): SharedQueues {
  const names: string[] = [];
  const waiting: Uint8Array[][] = [];
  return {
    register(vmId, name) {
      const known = names.indexOf(`${vmId}\n${name}`);
      if (known >= 0) return known + 1;
      if (names.length === QUEUES_COUNT_MAX) return 0;
      waiting.push([]);
      return names.push(`${vmId}\n${name}`);
    },
    resolve: (vmId, name) => names.indexOf(`${vmId}\n${name}`) + 1,
    enqueue(token, value) {
      const queue = waiting[token - 1];
      if (queue === undefined) return 'not-found';
      queue.push(value.slice());
      return 'ok';
    },
    dequeue(token) {
      const queue = waiting[token - 1];
      if (queue === undefined) return 'not-found';
      return queue.shift() ?? 'empty';
    },
    watch: () => () => {},
  };
}
