// Every default of the configuration, as a person would write it, with unit and reason. The schema
// reads them through the same parsers as the file's own values, so a bad default cannot exist.

/** All interfaces: a gateway is there to be reached. */
export const LISTEN_ADDRESS = '0.0.0.0';
/** uWebSockets: the fast engine. `node` is the strict one, and speaks HTTP/2. */
export const LISTEN_ENGINE = 'uws';
/** Chunked requests are part of HTTP/1.1, and many clients send them. */
export const LISTEN_CHUNKED = 'accept';

/** The port beside Envoy's 9901 habit, which dashboards expect. */
export const ADMIN_PORT = 9901;
/** Loopback: what listens elsewhere needs a token. */
export const ADMIN_ADDRESS = '127.0.0.1';
/** No token: loopback needs none. */
export const ADMIN_TOKEN = '';

/** As many as there are cores (io), or half of them (compute). */
export const WORKERS = 'auto';

/** Two random endpoints, the one with fewer requests in flight: slow endpoints get less without
 *  any setting. */
export const BALANCE = 'least-request';
/** Even shares. */
export const WEIGHT = 1;

/** Envoy's connect_timeout: a SYN lost twice still arrives. */
export const TIMEOUT_CONNECT = '5s';
/** Envoy's route timeout: longer than a person waits. */
export const TIMEOUT_REQUEST = '15s';
/** nginx's proxy_read_timeout. */
export const TIMEOUT_IDLE = '60s';

/** Envoy's max_connections and max_pending_requests. */
export const POOL_CONNECTIONS = 1024;
export const POOL_PENDING = 1024;
/** Below the 5 s after which Node's own servers close an idle connection. */
export const POOL_KEEP_ALIVE = '4s';
/** No pipelining: only an upstream known to cope with it should get it. */
export const PIPELINE = 1;

/** Any path. */
export const MATCH_PATH = '/*';
/** Found: a redirect that browsers do not remember for ever. */
export const REDIRECT_STATUS = 302;
export const RESPOND_STATUS = 200;
/** One bucket for the whole route. */
export const RATE_KEY = 'route';
/** Twice what S3 takes in one upload; bodies stream, so it costs no memory, and still ends. */
export const MAX_BODY = '10GiB';

/** Machines read logs; `text` is for people. */
export const LOG_ACCESS = 'json';
export const LOG_LEVEL = 'info';

/** Long enough that a restart or an hour of outage is not seen, short enough that a withdrawn
 *  release is not offered for long by who kept an old head. */
export const DISTRIBUTION_HEAD_EXPIRY = '1h';
/** A hundred large apps with a dozen releases each. */
export const DISTRIBUTION_DISK = '10GiB';
/** The files of one app in all their forms. */
export const DISTRIBUTION_MEMORY = '64MiB';
/** About 4 s of one core; what is larger is made when it is published. */
export const DISTRIBUTION_DELTA_SIZE = '32MiB';
/** The other thread of the pool stays free for reloads. */
export const DISTRIBUTION_JOBS = 1;
/** Half of one core. */
export const DISTRIBUTION_CPU = '30s';

/** Envoy's first pause, and one that an operator still waits for. */
/** Beside the configuration: made at the first push, or the first module from a URL. */
export const PLUGIN_STORE = 'data/plugins';
export const PLUGIN_RELOAD_BASE = '1s';
export const PLUGIN_RELOAD_MAX = '30s';
/** Go modules begin with 8 MiB, C++ ones with 16. */
export const PLUGIN_MEMORY = '64MiB';
/** 4 to 30 ms of a worker; a request needs 50 to 8,700. */
export const PLUGIN_STEPS = 1_000_000;
/** A Go runtime's start takes 100,000 to a million. */
export const PLUGIN_START_STEPS = 20_000_000;
/** Envoy's per_connection_buffer_limit. */
export const PLUGIN_BODY = '1MiB';
export const PLUGIN_CALLS = 128;
/** Instances of 60 to 120 KiB each. */
export const PLUGIN_TENANTS = 1_000;
export const PLUGIN_PHASE = 'none';
export const PLUGIN_PRIORITY = 0;
/** A check that fails must not let anything pass. */
export const PLUGIN_ON_FAILURE = 'close';
export const PLUGIN_ISOLATION = 'shared';
export const PLUGIN_CAPABILITIES = ['*'];
/** A check that sees the first of two headers alone can be led astray by the second. */
export const PLUGIN_REPEATED_HEADERS = 'join';
/** Half of the patience of a person. */
export const DB_STATEMENT = '10s';
/** As sqld. */
export const DB_TRANSACTION = '5s';
/** Longer than any pause between two statements of a program; the place is taken earlier where it
 *  is needed. */
export const DB_IDLE = '10m';
/** One second of waiting at a millisecond each. */
export const DB_QUEUE = 1024;
export const DB_STREAMS = 1024;
/** Some 300 MiB of memory where each is used a little. */
export const DB_OPEN = 64;
/** Twice the largest value, in base64. */
export const DB_REQUEST = '32MiB';
export const DB_RESULT = '64MiB';
export const DB_SIZE = '16GiB';
/** A day to notice that something was deleted. */
export const DB_RETENTION = '24h';
/** Some minutes of the hottest rows, weeks of quiet ones; replayed in some seconds. */
export const DB_LOG = '1GiB';
/** Who can reach a route could fill the disk. */
export const DB_CREATE = 'never';
/** An hour of some hundred hot-row commits a second. */
export const DB_REPLICATION_KEEP = '1GiB';
/** A restart, or the exchange of a machine. */
export const DB_REPLICATION_KEEP_FOR = '1h';
