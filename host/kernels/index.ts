// Typed faces of edge.wasm and codec.wasm. No other folder touches a WebAssembly module of ours.

export { LIMITER_SEED_SIZE_BYTES } from '../../assembly/shared/limiter-layout.ts';
export { MAIN_THREAD_INDEX } from '../../assembly/shared/memory-map.ts';
export {
  STATS_ROUTE_SLOT_NONE,
  STATS_SLOT_ABSENT,
  STATS_SLOT_OVERFLOW,
} from '../../assembly/shared/stats-layout.ts';
export {
  STATUS_BAD_PATH,
  STATUS_NOT_FOUND,
  STATUS_TOO_LONG,
} from '../../assembly/shared/status.ts';
export { Codec } from './codec.ts';
export { compileCodec } from './codec-module.ts';
export type { EdgeImage, EdgeInstance } from './edge-module.ts';
export { createEdgeImage, instantiateEdge } from './edge-module.ts';
export type { LatencyBucket } from './latency-buckets.ts';
export { bucketIndexOf, bucketRange, histogramBuckets } from './latency-buckets.ts';
export type { LimiterOptions } from './limiter.ts';
export { initialiseLimiter, Limiter } from './limiter.ts';
export type { LimiterPolicy, LimiterRule } from './limiter-policy.ts';
export { Matcher } from './matcher.ts';
export { LZ4_SIZE_BYTES_MAX, PAGE_DELTA_SIZE_BYTES_MAX, PageCodec } from './page-codec.ts';
export { encodeRouteTable } from './route-table.ts';
export { RouteTables } from './route-tables.ts';
export type { Series, SeriesKind } from './series-registry.ts';
export { SeriesRegistry } from './series-registry.ts';
export type { PeerStats, RouteStats, WorkerCell, WorkerStats } from './stats.ts';
export { StatsReader, StatsWriter } from './stats.ts';
export type { ZstdDecodeJob, ZstdDecodeKernels } from './zstd-decode-job.ts';
export { runZstdDecodeJob } from './zstd-decode-job.ts';
export type { ZstdDecodeOptions } from './zstd-decoder.ts';
export { ZSTD_FRAME_SIZE_BYTES_MAX, ZstdDecoder } from './zstd-decoder.ts';
export type { ZstdEncodeOptions } from './zstd-encoder.ts';
export { ZstdEncoder } from './zstd-encoder.ts';
