// The plugins of one thread by name, each in the version that new streams take. A version is tried
// before it takes the place of another: what does not start and configure changes nothing.

import type {
  FilterChain,
  FilterFacts,
  FilterPlane,
  FilterSink,
  FilterStream,
} from '../core/index.ts';
import { ChainStream } from './chain-stream.ts';
import type {
  HostServices,
  PluginModule,
  PluginPhase,
  PluginSpec,
  PluginStats,
} from './contract.ts';
import { PluginVersion } from './plugin-version.ts';

const PHASES: readonly PluginPhase[] = ['authn', 'authz', 'unspecified', 'stats'];

export class PluginBook implements FilterPlane {
  readonly #services: HostServices;
  readonly #current = new Map<string, PluginVersion>();
  /** Superseded, with streams that have not ended. */
  readonly #retired = new Set<PluginVersion>();
  #changesCount = 0;
  #nextNumber = 1;

  constructor(services: HostServices) {
    this.#services = services;
  }

  /** Installs a plugin, or a new version of it, for the streams that open from now on. Returns the
   *  version's number. Errors: GW_PLUGIN_START, and the version before stays. */
  install(spec: PluginSpec, module: PluginModule): number {
    const number = this.#nextNumber;
    const version = new PluginVersion(spec, module, number, this.#services);
    version.start();
    this.#nextNumber += 1;
    this.#retire(this.#current.get(spec.name));
    this.#current.set(spec.name, version);
    this.#changesCount += 1;
    return number;
  }

  /** Removes a plugin: chains that name it refuse their requests. False where there is none. */
  remove(name: string): boolean {
    const version = this.#current.get(name);
    if (version === undefined) return false;
    this.#current.delete(name);
    this.#changesCount += 1;
    this.#retire(version);
    return true;
  }

  has(name: string): boolean {
    return this.#current.has(name);
  }

  chain(plugins: readonly string[]): FilterChain {
    return new BookChain(this, plugins);
  }

  /** Goes up with every change, so that chains know when to look again. */
  get changesCount(): number {
    return this.#changesCount;
  }

  /** The versions of some plugins that see streams, in the order in which a request meets them. */
  ordered(plugins: readonly string[]): PluginVersion[] {
    const versions = plugins.flatMap((name) => this.#current.get(name) ?? []);
    return versions.filter(({ spec }) => !spec.background).sort(compareOrder);
  }

  get services(): HostServices {
    return this.#services;
  }

  stats(): PluginStats[] {
    for (const version of this.#retired) if (!version.isLive) this.#retired.delete(version);
    return [...this.#current.values(), ...this.#retired].map((version) => version.stats());
  }

  close(): void {
    for (const version of [...this.#current.values(), ...this.#retired]) version.close();
    this.#current.clear();
    this.#retired.clear();
  }

  #retire(version: PluginVersion | undefined): void {
    if (version === undefined) return;
    version.retire();
    if (version.isLive) this.#retired.add(version);
  }
}

class BookChain implements FilterChain {
  readonly #book: PluginBook;
  readonly #plugins: readonly string[];
  #versions: readonly PluginVersion[] = [];
  #missing = '';
  #seenChangesCount = -1;

  constructor(book: PluginBook, plugins: readonly string[]) {
    this.#book = book;
    this.#plugins = plugins;
  }

  open(facts: FilterFacts, sink: FilterSink): FilterStream {
    if (this.#seenChangesCount !== this.#book.changesCount) {
      this.#seenChangesCount = this.#book.changesCount;
      this.#versions = this.#book.ordered(this.#plugins);
      this.#missing = this.#plugins.find((name) => !this.#book.has(name)) ?? '';
    }
    return new ChainStream(this.#versions, facts, sink, this.#missing);
  }
}

function compareOrder(first: PluginVersion, second: PluginVersion): number {
  const phases = PHASES.indexOf(first.spec.phase) - PHASES.indexOf(second.spec.phase);
  if (phases !== 0) return phases;
  const priorities = second.spec.priority - first.spec.priority;
  if (priorities !== 0) return priorities;
  return first.spec.name < second.spec.name ? -1 : 1;
}
