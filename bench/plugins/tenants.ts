// Thousands of tenants in one process, each with an instance of the header filter: how much memory
// an idle one takes, and how long the first request of a tenant waits for its instance, with room
// and where the least used has to go for it. Run as a program with the count: prints JSON.

import { fileURLToPath } from 'node:url';
import { systemClock } from '../../host/core/index.ts';
import { PluginBook, pluginSpec, threadServices } from '../../host/proxywasm/index.ts';
import { CountingSink, exchange } from './exchange.ts';
import { filterBytes, loadedFilter } from './modules.ts';

export interface TenantResult {
  readonly count: number;
  /** Of the whole process with all of them idle, and what they added. */
  readonly rssBytes: number;
  readonly addedBytes: number;
  /** A whole exchange of a tenant that has no instance yet. Units: ms. */
  readonly coldMs: Percentiles;
  /** The same where another tenant has to go. */
  readonly evictingMs: Percentiles;
  /** Of one that has. */
  readonly warmMs: Percentiles;
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

async function main(count: number): Promise<TenantResult> {
  const services = threadServices({
    clock: systemClock,
    log: ({ message }) => console.error(message),
    logLevel: 'warn',
    services: null,
  });
  const book = new PluginBook(services);
  const isolation = { kind: 'tenant', header: 'x-tenant', countMax: count } as const;
  const { metered } = loadedFilter(await filterBytes('header'));
  book.install(pluginSpec({ name: 'bench', rootId: 'bench', isolation }), metered);
  const chain = book.chain(['bench']);
  const sink = new CountingSink();
  const ask = (tenant: string): number => {
    const startMs = performance.now();
    exchange(chain, sink, tenant);
    return performance.now() - startMs;
  };
  const askAll = (prefix: string): Percentiles => {
    const times: number[] = [];
    for (let index = 0; index < count; index++) times.push(ask(`${prefix}${index}`));
    return percentilesOf(times);
  };
  // Code is compiled when it is first run, which is not the tenant's doing.
  for (let index = 0; index < WARM_UP_COUNT; index++) ask('warm');
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  const coldMs = askAll('first-');
  globalThis.gc?.();
  const rssBytes = process.memoryUsage.rss();
  const warmMs = askAll('first-');
  const evictingMs = askAll('second-');
  const [stats] = book.stats();
  if (stats!.instances !== count) throw new Error(`${stats!.instances} instances of ${count}`);
  return { count, rssBytes, addedBytes: rssBytes - before, coldMs, evictingMs, warmMs };
}

const WARM_UP_COUNT = 2_000;

function percentilesOf(times: readonly number[]): Percentiles {
  const sorted = [...times].sort((left, right) => left - right);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, sorted.length * share) | 0]!;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(JSON.stringify(await main(Number(process.argv[2]))));
}
