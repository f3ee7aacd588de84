// What encoder and decoder share of the zstd format: constants and code tables.
// Source: RFC 8878; section numbers stand at each. Of the format we write and read the part that
// docs/distribution.md lists.

export const FRAME_MAGIC: u32 = 0xfd2fb528;
/** No block is longer, compressed or not (3.1.1.2.4). */
export const BLOCK_SIZE_BYTES_MAX: u32 = 131072;
export const FRAME_HEADER_SIZE_BYTES_MAX: u32 = 14;
export const CHECKSUM_SIZE_BYTES: u32 = 4;

export const BLOCK_RAW: u32 = 0;
export const BLOCK_RLE: u32 = 1;
export const BLOCK_COMPRESSED: u32 = 2;

export const LITERALS_RAW: u32 = 0;
export const LITERALS_RLE: u32 = 1;
export const LITERALS_COMPRESSED: u32 = 2;
export const LITERALS_TREELESS: u32 = 3;

/** How the codes of a block's sequences are coded (3.1.1.3.2.1). */
export const MODE_PREDEFINED: u32 = 0;
export const MODE_RLE: u32 = 1;
export const MODE_FSE: u32 = 2;
export const MODE_REPEAT: u32 = 3;

export const LITERAL_LENGTH_CODE_MAX: u32 = 35;
export const MATCH_LENGTH_CODE_MAX: u32 = 52;
/** 31 is what the format allows; an offset inside our largest window needs no more than 28. */
export const OFFSET_CODE_MAX: u32 = 31;
export const MATCH_LENGTH_MIN: u32 = 3;

export const LITERAL_LENGTH_LOG_MAX: u32 = 9;
export const MATCH_LENGTH_LOG_MAX: u32 = 9;
export const OFFSET_LOG_MAX: u32 = 8;
export const LITERAL_LENGTH_LOG_PREDEFINED: u32 = 6;
export const MATCH_LENGTH_LOG_PREDEFINED: u32 = 6;
export const OFFSET_LOG_PREDEFINED: u32 = 5;

export const HUFFMAN_BITS_MAX: u32 = 11;
export const HUFFMAN_WEIGHTS_LOG_MAX: u32 = 6;

/** What the three repeated offsets are at the start of a frame (3.1.1.5). */
export const REPEAT_OFFSET_1: u32 = 1;
export const REPEAT_OFFSET_2: u32 = 4;
export const REPEAT_OFFSET_3: u32 = 8;

/** Extra bits of each literal-length code; u8 x 36 (3.1.1.3.2.1.1). */
// biome-ignore format: sixteen a row
export const LITERAL_LENGTH_BITS = memory.data<u8>([
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12,
  13, 14, 15, 16,
]);

/** The smallest length of each literal-length code; u32 x 36. */
export const LITERAL_LENGTH_BASE = memory.data<u32>([
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 28, 32, 40, 48, 64, 128,
  256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536,
]);

/** Extra bits of each match-length code; u8 x 53. */
export const MATCH_LENGTH_BITS = memory.data<u8>([
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
  1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
]);

/** The smallest length of each match-length code; u32 x 53. */
export const MATCH_LENGTH_BASE = memory.data<u32>([
  3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
  29, 30, 31, 32, 33, 34, 35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, 131, 259, 515, 1027, 2051,
  4099, 8195, 16387, 32771, 65539,
]);

/** The predefined distributions; i8 x 36, 53 and 29, -1 is "less than one" (3.1.1.3.2.2). */
export const LITERAL_LENGTH_PREDEFINED = memory.data<i8>([
  4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1,
  -1, -1, -1, -1,
]);
export const MATCH_LENGTH_PREDEFINED = memory.data<i8>([
  1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
]);
export const OFFSET_PREDEFINED = memory.data<i8>([
  1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1,
]);
