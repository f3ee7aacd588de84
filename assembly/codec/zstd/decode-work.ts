// The work area of a decoding: what outlives a block, the tables and the decoded literals. The host
// makes room for DECODE_WORK_SIZE_BYTES; nothing in it needs to be zero before.
//
//   0       128       4224      8320      12416     14464    14976   15552      146624
//   +-------+---------+---------+---------+---------+--------+-------+----------+-------+
//   | state | Huffman | literal | match   | offsets | Huffman| scrap | literals | slack |
//   |       | u16     | lengths | lengths | u64     | weights|       | of a     | 64    |
//   |       | x 2048  | u64x512 | u64x512 | x 256   | u64x64 |       | block    |       |
//   +-------+---------+---------+---------+---------+--------+-------+----------+-------+
//
//   Huffman entry:    symbol u8 | bits of its code u8
//   sequence entry:   next state u16 | bits to add to it u8 | extra bits u8 | base value u32
//   scrap:            distribution i16 x 64 | next of each symbol u16 x 64 | weights u8 x 256 |
//                     places of each weight u32 x 16

import { BLOCK_SIZE_BYTES_MAX } from './format';

/** The three offsets that a sequence can repeat, u32 each. */
export const REPEATS: u32 = 0;
/** What each table holds: 0 is nothing, else TABLE_PRESENT, perhaps TABLE_PREDEFINED, and a log. */
export const LITERAL_LENGTH_STATE: u32 = 12;
export const MATCH_LENGTH_STATE: u32 = 16;
export const OFFSET_STATE: u32 = 20;
/** The longest code of the Huffman table; 0 while the frame has had none. */
export const HUFFMAN_BITS: u32 = 24;
/** Where the block's literals stand, how many they are, and up to where 16 bytes may be read at
 *  once from any of them. */
export const LITERALS_PTR: u32 = 28;
export const LITERALS_SIZE: u32 = 32;
export const LITERALS_WIDE_END: u32 = 36;
/** Where the frame's content begins, and the lowest byte that a plain subtraction can reach: the
 *  dictionary's first if the frame is the first, else the content's. */
export const CONTENT_PTR: u32 = 40;
export const HISTORY_PTR: u32 = 44;
export const DICTIONARY_END: u32 = 48;
export const DICTIONARY_SIZE: u32 = 52;
export const WINDOW_SIZE: u32 = 56;
/** Up to where a sequence may end and be copied 16 bytes at a time, and up to where 16
 *  bytes may be read at once from the input: 16 before the end of each. */
export const OUTPUT_WIDE_END: u32 = 60;
export const INPUT_WIDE_END: u32 = 64;
/** What the header of a frame says. */
export const HAS_CHECKSUM: u32 = 68;
export const CONTENT_SIZE: u32 = 72;
/** Where what was read last ends. */
export const NEXT_PTR: u32 = 80;
/** What a distribution says besides its counts. */
export const DISTRIBUTION_LOG: u32 = 84;
export const DISTRIBUTION_COUNT: u32 = 88;

export const TABLE_PRESENT: u32 = 0x100;
export const TABLE_PREDEFINED: u32 = 0x200;
export const TABLE_LOG_MASK: u32 = 0xff;

export const HUFFMAN_TABLE: u32 = 128;
export const LITERAL_LENGTH_TABLE: u32 = 4224;
export const MATCH_LENGTH_TABLE: u32 = 8320;
export const OFFSET_TABLE: u32 = 12416;
export const WEIGHT_TABLE: u32 = 14464;
export const DISTRIBUTION: u32 = 14976;
export const NEXT_OF_SYMBOL: u32 = 15104;
export const WEIGHTS: u32 = 15232;
export const WEIGHT_PLACES: u32 = 15488;
export const LITERALS: u32 = 15552;
/** What 16 bytes at a time read and write beyond the literals. */
const LITERALS_SLACK: u32 = 64;
export const DECODE_WORK_SIZE_BYTES: u32 = LITERALS + BLOCK_SIZE_BYTES_MAX + LITERALS_SLACK;

/** Forgets what one frame leaves for its next block, at the start of the next frame. */
export function resetWork(work: u32): void {
  store<u32>(work, 0, LITERAL_LENGTH_STATE);
  store<u32>(work, 0, MATCH_LENGTH_STATE);
  store<u32>(work, 0, OFFSET_STATE);
  store<u32>(work, 0, HUFFMAN_BITS);
}
