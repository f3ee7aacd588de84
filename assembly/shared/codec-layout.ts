// The private memory of codec.wasm, read by asc and by tsc alike. Everything has its fixed place:
// nothing is allocated, and the memory never grows, so that views of it stay valid.
//
//   0      1024          1088              65536                                  589824
//   +------+-------------+-----+-----------+--------------------------------------+
//   |  -   | XXH64 state |  -  | (4096:)   | window: input, one piece at a time   |
//   |      |             |     | CRC tables|                                      |
//   +------+-------------+-----+-----------+--------------------------------------+
//   XXH64 state: u64 lanes x 4, u64 seed, u64 bytes so far.   CRC tables: u32 x 256 x 16.

export const CODEC_MEMORY_PAGES = 9;

export const XXH64_STATE_OFFSET = 1024;
export const CRC_TABLES_OFFSET = 4096;
export const CRC_TABLES_COUNT = 16;

/** Where the host puts bytes, and the most that one call takes: what stays in the second-level
 *  cache between the copy and the kernel. A multiple of 64, so that only a last piece is ragged. */
export const WINDOW_OFFSET = 65536;
export const WINDOW_SIZE_BYTES = 524288;
