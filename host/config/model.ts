// The normalised configuration: what remains after load, validate and normalise. No optional field,
// no text to parse, every reference an index. Workers read the same shapes out of the snapshot.

import type { RouteSpec } from '../core/index.ts';

export interface Config {
  readonly listeners: readonly ListenerConfig[];
  /** CIDRs whose X-Forwarded-For decides `client.ip`. */
  readonly trustedProxies: readonly string[];
  readonly admin: AdminConfig;
  readonly workers: { readonly io: number; readonly db: number; readonly compute: number };
  readonly services: readonly ServiceConfig[];
  readonly routes: readonly RouteConfig[];
  readonly log: LogConfig;
  readonly plugins: readonly PluginConfig[];
  /** The folder of modules that were pushed or fetched. */
  readonly pluginStore: string;
  /** Null where nothing is distributed. */
  readonly distribution: DistributionConfig | null;
  /** Null where there are no databases. */
  readonly db: DbConfig | null;
}

export interface DbConfig {
  /** The folder of the databases. */
  readonly dir: string;
  /** PEM or base64url of an Ed25519 key; `''` where no token is needed. */
  readonly publicKey: string;
  readonly create: 'never' | 'on-first-use';
  /** The primary's route, without a slash at its end; `''` for a gateway that follows none. */
  readonly follow: string;
  readonly replication: DbReplication;
  /** How far back a database can be restored; 0 for not at all. */
  readonly retentionMs: number;
  readonly limits: DbLimits;
}

export interface DbReplication {
  /** `''` where nobody may follow. */
  readonly token: string;
  readonly keepSizeBytesMax: number;
  readonly keepMsMax: number;
}

export interface DbLimits {
  readonly statementMsMax: number;
  readonly transactionMsMax: number;
  readonly idleMsMax: number;
  readonly queueCountMax: number;
  readonly streamsCountMax: number;
  /** Databases that one db worker has open. */
  readonly openCountMax: number;
  readonly requestSizeBytesMax: number;
  readonly resultSizeBytesMax: number;
  readonly databaseSizeBytesMax: number;
  readonly logSizeBytesMax: number;
}

export interface DistributionConfig {
  /** The store's folder. */
  readonly dir: string;
  /** PEM files of private keys: of the head role; and of the release role, `''` for none. */
  readonly headKey: string;
  readonly signingKey: string;
  readonly headExpiryMs: number;
  readonly limits: DistributionLimits;
}

export interface DistributionLimits {
  readonly diskSizeBytesMax: number;
  /** In each io worker. */
  readonly memorySizeBytesMax: number;
  /** Of content of which something is made on demand. */
  readonly deltaSizeBytesMax: number;
  readonly jobsMax: number;
  readonly cpuMsPerMinute: number;
}

export interface PluginConfig {
  readonly name: string;
  /** One of the two; the other is `''`. */
  readonly file: string;
  readonly url: string;
  /** 64 hexadecimal digits in lower case; `''` for any. */
  readonly sha256: string;
  /** Whether a change of the file is a reload. */
  readonly watch: boolean;
  readonly rootId: string;
  readonly vmId: string;
  /** What the plugin is given, as UTF-8. */
  readonly config: string;
  readonly vmConfig: string;
  readonly env: Readonly<Record<string, string>>;
  readonly phase: 'authn' | 'authz' | 'none' | 'stats';
  readonly priority: number;
  readonly onFailure: 'close' | 'open' | 'reload';
  readonly reload: { readonly baseMs: number; readonly maxMs: number };
  readonly limits: PluginLimitsConfig;
  readonly isolation: 'shared' | 'request' | 'tenant';
  /** Null unless `isolation` is tenant. */
  readonly tenant: { readonly header: string; readonly countMax: number } | null;
  readonly capabilities: readonly string[];
  readonly allowOnHeadersStopIteration: boolean;
  readonly strict: boolean;
  readonly background: boolean;
  readonly repeatedHeaders: 'join' | 'first';
  /** Services by the module's own names for them. */
  readonly upstreams: Readonly<Record<string, string>>;
}

export interface PluginLimitsConfig {
  readonly memorySizeBytes: number;
  readonly steps: number;
  readonly startSteps: number;
  readonly bodySizeBytes: number;
  readonly callsMax: number;
}

export interface ListenerConfig {
  readonly port: number;
  readonly address: string;
  readonly engine: 'uws' | 'node';
  /** Whether requests with a chunked body are served, or answered with 411. */
  readonly chunked: 'accept' | 'refuse';
  readonly tls: ListenerTls | null;
}

export interface ListenerTls {
  /** PEM files. */
  readonly cert: string;
  readonly key: string;
  /** PEM of the authorities that may sign client certificates; `''` for none. Node engine only. */
  readonly clientCa: string;
  /** Further certificates by server name. */
  readonly sni: readonly { readonly host: string; readonly cert: string; readonly key: string }[];
}

export interface AdminConfig {
  readonly port: number;
  readonly address: string;
  /** Bearer token, required on any address but loopback; `''` for none. */
  readonly token: string;
}

export interface LogConfig {
  readonly access: 'json' | 'text' | 'off';
  readonly level: 'debug' | 'info' | 'warn' | 'error';
}

/** Where a key comes from: of a rate limit or of a consistent hash. */
export interface KeySource {
  readonly kind: 'client.ip' | 'header' | 'cookie' | 'path' | 'route';
  /** The header's (lower case), cookie's or path parameter's name; `''` for the others. */
  readonly name: string;
}

export type BalanceKind =
  | 'round-robin'
  | 'random'
  | 'least-request'
  | 'peak-ewma'
  | 'ring-hash'
  | 'maglev';

export interface ServiceConfig {
  readonly name: string;
  readonly endpoints: readonly EndpointConfig[];
  readonly balance: BalanceKind;
  /** Null unless `balance` is ring-hash or maglev. */
  readonly hashOn: KeySource | null;
  readonly timeouts: TimeoutsConfig;
  readonly pool: PoolConfig;
  /** Requests in flight on one upstream connection; 1 = no pipelining. Only safe methods. */
  readonly pipeline: number;
  readonly tls: UpstreamTls;
}

export interface EndpointConfig {
  readonly protocol: 'http' | 'https';
  /** A name or an address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** `host:port` as a Host header would say it: the default port left out. */
  readonly authority: string;
  readonly weight: number;
  readonly labels: Readonly<Record<string, string>>;
}

export interface TimeoutsConfig {
  readonly connectMs: number;
  /** From the request's last byte, or its start where it has no body, to the response head. */
  readonly requestMs: number;
  /** Without a byte in either direction. */
  readonly idleMs: number;
}

export interface PoolConfig {
  /** Connections per endpoint and io worker. */
  readonly connectionsMax: number;
  /** Requests that wait for a connection, per endpoint and io worker. */
  readonly pendingMax: number;
  /** An idle connection is closed after this. */
  readonly keepAliveMs: number;
}

export interface UpstreamTls {
  /** PEM of the authorities to trust; `''` for the system's. */
  readonly ca: string;
  /** Name for SNI and for the check of the certificate; `''` for the endpoint's host. */
  readonly serverName: string;
}

export interface RouteConfig {
  /** As configured, or `route-N` by its place in the file; unique. */
  readonly name: string;
  readonly match: RouteSpec;
  readonly action: RouteAction;
  readonly rate: readonly RateConfig[];
  readonly requestHeaders: HeaderOperations;
  readonly responseHeaders: HeaderOperations;
  /** Null where the service's own apply. */
  readonly timeouts: TimeoutsConfig | null;
  readonly requestBodySizeBytesMax: number;
  /** Names of plugins, in file order. */
  readonly filters: readonly string[];
}

export type RouteAction =
  | {
      readonly kind: 'proxy';
      readonly to: readonly { readonly service: number; readonly weight: number }[];
      readonly rewrite: RewriteConfig;
    }
  | { readonly kind: 'redirect'; readonly status: number; readonly to: string }
  /** `channels`: empty for all. */
  | { readonly kind: 'distribution'; readonly channels: readonly string[] }
  | { readonly kind: 'db' }
  | {
      readonly kind: 'respond';
      readonly status: number;
      /** Flat [name, value, ...]. */
      readonly headers: readonly string[];
      readonly body: string;
    };

/** `''` leaves a part as it is. `path` may hold `{x}` parameters, and `*` for what a prefix
 *  route matched beyond its prefix. `host` may be `{upstream}` for the endpoint's authority. */
export interface RewriteConfig {
  readonly path: string;
  readonly host: string;
}

/** Applied in the order remove, set, add. Flat [name, value, ...] lists; names in lower case. */
export interface HeaderOperations {
  readonly remove: readonly string[];
  readonly set: readonly string[];
  readonly add: readonly string[];
}

export interface RateConfig {
  /** Unique in its route; buckets survive a reload by route and policy name. */
  readonly name: string;
  readonly limit: number;
  readonly perMs: number;
  /** The bucket's capacity. */
  readonly burst: number;
  readonly key: KeySource;
}
