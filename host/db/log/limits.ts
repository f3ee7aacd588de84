// Bounds of the log, each with a sentence of origin.

/** A group begins at a multiple of this in its file: what Linux writes back as one, so that a block
 *  that has been acknowledged is not written again for the sake of a later group. Measured: a sync
 *  of 512 bytes costs what one of 4,096 does. */
export const LOG_BLOCK_SIZE_BYTES = 4_096;
/** A segment: about a second of commits that come one by one, and 10 ms to look through. */
export const LOG_SEGMENT_SIZE_BYTES = 16_777_216;
/** The first segment of a log, and the next is twice as long until they are as long as others: most
 *  of a thousand databases are small and hardly written, and each has a segment and a spare one. */
export const LOG_SEGMENT_SIZE_BYTES_FIRST = 262_144;
/** The smallest segment that makes sense: its head and one group of a block. */
export const LOG_SEGMENT_SIZE_BYTES_MIN = 2 * LOG_BLOCK_SIZE_BYTES;
/** One group's payload: a VACUUM of a database of this size is one commit. */
export const LOG_GROUP_PAYLOAD_SIZE_BYTES_MAX = 268_435_456;
/** Commits of one group: far more than wait while one sync runs. */
export const LOG_GROUP_COMMITS_COUNT_MAX = 65_536;
/** Epochs are counted in 32 bits. */
export const LOG_EPOCH_MAX = 0xffff_ffff;
/** One read of a segment. */
export const LOG_READ_SIZE_BYTES = 262_144;
/** Trimmed segments kept to be written over, which spares writing zeros: one is in use while one is
 *  made ready. */
export const LOG_SPARES_COUNT_MAX = 2;
/** Zeros written at a time while a segment is made ready, so that a group that is synced meanwhile
 *  waits for no more than this. */
export const LOG_ZEROS_SIZE_BYTES = 1_048_576;
/** A write of at most this size is a copy to the page cache of some microseconds, less than the way
 *  to another thread and back. */
export const LOG_WRITE_INLINE_SIZE_BYTES_MAX = 65_536;
/** Followers of one log; each may hold a file open and one read in memory. */
export const LOG_FOLLOWERS_COUNT_MAX = 64;
/** A log that has nothing to send says so this often, so that a follower knows its lag and a dead
 *  connection shows. */
export const FEED_BEAT_INTERVAL_MS = 1_000;
/** A commit's pages: 1 GiB of them. */
export const COMMIT_PAGES_COUNT_MAX = 262_144;
/** The highest page number of a database. Source: database file format, section 1.3.2. */
export const PAGE_NUMBER_MAX = 4_294_967_294;
