// The plugins of one thread by name, each in the version that new streams take, and perhaps a
// canary beside it that takes a share of them. A version is tried before it takes the place of
// another: what does not start and configure changes nothing.

import {
  type FilterChain,
  type FilterFacts,
  type FilterPlane,
  type FilterSink,
  type FilterStream,
  GatewayError,
  type Random,
  systemRandom,
} from '../core/index.ts';
import { ChainStream } from './chain-stream.ts';
import type {
  HostServices,
  PluginModule,
  PluginPhase,
  PluginReport,
  PluginSpec,
  PluginStats,
} from './contract.ts';
import { PluginVersion } from './plugin-version.ts';
import { ReportBook } from './report-book.ts';

const PHASES: readonly PluginPhase[] = ['authn', 'authz', 'unspecified', 'stats'];

/** What streams get of one plugin. `share`: of the streams, from 0 to 1, that get the canary. */
interface Installed {
  readonly current: PluginVersion;
  readonly canary: { readonly version: PluginVersion; readonly share: number } | null;
}

export class PluginBook implements FilterPlane {
  readonly #services: HostServices;
  readonly #random: Random;
  readonly #installed = new Map<string, Installed>();
  /** Superseded, with streams that have not ended. */
  readonly #retired = new Set<PluginVersion>();
  readonly #reports = new ReportBook();
  #changesCount = 0;
  #nextNumber = 1;

  constructor(services: HostServices, random: Random = systemRandom()) {
    this.#services = services;
    this.#random = random;
  }

  /** Installs a plugin, or a new version of it, for the streams that open from now on; a canary
   *  stays. Returns the version's number. Errors: GW_PLUGIN_START, and what was there stays. */
  install(spec: PluginSpec, module: PluginModule): number {
    const current = this.#start(spec, module);
    const known = this.#installed.get(spec.name);
    this.#put(spec.name, { current, canary: known?.canary ?? null });
    return current.number;
  }

  /** Installs a version beside the one there is, for a share of the streams that open from now on;
   *  a canary before it is gone. Errors: GW_PLUGIN_START, GW_PLUGIN_CONFLICT without a plugin of
   *  that name; what was there stays. */
  installCanary(spec: PluginSpec, module: PluginModule, share: number): number {
    const known = this.#installed.get(spec.name);
    if (known === undefined) throw new GatewayError('GW_PLUGIN_CONFLICT', `no ${spec.name} runs`);
    const version = this.#start(spec, module);
    this.#put(spec.name, { current: known.current, canary: { version, share } });
    return version.number;
  }

  /** Gives the canary another share. False where there is none. */
  shareCanary(name: string, share: number): boolean {
    const known = this.#installed.get(name);
    if (known === undefined || known.canary === null) return false;
    this.#put(name, { current: known.current, canary: { ...known.canary, share } });
    return true;
  }

  /** The canary takes all streams from now on. False where there is none. */
  promoteCanary(name: string): boolean {
    const canary = this.#installed.get(name)?.canary ?? null;
    if (canary !== null) this.#put(name, { current: canary.version, canary: null });
    return canary !== null;
  }

  /** The canary takes no streams any more. False where there is none. */
  endCanary(name: string): boolean {
    const known = this.#installed.get(name);
    if (known === undefined || known.canary === null) return false;
    this.#put(name, { current: known.current, canary: null });
    return true;
  }

  /** Removes a plugin: chains that name it refuse their requests. False where there is none. */
  remove(name: string): boolean {
    if (!this.#installed.has(name)) return false;
    this.#put(name, null);
    return true;
  }

  has(name: string): boolean {
    return this.#installed.has(name);
  }

  chain(plugins: readonly string[]): FilterChain {
    return new BookChain(this, plugins, this.#random);
  }

  /** Goes up with every change, so that chains know when to look again. */
  get changesCount(): number {
    return this.#changesCount;
  }

  /** Some plugins, those that see streams, in the order in which a request meets them. */
  ordered(plugins: readonly string[]): Installed[] {
    const found = plugins.flatMap((name) => this.#installed.get(name) ?? []);
    return found.filter(({ current }) => !current.spec.background).sort(compareOrder);
  }

  get services(): HostServices {
    return this.#services;
  }

  /** Of the versions that run, and of those before them that have streams. */
  stats(): PluginStats[] {
    for (const version of this.#retired) {
      if (version.isLive) continue;
      this.#retired.delete(version);
      if (this.#installed.has(version.spec.name)) this.#reports.add(version.stats());
    }
    return [...this.#versions(), ...this.#retired].map((version) => version.stats());
  }

  /** By plugin and module, with all that versions before counted. */
  report(): PluginReport[] {
    return this.#reports.all(this.stats());
  }

  close(): void {
    for (const version of [...this.#versions(), ...this.#retired]) version.close();
    this.#installed.clear();
    this.#retired.clear();
  }

  *#versions(): Generator<PluginVersion> {
    for (const { current, canary } of this.#installed.values()) {
      yield current;
      if (canary !== null) yield canary.version;
    }
  }

  #start(spec: PluginSpec, module: PluginModule): PluginVersion {
    const version = new PluginVersion(spec, module, this.#nextNumber, this.#services);
    version.start();
    this.#nextNumber += 1;
    return version;
  }

  /** Puts what streams get from now on, and retires what they no longer do. */
  #put(name: string, next: Installed | null): void {
    const before = this.#installed.get(name);
    if (next === null) {
      this.#installed.delete(name);
      this.#reports.forget(name);
    } else this.#installed.set(name, next);
    this.#changesCount += 1;
    const kept = [next?.current, next?.canary?.version];
    for (const version of [before?.current, before?.canary?.version]) {
      if (version === undefined || kept.includes(version)) continue;
      version.retire();
      this.#retired.add(version);
    }
  }
}

class BookChain implements FilterChain {
  readonly #book: PluginBook;
  readonly #plugins: readonly string[];
  readonly #random: Random;
  #installed: readonly Installed[] = [];
  /** Null where a canary makes it another for each stream. */
  #versions: readonly PluginVersion[] | null = [];
  #missing = '';
  #seenChangesCount = -1;

  constructor(book: PluginBook, plugins: readonly string[], random: Random) {
    this.#book = book;
    this.#plugins = plugins;
    this.#random = random;
  }

  open(facts: FilterFacts, sink: FilterSink): FilterStream {
    if (this.#seenChangesCount !== this.#book.changesCount) this.#look();
    const versions = this.#versions ?? this.#installed.map((installed) => this.#pick(installed));
    return new ChainStream(versions, facts, sink, this.#missing);
  }

  #look(): void {
    this.#seenChangesCount = this.#book.changesCount;
    this.#installed = this.#book.ordered(this.#plugins);
    const hasCanary = this.#installed.some(({ canary }) => canary !== null);
    this.#versions = hasCanary ? null : this.#installed.map(({ current }) => current);
    this.#missing = this.#plugins.find((name) => !this.#book.has(name)) ?? '';
  }

  #pick({ current, canary }: Installed): PluginVersion {
    return canary !== null && this.#random.unit() < canary.share ? canary.version : current;
  }
}

function compareOrder({ current: first }: Installed, { current: second }: Installed): number {
  const phases = PHASES.indexOf(first.spec.phase) - PHASES.indexOf(second.spec.phase);
  if (phases !== 0) return phases;
  const priorities = second.spec.priority - first.spec.priority;
  if (priorities !== 0) return priorities;
  return first.spec.name < second.spec.name ? -1 : 1;
}
