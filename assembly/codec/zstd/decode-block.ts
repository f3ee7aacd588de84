// A compressed block: literals, then sequences (RFC 8878 section 3.1.1.3).

import { STATUS_CORRUPT } from '../../shared/status';
import { readLiterals } from './decode-literals';
import { readCount, readTables } from './decode-sequence-tables';
import { appendLiterals, decodeSequences } from './decode-sequences';
import { LITERALS_PTR, NEXT_PTR } from './decode-work';

/** Decodes the block at `ptr`; returns the bytes produced, `sizeMax` at most.
 *  Errors: STATUS_TOO_LONG beyond `outputEnd`, else STATUS_CORRUPT. */
export function decodeBlock(
  work: u32,
  ptr: u32,
  size: u32,
  sizeMax: u32,
  output: u32,
  outputEnd: u32,
): i32 {
  const end = ptr + size;
  const literalsSize = readLiterals(work, ptr, end, sizeMax);
  if (literalsSize < 0) return literalsSize;
  const count = readCount(work, ptr + literalsSize, end);
  if (count < 0) return count;
  const after = load<u32>(work, NEXT_PTR);
  if (count == 0) {
    if (after != end) return STATUS_CORRUPT;
    return appendLiterals(work, load<u32>(work, LITERALS_PTR), output, outputEnd);
  }
  const stream = readTables(work, after, end);
  if (stream == 0) return STATUS_CORRUPT;
  return decodeSequences(work, stream, end - stream, count, output, outputEnd);
}
