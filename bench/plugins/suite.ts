// What a filter costs: CPU time for an exchange through a no-op, a header and a body filter,
// metered as in a gateway, without its counters, and as plain TypeScript; and what it takes to load
// a module, to instantiate it, and to switch to another. All of that is the plugin host alone, on
// one thread, without sockets: what it adds to a request. Last, switches in a gateway under load.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type FilterChain, systemClock } from '../../host/core/index.ts';
import {
  loadModule,
  PluginBook,
  type PluginModule,
  pluginSpec,
  threadServices,
} from '../../host/proxywasm/index.ts';
import { ratioOfPairs, type Spread, spreadOf } from '../statistics.ts';
import { CountingSink, effectOf, exchange } from './exchange.ts';
import {
  anotherImage,
  FILTERS,
  type FilterName,
  filterBytes,
  loadedFilter,
  type Metering,
} from './modules.ts';
import { plainChain } from './plain.ts';
import { type Answerer, measureSwaps, type SwapResult } from './swap.ts';
import type { TenantResult } from './tenants.ts';

export type Variant = Metering | 'plain';

export const VARIANTS: readonly Variant[] = ['metered', 'unmetered', 'plain'];

export interface FilterRow {
  readonly filter: FilterName;
  /** CPU of an exchange. */
  readonly us: Readonly<Record<Variant, Spread>>;
  /** Metered over unmetered, and over plain TypeScript, round by round. */
  readonly metering: Spread;
  readonly sandbox: Spread;
  readonly steps: number;
}

export interface FilterResult {
  readonly rounds: number;
  readonly exchangesCount: number;
  readonly rows: readonly FilterRow[];
  /** Of the header filter. Units: ms. */
  readonly loadMs: Spread;
  readonly instantiateMs: Spread;
  readonly swapMs: Spread;
  readonly tenants: TenantResult;
  readonly swaps: readonly SwapResult[];
}

export interface FilterPlan {
  readonly rounds: number;
  /** Through one chain in one round. */
  readonly exchangesCount: number;
  readonly tenantsCount: number;
  /** How long a gateway is under load while its plugin is switched. */
  readonly loadMs: number;
  readonly sluiceCommand: readonly string[];
  readonly log: (line: string) => void;
}

const TIMES_COUNT = 20;
const ANSWERERS: readonly Answerer[] = ['upstream', 'filter'];

export async function runFilters(plan: FilterPlan): Promise<FilterResult> {
  const rows: FilterRow[] = [];
  for (const filter of FILTERS) {
    rows.push(measureFilter(filter, await filterBytes(filter), plan));
    plan.log(`filters: ${filter} measured`);
  }
  const bytes = await filterBytes('header');
  const times = measureTimes(bytes);
  const tenants = measureTenants(plan.tenantsCount);
  plan.log(`filters: ${tenants.count} tenants measured`);
  const swaps: SwapResult[] = [];
  for (const answerer of ANSWERERS) {
    const swap = await measureSwaps(answerer, plan.sluiceCommand, plan.loadMs);
    plan.log(`filters: ${swap.swapsCount} switches measured, answers of the ${answerer}`);
    swaps.push(swap);
  }
  const { rounds, exchangesCount } = plan;
  return { rounds, exchangesCount, rows, ...times, tenants, swaps };
}

function bookWith(module: PluginModule): PluginBook {
  const services = threadServices({
    clock: systemClock,
    log: ({ message }) => {
      throw new Error(message);
    },
    logLevel: 'warn',
    services: null,
  });
  const book = new PluginBook(services);
  book.install(pluginSpec({ name: 'bench', rootId: 'bench' }), module);
  return book;
}

function measureFilter(
  filter: FilterName,
  bytes: Uint8Array<ArrayBuffer>,
  { rounds, exchangesCount }: FilterPlan,
): FilterRow {
  const { metered, unmetered } = loadedFilter(bytes);
  const book = bookWith(metered);
  const chains: Record<Variant, FilterChain> = {
    metered: book.chain(['bench']),
    unmetered: bookWith(unmetered).chain(['bench']),
    plain: plainChain(filter),
  };
  const effects = VARIANTS.map((variant) => effectOf(chains[variant]));
  if (new Set(effects).size !== 1) throw new Error(`${filter} differs: ${effects.join(' | ')}`);
  const stepsBefore = book.stats()[0]!.stepsUsed;
  effectOf(chains.metered);
  const steps = book.stats()[0]!.stepsUsed - stepsBefore;
  for (const variant of VARIANTS) cpuUsOf(chains[variant], exchangesCount);
  const us: Record<Variant, number[]> = { metered: [], unmetered: [], plain: [] };
  for (let round = 0; round < rounds; round++) {
    // Another one begins each time: who comes first finds the caches cold.
    for (let turn = 0; turn < VARIANTS.length; turn++) {
      const variant = VARIANTS[(round + turn) % VARIANTS.length]!;
      us[variant].push(cpuUsOf(chains[variant], exchangesCount));
    }
  }
  return {
    filter,
    us: {
      metered: spreadOf(us.metered),
      unmetered: spreadOf(us.unmetered),
      plain: spreadOf(us.plain),
    },
    metering: ratioOfPairs(us.metered, us.unmetered),
    sandbox: ratioOfPairs(us.metered, us.plain),
    steps,
  };
}

/** CPU time of an exchange, of all threads: collecting garbage is part of the cost. */
function cpuUsOf(chain: FilterChain, count: number): number {
  const sink = new CountingSink();
  const before = process.cpuUsage();
  for (let left = count; left > 0; left--) exchange(chain, sink, '');
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

function measureTimes(
  bytes: Uint8Array<ArrayBuffer>,
): Pick<FilterResult, 'loadMs' | 'instantiateMs' | 'swapMs'> {
  const load: number[] = [];
  const instantiate: number[] = [];
  const swap: number[] = [];
  const book = bookWith(loadedFilter(bytes).metered);
  const chain = book.chain(['bench']);
  const spec = pluginSpec({ name: 'bench', rootId: 'bench' });
  for (let version = 1; version <= TIMES_COUNT; version++) {
    const image = anotherImage(bytes, version);
    const options = {
      sha256: '',
      memorySizeBytesMax: spec.limits.memorySizeBytes,
      strictImports: true,
    };
    const loadedAt = performance.now();
    const module = loadModule(image, options);
    const installedAt = performance.now();
    book.install(spec, module);
    const askedAt = performance.now();
    effectOf(chain);
    const answeredAt = performance.now();
    load.push(installedAt - loadedAt);
    instantiate.push(askedAt - installedAt);
    swap.push(answeredAt - installedAt);
  }
  book.close();
  return {
    loadMs: spreadOf(load),
    instantiateMs: spreadOf(instantiate),
    swapMs: spreadOf(swap),
  };
}

/** In a process of its own, so that its memory is the tenants' alone. */
function measureTenants(count: number): TenantResult {
  const script = fileURLToPath(new URL('tenants.ts', import.meta.url));
  const words = ['--import', 'tsx', '--expose-gc', script, String(count)];
  const { stdout, stderr, status } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`tenants: ${stderr}`);
  return JSON.parse(stdout) as TenantResult;
}
