// The plugins of one io worker: its book kept as each publication says, what has not changed left
// running.

import { type ServiceCaller, systemClock } from '../core/index.ts';
import {
  PluginBook,
  type PluginLogLine,
  SharedStore,
  systemTimers,
  threadServices,
} from '../proxywasm/index.ts';
import type { Log } from '../telemetry/index.ts';
import type { InstalledPlugin } from './plugin-task.ts';

export class WorkerPlugins {
  readonly book: PluginBook;
  readonly #log: Log;
  readonly #keys = new Map<string, string>();
  readonly #store: SharedStore;

  constructor(
    log: Log,
    services: ServiceCaller | null,
    { shared, workerIndex }: { shared: SharedArrayBuffer; workerIndex: number },
  ) {
    this.#log = log;
    this.#store = new SharedStore(shared, workerIndex, systemTimers);
    this.book = new PluginBook(
      threadServices({
        clock: systemClock,
        log: (line) => this.#write(line),
        logLevel: 'info',
        services,
        store: this.#store,
      }),
    );
  }

  /** Makes the book what a publication says. A plugin that does not start here, though it did when
   *  it was tried, keeps its version before. */
  apply(plugins: readonly InstalledPlugin[]): void {
    for (const { key, spec, module } of plugins) {
      if (this.#keys.get(spec.name) === key) continue;
      try {
        this.book.install(spec, module);
        this.#keys.set(spec.name, key);
      } catch (error) {
        const known = error instanceof Error ? error : new Error(String(error));
        this.#log.error('a plugin was not installed', { plugin: spec.name, error: known });
      }
    }
    const names = new Set(plugins.map(({ spec }) => spec.name));
    for (const name of [...this.#keys.keys()]) {
      if (names.has(name)) continue;
      this.book.remove(name);
      this.#keys.delete(name);
    }
  }

  close(): void {
    this.book.close();
    this.#store.close();
  }

  #write({ plugin, level, message }: PluginLogLine): void {
    const fields = { plugin };
    if (level === 'warn') this.#log.warn(message, fields);
    else if (level === 'error' || level === 'critical') this.#log.error(message, fields);
    else if (level === 'info') this.#log.info(message, fields);
    else this.#log.debug(message, fields);
  }
}
