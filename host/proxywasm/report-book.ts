// What happened to the plugins of one thread, by module, also in versions that are gone: sums that
// only go up, for metrics, and for the comparison of a canary with what ran before it. A plugin
// that is gone is forgotten: names come and go for as long as the gateway runs.

import type { PluginCounts, PluginReport, PluginStats } from './contract.ts';

/** Modules of one plugin that are told apart; what older ones counted is kept under no hash. */
const MODULES_COUNT_MAX = 16;
const OLDER = '';

export class ReportBook {
  /** By plugin, then by hash. */
  readonly #gone = new Map<string, Map<string, PluginReport>>();

  /** A version is gone for good. */
  add(stats: PluginStats): void {
    const modules = this.#gone.get(stats.name) ?? new Map<string, PluginReport>();
    this.#gone.set(stats.name, modules);
    addTo(modules, { ...reportOf(stats), instances: 0, streams: 0 });
    if (modules.size <= MODULES_COUNT_MAX) return;
    const oldest = [...modules.values()].find(({ sha256 }) => sha256 !== OLDER)!;
    modules.delete(oldest.sha256);
    addTo(modules, { ...oldest, sha256: OLDER });
  }

  /** A plugin is gone for good, or begins anew. */
  forget(plugin: string): void {
    this.#gone.delete(plugin);
  }

  /** The reports of all modules: of versions that are gone, and of these. */
  all(living: readonly PluginStats[]): PluginReport[] {
    const all = new Map([...this.#gone].map(([name, modules]) => [name, new Map(modules)]));
    for (const stats of living) {
      const modules = all.get(stats.name) ?? new Map<string, PluginReport>();
      all.set(stats.name, modules);
      addTo(modules, reportOf(stats));
    }
    return [...all.values()].flatMap((modules) => [...modules.values()]);
  }
}

/** The sum of two reports, under the first one's names. */
export function sumReports(first: PluginReport, second: PluginReport): PluginReport {
  return {
    ...first,
    ...sumCounts(first, second),
    instances: first.instances + second.instances,
    streams: first.streams + second.streams,
  };
}

function sumCounts(first: PluginCounts, second: PluginCounts): PluginCounts {
  return {
    opened: first.opened + second.opened,
    started: first.started + second.started,
    evicted: first.evicted + second.evicted,
    traps: first.traps + second.traps,
    lastTrap: second.lastTrap === '' ? first.lastTrap : second.lastTrap,
    stepsExceeded: first.stepsExceeded + second.stepsExceeded,
    failedStreams: first.failedStreams + second.failedStreams,
    failedByCode: sumByCode(first.failedByCode, second.failedByCode),
    skippedStreams: first.skippedStreams + second.skippedStreams,
    stepsUsed: first.stepsUsed + second.stepsUsed,
    logLinesDropped: first.logLinesDropped + second.logLinesDropped,
  };
}

function sumByCode(
  first: Readonly<Record<string, number>>,
  second: Readonly<Record<string, number>>,
): Record<string, number> {
  const sums = { ...first };
  for (const [code, count] of Object.entries(second)) sums[code] = (sums[code] ?? 0) + count;
  return sums;
}

function addTo(modules: Map<string, PluginReport>, report: PluginReport): void {
  const known = modules.get(report.sha256);
  modules.set(report.sha256, known === undefined ? report : sumReports(known, report));
}

function reportOf({ version: _, ...report }: PluginStats): PluginReport {
  return report;
}
