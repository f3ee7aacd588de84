// Every bound of the load generator, each with a sentence of origin.

/** One thread writes about 60,000 requests a second; above a million the schedule itself lags. */
export const RATE_PER_SECOND_MAX = 1_000_000;
/** Ephemeral ports towards one address: about 28,000. */
export const CONNECTIONS_COUNT_MAX = 16_384;
/** A day of load is a soak; longer ones are a mistake in the unit. */
export const DURATION_MS_MAX = 86_400_000;
export const ROUNDS_COUNT_MAX = 1_000;
export const HEADERS_COUNT_MAX = 64;
/** The body is written with every request, so it is held once and small. */
export const BODY_SIZE_BYTES_MAX = 1_048_576;

/** Requests that are due and wait for a connection: a second at 100,000 per second. Each further
 *  one is dropped, counted and reported. */
export const BACKLOG_COUNT_MAX = 100_000;
/** A request without an answer for this long is an error and its connection is closed. */
export const REQUEST_TIMEOUT_MS = 10_000;
/** A connection that could not be made is tried again after this long, so that a dead target is
 *  not hammered. */
export const RECONNECT_DELAY_MS = 100;
/** How long the connections may take to stand before the load starts with those that do. */
export const CONNECT_MS_MAX = 2_000;
/** How long requests in flight at the end are waited for. */
export const DRAIN_MS_MAX = REQUEST_TIMEOUT_MS;
/** Head of a response: as the gateway's own limit. */
export const RESPONSE_HEAD_SIZE_BYTES_MAX = 65_536;
/** Different statuses and reasons that are counted one by one; the rest is counted as `other`. */
export const OUTCOMES_COUNT_MAX = 256;
/** The highest latency the histogram tells apart; above it counts as it. Units: us. */
export const LATENCY_US_MAX = 3_600_000_000;

/** A due request noticed later than this means that the generator itself lags. Units: ms. */
export const SELF_LAG_P99_MS_MAX = 2;
export const SELF_LAG_MS_MAX = 50;
/** Share of time the generator's loop may be busy before the measured rate is its own limit. */
export const SELF_BUSY_RATIO_MAX = 0.9;
