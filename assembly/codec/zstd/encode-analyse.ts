// What a parsed block is made of: its offsets as the format codes them, how often each literal and
// code occurs, and whether it is worth compressing at all.

import { REPEATS_SIZE_BYTES, Repeats, takeOffset } from './encode-repeats';
import { CODE_LITERALS, CODE_MATCH, CODE_OFFSET, codeCounts } from './encode-segments';
import {
  Block,
  COUNTS_SIZE_BYTES,
  Encoder,
  literalLengthCode,
  log2,
  matchLengthCode,
  offsetCode,
  SEQUENCE_SIZE_BYTES,
  Sequence,
} from './encode-work';
import { BLOCK_COMPRESSED, BLOCK_RAW, LITERAL_LENGTH_BITS, MATCH_LENGTH_BITS } from './format';

/** Headers of a compressed block of little content. */
const OVERHEAD_SIZE_BYTES: u32 = 8;

/** Counts the block and moves the encoder's repeated offsets past it; a block that would not get
 *  shorter becomes raw, and leaves them as they were. */
export function analyseBlock(encoder: Encoder, block: Block): void {
  const repeats = changetype<Repeats>(encoder.repeats);
  const before = changetype<usize>(block) + offsetof<Block>('repeat1');
  memory.copy(before, encoder.repeats, REPEATS_SIZE_BYTES);
  memory.fill(block.counts, 0, COUNTS_SIZE_BYTES);
  block.kind = BLOCK_COMPRESSED;
  block.extraBits = 0;
  let ptr = encoder.base + block.start;
  const end = block.sequences + block.sequencesCount * SEQUENCE_SIZE_BYTES;
  for (let each = block.sequences; each < end; each += SEQUENCE_SIZE_BYTES) {
    const sequence = changetype<Sequence>(each);
    sequence.offset = takeOffset(repeats, sequence.distance, sequence.literals);
    countLiterals(block.counts, ptr, sequence.literals);
    countCodes(encoder, block, sequence);
    ptr += sequence.literals + sequence.length;
  }
  const tail = encoder.base + block.start + block.size - ptr;
  countLiterals(block.counts, ptr, tail);
  block.literalsCount = total(block.counts, 256);
  if (estimate(encoder, block) < block.size) return;
  block.kind = BLOCK_RAW;
  memory.copy(encoder.repeats, before, REPEATS_SIZE_BYTES);
}

/** In bounds: literals are bytes of the block. */
function countLiterals(counts: u32, from: u32, size: u32): void {
  for (let ptr = from; ptr < from + size; ++ptr) increment(counts, load<u8>(ptr));
}

function countCodes(encoder: Encoder, block: Block, sequence: Sequence): void {
  const literals = literalLengthCode(encoder, sequence.literals);
  const offset = offsetCode(sequence.offset);
  const match = matchLengthCode(encoder, sequence.length);
  increment(codeCounts(block, CODE_LITERALS), literals);
  increment(codeCounts(block, CODE_OFFSET), offset);
  increment(codeCounts(block, CODE_MATCH), match);
  const lengthBits = load<u8>(LITERAL_LENGTH_BITS + literals) + load<u8>(MATCH_LENGTH_BITS + match);
  block.extraBits += lengthBits + offset;
}

function increment(counts: u32, symbol: u32): void {
  const ptr = counts + (symbol << 2);
  store<u32>(ptr, load<u32>(ptr) + 1);
}

function total(counts: u32, symbols: u32): u32 {
  let sum: u32 = 0;
  for (let symbol: u32 = 0; symbol < symbols; ++symbol) sum += load<u32>(counts + (symbol << 2));
  return sum;
}

/** About how many bytes the block takes, by the entropy of what was counted. */
function estimate(encoder: Encoder, block: Block): u32 {
  let bits = entropy(encoder, block.counts, 256) + ((<u64>block.extraBits) << 16);
  for (let code = CODE_LITERALS; code <= CODE_MATCH; ++code) {
    bits += entropy(encoder, codeCounts(block, code), 64);
  }
  return <u32>(bits >> 19) + OVERHEAD_SIZE_BYTES;
}

/** Bits, in 1/65536, of the counted symbols with an ideal code. */
function entropy(encoder: Encoder, counts: u32, symbols: u32): u64 {
  const sum = total(counts, symbols);
  if (sum == 0) return 0;
  let bits: u64 = 0;
  for (let symbol: u32 = 0; symbol < symbols; ++symbol) {
    const count = load<u32>(counts + (symbol << 2));
    if (count > 0)
      bits += <u64>count * (log2(encoder, sum) - min(log2(encoder, count), log2(encoder, sum)));
  }
  return bits;
}
