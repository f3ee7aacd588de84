// The schema of the configuration file: every key, what it takes, what it means, its default. It
// is the one source of the validation, the JSON Schema and the keys of docs/configuration.md.
// Questions that need two keys at once are not here: they are in validate.ts.

import { ENDPOINTS_COUNT_MAX, ROUTES_COUNT_MAX, SERVICES_COUNT_MAX } from '../core/index.ts';
import * as defaults from './defaults.ts';
import {
  ADDRESS,
  CIDR,
  choice,
  DURATION,
  ENDPOINT_URL,
  HEADER_NAME,
  HEADER_VALUE,
  HOST_PATTERN,
  integer,
  keySource,
  METHOD,
  NAME_OF,
  oneNumber,
  parsed,
  REWRITE_HOST,
  SIZE,
  text,
} from './leaves.ts';
import * as limits from './limits.ts';
import { type PathPattern, parsePathPattern } from './path-pattern.ts';
import { FOLDER, PEM_FILE, withDefault } from './schema-common.ts';
import { DB, DB_ROUTE } from './schema-db.ts';
import { DISTRIBUTION, DISTRIBUTION_ROUTE } from './schema-distribution.ts';
import {
  byType,
  Complaint,
  dictionary,
  type Infer,
  leaf,
  list,
  mapped,
  notBuilt,
  object,
  optional,
  required,
  type Schema,
} from './schema-kit.ts';
import { FILTERS, PLUGINS } from './schema-plugins.ts';

const PORT = integer({ min: 0, max: 65_535 });
// --- listen, admin, workers, log -----------------------------------------------------------------

const SNI = object('a map with host, cert and key', {
  host: required(HOST_PATTERN, 'server name the certificate is for; `*.` as its first label'),
  cert: required(PEM_FILE, 'PEM file of the certificate chain'),
  key: required(PEM_FILE, 'PEM file of the private key'),
});

const LISTENER_TLS = object('a map with cert and key', {
  cert: required(PEM_FILE, 'PEM file of the certificate chain'),
  key: required(PEM_FILE, 'PEM file of the private key'),
  clientCa: optional(PEM_FILE, 'PEM file of who may sign client certificates; engine `node` only'),
  sni: withDefault(
    list(SNI, { of: 'certificates', countMin: 0, countMax: limits.SNI_COUNT_MAX }),
    [],
    'further certificates, by server name',
  ),
});

const LISTENER = object('a map with a port', {
  port: required(PORT, 'TCP port; 0 takes any free one'),
  address: withDefault(ADDRESS, defaults.LISTEN_ADDRESS, 'address to listen on'),
  engine: withDefault(
    choice(['uws', 'node']),
    defaults.LISTEN_ENGINE,
    '`uws` is fast; `node` is strict and speaks HTTP/2',
  ),
  chunked: withDefault(
    choice(['accept', 'refuse']),
    defaults.LISTEN_CHUNKED,
    '`refuse` answers a chunked request with 411 and closes; for `uws` behind a proxy, see below',
  ),
  tls: optional(LISTENER_TLS, 'certificates; without this key the port speaks plain HTTP'),
});

/** A secret: no message ever shows it. */
const TOKEN = parsed('a token of visible ASCII characters', { maxLength: 512 }, (value) =>
  /^[\x21-\x7e]{0,512}$/.test(value)
    ? value
    : new Complaint('expected a token of at most 512 visible ASCII characters'),
);

const ADMIN = object('a map with port and address', {
  port: withDefault(PORT, defaults.ADMIN_PORT, 'TCP port of the admin API; 0 takes any free one'),
  address: withDefault(ADDRESS, defaults.ADMIN_ADDRESS, 'address of the admin API'),
  token: withDefault(
    TOKEN,
    defaults.ADMIN_TOKEN,
    'bearer token; required on any address but loopback',
  ),
});

function workerCount(countMax: number): Schema<number | 'auto'> {
  const count = integer({ min: 1, max: countMax });
  const expected = `auto, or ${count.expected}`;
  return byType<number | 'auto'>(expected, {
    string: leaf(expected, { const: 'auto' }, (value) => (value === 'auto' ? value : undefined)),
    number: count,
  });
}

const WORKERS = object('a map with io, db and compute', {
  io: withDefault(
    workerCount(limits.IO_WORKERS_MAX),
    defaults.WORKERS,
    'threads that own sockets; `auto` is one per core',
  ),
  db: withDefault(
    workerCount(limits.DB_WORKERS_MAX),
    defaults.WORKERS,
    'threads that own databases; `auto` is half of the cores',
  ),
  compute: withDefault(
    workerCount(limits.COMPUTE_WORKERS_MAX),
    defaults.WORKERS,
    'threads for long work; `auto` is half of the cores',
  ),
});

const LOG = object('a map with access and level', {
  access: withDefault(choice(['json', 'text', 'off']), defaults.LOG_ACCESS, 'form of access log'),
  level: withDefault(
    choice(['debug', 'info', 'warn', 'error']),
    defaults.LOG_LEVEL,
    'least level of what the gateway says of itself',
  ),
});

// --- services ------------------------------------------------------------------------------------

const WEIGHT = integer({ min: 0, max: limits.WEIGHT_MAX });

const LABELS = dictionary(NAME_OF, text('a label', { sizeCharsMax: 256 }), {
  of: 'labels',
  countMax: limits.LABELS_COUNT_MAX,
});

const ENDPOINT = object('a URL, or a map with a url', {
  url: required(ENDPOINT_URL, '`http://` or `https://`, host and port; no path'),
  weight: withDefault(WEIGHT, defaults.WEIGHT, 'share of the traffic; 0 takes none'),
  labels: withDefault(LABELS, {}, 'words about the endpoint, for people and for later features'),
});

const ENDPOINT_FORMS: Schema<Infer<typeof ENDPOINT>> = byType(ENDPOINT.expected, {
  string: mapped(ENDPOINT_URL, (url) => ({ url, weight: defaults.WEIGHT, labels: [] })),
  map: ENDPOINT,
});

const TIMEOUTS_FIELDS = {
  connect: withDefault(DURATION, defaults.TIMEOUT_CONNECT, 'to connect, TLS handshake included'),
  request: withDefault(
    DURATION,
    defaults.TIMEOUT_REQUEST,
    "from the request's last byte to the response head",
  ),
  idle: withDefault(DURATION, defaults.TIMEOUT_IDLE, 'without a byte in either direction'),
};
const TIMEOUTS = object('a map with connect, request and idle', TIMEOUTS_FIELDS);

const ROUTE_TIMEOUTS = object('a map with connect, request or idle', {
  connect: optional(DURATION, "instead of the service's"),
  request: optional(DURATION, "instead of the service's"),
  idle: optional(DURATION, "instead of the service's"),
});

const POOL = object('a map with connections, pending and keepAlive', {
  connections: withDefault(
    integer({ min: 1, max: limits.POOL_CONNECTIONS_MAX }),
    defaults.POOL_CONNECTIONS,
    'connections per endpoint and io worker',
  ),
  pending: withDefault(
    integer({ min: 0, max: limits.POOL_PENDING_MAX }),
    defaults.POOL_PENDING,
    'requests that may wait for a connection, per endpoint and io worker; 0: none waits',
  ),
  keepAlive: withDefault(
    DURATION,
    defaults.POOL_KEEP_ALIVE,
    'an idle connection closes after this',
  ),
});

const UPSTREAM_TLS = object('a map with ca or serverName', {
  ca: optional(PEM_FILE, "PEM file of the authorities to trust, instead of the system's"),
  serverName: optional(HOST_PATTERN, "name for SNI and the certificate, instead of the host's"),
});

const BALANCE = choice([
  'round-robin',
  'random',
  'least-request',
  'peak-ewma',
  'ring-hash',
  'maglev',
]);

const SERVICE = object('a map with endpoints', {
  endpoints: required(
    list(ENDPOINT_FORMS, { of: 'endpoints', countMin: 1, countMax: ENDPOINTS_COUNT_MAX }),
    'where the service runs: URLs, or maps with a `url`',
  ),
  balance: withDefault(BALANCE, defaults.BALANCE, 'how an endpoint is chosen'),
  hashOn: optional(
    keySource({ isRouteAllowed: false }),
    'what `ring-hash` and `maglev` hash; required for these two and refused for others',
  ),
  timeouts: withDefault(TIMEOUTS, {}, 'how long to wait'),
  pool: withDefault(POOL, {}, 'connections to each endpoint'),
  pipeline: withDefault(
    integer({ min: 1, max: limits.PIPELINE_DEPTH_MAX }),
    defaults.PIPELINE,
    'requests in flight on one connection; safe methods only',
  ),
  tls: optional(UPSTREAM_TLS, 'how `https` endpoints are checked'),
  retries: notBuilt('retries with a budget'),
  breaker: notBuilt('circuit breaker'),
  outliers: notBuilt('outlier ejection'),
  health: notBuilt('active health checks'),
  concurrency: notBuilt('adaptive concurrency limit'),
  slowStart: notBuilt('slow start of new endpoints'),
});

// --- routes --------------------------------------------------------------------------------------

const FIELD_TEXT = text('a value', { sizeCharsMax: limits.HEADER_VALUE_SIZE_CHARS_MAX });

export interface ConditionValue {
  readonly op: 'equals' | 'present' | 'prefix';
  readonly value: string;
}

const CONDITION: Schema<ConditionValue> = byType('a value, { present: true } or { prefix: TEXT }', {
  string: mapped(FIELD_TEXT, (value): ConditionValue => ({ op: 'equals', value })),
  map: mapped(
    object('{ present: true } or { prefix: TEXT }', {
      present: optional(
        leaf('true', { const: true }, (value) => (value === true ? true : undefined)),
        'the field is there, whatever its value',
      ),
      prefix: optional(FIELD_TEXT, 'the value begins with this'),
    }),
    (condition): ConditionValue | Complaint => {
      if ((condition.present === undefined) === (condition.prefix === undefined)) {
        return new Complaint('expected either present or prefix');
      }
      if (condition.prefix === undefined) return { op: 'present', value: '' };
      return { op: 'prefix', value: condition.prefix };
    },
  ),
});

const QUERY_NAME = text('a query parameter', { sizeCharsMax: 256 });
const CONDITIONS_OPTIONS = { of: 'conditions', countMax: limits.CONDITIONS_COUNT_MAX };

const PATH: Schema<PathPattern> = parsed(
  'a path like /api/{id}, a prefix like /api/*, or ~ and a regular expression',
  { pattern: '^[/~]' },
  parsePathPattern,
);

const MATCH = object('a map with host, path, methods, headers or query', {
  host: optional(HOST_PATTERN, 'host, or `*.` and a suffix; any host without this key'),
  path: withDefault(PATH, defaults.MATCH_PATH, '`/a/{x}` template, `/a/*` prefix, or `~ regex`'),
  methods: optional(
    list(METHOD, { of: 'methods', countMin: 1, countMax: limits.METHODS_COUNT_MAX }),
    'methods in upper case; any method without this key',
  ),
  headers: withDefault(
    dictionary(HEADER_NAME, CONDITION, CONDITIONS_OPTIONS),
    {},
    'headers that must be there: a value, `{ present: true }` or `{ prefix: TEXT }`',
  ),
  query: withDefault(
    dictionary(QUERY_NAME, CONDITION, CONDITIONS_OPTIONS),
    {},
    'query parameters that must be there, in the same forms',
  ),
});

const SERVICE_NAME = parsed('the name of a service', {}, (value) => value);

const TARGET = object('a map with a service', {
  service: required(SERVICE_NAME, 'name under `services`'),
  weight: withDefault(WEIGHT, defaults.WEIGHT, 'share of the traffic; 0 takes none'),
});

const TARGETS: Schema<readonly Infer<typeof TARGET>[]> = byType(
  'the name of a service, or a list of { service, weight }',
  {
    string: mapped(SERVICE_NAME, (service) => [{ service, weight: defaults.WEIGHT }]),
    list: list(TARGET, { of: 'services', countMin: 1, countMax: limits.SPLIT_COUNT_MAX }),
  },
);

const RATE_NUMBER = integer({ min: 1, max: limits.RATE_LIMIT_MAX });

const RATE = object('a map with limit and per', {
  name: optional(NAME_OF, 'name of the policy, unique in its route; `rate-N` by its place'),
  limit: required(RATE_NUMBER, 'requests'),
  per: required(DURATION, 'in this time'),
  burst: optional(RATE_NUMBER, "the bucket's capacity; as much as `limit` without this key"),
  key: withDefault(
    keySource({ isRouteAllowed: true }),
    defaults.RATE_KEY,
    'who shares a bucket: `client.ip`, `header:N`, `cookie:N`, `path:N` or `route`',
  ),
});

const REWRITE = object('a map with path or host', {
  path: optional(
    text('a path', { sizeCharsMax: 8_192 }),
    'path for the upstream; `{x}` of the route, and a last `/*` for the rest of a prefix',
  ),
  host: optional(REWRITE_HOST, "Host for the upstream; `{upstream}` is the endpoint's own"),
});

const REDIRECT = object('a map with to', {
  status: withDefault(oneNumber([301, 302, 303, 307, 308]), defaults.REDIRECT_STATUS, 'status'),
  to: required(
    mapped(HEADER_VALUE, (value) =>
      value === '' || /\s/.test(value) ? new Complaint('expected a URL without spaces') : value,
    ),
    'path or URL; `{x}` of the route, and a last `/*` for the rest of a prefix',
  ),
});

const HEADER_MAP = dictionary(HEADER_NAME, HEADER_VALUE, {
  of: 'headers',
  countMax: limits.HEADER_OPERATIONS_COUNT_MAX,
});

const HEADER_VALUES: Schema<readonly string[]> = byType('a header value, or a list of them', {
  string: mapped(HEADER_VALUE, (value) => [value]),
  list: list(HEADER_VALUE, {
    of: 'header values',
    countMin: 1,
    countMax: limits.HEADER_OPERATIONS_COUNT_MAX,
  }),
});

const HEADER_ADDITIONS = dictionary(HEADER_NAME, HEADER_VALUES, {
  of: 'headers',
  countMax: limits.HEADER_OPERATIONS_COUNT_MAX,
});

const RESPOND = object('a map with status, headers or body', {
  status: withDefault(integer({ min: 200, max: 599 }), defaults.RESPOND_STATUS, 'status'),
  headers: withDefault(HEADER_MAP, {}, 'headers of the answer'),
  body: withDefault(
    text('a text', { sizeCharsMax: limits.RESPOND_BODY_SIZE_BYTES_MAX }),
    '',
    'body of the answer; `text/plain` unless the headers say otherwise',
  ),
});

const HEADER_OPERATIONS = object('a map with set, add or remove', {
  set: withDefault(HEADER_MAP, {}, 'replaces every header of this name'),
  add: withDefault(HEADER_ADDITIONS, {}, 'adds a header, or several of one name as a list'),
  remove: withDefault(
    list(HEADER_NAME, {
      of: 'header names',
      countMin: 0,
      countMax: limits.HEADER_OPERATIONS_COUNT_MAX,
    }),
    [],
    'removes every header of this name; done before `set` and `add`',
  ),
});

const HEADERS = object('a map with request or response', {
  request: withDefault(HEADER_OPERATIONS, {}, 'on the way to the upstream'),
  response: withDefault(HEADER_OPERATIONS, {}, 'on the way to the client'),
});

const ROUTE = object('a map with match, and one of to, redirect, respond, distribution, db', {
  name: optional(NAME_OF, 'unique name; `route-N` by its place in the file, from 0'),
  match: required(MATCH, 'what the route matches; the most specific one wins'),
  to: optional(TARGETS, 'service, or a list of `{ service, weight }`'),
  redirect: optional(REDIRECT, 'answers with a redirect'),
  respond: optional(RESPOND, 'answers by itself'),
  rate: withDefault(
    list(RATE, { of: 'rate limits', countMin: 0, countMax: limits.RATES_COUNT_MAX }),
    [],
    'rate limits; every one must let the request pass',
  ),
  timeouts: optional(ROUTE_TIMEOUTS, "instead of the service's"),
  rewrite: optional(REWRITE, 'changes path and Host on the way to the upstream'),
  headers: withDefault(HEADERS, {}, 'header operations'),
  maxBody: withDefault(SIZE, defaults.MAX_BODY, 'largest request body; a larger one gets 413'),
  priority: notBuilt('load shedding by priority'),
  filters: withDefault(FILTERS, [], 'plugins that see the requests; phase and priority order them'),
  retries: notBuilt('retries with a budget'),
  cors: notBuilt('CORS'),
  mirror: notBuilt('traffic mirroring'),
  fault: notBuilt('fault injection'),
  cache: notBuilt('response cache'),
  lanes: notBuilt('traffic lanes'),
  jwt: notBuilt('JWT checks'),
  allow: notBuilt('access lists'),
  distribution: optional(DISTRIBUTION_ROUTE, 'serves the distribution plane'),
  db: optional(DB_ROUTE, 'serves databases'),
});

/** The whole file. */
export const FILE_SCHEMA = object('a map with listen, services and routes', {
  listen: required(
    list(LISTENER, { of: 'listeners', countMin: 1, countMax: limits.LISTENERS_COUNT_MAX }),
    'ports to serve',
  ),
  trustedProxies: withDefault(
    list(CIDR, { of: 'networks', countMin: 0, countMax: limits.TRUSTED_PROXIES_COUNT_MAX }),
    [],
    'networks whose `X-Forwarded-For` decides `client.ip`',
  ),
  admin: withDefault(ADMIN, {}, 'the admin API'),
  workers: withDefault(WORKERS, {}, 'threads'),
  services: withDefault(
    dictionary(NAME_OF, SERVICE, { of: 'services', countMax: SERVICES_COUNT_MAX }),
    {},
    'upstream services, by name',
  ),
  routes: withDefault(
    list(ROUTE, { of: 'routes', countMin: 0, countMax: ROUTES_COUNT_MAX }),
    [],
    'what is answered how',
  ),
  log: withDefault(LOG, {}, 'logs'),
  lanes: notBuilt('traffic lanes'),
  plugins: withDefault(PLUGINS, [], 'Proxy-Wasm plugins'),
  pluginStore: withDefault(
    FOLDER,
    defaults.PLUGIN_STORE,
    'folder of the modules that were pushed, or fetched from a `url`',
  ),
  db: optional(DB, 'SQLite databases over the Hrana protocol'),
  distribution: optional(DISTRIBUTION, 'apps and resources that are delivered as deltas'),
});

/** The file after the schema has read it: checked key by key, references still names. */
export type FileValue = Infer<typeof FILE_SCHEMA>;
export type RouteValue = Infer<typeof ROUTE>;
export type ServiceValue = Infer<typeof SERVICE>;
export type HeaderOperationsValue = Infer<typeof HEADER_OPERATIONS>;
