// The one registry of everything that can go wrong in operation. A code is never renamed and a
// reason number never reused; docs/reasons.md lists each of them and a test holds the two together.
// Programmer errors are not here: they are `assert` and end the worker.

/** Who is to blame, for logs and for outlier detection. */
export type ErrorSource = 'upstream' | 'downstream' | 'internal';

/** Whether a request that failed like this may be sent again. `reused-only`: only if the
 *  connection had served a request before, for the peer may have closed it while idle. */
export type RetryAdvice = 'yes' | 'no' | 'reused-only';

export interface ErrorEntry {
  /** The number in `x-sluice-reason`, the access log and the metrics. */
  readonly reason: number;
  /** The HTTP status a refused client sees; 0 where no client is concerned. */
  readonly status: number;
  readonly source: ErrorSource;
  readonly retry: RetryAdvice;
  readonly title: string;
}

function entry(
  reason: number,
  status: number,
  source: ErrorSource,
  retry: RetryAdvice,
  title: string,
): ErrorEntry {
  return { reason, status, source, retry, title };
}

export const ERRORS = {
  GW_UPSTREAM_CONNECT: entry(101, 502, 'upstream', 'yes', 'the upstream refused the connection'),
  GW_UPSTREAM_RESET: entry(102, 502, 'upstream', 'reused-only', 'the upstream closed early'),
  GW_UPSTREAM_BAD_RESPONSE: entry(103, 502, 'upstream', 'no', 'the upstream sent a bad response'),
  GW_UPSTREAM_TLS: entry(104, 502, 'upstream', 'yes', 'the TLS handshake with the upstream failed'),
  GW_UPSTREAM_DNS: entry(105, 502, 'upstream', 'yes', 'the upstream name does not resolve'),
  GW_UPSTREAM_NO_HEALTHY: entry(112, 503, 'upstream', 'no', 'no healthy endpoint'),
  GW_UPSTREAM_POOL_FULL: entry(116, 503, 'internal', 'no', 'the connection pool is full'),

  GW_TIMEOUT_CONNECT: entry(
    201,
    504,
    'upstream',
    'yes',
    'connecting to the upstream took too long',
  ),
  GW_TIMEOUT_REQUEST: entry(204, 504, 'upstream', 'no', 'the upstream took too long to answer'),
  GW_TIMEOUT_IDLE: entry(205, 504, 'upstream', 'no', 'the exchange was idle for too long'),

  GW_PROTOCOL_MALFORMED: entry(301, 400, 'downstream', 'no', 'malformed request'),
  GW_PROTOCOL_HEADERS_TOO_LARGE: entry(302, 431, 'downstream', 'no', 'headers too large'),
  GW_PROTOCOL_BODY_TOO_LARGE: entry(303, 413, 'downstream', 'no', 'body too large'),
  GW_PROTOCOL_UPGRADE: entry(304, 400, 'downstream', 'no', 'the upgrade cannot be made'),
  GW_PROTOCOL_CHUNKED: entry(305, 411, 'downstream', 'no', 'chunked requests are not taken here'),

  GW_INTERNAL: entry(400, 500, 'internal', 'no', 'internal error'),
  GW_CONFIG_SYNTAX: entry(401, 0, 'internal', 'no', 'the configuration is not YAML'),
  GW_CONFIG_UNKNOWN_KEY: entry(402, 0, 'internal', 'no', 'unknown configuration key'),
  GW_CONFIG_BAD_VALUE: entry(403, 0, 'internal', 'no', 'bad configuration value'),
  GW_CONFIG_MISSING: entry(404, 0, 'internal', 'no', 'a configuration key is missing'),
  GW_CONFIG_NOT_BUILT: entry(405, 0, 'internal', 'no', 'not in this version'),
  GW_CONFIG_CONFLICT: entry(406, 0, 'internal', 'no', 'configuration values contradict each other'),
  GW_CONFIG_LIMIT: entry(407, 0, 'internal', 'no', 'the configuration exceeds a limit'),
  GW_CONFIG_FILE: entry(408, 0, 'internal', 'no', 'a file the configuration names cannot be read'),
  GW_FLAG_BAD_VALUE: entry(409, 0, 'internal', 'no', 'bad command-line value'),
  GW_LISTEN: entry(410, 0, 'internal', 'no', 'cannot listen on the address'),
  GW_WORKER_DIED: entry(411, 0, 'internal', 'no', 'a worker ended unexpectedly'),
  GW_WORKER_STUCK: entry(412, 0, 'internal', 'no', 'a worker stopped answering'),
  GW_ADMIN_REFUSED: entry(413, 403, 'downstream', 'no', 'the admin request is not allowed'),
  GW_ADMIN_NOT_FOUND: entry(414, 404, 'downstream', 'no', 'no such admin resource'),
  GW_ADMIN_BAD_REQUEST: entry(421, 400, 'downstream', 'no', 'the admin request is malformed'),
  GW_ADMIN_METHOD: entry(422, 405, 'downstream', 'no', 'the admin resource has no such method'),
  GW_ADMIN_TOKEN: entry(423, 401, 'downstream', 'no', 'the admin token is missing or wrong'),
  GW_ADMIN_BUSY: entry(424, 503, 'internal', 'no', 'the admin server is busy'),
  GW_ADMIN_NOT_READY: entry(425, 503, 'internal', 'no', 'the gateway is not ready'),
  GW_ADMIN_UNREACHABLE: entry(426, 0, 'upstream', 'yes', 'the admin API does not answer'),

  GW_ROUTE_NONE: entry(501, 404, 'downstream', 'no', 'no route matches'),
  GW_ROUTE_LOOP: entry(508, 508, 'internal', 'no', 'the request goes in circles'),

  GW_RATE_LIMITED: entry(604, 429, 'downstream', 'no', 'rate limit exceeded'),
  GW_OVERLOADED: entry(606, 503, 'internal', 'no', 'the gateway is overloaded'),
  GW_DRAINING: entry(620, 503, 'internal', 'no', 'the gateway is shutting down'),

  GW_CLIENT_CLOSED: entry(701, 499, 'downstream', 'no', 'the client closed the connection'),
  GW_UPSTREAM_CLOSED: entry(702, 502, 'upstream', 'no', 'the upstream closed mid-response'),

  GW_PLUGIN_ANSWERED: entry(800, 0, 'downstream', 'no', 'a plugin answered the request'),
  GW_PLUGIN_TRAP: entry(801, 500, 'internal', 'no', 'a plugin failed'),
  GW_PLUGIN_STEPS: entry(802, 500, 'internal', 'no', 'a plugin used up its steps'),
  GW_PLUGIN_BODY_TOO_LARGE: entry(
    803,
    413,
    'downstream',
    'no',
    'the body is larger than a plugin may hold',
  ),
  GW_PLUGIN_UNAVAILABLE: entry(804, 503, 'internal', 'no', 'a plugin is not available'),
  GW_PLUGIN_RESPONSE_TOO_LARGE: entry(
    805,
    502,
    'upstream',
    'no',
    'the response is larger than a plugin may hold',
  ),
  GW_PLUGIN_BAD_MESSAGE: entry(806, 500, 'internal', 'no', 'a plugin made a bad message'),
  GW_PLUGIN_CLOSED: entry(807, 500, 'internal', 'no', 'a plugin closed the exchange'),
  GW_PLUGIN_NOT_WASM: entry(821, 400, 'downstream', 'no', 'the plugin is not a Wasm module'),
  GW_PLUGIN_HASH: entry(822, 400, 'downstream', 'no', 'the plugin has another hash'),
  GW_PLUGIN_ABI: entry(823, 400, 'downstream', 'no', 'the plugin is for no known Proxy-Wasm ABI'),
  GW_PLUGIN_IMPORT: entry(824, 400, 'downstream', 'no', 'the plugin imports what there is not'),
  GW_PLUGIN_INSTRUCTION: entry(
    825,
    400,
    'downstream',
    'no',
    'the plugin holds what cannot be metered',
  ),
  GW_PLUGIN_START: entry(826, 400, 'internal', 'no', 'the plugin does not start'),
  GW_PLUGIN_LIMIT: entry(827, 400, 'downstream', 'no', 'the plugin exceeds a limit'),
  GW_PLUGIN_FILE: entry(828, 400, 'internal', 'no', 'the plugin cannot be read'),
  GW_PLUGIN_STORE: entry(829, 500, 'internal', 'no', 'the plugin folder cannot be used'),
  GW_PLUGIN_CONFLICT: entry(830, 409, 'downstream', 'no', 'the plugin is not in a state for it'),

  GW_DIST_PATH: entry(1001, 0, 'internal', 'no', 'a resource path is not allowed'),
  GW_DIST_LIMIT: entry(1002, 0, 'internal', 'no', 'a release exceeds a limit'),
  GW_DIST_TREE: entry(
    1003,
    0,
    'internal',
    'no',
    'a folder to publish holds what cannot be published',
  ),
  GW_DIST_REFERENCE: entry(1004, 0, 'internal', 'no', 'a release refers to what it does not hold'),
  GW_DIST_KEY: entry(1005, 0, 'internal', 'no', 'a signing key cannot be used'),
  GW_DIST_SIGNATURE: entry(
    1006,
    0,
    'internal',
    'no',
    'a signed document is not signed as it must be',
  ),
  GW_DIST_DOCUMENT: entry(1007, 0, 'internal', 'no', 'a signed document is malformed'),
  GW_DIST_EXPIRED: entry(1008, 0, 'internal', 'no', 'a signed document has expired'),
  GW_DIST_OLDER: entry(
    1009,
    0,
    'internal',
    'no',
    'a signed document is older than the trusted one',
  ),
  GW_DIST_EXISTS: entry(1010, 0, 'internal', 'no', 'the version has been published before'),
  GW_DIST_LOCKED: entry(1011, 0, 'internal', 'no', 'somebody else is changing the store'),
  GW_DIST_DISK: entry(1012, 0, 'internal', 'no', 'the store has no room'),
  GW_DIST_CORRUPT: entry(1013, 503, 'internal', 'no', 'a stored artefact is not what was stored'),
  GW_DIST_DELTA: entry(1014, 0, 'internal', 'no', 'a delta does not make its target'),
  GW_DIST_RULE: entry(1015, 0, 'internal', 'no', 'a release rule cannot be taken'),
  GW_DIST_NOT_FOUND: entry(1020, 404, 'downstream', 'no', 'no such channel, release or file'),
  GW_DIST_NO_DELTA: entry(1021, 404, 'downstream', 'no', 'there is no delta against this base'),
  GW_DIST_BAD_REQUEST: entry(
    1022,
    400,
    'downstream',
    'no',
    'the distribution request is malformed',
  ),
  GW_DIST_METHOD: entry(1023, 405, 'downstream', 'no', 'the resource has no such method'),
  GW_DIST_RANGE: entry(1024, 416, 'downstream', 'no', 'the range is outside the resource'),
  GW_DIST_CONDITION: entry(1025, 412, 'downstream', 'no', 'the resource has another entity tag'),
  GW_ZSTD_CORRUPT: entry(1031, 0, 'internal', 'no', 'the zstd frame is corrupt'),
  GW_ZSTD_UNSUPPORTED: entry(
    1032,
    0,
    'internal',
    'no',
    'the zstd frame is of a kind not supported',
  ),
  GW_ZSTD_CHECKSUM: entry(1033, 0, 'internal', 'no', 'the zstd frame fails its checksum'),
  GW_ZSTD_TOO_LARGE: entry(1034, 0, 'internal', 'no', 'the zstd frame is too large'),
  GW_DELTA_TOO_LARGE: entry(1035, 0, 'internal', 'no', 'too large to make a delta of'),

  DB_LOG_FENCED: entry(1111, 503, 'internal', 'no', 'a newer writer has the log'),
  DB_LOG_FAILED: entry(1112, 503, 'internal', 'no', 'the log cannot be written'),
  DB_LOG_CORRUPT: entry(1113, 500, 'internal', 'no', 'the log is not what was written'),
  DB_LOG_TRIMMED: entry(1114, 410, 'internal', 'no', 'the log begins later'),
  DB_LOG_FULL: entry(1115, 503, 'internal', 'no', 'the disk of the log has no room'),
  DB_LOG_COMMIT_SIZE: entry(1116, 413, 'downstream', 'no', 'the commit is too large for the log'),
  DB_LOG_DIVERGED: entry(1117, 409, 'downstream', 'no', 'the follower has other commits'),
  DB_LOG_FOLLOWERS: entry(1118, 503, 'internal', 'no', 'the log has too many followers'),
  DB_FEED_CORRUPT: entry(1119, 502, 'upstream', 'yes', 'what a log sent is not a log'),
  DB_DELTA_CORRUPT: entry(1131, 500, 'internal', 'no', 'a page delta is corrupt'),
  DB_BLOCK_CORRUPT: entry(1132, 500, 'internal', 'no', 'an LZ4 block is corrupt'),
  DB_PAGE_CORRUPT: entry(1133, 500, 'internal', 'no', 'a stored page is not what was stored'),
  DB_STORE_FULL: entry(1134, 503, 'internal', 'no', 'the page store has no room'),
  DB_STORE_LOCKED: entry(1135, 409, 'internal', 'no', 'another process has the database'),
  DB_FORMAT: entry(1136, 422, 'internal', 'no', 'not a database of this version'),
  DB_NO_STATE: entry(1137, 404, 'internal', 'no', 'the state is not kept'),
  DB_HAS_BRANCHES: entry(1138, 409, 'internal', 'no', 'the database has branches'),
  DB_NOT_FOUND: entry(1139, 404, 'downstream', 'no', 'no such database'),
  DB_EXISTS: entry(1140, 409, 'internal', 'no', 'the database exists'),
  DB_NAME: entry(1141, 400, 'downstream', 'no', 'not a name of a database'),
  DB_REQUEST: entry(1151, 400, 'downstream', 'no', 'the database request is malformed'),
  DB_TOKEN: entry(1152, 401, 'downstream', 'no', 'the database token is missing or not good'),
  DB_FORBIDDEN: entry(1153, 403, 'downstream', 'no', 'the token does not allow it'),
  DB_BUSY: entry(1154, 503, 'internal', 'no', 'too much waits for the database'),
  DB_FEED_REFUSED: entry(1120, 502, 'upstream', 'yes', 'the primary refuses to be followed'),
  DB_REPLICA_OTHER: entry(1121, 412, 'downstream', 'no', 'the copy is of another database'),
  DB_STANDING: entry(1122, 409, 'internal', 'no', 'the gateway is no primary, or no follower'),
  DB_UNAVAILABLE: entry(1155, 503, 'internal', 'no', 'the database is not there now'),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** An operating error. Check `code`, never `instanceof`: threads clone errors.
 *  `detail` names the value and the limit, in lower case and with no full stop. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly code: ErrorCode;
  readonly detail: string;

  constructor(code: ErrorCode, detail: string, cause?: unknown) {
    const title = ERRORS[code].title;
    super(
      detail === '' ? title : `${title}: ${detail}`,
      cause === undefined ? undefined : { cause },
    );
    this.code = code;
    this.detail = detail;
  }

  get reason(): number {
    return ERRORS[this.code].reason;
  }
}

/** Whether a value is a GatewayError, also one cloned from another thread. */
export function isGatewayError(value: unknown): value is GatewayError {
  if (typeof value !== 'object' || value === null || !('code' in value)) return false;
  return typeof value.code === 'string' && Object.hasOwn(ERRORS, value.code);
}
