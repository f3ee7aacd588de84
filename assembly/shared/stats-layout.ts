// The inner layout of the STATS region, read by asc and by tsc alike: only integer constants.
//
//   STATS_OFFSET
//   +-------------+-------------+-----+--------------+-----------------------------------+
//   | shard 0     | shard 1     | ... | shard 63     | 16,384 histograms                 |
//   | 3,420,160 B | 3,420,160 B |     | 3,420,160 B  | 7,168 B each, shared by all       |
//   +-------------+-------------+-----+--------------+-----------------------------------+
//
// A shard belongs to one worker: nobody else writes it while that worker lives, so no two threads
// ever pull one counter line back and forth. Readers add the shards up. Histograms are shared, for
// 64 of them per route would not fit, and threads meet there only on equal latencies.
// Pages that nobody touches cost nothing: an idle worker or an unused slot is only address space.
//
// One shard:
//   0        4096      12288         2109440          3158016         3420160
//   +--------+---------+-------------+----------------+---------------+
//   | worker | reasons | routes      | endpoints      | services      |
//   | f64 x n| u64x1024| 128 B x 16 Ki| 64 B x 16 Ki  | 64 B x 4 Ki   |
//   +--------+---------+-------------+----------------+---------------+
//
// One route, two cache lines; an answer that is not a refusal touches only the first (u64 words):
//   0     8     16    24    32      40     48      56     64    72   80 .. 128
//   +-----+-----+-----+-----+-------+------+-------+------+-----+-----+------------------------+
//   | 2xx | 3xx | 4xx | 5xx | sum us| in B | out B |active| 1xx | 1.. | refused families 2..7  |
//   +-----+-----+-----+-----+-------+------+-------+------+-----+-----+------------------------+
//
// One endpoint or service, one cache line (u64 words):
//   0          8        16       24                 32       40     48      56       64
//   +----------+--------+--------+------------------+--------+------+-------+--------+
//   | requests | errors | active | connect failures | sum us | in B | out B | refused|
//   +----------+--------+--------+------------------+--------+------+-------+--------+
//
// One histogram: 896 u64 counts of microseconds, log-linear. Values below 64 have a bucket each;
// above, every power of two has 32 equal buckets, so a bucket's midpoint is at most 1/64 = 1.6 %
// from any value in it. The last bucket ends at 2^32 us, about 71 minutes.

export const STATS_SHARDS_COUNT = 64;
export const STATS_SHARD_SIZE_BYTES = 3420160;

/** Slots of each kind. Slot 0 is the overflow series of all that found no slot. */
export const STATS_ROUTES_COUNT_MAX = 16384;
export const STATS_ENDPOINTS_COUNT_MAX = 16384;
export const STATS_SERVICES_COUNT_MAX = 4096;
export const STATS_SLOT_OVERFLOW = 0;
/** The route slot of requests that no route matched. */
export const STATS_ROUTE_SLOT_NONE = 1;
/** Passed as a slot: there is no series of this kind to count in. */
export const STATS_SLOT_ABSENT = -1;

// Offsets in a shard.
export const STATS_WORKER_OFFSET = 0;
export const STATS_REASONS_OFFSET = 4096;
export const STATS_ROUTES_OFFSET = 12288;
export const STATS_ENDPOINTS_OFFSET = 2109440;
export const STATS_SERVICES_OFFSET = 3158016;

export const STATS_ROUTE_SIZE_BYTES = 128;
export const STATS_ENDPOINT_SIZE_BYTES = 64;
export const STATS_SERVICE_SIZE_BYTES = 64;

/** Reason numbers are below this; others are counted at 0, which is no reason's number. */
export const STATS_REASONS_COUNT = 1024;

// Offsets in a route.
export const ROUTE_STATUS_2XX_OFFSET = 0;
export const ROUTE_DURATION_SUM_OFFSET = 32;
export const ROUTE_BYTES_IN_OFFSET = 40;
export const ROUTE_BYTES_OUT_OFFSET = 48;
export const ROUTE_ACTIVE_OFFSET = 56;
export const ROUTE_STATUS_1XX_OFFSET = 64;
/** Seven words: families 1 to 7 (hundreds of the reason); 8xx and 9xx are counted with 5xx. */
export const ROUTE_REFUSED_OFFSET = 72;
export const ROUTE_REFUSED_FAMILIES_COUNT = 7;

// Offsets in an endpoint and in a service.
export const PEER_REQUESTS_OFFSET = 0;
export const PEER_ERRORS_OFFSET = 8;
export const PEER_ACTIVE_OFFSET = 16;
export const PEER_CONNECT_FAILURES_OFFSET = 24;
export const PEER_DURATION_SUM_OFFSET = 32;
export const PEER_BYTES_IN_OFFSET = 40;
export const PEER_BYTES_OUT_OFFSET = 48;
export const PEER_REFUSED_OFFSET = 56;

// Cells of a worker: f64, written by their worker with plain stores.
/** 1 once a writer has joined; readers skip shards that nobody ever used. */
export const WORKER_CELL_USED = 0;
export const WORKER_CELL_CONNECTIONS_OPEN = 1;
export const WORKER_CELL_CONNECTIONS_TOTAL = 2;
export const WORKER_CELL_UNCAUGHT_ERRORS = 3;
export const WORKER_CELL_LOOP_DELAY_MEAN_MS = 4;
export const WORKER_CELL_LOOP_DELAY_P99_MS = 5;
export const WORKER_CELL_LOOP_DELAY_MAX_MS = 6;
export const WORKER_CELL_LIMITER_OVERFLOWS = 7;
export const WORKER_CELL_LOG_LINES_WRITTEN = 8;
export const WORKER_CELL_LOG_LINES_DROPPED = 9;
export const WORKER_CELLS_COUNT = 10;

// Histograms, from STATS_OFFSET.
export const STATS_HISTOGRAMS_OFFSET = 218890240;
export const STATS_HISTOGRAM_SIZE_BYTES = 7168;
export const HISTOGRAM_BUCKETS_COUNT = 896;
/** Buckets per power of two, and its logarithm. */
export const HISTOGRAM_SUB_BUCKETS_COUNT = 32;
export const HISTOGRAM_SUB_BUCKETS_SHIFT = 5;
/** Longer durations are counted as this. Units: us. */
export const HISTOGRAM_VALUE_MAX_US = 4294967295;
