// Counts one finished request: its route, endpoint, service, refusal reason and latency, in one
// call. It keeps no snapshot and no order between counters: each is exact, and together they may
// be one request apart. A worker passes its own index; its shard is written by nobody else.

import { STATS_OFFSET } from '../shared/memory-map';
import {
  HISTOGRAM_SUB_BUCKETS_SHIFT,
  HISTOGRAM_VALUE_MAX_US,
  PEER_ACTIVE_OFFSET,
  PEER_BYTES_IN_OFFSET,
  PEER_BYTES_OUT_OFFSET,
  PEER_CONNECT_FAILURES_OFFSET,
  PEER_DURATION_SUM_OFFSET,
  PEER_ERRORS_OFFSET,
  PEER_REFUSED_OFFSET,
  PEER_REQUESTS_OFFSET,
  ROUTE_ACTIVE_OFFSET,
  ROUTE_BYTES_IN_OFFSET,
  ROUTE_BYTES_OUT_OFFSET,
  ROUTE_DURATION_SUM_OFFSET,
  ROUTE_REFUSED_OFFSET,
  ROUTE_STATUS_1XX_OFFSET,
  ROUTE_STATUS_2XX_OFFSET,
  STATS_ENDPOINT_SIZE_BYTES,
  STATS_ENDPOINTS_COUNT_MAX,
  STATS_ENDPOINTS_OFFSET,
  STATS_HISTOGRAM_SIZE_BYTES,
  STATS_HISTOGRAMS_OFFSET,
  STATS_REASONS_COUNT,
  STATS_REASONS_OFFSET,
  STATS_ROUTE_SIZE_BYTES,
  STATS_ROUTES_COUNT_MAX,
  STATS_ROUTES_OFFSET,
  STATS_SERVICE_SIZE_BYTES,
  STATS_SERVICES_COUNT_MAX,
  STATS_SERVICES_OFFSET,
  STATS_SHARD_SIZE_BYTES,
  STATS_SHARDS_COUNT,
} from '../shared/stats-layout';
import { STATUS_BAD_ARGUMENT, STATUS_OK } from '../shared/status';

/** Counts a finished request. A slot outside its range (STATS_SLOT_ABSENT) is not counted.
 *  Units: us, bytes. Errors: STATUS_BAD_ARGUMENT for a worker out of range. Cost: O(1). */
export function statsRecord(
  worker: u32,
  routeSlot: u32,
  endpointSlot: u32,
  serviceSlot: u32,
  status: i32,
  reason: i32,
  durationUs: f64,
  bytesIn: f64,
  bytesOut: f64,
): i32 {
  if (worker >= u32(STATS_SHARDS_COUNT)) return STATUS_BAD_ARGUMENT;
  const shard = STATS_OFFSET + worker * STATS_SHARD_SIZE_BYTES;
  const duration = u64(clamped(durationUs, f64(HISTOGRAM_VALUE_MAX_US)));
  const sizeIn = u64(clamped(bytesIn, 9007199254740991.0));
  const sizeOut = u64(clamped(bytesOut, 9007199254740991.0));
  if (reason != 0) countReason(shard, reason);
  if (routeSlot < u32(STATS_ROUTES_COUNT_MAX)) {
    const route = shard + STATS_ROUTES_OFFSET + routeSlot * STATS_ROUTE_SIZE_BYTES;
    add(route + statusOffset(status), 1);
    add(route + ROUTE_DURATION_SUM_OFFSET, duration);
    add(route + ROUTE_BYTES_IN_OFFSET, sizeIn);
    add(route + ROUTE_BYTES_OUT_OFFSET, sizeOut);
    if (reason != 0) add(route + refusedOffset(reason), 1);
    // In bounds: a slot below its count and a bucket below 896.
    const histogram =
      STATS_OFFSET + STATS_HISTOGRAMS_OFFSET + routeSlot * STATS_HISTOGRAM_SIZE_BYTES;
    atomic.add<u64>(histogram + (bucketOf(u32(duration)) << 3), 1);
  }
  if (endpointSlot < u32(STATS_ENDPOINTS_COUNT_MAX)) {
    const endpoint = shard + STATS_ENDPOINTS_OFFSET + endpointSlot * STATS_ENDPOINT_SIZE_BYTES;
    countPeer(endpoint, status, reason, duration, sizeIn, sizeOut);
  }
  if (serviceSlot < u32(STATS_SERVICES_COUNT_MAX)) {
    const service = shard + STATS_SERVICES_OFFSET + serviceSlot * STATS_SERVICE_SIZE_BYTES;
    countPeer(service, status, reason, duration, sizeIn, sizeOut);
  }
  return STATUS_OK;
}

/** Moves the gauges of requests in flight by `delta`: +1 at the start, -1 at the end.
 *  Errors: STATUS_BAD_ARGUMENT for a worker out of range. Cost: O(1). */
export function statsActive(
  worker: u32,
  routeSlot: u32,
  endpointSlot: u32,
  serviceSlot: u32,
  delta: i32,
): i32 {
  if (worker >= u32(STATS_SHARDS_COUNT)) return STATUS_BAD_ARGUMENT;
  const shard = STATS_OFFSET + worker * STATS_SHARD_SIZE_BYTES;
  const step = u64(i64(delta));
  if (routeSlot < u32(STATS_ROUTES_COUNT_MAX)) {
    const route = shard + STATS_ROUTES_OFFSET + routeSlot * STATS_ROUTE_SIZE_BYTES;
    add(route + ROUTE_ACTIVE_OFFSET, step);
  }
  if (endpointSlot < u32(STATS_ENDPOINTS_COUNT_MAX)) {
    const endpoint = shard + STATS_ENDPOINTS_OFFSET + endpointSlot * STATS_ENDPOINT_SIZE_BYTES;
    add(endpoint + PEER_ACTIVE_OFFSET, step);
  }
  if (serviceSlot < u32(STATS_SERVICES_COUNT_MAX)) {
    const service = shard + STATS_SERVICES_OFFSET + serviceSlot * STATS_SERVICE_SIZE_BYTES;
    add(service + PEER_ACTIVE_OFFSET, step);
  }
  return STATUS_OK;
}

/** Counts a refusal that never became a request of a route: a listener's own.
 *  Errors: STATUS_BAD_ARGUMENT for a worker out of range. */
export function statsRefuse(worker: u32, reason: i32): i32 {
  if (worker >= u32(STATS_SHARDS_COUNT)) return STATUS_BAD_ARGUMENT;
  countReason(STATS_OFFSET + worker * STATS_SHARD_SIZE_BYTES, reason);
  return STATUS_OK;
}

function add(ptr: u32, value: u64): void {
  // In bounds: every caller adds a constant offset to a slot below its count. One worker writes a
  // shard, so a plain add loses nothing, and an aligned 8-byte store is whole for readers.
  store<u64>(ptr, load<u64>(ptr) + value);
}

function clamped(value: f64, limit: f64): f64 {
  // Not a number fails the first comparison.
  return value > 0 ? (value < limit ? value : limit) : 0;
}

function bucketOf(value: u32): u32 {
  if (value < 64) return value;
  const shift = 31 - clz<u32>(value) - HISTOGRAM_SUB_BUCKETS_SHIFT;
  return (shift << HISTOGRAM_SUB_BUCKETS_SHIFT) + (value >> shift);
}

function statusOffset(status: i32): u32 {
  if (status >= 200 && status < 300) return ROUTE_STATUS_2XX_OFFSET;
  if (status >= 300 && status < 400) return ROUTE_STATUS_2XX_OFFSET + 8;
  if (status >= 400 && status < 500) return ROUTE_STATUS_2XX_OFFSET + 16;
  if (status >= 100 && status < 200) return ROUTE_STATUS_1XX_OFFSET;
  // What is no status at all can only be a fault of ours.
  return ROUTE_STATUS_2XX_OFFSET + 24;
}

function refusedOffset(reason: i32): u32 {
  const family = u32(reason) / 100;
  return ROUTE_REFUSED_OFFSET + ((family >= 1 && family <= 7 ? family : 5) - 1) * 8;
}

function countReason(shard: u32, reason: i32): void {
  const index = u32(reason) < u32(STATS_REASONS_COUNT) ? u32(reason) : 0;
  add(shard + STATS_REASONS_OFFSET + index * 8, 1);
}

function isUpstreamFault(reason: i32): bool {
  // A response may have begun with 200 before its upstream failed.
  return (reason >= 100 && reason < 300) || reason == 702;
}

function countPeer(
  peer: u32,
  status: i32,
  reason: i32,
  duration: u64,
  sizeIn: u64,
  sizeOut: u64,
): void {
  add(peer + PEER_REQUESTS_OFFSET, 1);
  add(peer + PEER_DURATION_SUM_OFFSET, duration);
  add(peer + PEER_BYTES_IN_OFFSET, sizeIn);
  add(peer + PEER_BYTES_OUT_OFFSET, sizeOut);
  if (status >= 500 || isUpstreamFault(reason)) add(peer + PEER_ERRORS_OFFSET, 1);
  if (reason == 0) return;
  add(peer + PEER_REFUSED_OFFSET, 1);
  if (reason == 101 || reason == 104 || reason == 105 || reason == 201) {
    add(peer + PEER_CONNECT_FAILURES_OFFSET, 1);
  }
}
