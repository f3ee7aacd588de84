// The plugins of a gateway on the main thread, wired: the desk that decides, the memory that all
// io workers share, the files that are watched.

import type { PluginConfig } from '../../config/index.ts';
import type { Clock } from '../../core/index.ts';
import {
  createSharedStore,
  type PluginReport,
  type SharedMetric,
  SharedStoreKeeper,
  type SharedStoreStats,
} from '../../proxywasm/index.ts';
import type { Log } from '../../telemetry/index.ts';
import type { ComputePool } from '../compute.ts';
import { type DeskEntry, publishedOf } from './desk-entry.ts';
import { PluginDesk } from './plugin-desk.ts';
import { PluginStore } from './plugin-store.ts';
import { PluginWatch } from './plugin-watch.ts';
import type { PublishedPlugin } from './published.ts';

export interface PluginPlaneDeps {
  /** The folder of modules that were pushed or fetched. */
  readonly dir: string;
  readonly compute: ComputePool;
  readonly clock: Clock;
  readonly log: Log;
  readonly switchAll: (plugins: readonly PublishedPlugin[]) => Promise<readonly string[]>;
  readonly inTurn: <T>(change: () => Promise<T>) => Promise<T>;
  /** A file that is watched has changed. */
  readonly onFileChange: () => void;
}

/** What a configuration wants, loaded and tried, and not in force yet. */
export interface PreparedPlugins {
  readonly entries: ReadonlyMap<string, DeskEntry>;
  readonly published: readonly PublishedPlugin[];
}

export class PluginPlane {
  readonly desk: PluginDesk;
  /** What the plugins of all io workers share. */
  readonly shared = createSharedStore();
  readonly #keeper = new SharedStoreKeeper(this.shared);
  readonly #watch: PluginWatch;

  constructor({ dir, compute, clock, log, switchAll, inTurn, onFileChange }: PluginPlaneDeps) {
    this.desk = new PluginDesk({
      store: new PluginStore(dir),
      dir,
      clock,
      log,
      load: (task) => compute.loadPlugin(task),
      switchAll,
      inTurn,
      forget: ({ isVmGone, isPluginGone }) => {
        this.#keeper.forget(isVmGone);
        this.#keeper.forgetMetrics(isPluginGone);
      },
    });
    this.#watch = new PluginWatch(onFileChange, (error) =>
      log.error('a plugin cannot be watched', { error }),
    );
  }

  /** Errors: GW_PLUGIN_...; nothing changes. */
  async prepare(configs: readonly PluginConfig[]): Promise<PreparedPlugins> {
    const entries = await this.desk.prepare(configs);
    return { entries, published: publishedOf(entries) };
  }

  /** The io workers have what was prepared. */
  commit({ entries }: PreparedPlugins): void {
    this.desk.commit(entries);
    const watched = [...entries.values()].filter(({ config }) => config.watch);
    this.#watch.set(watched.map(({ config }) => config.file));
    void this.desk.lookAtConfigured();
  }

  takeReport(workerIndex: number, reports: readonly PluginReport[]): void {
    this.desk.takeReport(workerIndex, reports);
  }

  workerGone(workerIndex: number): void {
    this.#keeper.workerGone(workerIndex);
    this.desk.tally.workerGone(workerIndex);
  }

  sharedStats(): SharedStoreStats {
    return this.#keeper.stats();
  }

  /** What the plugins count themselves. */
  metrics(): Iterable<SharedMetric> {
    return this.#keeper.metrics.all();
  }

  stop(): void {
    this.#watch.stop();
    this.desk.stop();
    this.#keeper.close();
  }
}
