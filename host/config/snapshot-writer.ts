// Writes a Config as a snapshot: one FlatBuffer in a SharedArrayBuffer behind a small header.
// Texts, lists and operations that repeat are written once, so that 100,000 similar routes stay
// small. The picture of the header is in snapshot-layout.ts.

import { Builder } from 'flatbuffers';
import { Condition } from './generated/condition.ts';
import { Db } from './generated/db.ts';
import { Distribution } from './generated/distribution.ts';
import { Endpoint } from './generated/endpoint.ts';
import { HeaderChanges } from './generated/header-changes.ts';
import { Listener } from './generated/listener.ts';
import { Rate } from './generated/rate.ts';
import { Route } from './generated/route.ts';
import { Service } from './generated/service.ts';
import { SnapshotRoot } from './generated/snapshot-root.ts';
import { Sni } from './generated/sni.ts';
import { Target } from './generated/target.ts';
import { Timeouts } from './generated/timeouts.ts';
import type {
  Config,
  DbConfig,
  DistributionConfig,
  EndpointConfig,
  HeaderOperations,
  ListenerConfig,
  RateConfig,
  RouteConfig,
  ServiceConfig,
  TimeoutsConfig,
} from './model.ts';
import {
  ACCESS_WORDS,
  BALANCE_WORDS,
  CHUNKED_WORDS,
  codeOf,
  ENGINE_WORDS,
  KEY_WORDS,
  LEVEL_WORDS,
  OP_WORDS,
  sealSnapshot,
} from './snapshot-layout.ts';

/** First guess of the size; the builder doubles it as needed. */
const BUILDER_SIZE_BYTES = 65_536;

/** Encodes a configuration for workers to read in place. `generation`: which load it is, rising.
 *  Cost: O(config); about 1 µs a route. */
export function encodeSnapshot(config: Config, generation: number): SharedArrayBuffer {
  const writer = new SnapshotWriter();
  return sealSnapshot(writer.write(config), generation);
}

class SnapshotWriter {
  readonly #builder = new Builder(BUILDER_SIZE_BYTES);
  /** Vectors and tables that repeat, by their content. */
  readonly #pool = new Map<string, number>();

  write(config: Config): Uint8Array {
    const builder = this.#builder;
    const listeners = config.listeners.map((one) => this.#listener(one));
    const services = config.services.map((one) => this.#service(one));
    const routes = config.routes.map((one, index) => this.#route(one, index));
    const listenersVector = SnapshotRoot.createListenersVector(builder, listeners);
    const proxies = this.#texts(config.trustedProxies);
    const address = this.#text(config.admin.address);
    const token = this.#text(config.admin.token);
    const servicesVector = SnapshotRoot.createServicesVector(builder, services);
    const routesVector = SnapshotRoot.createRoutesVector(builder, routes);
    const distribution = this.#distribution(config.distribution);
    const plugins = this.#texts(config.plugins.map((plugin) => JSON.stringify(plugin)));
    const pluginStore = builder.createString(config.pluginStore);
    const db = this.#db(config.db);
    SnapshotRoot.startSnapshotRoot(builder);
    SnapshotRoot.addListeners(builder, listenersVector);
    SnapshotRoot.addTrustedProxies(builder, proxies);
    SnapshotRoot.addAdminPort(builder, config.admin.port);
    SnapshotRoot.addAdminAddress(builder, address);
    SnapshotRoot.addAdminToken(builder, token);
    SnapshotRoot.addIoWorkers(builder, config.workers.io);
    SnapshotRoot.addDbWorkers(builder, config.workers.db);
    SnapshotRoot.addComputeWorkers(builder, config.workers.compute);
    SnapshotRoot.addLogAccess(builder, codeOf(ACCESS_WORDS, config.log.access));
    SnapshotRoot.addLogLevel(builder, codeOf(LEVEL_WORDS, config.log.level));
    SnapshotRoot.addServices(builder, servicesVector);
    SnapshotRoot.addRoutes(builder, routesVector);
    SnapshotRoot.addPlugins(builder, plugins);
    SnapshotRoot.addPluginStore(builder, pluginStore);
    if (distribution !== 0) SnapshotRoot.addDistribution(builder, distribution);
    if (db !== 0) SnapshotRoot.addDb(builder, db);
    SnapshotRoot.finishSnapshotRootBuffer(builder, SnapshotRoot.endSnapshotRoot(builder));
    return builder.asUint8Array();
  }

  #db(db: DbConfig | null): number {
    if (db === null) return 0;
    const builder = this.#builder;
    const dir = builder.createString(db.dir);
    const publicKey = this.#text(db.publicKey);
    const follow = this.#text(db.follow);
    const replicationToken = this.#text(db.replication.token);
    const { limits, replication } = db;
    Db.startDb(builder);
    Db.addDir(builder, dir);
    Db.addPublicKey(builder, publicKey);
    Db.addCreates(builder, db.create === 'on-first-use');
    Db.addStatementMsMax(builder, limits.statementMsMax);
    Db.addTransactionMsMax(builder, limits.transactionMsMax);
    Db.addIdleMsMax(builder, limits.idleMsMax);
    Db.addQueueCountMax(builder, limits.queueCountMax);
    Db.addStreamsCountMax(builder, limits.streamsCountMax);
    Db.addRequestSizeBytesMax(builder, limits.requestSizeBytesMax);
    Db.addResultSizeBytesMax(builder, limits.resultSizeBytesMax);
    Db.addDatabaseSizeBytesMax(builder, limits.databaseSizeBytesMax);
    Db.addFollow(builder, follow);
    Db.addReplicationToken(builder, replicationToken);
    Db.addReplicationKeepSizeBytesMax(builder, replication.keepSizeBytesMax);
    Db.addReplicationKeepMsMax(builder, replication.keepMsMax);
    Db.addRetentionMs(builder, db.retentionMs);
    Db.addLogSizeBytesMax(builder, limits.logSizeBytesMax);
    Db.addOpenCountMax(builder, limits.openCountMax);
    return Db.endDb(builder);
  }

  #distribution(distribution: DistributionConfig | null): number {
    if (distribution === null) return 0;
    const builder = this.#builder;
    const { dir, headKey, signingKey, headExpiryMs, limits } = distribution;
    const dirText = this.#text(dir);
    const headKeyText = this.#text(headKey);
    const signingKeyText = this.#text(signingKey);
    Distribution.startDistribution(builder);
    Distribution.addDir(builder, dirText);
    Distribution.addHeadKey(builder, headKeyText);
    Distribution.addSigningKey(builder, signingKeyText);
    Distribution.addHeadExpiryMs(builder, headExpiryMs);
    Distribution.addDiskSizeBytesMax(builder, limits.diskSizeBytesMax);
    Distribution.addMemorySizeBytesMax(builder, limits.memorySizeBytesMax);
    Distribution.addDeltaSizeBytesMax(builder, limits.deltaSizeBytesMax);
    Distribution.addJobsMax(builder, limits.jobsMax);
    Distribution.addCpuMsPerMinute(builder, limits.cpuMsPerMinute);
    return Distribution.endDistribution(builder);
  }

  /** A text that may repeat; 0, which is absent, for the empty one. */
  #text(text: string): number {
    return this.#builder.createSharedString(text);
  }

  #pooled(key: string, write: () => number): number {
    const known = this.#pool.get(key);
    if (known !== undefined) return known;
    const offset = write();
    this.#pool.set(key, offset);
    return offset;
  }

  #texts(texts: readonly string[]): number {
    if (texts.length === 0) return 0;
    return this.#pooled(`texts ${JSON.stringify(texts)}`, () => {
      // An element cannot be absent: the empty text is written like any other.
      const offsets = texts.map((text) =>
        text === ''
          ? this.#pooled('empty', () => this.#builder.createString(''))
          : this.#text(text),
      );
      return SnapshotRoot.createTrustedProxiesVector(this.#builder, offsets);
    });
  }

  #listener({ port, address, engine, chunked, tls }: ListenerConfig): number {
    const builder = this.#builder;
    const addressOffset = this.#text(address);
    const cert = this.#text(tls?.cert ?? '');
    const key = this.#text(tls?.key ?? '');
    const clientCa = this.#text(tls?.clientCa ?? '');
    const entries = (tls?.sni ?? []).map((sni) =>
      Sni.createSni(builder, this.#text(sni.host), this.#text(sni.cert), this.#text(sni.key)),
    );
    const sniVector = entries.length === 0 ? 0 : Listener.createSniVector(builder, entries);
    Listener.startListener(builder);
    Listener.addPort(builder, port);
    Listener.addAddress(builder, addressOffset);
    Listener.addEngine(builder, codeOf(ENGINE_WORDS, engine));
    Listener.addChunked(builder, codeOf(CHUNKED_WORDS, chunked));
    Listener.addHasTls(builder, tls !== null);
    Listener.addCert(builder, cert);
    Listener.addKey(builder, key);
    Listener.addClientCa(builder, clientCa);
    Listener.addSni(builder, sniVector);
    return Listener.endListener(builder);
  }

  #endpoint(endpoint: EndpointConfig): number {
    const builder = this.#builder;
    const host = this.#text(endpoint.host);
    const authority = this.#text(endpoint.authority);
    const labels = this.#texts(Object.entries(endpoint.labels).flat());
    Endpoint.startEndpoint(builder);
    Endpoint.addIsHttps(builder, endpoint.protocol === 'https');
    Endpoint.addHost(builder, host);
    Endpoint.addPort(builder, endpoint.port);
    Endpoint.addAuthority(builder, authority);
    Endpoint.addWeight(builder, endpoint.weight);
    Endpoint.addLabels(builder, labels);
    return Endpoint.endEndpoint(builder);
  }

  #service(service: ServiceConfig): number {
    const builder = this.#builder;
    const name = this.#text(service.name);
    const endpoints = service.endpoints.map((one) => this.#endpoint(one));
    const endpointsVector = Service.createEndpointsVector(builder, endpoints);
    const hashName = this.#text(service.hashOn?.name ?? '');
    const ca = this.#text(service.tls.ca);
    const serverName = this.#text(service.tls.serverName);
    const hashKind = service.hashOn === null ? 0 : codeOf(KEY_WORDS, service.hashOn.kind) + 1;
    Service.startService(builder);
    Service.addName(builder, name);
    Service.addEndpoints(builder, endpointsVector);
    Service.addBalance(builder, codeOf(BALANCE_WORDS, service.balance));
    Service.addHashKind(builder, hashKind);
    Service.addHashName(builder, hashName);
    Service.addTimeouts(builder, this.#timeouts(service.timeouts));
    Service.addConnectionsMax(builder, service.pool.connectionsMax);
    Service.addPendingMax(builder, service.pool.pendingMax);
    Service.addKeepAliveMs(builder, service.pool.keepAliveMs);
    Service.addPipeline(builder, service.pipeline);
    Service.addTlsCa(builder, ca);
    Service.addTlsServerName(builder, serverName);
    return Service.endService(builder);
  }

  #timeouts({ connectMs, requestMs, idleMs }: TimeoutsConfig): number {
    return Timeouts.createTimeouts(this.#builder, connectMs, requestMs, idleMs);
  }

  #conditions(conditions: RouteConfig['match']['headers']): number {
    if (conditions.length === 0) return 0;
    return this.#pooled(`conditions ${JSON.stringify(conditions)}`, () => {
      const offsets = conditions.map(({ name, op, value }) =>
        Condition.createCondition(
          this.#builder,
          this.#text(name),
          codeOf(OP_WORDS, op),
          this.#text(value),
        ),
      );
      return Route.createHeaderConditionsVector(this.#builder, offsets);
    });
  }

  #operations(operations: HeaderOperations): number {
    const { remove, set, add } = operations;
    if (remove.length + set.length + add.length === 0) return 0;
    return this.#pooled(`operations ${JSON.stringify(operations)}`, () =>
      HeaderChanges.createHeaderChanges(
        this.#builder,
        this.#texts(remove),
        this.#texts(set),
        this.#texts(add),
      ),
    );
  }

  #rates(rates: readonly RateConfig[]): number {
    if (rates.length === 0) return 0;
    return this.#pooled(`rates ${JSON.stringify(rates)}`, () => {
      const offsets = rates.map((rate) =>
        Rate.createRate(
          this.#builder,
          this.#text(rate.name),
          rate.limit,
          rate.perMs,
          rate.burst,
          codeOf(KEY_WORDS, rate.key.kind),
          this.#text(rate.key.name),
        ),
      );
      return Route.createRatesVector(this.#builder, offsets);
    });
  }

  #targets(action: RouteConfig['action']): number {
    if (action.kind !== 'proxy') return 0;
    const key = action.to.map(({ service, weight }) => `${service}:${weight}`).join();
    return this.#pooled(`targets ${key}`, () => {
      Route.startTargetsVector(this.#builder, action.to.length);
      for (let index = action.to.length - 1; index >= 0; index--) {
        const { service, weight } = action.to[index]!;
        Target.createTarget(this.#builder, service, weight);
      }
      return this.#builder.endVector();
    });
  }

  #route(route: RouteConfig, index: number): number {
    const builder = this.#builder;
    const { action, match } = route;
    const name = route.name === `route-${index}` ? 0 : builder.createString(route.name);
    const host = this.#text(match.host);
    const path = builder.createString(match.path);
    const methods = this.#texts(match.methods);
    const targets = this.#targets(action);
    const status = 'status' in action ? action.status : 0;
    const channels = this.#texts(action.kind === 'distribution' ? action.channels : []);
    const filters = this.#texts(route.filters);
    const text = this.#text(actionText(action));
    const answerHeaders = this.#texts(action.kind === 'respond' ? action.headers : []);
    const rewritePath = this.#text(action.kind === 'proxy' ? action.rewrite.path : '');
    const rewriteHost = this.#text(action.kind === 'proxy' ? action.rewrite.host : '');
    const headers = this.#conditions(match.headers);
    const query = this.#conditions(match.query);
    const rates = this.#rates(route.rate);
    const requestHeaders = this.#operations(route.requestHeaders);
    const responseHeaders = this.#operations(route.responseHeaders);
    Route.startRoute(builder);
    Route.addName(builder, name);
    Route.addHost(builder, host);
    Route.addPath(builder, path);
    Route.addMethods(builder, methods);
    Route.addTargets(builder, targets);
    Route.addStatus(builder, status);
    Route.addText(builder, text);
    Route.addIsRedirect(builder, action.kind === 'redirect');
    Route.addAnswerHeaders(builder, answerHeaders);
    Route.addRewritePath(builder, rewritePath);
    Route.addRewriteHost(builder, rewriteHost);
    Route.addHeaderConditions(builder, headers);
    Route.addQueryConditions(builder, query);
    Route.addRates(builder, rates);
    Route.addRequestHeaders(builder, requestHeaders);
    Route.addResponseHeaders(builder, responseHeaders);
    if (route.timeouts !== null) Route.addTimeouts(builder, this.#timeouts(route.timeouts));
    Route.addIsDistribution(builder, action.kind === 'distribution');
    Route.addChannels(builder, channels);
    Route.addFilters(builder, filters);
    Route.addIsDb(builder, action.kind === 'db');
    Route.addRequestBodySizeBytesMax(builder, route.requestBodySizeBytesMax);
    return Route.endRoute(builder);
  }
}

function actionText(action: RouteConfig['action']): string {
  if (action.kind === 'redirect') return action.to;
  return action.kind === 'respond' ? action.body : '';
}
