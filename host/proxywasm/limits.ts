// Every bound of the Proxy-Wasm host that is not a plugin's own, each with a sentence of origin.

/** A module file: the largest seen, a Go filter with a rule engine, is 16 MiB. */
export const MODULE_SIZE_BYTES_MAX = 67_108_864;
/** Functions, globals, exports and the like of one module: V8's own limit is 1,000,000. */
export const MODULE_ITEMS_COUNT_MAX = 1_000_000;
/** Locals of a function: V8's limit, which the rewriter's own local must fit in as well. */
export const LOCALS_COUNT_MAX = 50_000;
/** Entries of a table, for an entry costs the host 8 to 16 bytes that no memory limit counts. */
export const TABLE_ENTRIES_COUNT_MAX = 131_072;
/** Straight code that one step covers, so that a step is bounded in time: about 1 us. */
export const STEP_CODE_SIZE_BYTES = 1_024;
/** A function without loops that is no longer than this, with all that it calls, is counted as a
 *  part of the code that calls it: a getter, or a check of the stack. */
export const SHORT_FUNCTION_SIZE_BYTES = 128;
/** A short function of this length at most, without parameters, results and locals, stands in the
 *  place of its calls: more would cost more to compile than the calls do. */
export const INLINED_SIZE_BYTES = 32;
/** What a module may grow by that: a call takes 2 bytes. */
export const INLINED_ALL_SIZE_BYTES = 1_048_576;
/** To grow memory or a table costs the host a call into the runtime: about 1 us. */
export const GROW_STEPS = 32;
/** Memory that one step covers in a bulk operation: fills run at 16 bytes per ns. */
export const STEP_BULK_SIZE_BYTES_LOG2 = 10;
/** Table entries that one step covers. */
export const STEP_TABLE_COUNT_LOG2 = 7;
/** A module's memory may be clamped to this much at most: the host of Envoy's limit. */
export const MEMORY_SIZE_BYTES_MAX = 1_073_741_824;
export const PAGE_SIZE_BYTES = 65_536;

/** A call into the host, in steps: about 100 ns, where a step of code takes 3 to 30 ns. */
export const HOST_CALL_STEPS = 8;
/** Bytes that the host copies for a guest, covered by one step. */
export const HOST_COPY_SIZE_BYTES_LOG2 = 10;

/** Bytes that the host makes text of, or text that it makes bytes of, covered by one step: to read
 *  them, to compare and to change their case costs several times a copy. */
export const HOST_TEXT_SIZE_BYTES_LOG2 = 7;
/** Bytes of a property's path, each looked at by itself, covered by one step. */
export const PATH_SIZE_BYTES_LOG2 = 4;
/** Headers that are looked through for nothing; more of them cost a step for each eight texts. */
export const FREE_SEARCH_TEXTS_COUNT = 256;
/** To look for a metric or a queue among all that there are, under the lock of all threads: some
 *  40 and 3 us. */
export const METRIC_SEARCH_STEPS = 512;
export const QUEUE_SEARCH_STEPS = 64;
/** Random bytes that one step covers: they come at some 10 ns each. */
export const HOST_RANDOM_SIZE_BYTES_LOG2 = 3;

/** Serialized header maps: the bounds of Envoy's host. */
export const PAIRS_SIZE_BYTES_MAX = 1_048_576;
export const PAIRS_COUNT_MAX = 1_024;
/** Bytes that one random_get may ask for: the bound of Envoy's host. */
export const RANDOM_SIZE_BYTES_MAX = 65_536;
/** One log line; longer ones are cut. */
export const LOG_LINE_SIZE_BYTES_MAX = 8_192;
/** Log lines of one plugin on one thread in a second; the rest is counted. */
export const LOG_LINES_PER_SECOND_MAX = 100;

/** Contexts of one instance; each is a stream in flight. */
export const CONTEXTS_COUNT_MAX = 65_536;
/** A property path, and a value that set_property keeps. */
export const PROPERTY_PATH_SIZE_BYTES_MAX = 1_024;
export const PROPERTY_VALUE_SIZE_BYTES_MAX = 65_536;
/** Properties that one stream may hold. */
export const PROPERTIES_COUNT_MAX = 64;
/** Metrics of all plugins, those of one plugin, and a metric's name. */
export const METRICS_COUNT_MAX = 4_096;
export const PLUGIN_METRICS_COUNT_MAX = 1_024;
export const METRIC_NAME_SIZE_BYTES_MAX = 512;

/** Shared data: keys with their vm id, values, entries, and all of it together. */
export const SHARED_KEY_SIZE_BYTES_MAX = 1_024;
export const SHARED_VALUE_SIZE_BYTES_MAX = 262_144;
export const SHARED_ENTRIES_COUNT_MAX = 8_192;
export const SHARED_SIZE_BYTES_MAX = 16_777_216;
/** Vm ids that share something: each version of a plugin has one of its own by default. */
export const NAMESPACES_COUNT_MAX = 512;
/** Queues, and messages that wait in one. */
export const QUEUES_COUNT_MAX = 256;
export const QUEUE_MESSAGES_COUNT_MAX = 4_096;

/** A body that a call to a service sends, and the answer that it takes. */
export const CALL_BODY_SIZE_BYTES_MAX = 4_194_304;
export const CALL_REPLY_SIZE_BYTES_MAX = 4_194_304;
/** A gRPC message, in each direction: gRPC's own default. */
export const GRPC_MESSAGE_SIZE_BYTES_MAX = 4_194_304;
/** What one gRPC stream may have waiting to be sent: two of the largest messages. */
export const GRPC_QUEUE_SIZE_BYTES_MAX = 8_388_672;
/** The same for all calls of one instance together: 128 stalled ones would hold a gigabyte. */
export const GRPC_WAITING_SIZE_BYTES_MAX = 33_554_432;
/** Metadata that a guest sends with a call: as much as a request's headers. */
export const GRPC_METADATA_SIZE_BYTES_MAX = 16_384;
/** Service and method together; the longest in public APIs have some 120. */
export const GRPC_PATH_SIZE_BYTES_MAX = 1_024;
/** Envoy's GrpcService message, which holds a name and some metadata. */
export const GRPC_SERVICE_SIZE_BYTES_MAX = 16_384;
/** The shortest tick: more often, a plugin would be busy with nothing else. */
export const TICK_MS_MIN = 5;
/** A local answer's body. */
export const LOCAL_BODY_SIZE_BYTES_MAX = 4_194_304;
/** What the host gives back to a foreign function's caller: a bound for decompression. */
export const FOREIGN_RESULT_SIZE_BYTES_MAX = 16_777_216;
