// The plugins of one io worker: its book kept as each publication says, what has not changed left
// running.

import { isGatewayError, type ServiceCaller, systemClock } from '../../core/index.ts';
import {
  PluginBook,
  type PluginLogLine,
  type PluginReport,
  SharedStore,
  systemTimers,
  threadServices,
} from '../../proxywasm/index.ts';
import type { Log } from '../../telemetry/index.ts';
import type { PublishedPlugin } from './published.ts';

export class WorkerPlugins {
  readonly book: PluginBook;
  readonly #log: Log;
  /** Of what runs, by plugin; '' for no canary. */
  readonly #keys = new Map<string, { readonly current: string; readonly canary: string }>();
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

  /** Makes the book what a publication says. A version that does not start here, though it did when
   *  it was tried, changes nothing. Returns those, with why. */
  apply(plugins: readonly PublishedPlugin[]): readonly string[] {
    const refused: string[] = [];
    for (const plugin of plugins) {
      try {
        this.#applyOne(plugin);
      } catch (error) {
        const known = error instanceof Error ? error : new Error(String(error));
        const { name } = plugin.spec;
        this.#log.error('a plugin was not installed', { plugin: name, error: known });
        refused.push(`${name}: ${isGatewayError(error) ? error.detail : known.message}`);
      }
    }
    const names = new Set(plugins.map(({ spec }) => spec.name));
    for (const name of [...this.#keys.keys()]) {
      if (names.has(name)) continue;
      this.book.remove(name);
      this.#keys.delete(name);
    }
    return refused;
  }

  report(): readonly PluginReport[] {
    return this.book.report();
  }

  #applyOne({ key, spec, module, canary }: PublishedPlugin): void {
    const { name } = spec;
    const known = this.#keys.get(name) ?? { current: '', canary: '' };
    if (known.current !== key) {
      const isPromoted = known.canary === key;
      if (isPromoted) this.book.promoteCanary(name);
      else this.book.install(spec, module);
      this.#keys.set(name, { current: key, canary: isPromoted ? '' : known.canary });
    }
    const { canary: running } = this.#keys.get(name)!;
    if (canary === null) {
      this.book.endCanary(name);
      this.#keys.set(name, { current: key, canary: '' });
    } else if (running === canary.key) this.book.shareCanary(name, canary.share);
    else {
      this.book.installCanary(canary.spec, canary.module, canary.share);
      this.#keys.set(name, { current: key, canary: canary.key });
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
