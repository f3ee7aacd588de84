// The layout of the limiter's region and of its part of a worker's scratch area, read by asc and by
// tsc alike. All numbers are little-endian; TAT is the "theoretical arrival time" of a bucket.
//
// Region, from LIMITER_OFFSET:
//   0      16          20                  64        96      4096        69632         32 MiB
//   +------+-----------+-------------------+---------+-------+-----------+-------------+
//   | seed | set count | shared set count  | counts  |   -   | shared    | sets        |
//   +------+-----------+-------------------+---------+-------+-----------+-------------+
//   seed    u64 x 2, the secret of the key hash           counts  u64 x 3
//   shared  sets of buckets that keys without a slot share, one bucket per policy
//
// Set of 256 bytes:
//   0      4         8              16      24           32        48          256
//   +------+---------+--------------+-------+------------+---------+- - - - - -+
//   | lock | claimed | claimed hash | floor | shared TAT | entry 0 | ...    13 |
//   +------+---------+--------------+-------+------------+---------+- - - - - -+
//   lock          u32, 0 or the owner's worker index + 1
//   claimed       u32, address of the entry whose owner is being changed, or 0
//   claimed hash  u64, what that entry held before
//   floor         u64, no bucket evicted from this set had a later TAT
//   shared TAT    u64, no shared bucket was later when it served a key of this set
//   entry         u64 hash of the key, 0 for none; u64 TAT in nanoseconds

export const LIMITER_SEED_SIZE_BYTES = 16;
export const LIMITER_SET_COUNT_OFFSET = 16;
export const LIMITER_SHARED_SET_COUNT_OFFSET = 20;
/** Buckets that were idle and gave their slot to another key. */
export const LIMITER_EVICTIONS_OFFSET = 64;
/** Requests decided by a shared bucket, because their key found no slot. */
export const LIMITER_OVERFLOWS_OFFSET = 72;
/** Requests refused because no shared bucket was free either, or a set stayed locked. */
export const LIMITER_CLOSED_OFFSET = 80;

export const LIMITER_SHARED_SETS_OFFSET = 4096;
export const LIMITER_SHARED_SET_COUNT_MAX = 256;
export const LIMITER_SETS_OFFSET = 69632;
/** (LIMITER_SIZE_BYTES - LIMITER_SETS_OFFSET) / LIMITER_SET_SIZE_BYTES. */
export const LIMITER_SET_COUNT_MAX = 130800;

export const LIMITER_SET_SIZE_BYTES = 256;
export const LIMITER_CLAIMED_OFFSET = 4;
export const LIMITER_CLAIMED_HASH_OFFSET = 8;
export const LIMITER_FLOOR_OFFSET = 16;
export const LIMITER_SHARED_TAT_OFFSET = 24;
export const LIMITER_ENTRIES_OFFSET = 32;
export const LIMITER_ENTRY_SIZE_BYTES = 16;
export const LIMITER_TAT_OFFSET = 8;
export const LIMITER_WAYS = 14;

// The last 4 KiB of a worker's scratch area:
//   0                 128                                            4088   4096
//   +-----------------+----------------------------------------------+------+
//   | u64 hash x 16   | bytes of the key                             | slack|
//   +-----------------+----------------------------------------------+------+
// The slack lets the hash read its last word as a whole.
export const LIMITER_SCRATCH_OFFSET = 61440;
export const LIMITER_HASHES_COUNT = 16;
export const LIMITER_KEY_OFFSET = 61568;
export const LIMITER_KEY_SIZE_BYTES_MAX = 3960;
