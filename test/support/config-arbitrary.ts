// Random normalised configurations, for round trips. Every shape of the model can come up.

import fc from 'fast-check';
import type { Config, PluginConfig, RouteConfig } from '../../host/config/index.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 24 });
const uint32 = fc.nat(0xffff_ffff);
const uint16 = fc.nat(0xffff);
const flat = fc.array(fc.tuple(text, text), { maxLength: 3 }).map((pairs) => pairs.flat());

const timeouts = fc.record({ connectMs: uint32, requestMs: uint32, idleMs: uint32 });
const keySource = fc.record({
  kind: fc.constantFrom('client.ip', 'header', 'cookie', 'path', 'route'),
  name: text,
});
const conditions = fc.array(
  fc.record({ name: text, op: fc.constantFrom('equals', 'present', 'prefix'), value: text }),
  { maxLength: 3 },
);
const operations = fc.record({
  remove: fc.array(text, { maxLength: 2 }),
  set: flat,
  add: flat,
});

const listener = fc.record({
  port: uint16,
  address: text,
  engine: fc.constantFrom('uws', 'node'),
  chunked: fc.constantFrom('accept', 'refuse'),
  tls: fc.option(
    fc.record({
      cert: text,
      key: text,
      clientCa: text,
      sni: fc.array(fc.record({ host: text, cert: text, key: text }), { maxLength: 2 }),
    }),
  ),
});

const service = fc.record({
  name: text,
  endpoints: fc.array(
    fc.record({
      protocol: fc.constantFrom('http', 'https'),
      host: text,
      port: uint16,
      authority: text,
      weight: fc.nat(1000),
      labels: fc.array(fc.tuple(text, text), { maxLength: 3 }).map((pairs) => {
        return Object.fromEntries(pairs) as Record<string, string>;
      }),
    }),
    { maxLength: 4 },
  ),
  balance: fc.constantFrom(
    'round-robin',
    'random',
    'least-request',
    'peak-ewma',
    'ring-hash',
    'maglev',
  ),
  hashOn: fc.option(keySource),
  timeouts,
  pool: fc.record({ connectionsMax: uint32, pendingMax: uint32, keepAliveMs: uint32 }),
  pipeline: uint16,
  tls: fc.record({ ca: text, serverName: text }),
});

function action(serviceCount: number): fc.Arbitrary<RouteConfig['action']> {
  const answers = [
    fc.record({
      kind: fc.constant('redirect' as const),
      status: fc.integer({ min: 300, max: 399 }),
      to: text,
    }),
    fc.record({
      kind: fc.constant('respond' as const),
      status: fc.integer({ min: 200, max: 599 }),
      headers: flat,
      body: text,
    }),
  ];
  const distribution = fc.record({
    kind: fc.constant('distribution' as const),
    channels: fc.array(text, { maxLength: 3 }),
  });
  if (serviceCount === 0) return fc.oneof(distribution, ...answers);
  const target = fc.record({ service: fc.nat(serviceCount - 1), weight: fc.nat(1000) });
  const proxy = fc.record({
    kind: fc.constant('proxy' as const),
    to: fc.array(target, { minLength: 1, maxLength: 3 }),
    rewrite: fc.record({ path: text, host: text }),
  });
  const db = fc.constant({ kind: 'db' as const });
  return fc.oneof(proxy, distribution, db, ...answers);
}

function route(serviceCount: number): fc.Arbitrary<RouteConfig> {
  return fc.record({
    name: fc.oneof(text, fc.constantFrom('route-0', 'route-1')),
    match: fc.record({
      host: text,
      path: text,
      methods: fc.array(text, { maxLength: 2 }),
      headers: conditions,
      query: conditions,
    }),
    action: action(serviceCount),
    rate: fc.array(
      fc.record({ name: text, limit: uint32, perMs: uint32, burst: uint32, key: keySource }),
      { maxLength: 2 },
    ),
    requestHeaders: operations,
    responseHeaders: operations,
    timeouts: fc.option(timeouts),
    requestBodySizeBytesMax: fc.maxSafeNat(),
    filters: fc.array(text, { maxLength: 3 }),
  });
}

const plugin: fc.Arbitrary<PluginConfig> = fc.record({
  name: text,
  file: text,
  url: text,
  sha256: text,
  watch: fc.boolean(),
  rootId: text,
  vmId: text,
  config: text,
  vmConfig: text,
  env: fc.dictionary(text, text, { maxKeys: 2, noNullPrototype: true }),
  phase: fc.constantFrom('authn', 'authz', 'none', 'stats'),
  priority: fc.integer(),
  onFailure: fc.constantFrom('close', 'open', 'reload'),
  reload: fc.record({ baseMs: uint32, maxMs: uint32 }),
  limits: fc.record({
    memorySizeBytes: uint32,
    steps: uint32,
    startSteps: uint32,
    bodySizeBytes: uint32,
    callsMax: uint16,
  }),
  isolation: fc.constantFrom('shared', 'request', 'tenant'),
  tenant: fc.option(fc.record({ header: text, countMax: uint16 })),
  capabilities: fc.array(text, { maxLength: 2 }),
  allowOnHeadersStopIteration: fc.boolean(),
  strict: fc.boolean(),
  background: fc.boolean(),
  repeatedHeaders: fc.constantFrom('join', 'first'),
  upstreams: fc.dictionary(text, text, { maxKeys: 2, noNullPrototype: true }),
});

const config: fc.Arbitrary<Config> = fc.nat(3).chain((serviceCount) =>
  fc.record({
    listeners: fc.array(listener, { maxLength: 2 }),
    trustedProxies: fc.array(text, { maxLength: 2 }),
    admin: fc.record({ port: uint16, address: text, token: text }),
    workers: fc.record({ io: uint16, db: uint16, compute: uint16 }),
    services: fc.array(service, { minLength: serviceCount, maxLength: serviceCount }),
    routes: fc.array(route(serviceCount), { maxLength: 4 }),
    log: fc.record({
      access: fc.constantFrom('json', 'text', 'off'),
      level: fc.constantFrom('debug', 'info', 'warn', 'error'),
    }),
    plugins: fc.array(plugin, { maxLength: 2 }),
    pluginStore: text,
    distribution: fc.option(
      fc.record({
        dir: text,
        headKey: text,
        signingKey: text,
        headExpiryMs: uint32,
        limits: fc.record({
          diskSizeBytesMax: fc.maxSafeNat(),
          memorySizeBytesMax: fc.maxSafeNat(),
          deltaSizeBytesMax: fc.maxSafeNat(),
          jobsMax: uint16,
          cpuMsPerMinute: uint32,
        }),
      }),
    ),
    db: fc.option(
      fc.record({
        dir: text,
        publicKey: text,
        create: fc.constantFrom('never', 'on-first-use'),
        follow: text,
        replication: fc.record({
          token: text,
          keepSizeBytesMax: fc.maxSafeNat(),
          keepMsMax: uint32,
        }),
        retentionMs: fc.maxSafeNat(),
        limits: fc.record({
          statementMsMax: uint32,
          transactionMsMax: uint32,
          idleMsMax: uint32,
          queueCountMax: uint32,
          streamsCountMax: uint32,
          openCountMax: uint32,
          requestSizeBytesMax: fc.maxSafeNat(),
          resultSizeBytesMax: fc.maxSafeNat(),
          databaseSizeBytesMax: fc.maxSafeNat(),
          logSizeBytesMax: fc.maxSafeNat(),
        }),
      }),
    ),
  }),
);

/** Any configuration that the model can hold. Cloned, because records come without a prototype. */
export const anyConfig: fc.Arbitrary<Config> = config.map((value) => structuredClone(value));
