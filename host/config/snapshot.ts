// Reads a snapshot in place: nothing is parsed when it opens, and a route or a service becomes an
// object when it is asked for. Whoever asks twice keeps the object; this class keeps none.
// Damage is an error, never a read out of bounds: the checksum sees it when the snapshot opens, and
// every length is held against the buffer besides.

import { ByteBuffer } from 'flatbuffers';
import type { FieldCondition } from '../core/index.ts';
import type { Condition } from './generated/condition.ts';
import type { Endpoint } from './generated/endpoint.ts';
import type { HeaderChanges } from './generated/header-changes.ts';
import type { Listener } from './generated/listener.ts';
import type { Rate } from './generated/rate.ts';
import { Route } from './generated/route.ts';
import { Service } from './generated/service.ts';
import { SnapshotRoot } from './generated/snapshot-root.ts';
import type { Timeouts } from './generated/timeouts.ts';
import type {
  AdminConfig,
  Config,
  DbConfig,
  DistributionConfig,
  EndpointConfig,
  HeaderOperations,
  ListenerConfig,
  LogConfig,
  PluginConfig,
  RateConfig,
  RouteAction,
  RouteConfig,
  ServiceConfig,
  TimeoutsConfig,
} from './model.ts';
import { NO_HEADER_OPERATIONS, NO_REWRITE } from './normalise.ts';
import {
  ACCESS_WORDS,
  BALANCE_WORDS,
  CHUNKED_WORDS,
  damaged,
  ENGINE_WORDS,
  KEY_WORDS,
  LEVEL_WORDS,
  OP_WORDS,
  unsealSnapshot,
  wordOf,
} from './snapshot-layout.ts';

const NONE: readonly never[] = Object.freeze([]);

/** Opens a snapshot. Errors: GW_INTERNAL when magic, version, size or checksum are wrong.
 *  Cost: one pass over the bytes. */
export function openSnapshot(buffer: SharedArrayBuffer): Snapshot {
  return new Snapshot(buffer);
}

/** The configuration of one generation, read in place. */
export class Snapshot {
  readonly generation: number;
  readonly routeCount: number;
  readonly serviceCount: number;
  readonly #bytes: ByteBuffer;
  readonly #root: SnapshotRoot;

  constructor(buffer: SharedArrayBuffer) {
    const { generation, payload } = unsealSnapshot(buffer);
    this.#bytes = new ByteBuffer(payload);
    if (payload.length < 12 || !SnapshotRoot.bufferHasIdentifier(this.#bytes)) {
      throw damaged('identifier');
    }
    this.generation = generation;
    this.#root = SnapshotRoot.getRootAsSnapshotRoot(this.#bytes);
    this.routeCount = this.#count(this.#root.routesLength());
    this.serviceCount = this.#count(this.#root.servicesLength());
  }

  get listeners(): readonly ListenerConfig[] {
    return this.#list(this.#root.listenersLength(), (index) =>
      this.#listener(present(this.#root.listeners(index))),
    );
  }

  get trustedProxies(): readonly string[] {
    const root = this.#root;
    return this.#list(root.trustedProxiesLength(), (index) => root.trustedProxies(index));
  }

  get admin(): AdminConfig {
    const root = this.#root;
    return Object.freeze({
      port: root.adminPort(),
      address: root.adminAddress() ?? '',
      token: root.adminToken() ?? '',
    });
  }

  get workers(): Config['workers'] {
    const root = this.#root;
    return Object.freeze({
      io: root.ioWorkers(),
      db: root.dbWorkers(),
      compute: root.computeWorkers(),
    });
  }

  get log(): LogConfig {
    return Object.freeze({
      access: wordOf(ACCESS_WORDS, this.#root.logAccess()),
      level: wordOf(LEVEL_WORDS, this.#root.logLevel()),
    });
  }

  get db(): DbConfig | null {
    const found = this.#root.db();
    if (found === null) return null;
    return Object.freeze({
      dir: found.dir() ?? '',
      publicKey: found.publicKey() ?? '',
      create: found.creates() ? 'on-first-use' : 'never',
      follow: found.follow() ?? '',
      replication: Object.freeze({
        token: found.replicationToken() ?? '',
        keepSizeBytesMax: found.replicationKeepSizeBytesMax(),
        keepMsMax: found.replicationKeepMsMax(),
      }),
      retentionMs: found.retentionMs(),
      limits: Object.freeze({
        statementMsMax: found.statementMsMax(),
        transactionMsMax: found.transactionMsMax(),
        idleMsMax: found.idleMsMax(),
        queueCountMax: found.queueCountMax(),
        streamsCountMax: found.streamsCountMax(),
        requestSizeBytesMax: found.requestSizeBytesMax(),
        resultSizeBytesMax: found.resultSizeBytesMax(),
        databaseSizeBytesMax: found.databaseSizeBytesMax(),
        logSizeBytesMax: found.logSizeBytesMax(),
        openCountMax: found.openCountMax(),
      }),
    });
  }

  get distribution(): DistributionConfig | null {
    const found = this.#root.distribution();
    if (found === null) return null;
    return Object.freeze({
      dir: found.dir() ?? '',
      headKey: found.headKey() ?? '',
      signingKey: found.signingKey() ?? '',
      headExpiryMs: found.headExpiryMs(),
      limits: Object.freeze({
        diskSizeBytesMax: found.diskSizeBytesMax(),
        memorySizeBytesMax: found.memorySizeBytesMax(),
        deltaSizeBytesMax: found.deltaSizeBytesMax(),
        jobsMax: found.jobsMax(),
        cpuMsPerMinute: found.cpuMsPerMinute(),
      }),
    });
  }

  /** Errors: GW_INTERNAL for what is not JSON. */
  get plugins(): readonly PluginConfig[] {
    const root = this.#root;
    return this.#list(root.pluginsLength(), (index) => readPlugin(root.plugins(index)));
  }

  get pluginStore(): string {
    return this.#root.pluginStore() ?? '';
  }

  /** A route's name alone. Cost: one text, about 200 ns. */
  routeName(index: number): string {
    return this.#routeAt(index).name() ?? `route-${index}`;
  }

  /** A route. Cost: a few µs; keep the object. */
  route(index: number): RouteConfig {
    const route = this.#routeAt(index);
    const timeouts = route.timeouts();
    return Object.freeze({
      name: route.name() ?? `route-${index}`,
      match: Object.freeze({
        host: route.host() ?? '',
        path: route.path() ?? '',
        methods: this.#list(route.methodsLength(), (place) => route.methods(place)),
        headers: this.#list(route.headerConditionsLength(), (place) =>
          condition(present(route.headerConditions(place))),
        ),
        query: this.#list(route.queryConditionsLength(), (place) =>
          condition(present(route.queryConditions(place))),
        ),
      }),
      action: this.#action(route),
      rate: this.#list(route.ratesLength(), (place) => rate(present(route.rates(place)))),
      requestHeaders: this.#operations(route.requestHeaders()),
      responseHeaders: this.#operations(route.responseHeaders()),
      timeouts: timeouts === null ? null : readTimeouts(timeouts),
      requestBodySizeBytesMax: route.requestBodySizeBytesMax(),
      filters: this.#list(route.filtersLength(), (place) => route.filters(place)),
    });
  }

  /** A service. Cost: about 1 µs an endpoint; keep the object. */
  service(index: number): ServiceConfig {
    checkIndex(index, this.serviceCount);
    const service = present(this.#root.services(index, new Service()));
    const hashKind = service.hashKind();
    const hashOn = {
      kind: wordOf(KEY_WORDS, Math.max(hashKind - 1, 0)),
      name: service.hashName() ?? '',
    };
    return Object.freeze({
      name: service.name() ?? '',
      endpoints: this.#list(service.endpointsLength(), (place) =>
        this.#endpoint(present(service.endpoints(place))),
      ),
      balance: wordOf(BALANCE_WORDS, service.balance()),
      hashOn: hashKind === 0 ? null : Object.freeze(hashOn),
      timeouts: readTimeouts(present(service.timeouts())),
      pool: Object.freeze({
        connectionsMax: service.connectionsMax(),
        pendingMax: service.pendingMax(),
        keepAliveMs: service.keepAliveMs(),
      }),
      pipeline: service.pipeline(),
      tls: Object.freeze({ ca: service.tlsCa() ?? '', serverName: service.tlsServerName() ?? '' }),
    });
  }

  #routeAt(index: number): Route {
    checkIndex(index, this.routeCount);
    return present(this.#root.routes(index, new Route()));
  }

  /** A vector's length. No vector has more elements than the buffer has bytes. */
  #count(length: number): number {
    if (length < 0 || length > this.#bytes.capacity()) throw damaged(`a list of ${length}`);
    return length;
  }

  #list<T>(length: number, read: (index: number) => T): readonly T[] {
    if (length === 0) return NONE;
    const items: T[] = [];
    for (let index = 0; index < this.#count(length); index++) items.push(read(index));
    return Object.freeze(items);
  }

  #action(route: Route): RouteAction {
    if (route.isDistribution()) {
      const channels = this.#list(route.channelsLength(), (index) => route.channels(index));
      return Object.freeze({ kind: 'distribution', channels });
    }
    if (route.isDb()) return Object.freeze({ kind: 'db' });
    const status = route.status();
    const text = route.text() ?? '';
    if (route.isRedirect()) return Object.freeze({ kind: 'redirect', status, to: text });
    if (status !== 0) {
      const count = route.answerHeadersLength();
      const headers = this.#list(count, (index) => route.answerHeaders(index));
      return Object.freeze({ kind: 'respond', status, headers, body: text });
    }
    const to = this.#list(route.targetsLength(), (index) => {
      const target = present(route.targets(index));
      const service = target.service();
      if (service >= this.serviceCount) throw damaged(`service ${service}`);
      return Object.freeze({ service, weight: target.weight() });
    });
    const path = route.rewritePath() ?? '';
    const host = route.rewriteHost() ?? '';
    const rewrite = path === '' && host === '' ? NO_REWRITE : Object.freeze({ path, host });
    return Object.freeze({ kind: 'proxy', to, rewrite });
  }

  #operations(changes: HeaderChanges | null): HeaderOperations {
    if (changes === null) return NO_HEADER_OPERATIONS;
    return Object.freeze({
      remove: this.#list(changes.removeLength(), (index) => changes.remove(index)),
      set: this.#list(changes.setLength(), (index) => changes.set(index)),
      add: this.#list(changes.addLength(), (index) => changes.add(index)),
    });
  }

  #endpoint(endpoint: Endpoint): EndpointConfig {
    const labels: [string, string][] = [];
    const count = this.#count(endpoint.labelsLength());
    for (let index = 0; index < count; index += 2) {
      labels.push([endpoint.labels(index), endpoint.labels(index + 1)]);
    }
    return Object.freeze({
      protocol: endpoint.isHttps() ? 'https' : 'http',
      host: endpoint.host() ?? '',
      port: endpoint.port(),
      authority: endpoint.authority() ?? '',
      weight: endpoint.weight(),
      labels: Object.freeze(Object.fromEntries(labels)),
    });
  }

  #listener(listener: Listener): ListenerConfig {
    const sni = this.#list(listener.sniLength(), (index) => {
      const entry = present(listener.sni(index));
      const host = entry.host() ?? '';
      return Object.freeze({ host, cert: entry.cert() ?? '', key: entry.key() ?? '' });
    });
    const tls = Object.freeze({
      cert: listener.cert() ?? '',
      key: listener.key() ?? '',
      clientCa: listener.clientCa() ?? '',
      sni,
    });
    return Object.freeze({
      port: listener.port(),
      address: listener.address() ?? '',
      engine: wordOf(ENGINE_WORDS, listener.engine()),
      chunked: wordOf(CHUNKED_WORDS, listener.chunked()),
      tls: listener.hasTls() ? tls : null,
    });
  }
}

function checkIndex(index: number, count: number): void {
  if (Number.isInteger(index) && index >= 0 && index < count) return;
  throw new RangeError(`index ${index} is outside 0..${count - 1}`);
}

function present<T>(value: T | null): T {
  if (value === null) throw damaged('a part is absent');
  return value;
}

function condition(entry: Condition): FieldCondition {
  const op = wordOf(OP_WORDS, entry.op());
  return Object.freeze({ name: entry.name() ?? '', op, value: entry.value() ?? '' });
}

function rate(entry: Rate): RateConfig {
  const kind = wordOf(KEY_WORDS, entry.keyKind());
  return Object.freeze({
    name: entry.name() ?? '',
    limit: entry.limit(),
    perMs: entry.perMs(),
    burst: entry.burst(),
    key: Object.freeze({ kind, name: entry.keyName() ?? '' }),
  });
}

function readPlugin(text: string): PluginConfig {
  try {
    return JSON.parse(text, (_key, value) => Object.freeze(value));
  } catch {
    throw damaged('a plugin is no JSON');
  }
}

function readTimeouts(timeouts: Timeouts): TimeoutsConfig {
  return Object.freeze({
    connectMs: timeouts.connectMs(),
    requestMs: timeouts.requestMs(),
    idleMs: timeouts.idleMs(),
  });
}
