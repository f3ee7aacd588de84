// Every limit of the page store, with its reason.

/** What the records of a store may take unless told otherwise. Units: bytes. */
export const STORE_SIZE_BYTES_MAX_DEFAULT = 68_719_476_736;
/** SQLite's own: file format, section 1.3.8. */
export const PAGE_NUMBER_MAX = 4_294_967_294;
/** Pages compressed before other work of the thread gets its turn: about half a millisecond. */
export const FOLD_SLICE_PAGES_COUNT = 64;
/** Old versions looked through, or pages loaded, in one transaction: LMDB holds them in memory. */
export const BATCH_RECORDS_COUNT = 4_096;
/** Bytes of a file read or written at a time by backups. */
export const FILE_CHUNK_SIZE_BYTES = 1_048_576;
/** Branches of one store: each is a durable pin that every fold looks at. */
export const DURABLE_PINS_COUNT_MAX = 1_000;
/** Branches of branches: a page may be looked for in each of them. */
export const BRANCH_DEPTH_MAX = 16;
/** Folded states found bad and named by a check; the rest is counted. */
export const FINDINGS_COUNT_MAX = 100;
