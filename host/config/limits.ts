// Bounds of what one configuration may say, each with a sentence of origin. Bounds that other
// rooms share (routes, services, endpoints, file size) stand in host/core/limits.ts.

/** Issues reported at once: more than a person mends in one go. */
export const ISSUES_COUNT_MAX = 100;
/** Maps and lists inside each other; the deepest key of the schema stands at 8. */
export const NESTING_DEPTH_MAX = 64;
/** Nodes that aliases may add by repetition, so that nested aliases cannot explode. */
export const ALIAS_EXPANSION_COUNT_MAX = 100_000;
/** Text that the general YAML parser takes: it needs about 100 bytes of memory per byte. Larger
 *  files are JSON or plain block YAML, which have readers of their own. */
export const YAML_GENERAL_SIZE_BYTES_MAX = 33_554_432;
/** Its tokens, at up to 10 µs and a kilobyte each: some 15,000 routes. */
export const YAML_GENERAL_TOKENS_COUNT_MAX = 500_000;
/** One text or comment: the largest, a body of RESPOND_BODY_SIZE_BYTES_MAX, may be written as
 *  escapes of six characters. */
export const TEXT_SIZE_CHARS_MAX = 8_388_608;
/** A line that the fast reader takes: its regular expressions keep up to 16 bytes a character while
 *  they match, and V8 lets them have 64 MiB. */
export const YAML_PLAIN_LINE_SIZE_CHARS_MAX = 1_048_576;

/** Names become metric labels and file keys; a DNS label has 63 characters. */
export const NAME_SIZE_CHARS_MAX = 63;
/** One header value: half of what all headers together may hold. */
export const HEADER_VALUE_SIZE_CHARS_MAX = 8_192;
/** Conditions, operations, rate limits of one route: more is a program, not a route. */
export const CONDITIONS_COUNT_MAX = 16;
export const HEADER_OPERATIONS_COUNT_MAX = 64;
export const RATES_COUNT_MAX = 8;
export const METHODS_COUNT_MAX = 32;
/** Services that share one route's traffic. */
export const SPLIT_COUNT_MAX = 64;
/** A regular expression; RE2's automaton grows with it. */
export const REGEX_SIZE_CHARS_MAX = 1_024;
/** Steps of a compiled regular expression; a path visits each of them once per character. */
export const REGEX_PROGRAM_SIZE_MAX = 2_048;
/** A body answered by the gateway itself is held in memory once per worker. */
export const RESPOND_BODY_SIZE_BYTES_MAX = 1_048_576;
export const LISTENERS_COUNT_MAX = 64;
/** Certificates by server name, loaded by each io worker. */
export const SNI_COUNT_MAX = 1_024;
export const TRUSTED_PROXIES_COUNT_MAX = 1_024;
export const LABELS_COUNT_MAX = 32;
/** Relative weights, as Kubernetes' and HAProxy's. */
export const WEIGHT_MAX = 1_000;
/** A thread per worker and two threads for the rest: WORKERS_MAX of the memory map is 64. */
export const IO_WORKERS_MAX = 62;
export const COMPUTE_WORKERS_MAX = 64;
/** Durations: a timer's granularity, and a day, below which every timer of Node works. */
export const DURATION_MS_MIN = 1;
export const DURATION_MS_MAX = 86_400_000;
/** What is kept for later: a year. */
export const RETENTION_MS_MAX = 31_536_000_000;
/** A rate limit's numbers: above a billion in a second nothing is limited. */
export const RATE_LIMIT_MAX = 1_000_000_000;
/** Bytes of a request body: 1 PiB, well inside the exact integers of a double. */
export const BODY_LIMIT_SIZE_BYTES_MAX = 2 ** 50;
export const POOL_CONNECTIONS_MAX = 65_535;
export const POOL_PENDING_MAX = 1_048_576;
export const PIPELINE_DEPTH_MAX = 128;
/** A signed head is read, checked and used within seconds even on a slow link. */
export const HEAD_EXPIRY_MS_MIN = 10_000;
/** Plugins of one file, each with an instance in each io worker. */
export const PLUGINS_COUNT_MAX = 256;
/** Plugins that one request meets. */
export const FILTERS_COUNT_MAX = 16;
/** A plugin's configuration: a set of rules for a web application firewall has 600 KB. */
export const PLUGIN_CONFIG_SIZE_CHARS_MAX = 4_194_304;
export const PLUGIN_VARIABLES_COUNT_MAX = 64;
export const PLUGIN_UPSTREAMS_COUNT_MAX = 64;
/** A page of Wasm, and the bound of Envoy's host. */
export const PLUGIN_MEMORY_SIZE_BYTES_MIN = 65_536;
export const PLUGIN_MEMORY_SIZE_BYTES_MAX = 1_073_741_824;
export const PLUGIN_BODY_SIZE_BYTES_MAX = 1_073_741_824;
export const PLUGIN_CALLS_MAX = 65_536;
/** V8 refuses memories after about 12,000 in one process. */
export const PLUGIN_TENANTS_COUNT_MAX = 10_000;
/** A database has one owner; more threads than cores only take turns. */
export const DB_WORKERS_MAX = 32;
/** PEM of an Ed25519 key has 113 characters. */
export const PUBLIC_KEY_SIZE_CHARS_MAX = 1_024;
/** What replicates can read everything: as many characters as 96 bits have. */
export const REPLICATION_TOKEN_CHARS_MIN = 16;
export const REPLICATION_TOKEN_CHARS_MAX = 512;
export const FOLLOW_URL_CHARS_MAX = 1_024;
/** Each holds its request. */
export const DB_QUEUE_MAX = 65_536;
export const DB_STREAMS_MAX = 65_536;
/** Each reserves address space for some times limits.size, of which a process has 128 TiB. */
export const DB_OPEN_MAX = 1_024;
/** Four segments of the log, of which one is always in use. */
export const DB_LOG_SIZE_BYTES_MIN = 67_108_864;
