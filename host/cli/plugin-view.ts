// The plugins as the admin API and the metrics show them, and the changes that the API takes.

import type { PluginChange, PluginPushed, PluginPushOptions, PluginView } from '../admin/index.ts';
import { HISTOGRAM_BOUNDS, type PluginReport, sumReports } from '../proxywasm/index.ts';
import type { PluginMetrics, PluginsMetrics } from '../telemetry/index.ts';
import type { DeskEntry, Gateway, PluginPlane } from '../workers/index.ts';

/** Plain data for JSON. */
export function pluginViews({ desk }: PluginPlane): PluginView[] {
  const reports = desk.tally.all();
  return desk.entries().map((entry) => {
    const { config, current, canary, state } = entry;
    const own = reports.filter(({ name }) => name === config.name);
    const sum = (count: (report: (typeof own)[number]) => number) =>
      own.reduce((total, report) => total + count(report), 0);
    const instances = sum((report) => report.instances);
    const isAbsent = instances === 0 && config.isolation === 'shared' && own.length > 0;
    return {
      name: config.name,
      sha256: current.module.report.sha256,
      source: sourceOf(entry),
      abi: current.module.report.abi,
      sdk: current.module.report.sdk,
      state: canary !== null ? 'canary' : isAbsent ? 'absent' : 'running',
      since: isoTime(entry.sinceMs),
      instances,
      streams: sum((report) => report.streams),
      requests: sum((report) => report.opened),
      failures: sum((report) => report.failedStreams + report.skippedStreams),
      traps: sum((report) => report.traps),
      switchMs: entry.switchMs,
      canary: canary === null ? null : canaryView(desk.trialsOf(entry, canary), canary),
      endedCanaries: state.endedCanaries.map(endView).reverse(),
      pushed: state.versions.map((version) => pushedView(version, own)).reverse(),
      warnings: desk.warnings(entry),
    };
  });
}

/** The configuration's plugins, and what all of them counted themselves. */
export function pluginsMetrics(plane: PluginPlane): PluginsMetrics {
  const { desk } = plane;
  const reports = desk.tally.all();
  const { canaries, pushesRefused, pushesTaken, rollbacks, switches } = desk.counts;
  return {
    plugins: desk.entries().map(({ config, canary }) =>
      pluginMetrics(
        config.name,
        reports.filter(({ name }) => name === config.name),
        canary?.share ?? 0,
      ),
    ),
    own: plane.metrics(),
    bounds: HISTOGRAM_BOUNDS,
    pushes: { taken: pushesTaken, refused: pushesRefused },
    canaries,
    rollbacks,
    switches,
    shared: plane.sharedStats(),
  };
}

function pluginMetrics(
  plugin: string,
  reports: readonly PluginReport[],
  canaryShare: number,
): PluginMetrics {
  const sum = reports.length === 0 ? null : reports.reduce(sumReports);
  return {
    plugin,
    instances: sum?.instances ?? 0,
    started: sum?.started ?? 0,
    evicted: sum?.evicted ?? 0,
    requests: sum?.opened ?? 0,
    active: sum?.streams ?? 0,
    failedByCode: sum?.failedByCode ?? {},
    skipped: sum?.skippedStreams ?? 0,
    traps: sum?.traps ?? 0,
    stepsExceeded: sum?.stepsExceeded ?? 0,
    steps: sum?.stepsUsed ?? 0,
    logLinesDropped: sum?.logLinesDropped ?? 0,
    canaryShare,
  };
}

export async function pushPlugin(
  gateway: Gateway,
  plugin: string,
  { bytes, options }: { readonly bytes: Uint8Array; readonly options: PluginPushOptions },
): Promise<PluginPushed> {
  return { plugin, ...(await gateway.plugins.desk.push(plugin, bytes, options)) };
}

export function changePlugin({ plugins }: Gateway, change: PluginChange): Promise<void> {
  const { desk } = plugins;
  switch (change.action) {
    case 'rollback':
      return desk.rollback(change.plugin);
    case 'canary':
      return desk.shareCanary(change.plugin, change.share);
    case 'promote':
      return desk.promoteCanary(change.plugin);
    case 'abort':
      return desk.abortCanary(change.plugin);
  }
}

function canaryView(
  { canary, current }: ReturnType<PluginPlane['desk']['trialsOf']>,
  { plugin, share, sinceMs }: NonNullable<DeskEntry['canary']>,
): PluginView['canary'] {
  return {
    sha256: plugin.module.report.sha256,
    share,
    since: isoTime(sinceMs),
    requests: canary.requests,
    failures: canary.failures,
    requestsBeside: current.requests,
    failuresBeside: current.failures,
  };
}

function endView({
  sha256,
  outcome,
  why,
  endedMs,
}: DeskEntry['state']['endedCanaries'][number]): PluginView['endedCanaries'][number] {
  return { sha256, outcome, why, at: isoTime(endedMs) };
}

function pushedView(
  { sha256, pushedMs }: DeskEntry['state']['versions'][number],
  reports: readonly PluginReport[],
): PluginView['pushed'][number] {
  const found = reports.find((report) => report.sha256 === sha256);
  const {
    opened = 0,
    failedStreams = 0,
    skippedStreams = 0,
    traps = 0,
    lastTrap = '',
  } = found ?? {};
  const failures = failedStreams + skippedStreams;
  return { sha256, at: isoTime(pushedMs), requests: opened, failures, traps, lastTrap };
}

function sourceOf({ isPushed, config }: DeskEntry): PluginView['source'] {
  if (isPushed) return 'pushed';
  return config.file === '' ? 'url' : 'file';
}

function isoTime(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
