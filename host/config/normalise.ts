// From the checked file to the Config that everything runs on: references become indices, short
// forms long ones, and every object is frozen. Refuses nothing: validate.ts has seen the file.

import { dirname, isAbsolute, join } from 'node:path';
import type { FieldCondition } from '../core/index.ts';
import { COMPUTE_WORKERS_MAX, DB_WORKERS_MAX, IO_WORKERS_MAX } from './limits.ts';
import type {
  Config,
  DbConfig,
  DistributionConfig,
  EndpointConfig,
  HeaderOperations,
  ListenerConfig,
  RateConfig,
  RewriteConfig,
  RouteAction,
  RouteConfig,
  ServiceConfig,
  TimeoutsConfig,
} from './model.ts';
import { normalisePlugin } from './normalise-plugins.ts';
import { parseRewritePath } from './path-pattern.ts';
import type {
  ConditionValue,
  FileValue,
  HeaderOperationsValue,
  RouteValue,
  ServiceValue,
} from './schema.ts';
import { Complaint } from './schema-kit.ts';

/** What `auto` and relative file names depend on. */
export interface Surroundings {
  readonly coresCount: number;
  /** File names of the configuration are relative to its folder. */
  readonly fileName: string;
}

const NONE: readonly never[] = Object.freeze([]);
/** Shared by the many routes that change nothing: 100,000 routes, one object. */
export const NO_HEADER_OPERATIONS: HeaderOperations = Object.freeze({
  remove: NONE,
  set: NONE,
  add: NONE,
});
export const NO_REWRITE: RewriteConfig = Object.freeze({ path: '', host: '' });

/** Builds the normalised configuration. */
export function normalise(file: FileValue, surroundings: Surroundings): Config {
  const places = new Map(file.services.map(([name], index) => [name, index]));
  const services = file.services.map(([name, service]) =>
    normaliseService(name, service, surroundings),
  );
  const { io, db, compute } = file.workers;
  const { coresCount } = surroundings;
  return Object.freeze({
    listeners: Object.freeze(file.listen.map((one) => normaliseListener(one, surroundings))),
    trustedProxies: frozen(file.trustedProxies),
    admin: Object.freeze(file.admin),
    workers: Object.freeze({
      io: io === 'auto' ? Math.min(Math.max(coresCount, 1), IO_WORKERS_MAX) : io,
      db: db === 'auto' ? Math.min(halfOf(coresCount), DB_WORKERS_MAX) : db,
      compute: compute === 'auto' ? Math.min(halfOf(coresCount), COMPUTE_WORKERS_MAX) : compute,
    }),
    services: Object.freeze(services),
    routes: Object.freeze(
      file.routes.map((route, index) => normaliseRoute(route, index, { services, places })),
    ),
    log: Object.freeze(file.log),
    plugins: frozen(
      file.plugins.map((one) => normalisePlugin(one, (name) => resolveFile(name, surroundings))),
    ),
    pluginStore: resolveFile(file.pluginStore, surroundings),
    distribution: normaliseDistribution(file.distribution, surroundings),
    db: normaliseDb(file.db, surroundings),
  });
}

/** Half of the cores, so that long work never starves the io workers. */
function halfOf(coresCount: number): number {
  return Math.max(Math.floor(coresCount / 2), 1);
}

function frozen<T>(items: readonly T[]): readonly T[] {
  return items.length === 0 ? NONE : Object.freeze(items);
}

function resolveFile(name: string | undefined, { fileName }: Surroundings): string {
  if (name === undefined) return '';
  return isAbsolute(name) ? name : join(dirname(fileName), name);
}

function normaliseListener(
  listener: FileValue['listen'][number],
  surroundings: Surroundings,
): ListenerConfig {
  const { port, address, engine, chunked, tls } = listener;
  if (tls === undefined) return Object.freeze({ port, address, engine, chunked, tls: null });
  const sni = tls.sni.map(({ host, cert, key }) =>
    Object.freeze({
      host,
      cert: resolveFile(cert, surroundings),
      key: resolveFile(key, surroundings),
    }),
  );
  const files = Object.freeze({
    cert: resolveFile(tls.cert, surroundings),
    key: resolveFile(tls.key, surroundings),
    clientCa: resolveFile(tls.clientCa, surroundings),
    sni: frozen(sni),
  });
  return Object.freeze({ port, address, engine, chunked, tls: files });
}

function normaliseService(
  name: string,
  service: ServiceValue,
  surroundings: Surroundings,
): ServiceConfig {
  const endpoints = service.endpoints.map(
    ({ url, weight, labels }): EndpointConfig =>
      Object.freeze({ ...url, weight, labels: Object.freeze(Object.fromEntries(labels)) }),
  );
  const { connect, request, idle } = service.timeouts;
  const { connections, pending, keepAlive } = service.pool;
  return Object.freeze({
    name,
    endpoints: Object.freeze(endpoints),
    balance: service.balance,
    hashOn: service.hashOn === undefined ? null : Object.freeze(service.hashOn),
    timeouts: Object.freeze({ connectMs: connect, requestMs: request, idleMs: idle }),
    pool: Object.freeze({
      connectionsMax: connections,
      pendingMax: pending,
      keepAliveMs: keepAlive,
    }),
    pipeline: service.pipeline,
    tls: Object.freeze({
      ca: resolveFile(service.tls?.ca, surroundings),
      serverName: service.tls?.serverName ?? '',
    }),
  });
}

function normaliseDistribution(
  file: FileValue['distribution'],
  surroundings: Surroundings,
): DistributionConfig | null {
  if (file === undefined) return null;
  const { disk, memory, deltaSize, jobs, cpu } = file.limits;
  return Object.freeze({
    dir: resolveFile(file.dir, surroundings),
    headKey: resolveFile(file.headKey, surroundings),
    signingKey: resolveFile(file.signingKey, surroundings),
    headExpiryMs: file.headExpiry,
    limits: Object.freeze({
      diskSizeBytesMax: disk,
      memorySizeBytesMax: memory,
      deltaSizeBytesMax: deltaSize,
      jobsMax: jobs,
      cpuMsPerMinute: cpu,
    }),
  });
}

function normaliseDb(file: FileValue['db'], surroundings: Surroundings): DbConfig | null {
  if (file === undefined) return null;
  const { statement, transaction, idle, queue, streams, open } = file.limits;
  const { request, result, size, log } = file.limits;
  return Object.freeze({
    dir: resolveFile(file.dir, surroundings),
    publicKey: file.auth?.publicKey ?? '',
    create: file.create,
    follow: file.follow ?? '',
    replication: Object.freeze({
      token: file.replication?.token ?? '',
      keepSizeBytesMax: file.replication?.keep ?? 0,
      keepMsMax: file.replication?.keepFor ?? 0,
    }),
    retentionMs: file.retention,
    limits: Object.freeze({
      statementMsMax: statement,
      transactionMsMax: transaction,
      idleMsMax: idle,
      queueCountMax: queue,
      streamsCountMax: streams,
      openCountMax: open,
      requestSizeBytesMax: request,
      resultSizeBytesMax: result,
      databaseSizeBytesMax: size,
      logSizeBytesMax: log,
    }),
  });
}

interface Known {
  readonly services: readonly ServiceConfig[];
  readonly places: ReadonlyMap<string, number>;
}

function normaliseRoute(route: RouteValue, index: number, known: Known): RouteConfig {
  const { match } = route;
  const headers = conditions(match.headers);
  const query = conditions(match.query);
  return Object.freeze({
    name: route.name ?? `route-${index}`,
    match: Object.freeze({
      host: match.host ?? '',
      path: match.path.text,
      methods: match.methods === undefined ? NONE : frozen(match.methods),
      headers,
      query,
    }),
    action: normaliseAction(route, known),
    rate: route.rate.length === 0 ? NONE : Object.freeze(route.rate.map(normaliseRate)),
    requestHeaders: operations(route.headers.request),
    responseHeaders: operations(route.headers.response),
    timeouts: normaliseTimeouts(route, known),
    requestBodySizeBytesMax: route.maxBody,
    filters: frozen(route.filters.map(({ plugin }) => plugin)),
  });
}

function conditions(
  list: readonly (readonly [string, ConditionValue])[],
): readonly FieldCondition[] {
  if (list.length === 0) return NONE;
  return Object.freeze(list.map(([name, { op, value }]) => Object.freeze({ name, op, value })));
}

function normaliseAction(route: RouteValue, { places }: Known): RouteAction {
  if (route.to !== undefined) {
    const to = route.to.map(({ service, weight }) =>
      Object.freeze({ service: places.get(service)!, weight }),
    );
    const rewrite = normaliseRewrite(route);
    return Object.freeze({ kind: 'proxy' as const, to: Object.freeze(to), rewrite });
  }
  if (route.redirect !== undefined) {
    return Object.freeze({ kind: 'redirect' as const, ...route.redirect });
  }
  if (route.distribution !== undefined) {
    const channels = frozen(route.distribution.channels);
    return Object.freeze({ kind: 'distribution' as const, channels });
  }
  if (route.db !== undefined) return Object.freeze({ kind: 'db' as const });
  const { status, headers, body } = route.respond!;
  const flat: string[] = headers.flat();
  // An answer without a type is guessed at by browsers.
  if (body !== '' && !headers.some(([name]) => name === 'content-type')) {
    flat.push('content-type', 'text/plain; charset=utf-8');
  }
  return Object.freeze({ kind: 'respond' as const, status, headers: frozen(flat), body });
}

function normaliseRewrite({ rewrite, match }: RouteValue): RewriteConfig {
  if (rewrite === undefined) return NO_REWRITE;
  const path = rewrite.path === undefined ? '' : parseRewritePath(rewrite.path, match.path);
  if (path instanceof Complaint) throw new TypeError(`unchecked rewrite: ${path.message}`);
  return Object.freeze({ path, host: rewrite.host ?? '' });
}

function normaliseRate(rate: RouteValue['rate'][number], index: number): RateConfig {
  return Object.freeze({
    name: rate.name ?? `rate-${index}`,
    limit: rate.limit,
    perMs: rate.per,
    burst: rate.burst ?? rate.limit,
    key: Object.freeze(rate.key),
  });
}

function operations({ remove, set, add }: HeaderOperationsValue): HeaderOperations {
  if (remove.length + set.length + add.length === 0) return NO_HEADER_OPERATIONS;
  const added = add.flatMap(([name, values]) => values.flatMap((value) => [name, value]));
  return Object.freeze({ remove: frozen(remove), set: frozen(set.flat()), add: frozen(added) });
}

/** A route's own timeouts; what it leaves out comes from its services, which agree about it. */
function normaliseTimeouts(route: RouteValue, known: Known): TimeoutsConfig | null {
  if (route.timeouts === undefined) return null;
  const { connect, request, idle } = route.timeouts;
  const first = known.services[known.places.get(route.to![0]!.service)!]!.timeouts;
  return Object.freeze({
    connectMs: connect ?? first.connectMs,
    requestMs: request ?? first.requestMs,
    idleMs: idle ?? first.idleMs,
  });
}
