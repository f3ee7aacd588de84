// The map of the one shared memory of `edge.wasm`, read by asc and by tsc alike: no imports, no
// types, only integer constants. Each region's inner layout stands in a file of its own beside it.
//
//   0x0000_0000  HEADER    64 KiB   magic, version, active route table, reader slots, heartbeats
//   0x0001_0000  SCRATCH    4 MiB   64 workers x 64 KiB: a request's bytes and a match's result
//   0x0041_0000  LIMITER   32 MiB   token buckets, open addressed
//   0x0241_0000  STATS    384 MiB   counters and histograms per route, service and endpoint
//   0x1A41_0000  TABLES   rest      route tables, placed by the main thread's arena
//   0x4000_0000  end (1 GiB)
//
// The memory is created at full size, because growing would leave JavaScript views with a stale
// length; pages that nobody touches cost nothing.

export const MEMORY_PAGES = 16384;
export const MEMORY_SIZE_BYTES = 1073741824;

export const HEADER_OFFSET = 0;
export const HEADER_SIZE_BYTES = 65536;

/** Threads that may hold an edge instance at once: io workers, and the main thread as the last. */
export const WORKERS_MAX = 64;
export const MAIN_THREAD_INDEX = 63;

export const SCRATCH_OFFSET = 65536;
export const SCRATCH_STRIDE_BYTES = 65536;

export const LIMITER_OFFSET = 4259840;
export const LIMITER_SIZE_BYTES = 33554432;

export const STATS_OFFSET = 37814272;
export const STATS_SIZE_BYTES = 402653184;

export const TABLES_OFFSET = 440467456;
export const TABLES_SIZE_BYTES = 633274368;

// Header words (i32 unless said otherwise):
//   0     4     8            12         64                  320
//   +-----+-----+------------+----------+-------------------+--------------------+
//   |magic| ver | active tbl | reserved | held table x 64   | heartbeat x 64     |
//   +-----+-----+------------+----------+-------------------+--------------------+
export const HEADER_MAGIC = 0x45_47_44_45;
export const HEADER_VERSION = 1;
export const HEADER_MAGIC_OFFSET = 0;
export const HEADER_VERSION_OFFSET = 4;
/** Offset of the active route table in memory; 0 when none is published. */
export const HEADER_ACTIVE_TABLE_OFFSET = 8;
/** One i32 per worker: the table it reads now, 0 for none. A table held by nobody may be freed. */
export const HEADER_HELD_TABLES_OFFSET = 64;
/** One i32 per worker, raised by the worker about once a second. */
export const HEADER_HEARTBEATS_OFFSET = 320;
