// Bounds of replication, each with a sentence of origin.

/** Bytes of groups in one answer; a larger group goes alone. Some ms of a local network. */
export const FEED_ANSWER_SIZE_BYTES = 1_048_576;
/** How long a question for more waits at the primary; then a beat says that there is nothing. */
export const FEED_WAIT_MS = 1_000;
/** Pages in one piece of a snapshot: 1 MiB. */
export const SNAPSHOT_PIECE_PAGES_COUNT = 256;
/** A snapshot keeps old pages and log of the primary; one that nobody reads ends. */
export const SNAPSHOT_IDLE_MS_MAX = 60_000;
/** Snapshots that one db worker sends at a time. */
export const SNAPSHOTS_COUNT_MAX = 8;
/** A question is some numbers and names. */
export const QUESTION_SIZE_BYTES_MAX = 4_096;
/** An answer that is read whole: a piece of a snapshot, or the names of many databases. */
export const ANSWER_SIZE_BYTES_MAX = 16_777_216;
/** Databases of a primary: each is a question under way. */
export const NAMES_COUNT_MAX = 65_536;
/** How often a follower asks which databases there are, and in which standing the primary is. */
export const LOOK_INTERVAL_MS = 1_000;
/** The pause before a question that failed is asked again: at first, and at most. */
export const RETRY_MS_MIN = 50;
export const RETRY_MS_MAX = 5_000;
/** A primary that sends nothing for so long is taken to be gone: it would have sent beats. */
export const SILENCE_MS_MAX = 15_000;
/** Followers that one database remembers. */
export const HELD_FOLLOWERS_COUNT_MAX = 64;
