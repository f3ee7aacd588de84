// Which module of a plugin is to run, and getting it: what was pushed last, what was pushed before
// where that is damaged, what the configuration names. Also tells when the configuration names what
// could not run, though something else does.

import type { PluginConfig } from '../../config/index.ts';
import { isGatewayError } from '../../core/index.ts';
import type { PluginModule } from '../../proxywasm/index.ts';
import type { Log } from '../../telemetry/index.ts';
import { sourceOf } from './desk-entry.ts';
import { ModuleCache } from './module-cache.ts';
import type { PluginStore } from './plugin-store.ts';
import type { InstalledPlugin, ModuleSource, PluginTask } from './plugin-task.ts';
import { NOTHING_PUSHED, type PluginState } from './pushed-state.ts';

export interface ModuleDeskDeps {
  /** The plugin folder, and its path for the compute pool. */
  readonly store: PluginStore;
  readonly dir: string;
  readonly log: Log;
  /** Loads and tries; null for what runs already. Errors: GW_PLUGIN_... */
  readonly load: (task: PluginTask) => Promise<InstalledPlugin | null>;
}

/** What is wanted of a load. */
export interface LoadOrder {
  readonly source: ModuleSource;
  /** What runs and need not be loaded; null for nothing. */
  readonly running: InstalledPlugin | null;
  /** A hash that the bytes may turn out to have; `''` for none. */
  readonly likely?: string;
}

/** Of one module: it may import a thousand functions that are not there. */
const WARNINGS_LOGGED_MAX = 10;

export class ModuleDesk {
  readonly #deps: ModuleDeskDeps;
  readonly #cache = new ModuleCache();
  /** What the file or url of each plugin last held. */
  readonly #configured = new Map<string, string>();
  /** Why what the configuration names could not run; by plugin. */
  readonly #faults = new Map<string, string>();
  /** Which look at what is configured is the last. */
  #looksCount = 0;

  constructor(deps: ModuleDeskDeps) {
    this.#deps = deps;
  }

  /** Null for what runs already. Errors: GW_PLUGIN_... */
  async load(
    config: PluginConfig,
    { source, running, likely = '' }: LoadOrder,
  ): Promise<InstalledPlugin | null> {
    const { dir } = this.#deps;
    const named = source.kind === 'configured' ? config.sha256 : source.sha256;
    const last = this.#configured.get(config.name) ?? '';
    const hashes = new Set([named, running?.module.report.sha256 ?? '', likely, last]);
    const known: PluginModule[] = [...hashes].flatMap(
      (sha256) => this.#cache.get(sha256, config) ?? [],
    );
    const runningKey = running?.key ?? '';
    const plugin = await this.#deps.load({ config, dir, source, known, runningKey });
    if (plugin === null) return null;
    const { sha256, warnings } = plugin.module.report;
    if (source.kind === 'configured') this.#configured.set(config.name, sha256);
    // Told once for each module, and not at every reload.
    if (warnings.length > 0 && known.every(({ report }) => report.sha256 !== sha256)) {
      const shown = warnings.slice(0, WARNINGS_LOGGED_MAX);
      this.#deps.log.warn('a plugin has warnings', { plugin: config.name, warnings: shown });
    }
    return plugin;
  }

  /** It runs: to load it again shall cost nothing. */
  keep(plugin: InstalledPlugin): void {
    this.#cache.put(plugin);
  }

  /** What was pushed for a plugin that did not run before. Errors: GW_PLUGIN_STORE for a state that
   *  is damaged, of a plugin that is strict. */
  stateInFolder(config: PluginConfig): { readonly state: PluginState; readonly damage: string } {
    try {
      return { state: this.#deps.store.readState(config.name), damage: '' };
    } catch (error) {
      return { state: NOTHING_PUSHED, damage: this.damageOf(config, error) };
    }
  }

  /** Loads what was pushed last; where its file is damaged what was pushed before it, and in the
   *  end what the configuration names. `versions`: those that are left; `damage`: `''` for none. */
  async loadBest(
    config: PluginConfig,
    versions: PluginState['versions'],
    running: InstalledPlugin | null,
  ) {
    let damage = '';
    for (let left = versions; ; left = left.slice(0, -1)) {
      try {
        const plugin = await this.load(config, { source: sourceOf(left), running });
        return { plugin, versions: left, damage };
      } catch (error) {
        if (left.length === 0) throw error;
        const found = this.damageOf(config, error);
        if (damage === '') damage = found;
      }
    }
  }

  /** Says what is damaged, for something else to run. Errors: what is given, where the plugin is
   *  strict or it is no damage of the folder. */
  damageOf({ name, strict }: PluginConfig, error: unknown): string {
    if (strict || !isGatewayError(error) || error.code !== 'GW_PLUGIN_STORE') throw error;
    this.#deps.log.error('what was pushed is damaged: something else runs', {
      plugin: name,
      error: error as Error,
    });
    return error.detail;
  }

  /** Looks whether what the configuration names could run, where something else does: or nobody
   *  would know of a wrong hash before the rollback that needs it. One after the other, for it is
   *  nobody's hurry. Errors: none, it tells the log. */
  async lookAtConfigured(configs: readonly PluginConfig[]): Promise<void> {
    this.#looksCount += 1;
    const look = this.#looksCount;
    this.#faults.clear();
    for (const config of configs) {
      let fault = '';
      try {
        const plugin = await this.load(config, { source: { kind: 'configured' }, running: null });
        if (plugin !== null) this.#cache.put(plugin);
      } catch (error) {
        // Of another kind: the pool has ended, and with it the gateway.
        if (!isGatewayError(error)) return;
        fault = error.detail;
      }
      if (look !== this.#looksCount) return;
      if (fault === '') continue;
      this.#faults.set(config.name, fault);
      const message = 'what the configuration names could not run: what was pushed does';
      this.#deps.log.warn(message, { plugin: config.name, fault });
    }
  }

  /** Why what the configuration names could not run; `''` where it could, or runs. */
  faultOf(plugin: string): string {
    return this.#faults.get(plugin) ?? '';
  }
}
