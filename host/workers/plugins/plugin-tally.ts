// What the io workers say of their plugins, put together: sums that never go down, also when a
// worker ends and its successor begins at 0.

import { type PluginReport, sumReports } from '../../proxywasm/index.ts';

export class PluginTally {
  readonly #living = new Map<number, readonly PluginReport[]>();
  #gone: readonly PluginReport[] = [];

  take(workerIndex: number, reports: readonly PluginReport[]): void {
    this.#living.set(workerIndex, reports);
  }

  workerGone(workerIndex: number): void {
    const last = this.#living.get(workerIndex) ?? [];
    this.#living.delete(workerIndex);
    const ended = last.map((report) => ({ ...report, instances: 0, streams: 0 }));
    this.#gone = sumByModule([...this.#gone, ...ended]);
  }

  /** Forgets what workers that are gone said of other plugins than these. */
  keep(plugins: ReadonlySet<string>): void {
    this.#gone = this.#gone.filter(({ name }) => plugins.has(name));
  }

  /** Of all workers, by plugin and module. */
  all(): readonly PluginReport[] {
    return sumByModule([...this.#gone, ...[...this.#living.values()].flat()]);
  }
}

function sumByModule(reports: readonly PluginReport[]): PluginReport[] {
  const sums = new Map<string, PluginReport>();
  for (const report of reports) {
    const key = `${report.name}\n${report.sha256}`;
    const known = sums.get(key);
    sums.set(key, known === undefined ? report : sumReports(known, report));
  }
  return [...sums.values()];
}
