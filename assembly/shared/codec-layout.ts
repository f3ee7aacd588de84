// The private memory of codec.wasm, read by asc and by tsc alike; decoder.wasm has the same. What
// stands below ZSTD_AREA_OFFSET has its fixed place, and an instance starts with no more than that.
// A zstd job needs room for whole files: the host grows an instance made for jobs and lays the
// areas out itself; a kernel gets their places as arguments and never grows the memory. Checksum
// instances never grow, so that their views stay valid.
//
//   0   1024          1088     4096         20480        65536                      589824
//   +---+-------------+--------+------------+------------+--------------------------+------- - -
//   | - | XXH64 state |   -    | CRC tables | constants  | window: input, one piece | areas of
//   |   |             |        |            | of the     | at a time                | a zstd
//   |   |             |        |            | compiler   |                          | job
//   +---+-------------+--------+------------+------------+--------------------------+------- - -
//   XXH64 state: u64 lanes x 4, u64 seed, u64 bytes so far.   CRC tables: u32 x 256 x 16.
//   Constants: the data segments of asc (`memoryBase` in asconfig.json), at most 44 KiB.
//
//   areas of an encoding:  | work | dictionary | input  | frame     |
//   areas of a decoding:   | work | frame      | dictionary | output |
//   The dictionary stands right before what it is the past of: an offset is a plain subtraction.

/** The memory an instance starts with. */
export const CODEC_MEMORY_PAGES = 9;
/** The most that the host grows an instance to: 2 GiB, what i32 arithmetic can address. */
export const CODEC_MEMORY_PAGES_MAX = 32768;

export const XXH64_STATE_OFFSET = 1024;
export const CRC_TABLES_OFFSET = 4096;
export const CRC_TABLES_COUNT = 16;

/** Where the host puts bytes, and the most that one call takes: what stays in the second-level
 *  cache between the copy and the kernel. A multiple of 64, so that only a last piece is ragged. */
export const WINDOW_OFFSET = 65536;
export const WINDOW_SIZE_BYTES = 524288;

// The window as the delta of a page has it (page-delta.ts). Bytes past an area's end may be read,
// and up to 15 past a delta's end written.
//
//   0             4096         8192             12352
//   +-------------+------------+----------------+- - -
//   | page before | page after | delta and slack|
//   +-------------+------------+----------------+- - -
//   A decoding turns the page before into the page after in its place.

export const DELTA_PAGE_SIZE_BYTES = 4096;
export const DELTA_PAGE_OFFSET = WINDOW_OFFSET;
export const DELTA_PAGE_AFTER_OFFSET = WINDOW_OFFSET + DELTA_PAGE_SIZE_BYTES;
export const DELTA_OFFSET = WINDOW_OFFSET + 2 * DELTA_PAGE_SIZE_BYTES;
/** No delta is longer: a page whole, and 32 bytes. */
export const DELTA_SIZE_BYTES_MAX = 4128;
export const DELTA_BASE_ZEROS = 0;
export const DELTA_BASE_PAGE = 1;

// The window as an LZ4 block has it (lz4-encode.ts). The plain bytes stand where the checksums take
// theirs. Up to 64 bytes past an area's end may be read and, but for the table's, written.
//
//   0               65600                    131584
//   +---------------+------------------------+---------------------------+- - -
//   | plain, slack  | block, slack           | table: u16 places x 8,192 |
//   +---------------+------------------------+---------------------------+- - -

export const LZ4_PLAIN_OFFSET = WINDOW_OFFSET;
export const LZ4_PLAIN_SIZE_BYTES_MAX = 65536;
export const LZ4_BLOCK_OFFSET = WINDOW_OFFSET + 65600;
/** The longest block: 64 KiB that do not shrink, a byte for each 255 of them, and 16. */
export const LZ4_BLOCK_SIZE_BYTES_MAX = 65809;
export const LZ4_TABLE_OFFSET = WINDOW_OFFSET + 131584;
export const LZ4_TABLE_BITS = 13;

/** Where the areas of a zstd job begin. */
export const ZSTD_AREA_OFFSET = 589824;
/** The longest dictionary and the longest content of a job: what dcz allows a window to be, and
 *  what keeps every position in 28 bits. */
export const ZSTD_CONTENT_SIZE_BYTES_MAX = 134217728;
export const ZSTD_DICTIONARY_SIZE_BYTES_MAX = 134217728;
