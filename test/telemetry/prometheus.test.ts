import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../../host/core/index.ts';
import { SeriesRegistry, StatsReader, StatsWriter } from '../../host/kernels/index.ts';
import {
  endpointSeriesName,
  type MetricsSource,
  renderMetrics,
} from '../../host/telemetry/index.ts';
import { METRICS } from '../../host/telemetry/metric-names.ts';
import type { DbMetrics } from '../../host/telemetry/prometheus-db.ts';
import { NO_PLUGINS } from '../support/plugin-metrics.ts';
import { parseExposition, sampleValue } from '../support/prometheus-parser.ts';
import { testSeed } from '../support/seed.ts';
import { edgeImage, edgeInstance } from '../support/wasm.ts';

function scene(workers: readonly number[] = [0, 1], image = edgeImage()) {
  const writers = workers.map((worker) => new StatsWriter(edgeInstance(image, worker)));
  const clock = new ManualClock(5_000, 1_700_000_000_000);
  const source = {
    clock,
    reader: new StatsReader(image.memory),
    routes: new SeriesRegistry('route', image.memory),
    services: new SeriesRegistry('service', image.memory),
    endpoints: new SeriesRegistry('endpoint', image.memory),
    serviceOfRoute: (route: string) => (route === 'pay' ? 'wallet' : ''),
    status: () => ({
      version: '0.1.0',
      startWallMs: 1_700_000_000_000,
      configGeneration: 3,
      reloadsTaken: 2,
      reloadsRefused: 1,
      isLastReloadTaken: true,
      lastReloadWallMs: 1_700_000_004_500,
    }),
    distribution: () => ({
      releases: [
        {
          channel: 'app',
          version: '1.0"0',
          state: 'halted',
          outcomes: { applied: 3, failed: 2 },
          failures: { hash: 2 },
        },
      ],
      reportsRepeated: 4,
      reportsDropped: 5,
      responses: [{ resource: 'pack', form: 'dcz', count: 8 }],
      artefacts: { made: 6 },
      artefactsWaiting: 7,
    }),
    databases: () => [
      null,
      { ...NO_DATABASES, commitsCount: 9, lagCount: 2, followerLagMs: 1_500 },
    ],
    plugins: () => NO_PLUGINS,
  } satisfies MetricsSource;
  return { image, writers, source };
}

const NO_DATABASES: DbMetrics = {
  requestsCount: 0,
  commitsCount: 0,
  groupsCount: 0,
  refusalsCount: 0,
  databasesCount: 0,
  streamsCount: 0,
  socketsCount: 0,
  writersWaitingCount: 0,
  repliesWaitingCount: 0,
  lagCount: 0,
  followerLagCount: 0,
  followerLagMs: 0,
};

async function rendered(source: MetricsSource): Promise<{ text: string; pieces: number }> {
  let text = '';
  let pieces = 0;
  for await (const piece of renderMetrics(source)) {
    text += piece;
    pieces += 1;
  }
  return { text, pieces };
}

describe('metrics of plugins', () => {
  it('say what was counted of plugins, and what they counted, whatever they call it', async () => {
    const { source } = scene();
    const plugin = {
      plugin: 'auth',
      instances: 2,
      started: 5,
      evicted: 1,
      requests: 100,
      active: 3,
      failedByCode: { GW_PLUGIN_TRAP: 4, GW_PLUGIN_UNAVAILABLE: 2 },
      skipped: 7,
      traps: 6,
      stepsExceeded: 2,
      steps: 1_000,
      logLinesDropped: 8,
      canaryShare: 0.05,
    };
    const own = (kind: 'counter' | 'gauge' | 'histogram', name: string) => ({
      ...{ plugin: 'auth', kind, name, value: -3, count: 6, sum: 70, buckets: [1, 2, 3] },
    });
    const odd = 'a "name" {le="1"}\\\n# TYPE x counter';
    const metrics = parseExposition(
      (
        await rendered({
          ...source,
          plugins: () => ({
            ...NO_PLUGINS,
            plugins: [plugin],
            own: [own('histogram', odd), own('gauge', 'level'), own('counter', odd)],
            bounds: [5, 10],
            canaries: { 'rolled-back': 1 },
            switches: { count: 4, sumMs: 10 },
          }),
        })
      ).text,
    );
    const value = (name: string, labels = {}) =>
      sampleValue(metrics, `sluice_plugin_${name}`, labels);
    const auth = { plugin: 'auth' };
    assert.equal(value('requests_total', auth), 100);
    assert.equal(value('requests_failed_total', { ...auth, code: 'GW_PLUGIN_TRAP' }), 4);
    assert.equal(value('traps_total', { ...auth, cause: 'trap' }), 4);
    assert.equal(value('traps_total', { ...auth, cause: 'steps' }), 2);
    assert.equal(value('evictions_total', auth), 1);
    assert.equal(value('canary_share', auth), 0.05);
    assert.equal(value('canaries_total', { outcome: 'rolled-back' }), 1);
    assert.equal(value('switch_duration_seconds_sum'), 0.01);
    assert.equal(value('counter_total', { ...auth, name: odd }), -3);
    assert.equal(value('gauge', { ...auth, name: 'level' }), -3);
    const named = { ...auth, name: odd };
    assert.equal(value('histogram_bucket', { ...named, le: '5' }), 1);
    assert.equal(value('histogram_bucket', { ...named, le: '10' }), 3);
    assert.equal(value('histogram_bucket', { ...named, le: '+Inf' }), 6);
    assert.equal(value('histogram_sum', named), 70);
  });
});

describe('prometheus metrics', () => {
  it('say what the counters say', async () => {
    const { source, writers } = scene();
    const [pay, browse] = source.routes.assign(1, ['pay', 'browse']);
    const [wallet] = source.services.assign(1, ['wallet']);
    const [endpoint] = source.endpoints.assign(1, [endpointSeriesName('wallet', '[::1]:9001')]);
    for (const writer of writers) {
      writer.record(pay!, endpoint!, wallet!, 200, 0, 1_500, 100, 2_000);
      writer.record(pay!, endpoint!, wallet!, 502, 101, 30_000, 10, 20);
      writer.record(browse!, -1, -1, 429, 604, 40, 0, 0);
      writer.record(1, -1, -1, 404, 501, 10, 0, 0);
      writer.begin(pay!, endpoint!, wallet!);
      writer.refuse(302);
    }
    writers[1]!.setCell('connectionsOpen', 7);
    writers[1]!.setCell('loopDelayP99Ms', 2.5);
    writers[0]!.heartbeat();
    const metrics = parseExposition((await rendered(source)).text);
    const value = (name: string, labels = {}) => sampleValue(metrics, name, labels);
    const paid = { route: 'pay', service: 'wallet' };
    assert.equal(value('sluice_requests_total', { ...paid, code_class: '2xx' }), 2);
    assert.equal(value('sluice_requests_total', { ...paid, code_class: '5xx' }), 2);
    assert.equal(value('sluice_requests_total', { route: 'browse', code_class: '4xx' }), 2);
    assert.equal(value('sluice_requests_total', { route: '(none)', code_class: '4xx' }), 2);
    assert.equal(value('sluice_request_bytes_total', { route: 'pay' }), 220);
    assert.equal(value('sluice_response_bytes_total', { route: 'pay' }), 4_040);
    assert.equal(value('sluice_requests_active', { route: 'pay' }), 2);
    assert.equal(value('sluice_route_refused_total', { route: 'pay', family: '1xx' }), 2);
    const duration = 'sluice_request_duration_seconds';
    assert.equal(value(`${duration}_bucket`, { route: 'pay', le: '0.001' }), 0);
    assert.equal(value(`${duration}_bucket`, { route: 'pay', le: '0.0025' }), 2);
    assert.equal(value(`${duration}_bucket`, { route: 'pay', le: '0.05' }), 4);
    assert.equal(value(`${duration}_bucket`, { route: 'pay', le: '+Inf' }), 4);
    assert.equal(value(`${duration}_sum`, { route: 'pay' }), 0.063);
    assert.equal(value(`${duration}_count`, { route: 'pay' }), 4);
    for (const [reason, code, count] of [
      ['101', 'GW_UPSTREAM_CONNECT', 2],
      ['604', 'GW_RATE_LIMITED', 2],
      ['302', 'GW_PROTOCOL_HEADERS_TOO_LARGE', 2],
      ['501', 'GW_ROUTE_NONE', 2],
      ['606', 'GW_OVERLOADED', 0],
    ] as const) {
      assert.equal(value('sluice_refused_total', { reason, code }), count);
    }
    const peer = { service: 'wallet', endpoint: '[::1]:9001' };
    assert.equal(value('sluice_endpoint_requests_total', peer), 4);
    assert.equal(value('sluice_endpoint_errors_total', peer), 2);
    assert.equal(value('sluice_endpoint_connect_failures_total', peer), 2);
    assert.equal(value('sluice_endpoint_requests_active', peer), 2);
    assert.equal(value('sluice_endpoint_request_duration_seconds_sum', peer), 0.063);
    assert.equal(value('sluice_service_requests_total', { service: 'wallet' }), 4);
    assert.equal(value('sluice_service_request_duration_seconds_count', { service: 'wallet' }), 4);
    assert.equal(value('sluice_connections_open', { worker: '1' }), 7);
    assert.equal(value('sluice_event_loop_delay_seconds', { worker: '1', stat: 'p99' }), 0.0025);
    assert.equal(value('sluice_worker_heartbeats_total', { worker: '0' }), 1);
    const release = { channel: 'app', version: '1.0"0' };
    const outcomes = 'sluice_distribution_outcomes_total';
    assert.equal(value(outcomes, { ...release, outcome: 'applied' }), 3);
    assert.equal(value('sluice_distribution_failures_total', { ...release, cause: 'hash' }), 2);
    const active = 'sluice_distribution_release_active';
    assert.equal(value(active, { ...release, state: 'halted' }), 0);
    assert.equal(value('sluice_distribution_reports_repeated_total'), 4);
    assert.equal(value('sluice_distribution_reports_dropped_total'), 5);
    const sent = { resource: 'pack', form: 'dcz' };
    assert.equal(value('sluice_distribution_responses_total', sent), 8);
    assert.equal(value('sluice_distribution_artefacts_total', { outcome: 'made' }), 6);
    assert.equal(value('sluice_distribution_artefacts_waiting'), 7);
    assert.equal(value('sluice_db_commits_total', { worker: '1' }), 9);
    assert.equal(value('sluice_db_lag_commits', { worker: '1' }), 2);
    assert.equal(value('sluice_config_generation'), 3);
    assert.equal(value('sluice_config_reloads_total', { outcome: 'refused' }), 1);
    assert.equal(value('sluice_config_last_reload_success'), 1);
    assert.equal(value('sluice_config_last_reload_timestamp_seconds'), 1_700_000_004.5);
    assert.equal(value('sluice_uptime_seconds'), 5);
    assert.ok(value('process_resident_memory_bytes')! > 1_000_000);
    assert.ok(value('process_cpu_seconds_total')! > 0);
    assert.equal(
      value('sluice_requests_total', { route: '(overflow)', code_class: '2xx' }),
      undefined,
    );
  });

  it('name every metric of the registry, its type, and no label it does not list', async () => {
    const { source, writers } = scene();
    const [slot] = source.routes.assign(1, ['pay']);
    writers[0]!.record(slot!, -1, -1, 200, 101, 1, 1, 1);
    const metrics = parseExposition((await rendered(source)).text);
    assert.deepEqual([...metrics.keys()].sort(), Object.keys(METRICS).sort());
    for (const [name, { type, labels }] of Object.entries(METRICS)) {
      const family = metrics.get(name)!;
      assert.equal(family.type, type);
      const allowed: readonly string[] = [...labels, 'le'];
      for (const sample of family.samples) {
        for (const label of Object.keys(sample.labels)) {
          assert.ok(allowed.includes(label), `${name} has a label ${label}`);
        }
      }
    }
  });

  it('label values come back exactly, whatever they hold', async () => {
    const nasty = fc.string({ unit: 'binary', maxLength: 40 });
    const name = fc.oneof(nasty, fc.constantFrom('"', '\\', '\n', '\\n', '"}', 'a\r\nb', '\\\\"'));
    const image = edgeImage();
    const check = async (names: readonly string[]) => {
      const { source } = scene([0], image);
      source.routes.assign(1, names);
      const metrics = parseExposition((await rendered(source)).text);
      const routes = metrics
        .get('sluice_requests_total')!
        .samples.map(({ labels }) => labels.route);
      assert.deepEqual(routes, names);
    };
    await fc.assert(fc.asyncProperty(fc.uniqueArray(name, { minLength: 1, maxLength: 5 }), check), {
      seed: testSeed('metric labels'),
      numRuns: 40,
    });
  });

  it('names too long or not Unicode are cut and stay apart', async () => {
    const { source } = scene([0]);
    const long = 'x'.repeat(5_000);
    source.routes.assign(1, [`${long}1`, `${long}2`, '\ud800', '\ud801']);
    const { text } = await rendered(source);
    const samples = parseExposition(text).get('sluice_requests_total')!.samples;
    const names = samples.map(({ labels }) => labels.route!);
    assert.equal(new Set(names).size, 4);
    assert.ok(names.every((name) => name.length < 220 && !/\p{Surrogate}/u.test(name)));
  });

  it('thousands of routes come in pieces, and the loop turns in between', async () => {
    const { source, writers } = scene();
    const names = Array.from({ length: 3_000 }, (_, index) => `route-${index}`);
    const slots = source.routes.assign(1, names);
    for (const slot of slots) writers[0]!.record(slot, -1, -1, 200, 0, slot, 1, 1);
    let turns = 0;
    const turn = setInterval(() => {
      turns += 1;
    }, 0);
    const { pieces, text } = await rendered(source);
    clearInterval(turn);
    assert.ok(pieces > 20, `${pieces} pieces`);
    assert.ok(turns > 5, `${turns} turns`);
    const metrics = parseExposition(text);
    assert.equal(metrics.get('sluice_request_duration_seconds')!.samples.length, 3_000 * 21);
  });
});

describe('docs/telemetry.md', () => {
  it('names every metric with its type and labels, and none that is not there', () => {
    const text = readFileSync('docs/telemetry.md', 'utf8');
    const rows = [...text.matchAll(/^\| `((?:sluice|process)_\w+)` \| (\w+) \| ([^|]*) \|/gm)];
    const documented = rows.map(([, name, type, labels]) => [name, type, labels!.trim()]);
    const expected = Object.entries(METRICS).map(([name, { labels, type }]) => [
      name,
      type,
      labels.length === 0 ? '' : labels.map((label) => `\`${label}\``).join(', '),
    ]);
    assert.deepEqual(documented, expected);
    for (const [name] of text.matchAll(/\b(?:sluice|process)_[a-z_]+\b/g)) {
      const base = name.replace(/_(bucket|sum|count)$/, '');
      assert.ok(name in METRICS || base in METRICS, `${name} is not a metric`);
    }
  });
});
