// Prometheus' text format 0.0.4, made in pieces. A table of 10,000 routes is some megabytes of
// text: it is never held whole, and between two pieces the event loop turns, so that a scrape
// delays neither a reload nor another admin request.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Clock, ERRORS } from '../core/index.ts';
import type {
  LatencyBucket,
  PeerStats,
  RouteStats,
  Series,
  SeriesRegistry,
  StatsReader,
} from '../kernels/index.ts';
import type { MetricName } from './metric-names.ts';
import { type DbMetrics, dbLines } from './prometheus-db.ts';
import { type DistributionMetrics, distributionLines } from './prometheus-distribution.ts';
import { type PluginsMetrics, pluginLines } from './prometheus-plugins.ts';
import { escapeLabel, head } from './prometheus-text.ts';
import { splitEndpointSeriesName } from './series-names.ts';

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Upper bounds of `sluice_request_duration_seconds`. A bucket of the kernel's histogram counts
 *  below a bound when its midpoint does, so a bound is exact to 1.6 %. Units: us. */
export const DURATION_BOUNDS_US: readonly number[] = [
  100, 250, 500, 1e3, 2.5e3, 5e3, 1e4, 2.5e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 3e7, 6e7,
];

/** A longer label value is cut and marked with its slot, so that two series never become one. */
const LABEL_LENGTH_MAX = 200;
const PIECE_LENGTH = 65_536;
/** Samples and slots read between two turns of the event loop. */
const STEPS_PER_TURN = 500;
const CODE_CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx'];
const REASONS_COUNT = 1_000;

/** What the kernels cannot know. */
export interface ProcessStatus {
  readonly version: string;
  /** Wall-clock time at which the process started. Units: ms. */
  readonly startWallMs: number;
  readonly configGeneration: number;
  readonly reloadsTaken: number;
  readonly reloadsRefused: number;
  readonly isLastReloadTaken: boolean;
  /** Units: ms, wall clock; 0 before the first. */
  readonly lastReloadWallMs: number;
}

export interface MetricsSource {
  readonly clock: Clock;
  readonly reader: StatsReader;
  readonly routes: Pick<SeriesRegistry, 'series'>;
  readonly services: Pick<SeriesRegistry, 'series'>;
  readonly endpoints: Pick<SeriesRegistry, 'series'>;
  /** The one service a route goes to; `''` where there is none or several. */
  serviceOfRoute(route: string): string;
  status(): ProcessStatus;
  /** Null where nothing is distributed. */
  distribution(): DistributionMetrics | null;
  /** By db worker; null for one that has said nothing yet. */
  databases(): readonly (DbMetrics | null)[];
  plugins(): PluginsMetrics;
}

/** The metrics, piece by piece. Cost: about 1 us a sample; it yields to the loop in between. */
export async function* renderMetrics(source: MetricsSource): AsyncGenerator<string> {
  let piece = '';
  let steps = 0;
  for (const line of metricLines(source)) {
    piece += line;
    steps += 1;
    if (piece.length < PIECE_LENGTH && steps < STEPS_PER_TURN) continue;
    if (piece !== '') yield piece;
    piece = '';
    steps = 0;
    await nextTurn();
  }
  if (piece !== '') yield piece;
}

function* metricLines(source: MetricsSource): Generator<string> {
  const workers = source.reader.usedWorkers();
  yield* processLines(source);
  yield* workerLines(source.reader, workers);
  yield* refusalLines(source.reader, workers);
  yield* distributionLines(source.distribution());
  yield* dbLines(source.databases());
  yield* pluginLines(source.plugins());
  const routes: CountedRoute[] = [];
  for (const series of source.routes.series()) {
    const stats = source.reader.route(series.slot, workers);
    if (hasCounted(series, stats)) routes.push({ series, stats, label: labelOf(series) });
    yield '';
  }
  yield* routeLines(source, routes);
  yield* peerLines('service', source.services.series(), (slot) =>
    source.reader.service(slot, workers),
  );
  yield* peerLines('endpoint', source.endpoints.series(), (slot) =>
    source.reader.endpoint(slot, workers),
  );
}

interface CountedRoute {
  readonly series: Series;
  readonly stats: RouteStats;
  readonly label: string;
}

/** The shared series are listed only once they have counted something. */
function hasCounted(series: Series, stats: RouteStats): boolean {
  return !series.isShared || total(stats.requestsByClass) > 0 || stats.active !== 0;
}

function* routeLines(source: MetricsSource, routes: readonly CountedRoute[]): Generator<string> {
  yield head('sluice_requests_total');
  for (const { series, stats, label } of routes) {
    const service = source.serviceOfRoute(series.name);
    const labels = service === '' ? label : `${label},service="${escapeLabel(service)}"`;
    for (const [index, count] of stats.requestsByClass.entries()) {
      // 2xx is listed from the start, so that a rate has a zero to begin from.
      if (count === 0 && index !== 1) continue;
      yield `sluice_requests_total{${labels},code_class="${CODE_CLASSES[index]}"} ${count}\n`;
    }
  }
  yield head('sluice_request_duration_seconds');
  for (const { series, stats, label } of routes) {
    if (total(stats.requestsByClass) === 0) continue;
    yield durationLines(label, source.reader.histogram(series.slot), stats.durationSumUs);
  }
  yield* family('sluice_request_bytes_total', routes, (stats) => stats.bytesIn);
  yield* family('sluice_response_bytes_total', routes, (stats) => stats.bytesOut);
  yield* family('sluice_requests_active', routes, (stats) => stats.active);
  yield head('sluice_route_refused_total');
  for (const { stats, label } of routes) {
    for (const [index, count] of stats.refusedByFamily.entries()) {
      if (count === 0) continue;
      yield `sluice_route_refused_total{${label},family="${index + 1}xx"} ${count}\n`;
    }
  }
}

function* family(
  name: MetricName,
  routes: readonly CountedRoute[],
  value: (stats: RouteStats) => number,
): Generator<string> {
  yield head(name);
  for (const { stats, label } of routes) yield `${name}{${label}} ${value(stats)}\n`;
}

/** The count is the sum of the buckets read, so that it always equals the last bucket. */
function durationLines(
  label: string,
  buckets: Iterable<LatencyBucket>,
  durationSumUs: number,
): string {
  const name = 'sluice_request_duration_seconds';
  const counts = new Array<number>(DURATION_BOUNDS_US.length + 1).fill(0);
  for (const { middleUs, count } of buckets) {
    let index = 0;
    while (index < DURATION_BOUNDS_US.length && middleUs > DURATION_BOUNDS_US[index]!) index++;
    counts[index]! += count;
  }
  let lines = '';
  let seen = 0;
  for (const [index, bound] of DURATION_BOUNDS_US.entries()) {
    seen += counts[index]!;
    lines += `${name}_bucket{${label},le="${bound / 1e6}"} ${seen}\n`;
  }
  seen += counts.at(-1)!;
  lines += `${name}_bucket{${label},le="+Inf"} ${seen}\n`;
  return `${lines}${name}_sum{${label}} ${durationSumUs / 1e6}\n${name}_count{${label}} ${seen}\n`;
}

function* peerLines(
  kind: 'service' | 'endpoint',
  listed: readonly Series[],
  statsOf: (slot: number) => PeerStats,
): Generator<string> {
  const peers: { label: string; stats: PeerStats }[] = [];
  for (const series of listed) {
    const stats = statsOf(series.slot);
    yield '';
    if (series.isShared && stats.requests === 0 && stats.active === 0) continue;
    peers.push({ label: peerLabel(kind, series), stats });
  }
  const columns: readonly [MetricName, (stats: PeerStats) => number][] = [
    [`sluice_${kind}_requests_total`, (stats) => stats.requests],
    [`sluice_${kind}_errors_total`, (stats) => stats.errors],
    [`sluice_${kind}_requests_active`, (stats) => stats.active],
  ];
  for (const [name, value] of columns) {
    yield head(name);
    for (const { label, stats } of peers) yield `${name}{${label}} ${value(stats)}\n`;
  }
  if (kind === 'endpoint') {
    const name: MetricName = 'sluice_endpoint_connect_failures_total';
    yield head(name);
    for (const { label, stats } of peers) yield `${name}{${label}} ${stats.connectFailures}\n`;
  }
  const summary: MetricName = `sluice_${kind}_request_duration_seconds`;
  yield head(summary);
  for (const { label, stats } of peers) {
    yield `${summary}_sum{${label}} ${stats.durationSumUs / 1e6}\n`;
    yield `${summary}_count{${label}} ${stats.requests}\n`;
  }
}

function peerLabel(kind: 'service' | 'endpoint', series: Series): string {
  if (kind === 'service') return `service="${labelText(series.name, series.slot)}"`;
  const { service, authority } = splitEndpointSeriesName(series.name);
  const endpoint = labelText(authority, series.slot);
  return `service="${labelText(service, series.slot)}",endpoint="${endpoint}"`;
}

function* refusalLines(reader: StatsReader, workers: readonly number[]): Generator<string> {
  yield head('sluice_refused_total');
  const codes = new Map<number, string>();
  for (const [code, { reason, status }] of Object.entries(ERRORS)) {
    if (status !== 0) codes.set(reason, code);
  }
  for (let reason = 0; reason < REASONS_COUNT; reason++) {
    const count = reader.refusals(reason, workers);
    const code = codes.get(reason);
    if (count === 0 && code === undefined) continue;
    yield `sluice_refused_total{reason="${reason}",code="${code ?? 'unknown'}"} ${count}\n`;
  }
}

function* workerLines(reader: StatsReader, workers: readonly number[]): Generator<string> {
  const stats = workers.map((worker) => reader.worker(worker));
  const columns: readonly [MetricName, (worker: (typeof stats)[number]) => number][] = [
    ['sluice_connections_open', (worker) => worker.connectionsOpen],
    ['sluice_connections_total', (worker) => worker.connectionsTotal],
    ['sluice_uncaught_errors_total', (worker) => worker.uncaughtErrors],
    ['sluice_worker_heartbeats_total', (worker) => worker.heartbeat],
    ['sluice_limiter_overflows_total', (worker) => worker.limiterOverflows],
    ['sluice_log_lines_total', (worker) => worker.logLinesWritten],
    ['sluice_log_lines_dropped_total', (worker) => worker.logLinesDropped],
  ];
  for (const [name, value] of columns) {
    yield head(name);
    for (const worker of stats) {
      yield `${name}{worker="${worker.workerIndex}"} ${value(worker)}\n`;
    }
  }
  yield head('sluice_event_loop_delay_seconds');
  for (const worker of stats) {
    const delays = {
      mean: worker.loopDelayMeanMs,
      p99: worker.loopDelayP99Ms,
      max: worker.loopDelayMaxMs,
    };
    for (const [stat, delayMs] of Object.entries(delays)) {
      const labels = `worker="${worker.workerIndex}",stat="${stat}"`;
      yield `sluice_event_loop_delay_seconds{${labels}} ${delayMs / 1e3}\n`;
    }
  }
}

function* processLines(source: MetricsSource): Generator<string> {
  const status = source.status();
  const cpu = process.cpuUsage();
  const single = (name: MetricName, value: number) => `${head(name)}${name} ${value}\n`;
  const versions = `version="${escapeLabel(status.version)}",node="${process.version}"`;
  yield `${head('sluice_build_info')}sluice_build_info{${versions}} 1\n`;
  yield single('sluice_uptime_seconds', (source.clock.wallMs() - status.startWallMs) / 1e3);
  yield single('process_start_time_seconds', status.startWallMs / 1e3);
  yield single('process_cpu_seconds_total', (cpu.user + cpu.system) / 1e6);
  yield single('process_resident_memory_bytes', process.memoryUsage.rss());
  yield single('sluice_config_generation', status.configGeneration);
  yield single('sluice_config_last_reload_success', status.isLastReloadTaken ? 1 : 0);
  yield single('sluice_config_last_reload_timestamp_seconds', status.lastReloadWallMs / 1e3);
  yield head('sluice_config_reloads_total');
  yield `sluice_config_reloads_total{outcome="taken"} ${status.reloadsTaken}\n`;
  yield `sluice_config_reloads_total{outcome="refused"} ${status.reloadsRefused}\n`;
}

function labelOf(series: Series): string {
  return `route="${labelText(series.name, series.slot)}"`;
}

function labelText(name: string, slot: number): string {
  const cut = name.slice(0, LABEL_LENGTH_MAX).replace(/\p{Surrogate}/gu, '\ufffd');
  return escapeLabel(cut === name ? name : `${cut}~${slot}`);
}

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
