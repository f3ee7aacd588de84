// The plugins of a gateway on the main thread: which module of each runs, which stands beside it as
// a canary, what was pushed before, and the changes of all that. A change is loaded and tried, then
// taken by every io worker, then written down; whatever fails on the way leaves what ran.
//
// What was pushed last stands above what the configuration names, over reloads and restarts, until
// it is rolled back. A `sha256` beside a `file` pins the plugin to it; beside a `url` it says what
// the url must give.

import type { PluginConfig } from '../../config/index.ts';
import { type Clock, eachAtOnce, GatewayError } from '../../core/index.ts';
import { type PluginReport, vmIdOf } from '../../proxywasm/index.ts';
import { canaryFault, lessTrial, type Trial } from './canary-rule.ts';
import {
  canaryOf,
  type DeskCounts,
  type DeskEntry,
  type PushOutcome,
  pinOf,
  publishedOf,
  type RunningCanary,
  sourceOf,
} from './desk-entry.ts';
import { ModuleDesk, type ModuleDeskDeps } from './module-desk.ts';
import { PluginTally } from './plugin-tally.ts';
import type { InstalledPlugin } from './plugin-task.ts';
import type { PublishedPlugin } from './published.ts';
import { type CanaryEnd, endedState, pushedOnto } from './pushed-state.ts';

export interface PluginDeskDeps extends ModuleDeskDeps {
  readonly clock: Clock;
  /** Has every io worker take these. Returns what some of them refused, with why. */
  readonly switchAll: (plugins: readonly PublishedPlugin[]) => Promise<readonly string[]>;
  /** Runs one change after the other, and reloads between them. */
  readonly inTurn: <T>(change: () => Promise<T>) => Promise<T>;
  /** Frees what was shared under vm ids that are gone, and the metrics of plugins that are. */
  readonly forget: (gone: {
    readonly isVmGone: (vmId: string) => boolean;
    readonly isPluginGone: (plugin: string) => boolean;
  }) => void;
}

/** Plugins that are loaded at once: enough to keep the pool's threads busy, and few enough that no
 *  number of them fills its queue. */
const LOADS_UNDER_WAY_MAX = 8;
/** Of a module's own that are shown: `inspect` has the rest. */
const WARNINGS_COUNT_MAX = 10;
/** What versions shared that are gone is kept for streams that still end in them. */
const FORGET_AFTER_MS = 60_000;

export class PluginDesk {
  readonly tally = new PluginTally();
  readonly #deps: PluginDeskDeps;
  readonly #modules: ModuleDesk;
  #entries: ReadonlyMap<string, DeskEntry> = new Map();
  readonly #counts = {
    pushesTaken: 0,
    pushesRefused: 0,
    rollbacks: 0,
    canaries: { promoted: 0, aborted: 0, 'rolled-back': 0, replaced: 0 },
    switches: { count: 0, sumMs: 0 },
  };
  readonly #ending = new Set<string>();
  #forgetting: NodeJS.Timeout | null = null;

  constructor(deps: PluginDeskDeps) {
    this.#deps = deps;
    this.#modules = new ModuleDesk(deps);
  }

  /** Loads what a configuration wants. Changes nothing: commit() puts it into force, once the
   *  workers have it. Errors: GW_PLUGIN_... */
  async prepare(configs: readonly PluginConfig[]): Promise<ReadonlyMap<string, DeskEntry>> {
    const entries = new Map<string, DeskEntry>();
    await eachAtOnce(configs, LOADS_UNDER_WAY_MAX, async (config) => {
      entries.set(config.name, await this.#prepareOne(config));
    });
    return new Map(configs.map(({ name }) => [name, entries.get(name)!]));
  }

  commit(entries: ReadonlyMap<string, DeskEntry>): void {
    this.#entries = entries;
    this.tally.keep(new Set(entries.keys()));
    for (const { current, canary } of entries.values()) {
      this.#modules.keep(current);
      if (canary !== null) this.#modules.keep(canary.plugin);
    }
    this.#deps.store.collect(new Set([...entries.values()].map(({ config }) => config.sha256)));
    this.#forgetLater();
  }

  /** Looks, in the background, at what the configuration names and something else stands above. */
  lookAtConfigured(): Promise<void> {
    const pushed = this.entries().filter(({ isPushed }) => isPushed);
    return this.#modules.lookAtConfigured(pushed.map(({ config }) => config));
  }

  /** What an operator should know of a plugin; none where all is as it should be. */
  warnings({ config, current, damage }: DeskEntry): readonly string[] {
    const fault = this.#modules.faultOf(config.name);
    const found = current.module.report.warnings.slice(0, WARNINGS_COUNT_MAX);
    if (damage !== '') found.push(`what was pushed is damaged: ${damage}`);
    if (fault !== '') found.push(`what the configuration names could not run: ${fault}`);
    return found;
  }

  entries(): readonly DeskEntry[] {
    return [...this.#entries.values()];
  }

  get counts(): DeskCounts {
    return this.#counts;
  }

  /** Puts a module in place of what runs, or beside it. `sha256`: what it must be; `''` for any.
   *  Errors: GW_PLUGIN_..., and what ran runs on. */
  push(
    name: string,
    bytes: Uint8Array,
    { canaryShare, sha256 }: { readonly canaryShare: number | null; readonly sha256: string },
  ): Promise<PushOutcome> {
    return this.#deps.inTurn(async () => {
      try {
        const outcome = await this.#push(name, bytes, { canaryShare, sha256 });
        this.#counts.pushesTaken += 1;
        return outcome;
      } catch (error) {
        this.#counts.pushesRefused += 1;
        throw error;
      }
    });
  }

  /** Goes back to what ran before the last push. Errors: GW_PLUGIN_CONFLICT where nothing was
   *  pushed; GW_PLUGIN_... */
  rollback(name: string): Promise<void> {
    return this.#deps.inTurn(async () => {
      const entry = this.#entry(name);
      if (!entry.isPushed) {
        const detail = `${name} runs what the configuration names: there is nothing to go back to`;
        throw new GatewayError('GW_PLUGIN_CONFLICT', detail);
      }
      const versions = entry.state.versions.slice(0, -1);
      const current = await this.#modules.load(entry.config, {
        source: sourceOf(versions),
        running: null,
      });
      const state = endedState(
        { ...entry.state, versions },
        this.#end(entry, 'replaced', 'rollback'),
      );
      const isPushed = versions.length > 0;
      const sinceMs = this.#deps.clock.wallMs();
      const back = { ...entry, state, isPushed, damage: '', current: current!, sinceMs };
      await this.#change({ ...back, canary: null });
      this.#counts.rollbacks += 1;
      const to = current!.module.report.sha256;
      this.#deps.log.info('a plugin was rolled back', { plugin: name, to });
    });
  }

  /** Gives the canary another share, above 0 and below 1. Errors: GW_PLUGIN_CONFLICT. */
  shareCanary(name: string, share: number): Promise<void> {
    return this.#deps.inTurn(async () => {
      const entry = this.#entry(name);
      const canary = canaryOf(entry);
      const state = { ...entry.state, canary: { ...entry.state.canary!, share } };
      await this.#change({ ...entry, state, canary: { ...canary, share } });
      this.#deps.log.info('a canary has another share', { plugin: name, share });
    });
  }

  /** The canary takes all requests. Errors: GW_PLUGIN_CONFLICT. */
  promoteCanary(name: string): Promise<void> {
    return this.#deps.inTurn(async () => {
      const entry = this.#entry(name);
      const { plugin } = canaryOf(entry);
      const { sha256, pushedMs } = entry.state.canary!;
      const versions = pushedOnto(entry.state, { sha256, pushedMs });
      const state = endedState({ ...entry.state, versions }, this.#end(entry, 'promoted', ''));
      const sinceMs = this.#deps.clock.wallMs();
      await this.#change({
        ...entry,
        state,
        isPushed: true,
        damage: '',
        current: plugin,
        canary: null,
        sinceMs,
      });
      this.#deps.log.info('a canary was promoted', { plugin: name, sha256 });
    });
  }

  /** The canary takes no requests any more. Errors: GW_PLUGIN_CONFLICT. */
  abortCanary(name: string): Promise<void> {
    return this.#deps.inTurn(async () => {
      canaryOf(this.#entry(name));
      await this.#endCanary(name, 'aborted', '');
    });
  }

  /** A worker says what its plugins have counted. */
  takeReport(workerIndex: number, reports: readonly PluginReport[]): void {
    this.tally.take(workerIndex, reports);
    for (const entry of this.#entries.values()) {
      if (entry.canary !== null) this.#judge(entry, entry.canary);
    }
  }

  /** What a canary and the version beside it have served since it began. */
  trialsOf({ config, current }: DeskEntry, { plugin, before }: RunningCanary) {
    return {
      canary: lessTrial(this.#trialOf(config.name, plugin), before.canary),
      current: lessTrial(this.#trialOf(config.name, current), before.current),
    };
  }

  stop(): void {
    if (this.#forgetting !== null) clearTimeout(this.#forgetting);
  }

  async #push(
    name: string,
    bytes: Uint8Array,
    { canaryShare, sha256 }: { readonly canaryShare: number | null; readonly sha256: string },
  ): Promise<PushOutcome> {
    const entry = this.#entry(name);
    const previous = entry.current.module.report.sha256;
    if (canaryShare !== null && entry.config.background) {
      const detail = `${name} is a background plugin: it has no requests to share`;
      throw new GatewayError('GW_PLUGIN_CONFLICT', detail);
    }
    const pinned = pinOf(entry.config);
    if (pinned !== '' && sha256 !== '' && sha256 !== pinned) {
      throw new GatewayError('GW_PLUGIN_CONFLICT', `the configuration pins ${name} to ${pinned}`);
    }
    const source = { kind: 'pushed', bytes, sha256: sha256 === '' ? pinned : sha256 } as const;
    // What runs already is written down where it was not pushed: the file may change.
    const isNews = canaryShare === null && !entry.isPushed;
    const running = isNews ? null : entry.current;
    const plugin = await this.#modules.load(entry.config, { source, running, likely: previous });
    if (plugin === null) {
      if (canaryShare === null && entry.canary !== null) {
        await this.#endCanary(name, 'replaced', 'another push');
      }
      const { switchMs } = this.#entry(name);
      return { sha256: previous, previous, canaryShare: null, switchMs, isUnchanged: true };
    }
    const pushed = plugin.module.report.sha256;
    const nowMs = this.#deps.clock.wallMs();
    const version = { sha256: pushed, pushedMs: nowMs };
    const replaced = endedState(entry.state, this.#end(entry, 'replaced', 'another push'));
    const changed = await this.#change(
      canaryShare === null
        ? {
            ...entry,
            state: { ...replaced, versions: pushedOnto(entry.state, version) },
            isPushed: true,
            damage: '',
            current: plugin,
            canary: null,
            sinceMs: pushed === previous ? entry.sinceMs : nowMs,
          }
        : {
            ...entry,
            state: { ...replaced, canary: { ...version, share: canaryShare } },
            canary: this.#newCanary(entry, plugin, { share: canaryShare, sinceMs: nowMs }),
          },
    );
    const { switchMs } = changed;
    this.#deps.log.info('a plugin was pushed', {
      plugin: name,
      sha256: pushed,
      canaryShare,
      switchMs,
    });
    return { sha256: pushed, previous, canaryShare, switchMs, isUnchanged: false };
  }

  async #prepareOne(config: PluginConfig): Promise<DeskEntry> {
    const before = this.#entries.get(config.name);
    const known = before ?? this.#modules.stateInFolder(config);
    const pinned = pinOf(config);
    const isPinned = pinned !== '' && known.state.versions.at(-1)?.sha256 !== pinned;
    const running = before?.current ?? null;
    const versions = isPinned ? [] : known.state.versions;
    const found = await this.#modules.loadBest(config, versions, running);
    const current = found.plugin ?? running!;
    const isSame = current.module.report.sha256 === running?.module.report.sha256;
    const entry = {
      config,
      state: isPinned ? known.state : { ...known.state, versions: found.versions },
      isPushed: found.versions.length > 0,
      damage: found.damage === '' ? known.damage : found.damage,
      current,
      canary: null,
      sinceMs: isSame ? before!.sinceMs : this.#deps.clock.wallMs(),
      switchMs: before?.switchMs ?? 0,
    };
    return isPinned ? entry : this.#withCanary(entry, before?.canary ?? null);
  }

  async #withCanary(entry: DeskEntry, before: RunningCanary | null): Promise<DeskEntry> {
    try {
      return { ...entry, canary: await this.#prepareCanary(entry, before) };
    } catch (error) {
      const why = this.#modules.damageOf(entry.config, error);
      const { sha256 } = entry.state.canary!;
      const endedMs = this.#deps.clock.wallMs();
      return {
        ...entry,
        state: endedState(entry.state, { sha256, outcome: 'aborted', why, endedMs }),
      };
    }
  }

  async #prepareCanary(entry: DeskEntry, before: RunningCanary | null) {
    const wanted = entry.state.canary;
    if (wanted === null || wanted.sha256 === entry.current.module.report.sha256) return null;
    const source = { kind: 'stored', sha256: wanted.sha256 } as const;
    const running = before?.plugin ?? null;
    const loaded = await this.#modules.load(entry.config, { source, running });
    const beside = this.#entries.get(entry.config.name)?.current.module.report.sha256;
    const isSameBeside = beside === entry.current.module.report.sha256;
    if (loaded === null && isSameBeside) return before;
    const plugin = loaded ?? before!.plugin;
    return this.#newCanary(entry, plugin, { share: wanted.share, sinceMs: wanted.pushedMs });
  }

  #newCanary(
    entry: DeskEntry,
    plugin: InstalledPlugin,
    { share, sinceMs }: { readonly share: number; readonly sinceMs: number },
  ): RunningCanary {
    const { name } = entry.config;
    const before = {
      canary: this.#trialOf(name, plugin),
      current: this.#trialOf(name, entry.current),
    };
    return { plugin, share, sinceMs, before };
  }

  /** Has all workers take a changed entry, writes it down, and makes it the one in force. */
  async #change(next: DeskEntry): Promise<DeskEntry> {
    const { clock, store } = this.#deps;
    const { name } = next.config;
    const before = this.#entries;
    const startMs = clock.nowMs();
    const changed = new Map(before).set(name, next);
    await this.#switch(changed, before);
    const switchMs = clock.nowMs() - startMs;
    try {
      store.writeState(name, next.state);
    } catch (error) {
      await this.#switch(before, before);
      throw error;
    }
    const entry = { ...next, switchMs };
    const ended = next.state.endedCanaries.at(-1);
    if (ended !== undefined && ended !== before.get(name)?.state.endedCanaries.at(-1)) {
      this.#counts.canaries[ended.outcome] += 1;
    }
    this.#counts.switches.count += 1;
    this.#counts.switches.sumMs += switchMs;
    this.commit(new Map(changed).set(name, entry));
    return entry;
  }

  async #switch(
    entries: ReadonlyMap<string, DeskEntry>,
    before: ReadonlyMap<string, DeskEntry>,
  ): Promise<void> {
    const refused = await this.#deps.switchAll(publishedOf(entries));
    if (refused.length === 0) return;
    if (entries !== before) await this.#deps.switchAll(publishedOf(before));
    throw new GatewayError('GW_PLUGIN_START', `an io worker refused it: ${refused.join('; ')}`);
  }

  #judge(entry: DeskEntry, canary: RunningCanary): void {
    const { name } = entry.config;
    if (this.#ending.has(name)) return;
    const trials = this.trialsOf(entry, canary);
    const fault = canaryFault(trials.canary, trials.current);
    if (fault === null) return;
    const { lastTrap } = this.#reportOf(name, canary.plugin) ?? { lastTrap: '' };
    const why = lastTrap === '' ? fault : `${fault}; it trapped in ${lastTrap}`;
    this.#ending.add(name);
    const end = this.#deps.inTurn(async () => {
      // Somebody may have ended it, or pushed another, before its turn came.
      if (this.#entries.get(name)?.canary?.plugin !== canary.plugin) return;
      await this.#endCanary(name, 'rolled-back', why);
    });
    end
      .catch((error: Error) => this.#deps.log.error('a canary stays', { plugin: name, error }))
      .finally(() => this.#ending.delete(name));
  }

  async #endCanary(name: string, outcome: CanaryEnd['outcome'], why: string): Promise<void> {
    const entry = this.#entry(name);
    const state = endedState(entry.state, this.#end(entry, outcome, why));
    await this.#change({ ...entry, state, canary: null });
    const sha256 = canaryOf(entry).plugin.module.report.sha256;
    const fields = { plugin: name, sha256, outcome, why };
    if (outcome === 'rolled-back') this.#deps.log.warn('a canary was rolled back', fields);
    else this.#deps.log.info('a canary ended', fields);
  }

  /** Null where there is no canary to end. */
  #end({ canary }: DeskEntry, outcome: CanaryEnd['outcome'], why: string): CanaryEnd | null {
    if (canary === null) return null;
    const { sha256 } = canary.plugin.module.report;
    return { sha256, outcome, why, endedMs: this.#deps.clock.wallMs() };
  }

  #reportOf(name: string, { module }: InstalledPlugin): PluginReport | undefined {
    const { sha256 } = module.report;
    return this.tally.all().find((one) => one.name === name && one.sha256 === sha256);
  }

  #trialOf(name: string, plugin: InstalledPlugin): Trial {
    const found = this.#reportOf(name, plugin);
    if (found === undefined) return { requests: 0, failures: 0 };
    const { opened, failedStreams, skippedStreams, traps } = found;
    return { requests: opened, failures: Math.max(failedStreams + skippedStreams, traps) };
  }

  #entry(name: string): DeskEntry {
    const found = this.#entries.get(name);
    if (found !== undefined) return found;
    const detail = `no plugin ${JSON.stringify(name)} in the configuration`;
    throw new GatewayError('GW_ADMIN_NOT_FOUND', detail);
  }

  #forgetLater(): void {
    if (this.#forgetting !== null) clearTimeout(this.#forgetting);
    this.#forgetting = setTimeout(() => {
      const living = new Set(
        publishedOf(this.#entries).flatMap((one) =>
          [one, ...(one.canary === null ? [] : [one.canary])].map(({ spec, module }) =>
            vmIdOf(spec, module.report.sha256),
          ),
        ),
      );
      this.#deps.forget({
        isVmGone: (vmId) => !living.has(vmId),
        isPluginGone: (plugin) => !this.#entries.has(plugin),
      });
    }, FORGET_AFTER_MS);
    this.#forgetting.unref();
  }
}
