// The gateway as the admin API shows it: plain data out of the snapshot and the shared counters. A
// scrape costs the io workers nothing.

import type {
  AdminDatabases,
  AdminDeps,
  AdminIssue,
  Readiness,
  ReloadOutcome,
  ServiceView,
} from '../admin/index.ts';
import type { Config, Snapshot } from '../config/index.ts';
import { type Clock, GatewayError, type HeaderList, isGatewayError } from '../core/index.ts';
import { type LatencyBucket, Matcher, StatsReader } from '../kernels/index.ts';
import { explainMatch } from '../mesh/index.ts';
import {
  endpointSeriesName,
  type Log,
  type MetricsSource,
  renderMetrics,
} from '../telemetry/index.ts';
import { ConfigRefused, type Gateway } from '../workers/index.ts';
import { databasesView } from './databases-view.ts';
import { changeDistribution, distributionMetrics, distributionView } from './distribution-view.ts';
import { changePlugin, pluginsMetrics, pluginViews, pushPlugin } from './plugin-view.ts';
import { VERSION } from './version.ts';

export interface AdminViewOptions {
  readonly configPath: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Begins to drain; returns at once. */
  readonly onDrain: () => void;
}

/** What the admin API needs of a gateway. */
export class AdminView {
  readonly #gateway: Gateway;
  readonly #options: AdminViewOptions;
  readonly #matcher: Matcher;
  readonly #reader: StatsReader;

  constructor(gateway: Gateway, options: AdminViewOptions) {
    this.#gateway = gateway;
    this.#options = options;
    this.#matcher = new Matcher(gateway.instance);
    this.#reader = new StatsReader(gateway.image.memory);
  }

  deps(): AdminDeps {
    const { log, clock } = this.#options;
    return {
      token: this.#gateway.snapshot.admin.token,
      version: VERSION,
      log,
      clock,
      metrics: () => renderMetrics(this.#metricsSource()),
      readiness: () => this.#readiness(),
      config: () => configOf(this.#gateway.snapshot),
      checkConfig: (yaml) => this.#gateway.check(yaml),
      reload: () => this.#reload(),
      explain: (method, url, headers) => this.#explain(method, url, headers),
      services: () => this.#services(),
      latency: (route) => this.#latency(route),
      drain: () => this.#options.onDrain(),
      distribution: () => distributionView(this.#gateway.distribution),
      plugins: () => pluginViews(this.#gateway.plugins),
      pushPlugin: (plugin, bytes, options) => pushPlugin(this.#gateway, plugin, { bytes, options }),
      changePlugin: (change) => changePlugin(this.#gateway, change),
      changeDistribution: (change) => changeDistribution(this.#gateway, change),
      replication: () => this.#gateway.databases?.replication() ?? null,
      promote: async () => (await this.#gateway.databases?.promote()) ?? null,
      databases: () => this.#databases(),
    };
  }

  /** Who needs a token for a database needs one here too, where whole databases can be had. */
  #databases(): AdminDatabases | null {
    const { db, admin } = this.#gateway.snapshot;
    if (db !== null && db.publicKey !== '' && admin.token === '') {
      const detail = 'databases ask for tokens (db.auth): set admin.token to use them here';
      throw new GatewayError('GW_ADMIN_REFUSED', detail);
    }
    return databasesView(this.#gateway.databases, db?.limits.databaseSizeBytesMax ?? 0);
  }

  #readiness(): Readiness {
    if (this.#gateway.isDraining) return { isReady: false, detail: 'the gateway is draining' };
    const { serving, wanted } = this.#gateway.workerCounts();
    if (serving === wanted) return { isReady: true, detail: '' };
    return { isReady: false, detail: `${serving} of ${wanted} io workers serve` };
  }

  async #reload(): Promise<ReloadOutcome> {
    try {
      await this.#gateway.reloadFromFile('POST /reload');
      return { isTaken: true, generation: this.#gateway.snapshot.generation, issues: [] };
    } catch (error) {
      const { generation } = this.#gateway.snapshot;
      return { isTaken: false, generation, issues: issuesOf(error, this.#options.configPath) };
    }
  }

  #explain(method: string, url: string, headers: HeaderList) {
    const parsed = URL.canParse(url) ? new URL(url) : null;
    const target = parsed === null ? url : url.slice(url.indexOf(parsed.host) + parsed.host.length);
    const [path, query] = split(target, '?');
    if (!path.startsWith('/') && target !== '') {
      throw new GatewayError('GW_PROTOCOL_MALFORMED', `${url} is neither a URL nor a path`);
    }
    return explainMatch(this.#matcher, this.#gateway.snapshot, {
      method,
      authority: parsed?.host ?? '',
      path: path === '' ? '/' : split(path, '#')[0],
      query: split(query, '#')[0],
      headers,
    });
  }

  #latency(route: string): Iterable<LatencyBucket> | null {
    const slot = this.#gateway.series.routes.slotOf(route);
    return slot === undefined ? null : this.#reader.histogram(slot);
  }

  #services(): ServiceView[] {
    const { snapshot, series } = this.#gateway;
    const workers = this.#reader.usedWorkers();
    const views: ServiceView[] = [];
    for (let index = 0; index < snapshot.serviceCount; index++) {
      const { name, balance, endpoints } = snapshot.service(index);
      const stats = this.#reader.service(series.services.slotOf(name) ?? 0, workers);
      views.push({
        name,
        balance,
        requests: stats.requests,
        errors: stats.errors,
        active: stats.active,
        endpoints: endpoints.map(({ authority, weight }) => {
          const slot = series.endpoints.slotOf(endpointSeriesName(name, authority)) ?? 0;
          const { requests, errors, active, connectFailures, durationSumUs } =
            this.#reader.endpoint(slot, workers);
          const durationMeanMs = requests === 0 ? 0 : durationSumUs / requests / 1000;
          return { authority, weight, requests, errors, active, connectFailures, durationMeanMs };
        }),
      });
    }
    return views;
  }

  /** The one service that a route goes to; `''` where it goes to none or to several. */
  #serviceOf(route: string): string {
    const { snapshot, series } = this.#gateway;
    const index = series.routeIndex(route);
    if (index === undefined) return '';
    const { action } = snapshot.route(index);
    if (action.kind !== 'proxy' || action.to.length !== 1) return '';
    return snapshot.service(action.to[0]!.service).name;
  }

  #metricsSource(): MetricsSource {
    const { series, reloads, startWallMs } = this.#gateway;
    return {
      clock: this.#options.clock,
      reader: this.#reader,
      routes: series.routes,
      services: series.services,
      endpoints: series.endpoints,
      serviceOfRoute: (route) => this.#serviceOf(route),
      status: () => ({
        version: VERSION,
        startWallMs,
        configGeneration: this.#gateway.snapshot.generation,
        reloadsTaken: reloads.taken,
        reloadsRefused: reloads.refused,
        isLastReloadTaken: reloads.isLastTaken,
        lastReloadWallMs: reloads.lastWallMs,
      }),
      distribution: () => distributionMetrics(this.#gateway.distribution),
      databases: () => this.#gateway.databaseStats(),
      plugins: () => pluginsMetrics(this.#gateway.plugins),
    };
  }
}

/** The normal form, put together again from the snapshot. */
function configOf(snapshot: Snapshot): Config {
  const { listeners, trustedProxies, admin, workers, log, plugins, distribution, db } = snapshot;
  const services = Array.from({ length: snapshot.serviceCount }, (_, index) =>
    snapshot.service(index),
  );
  const routes = Array.from({ length: snapshot.routeCount }, (_, index) => snapshot.route(index));
  const { pluginStore } = snapshot;
  const rest = { workers, services, routes, log, plugins, pluginStore, distribution, db };
  return { listeners, trustedProxies, admin, ...rest };
}

function issuesOf(error: unknown, file: string): readonly AdminIssue[] {
  if (error instanceof ConfigRefused) return error.issues;
  const code = isGatewayError(error) ? error.code : 'GW_INTERNAL';
  const message = error instanceof Error ? error.message : String(error);
  return [{ code, file, line: 0, column: 0, path: '', message }];
}

/** A text before and after the first `separator`. */
function split(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
