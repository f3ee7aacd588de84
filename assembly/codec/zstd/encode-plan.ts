// Which blocks of a batch share a table.

import { blockAt, CODE_LITERALS, CODE_MATCH, setSegment } from './encode-segments';
import { Encoder } from './encode-work';

/** Divides the batch's blocks, from `from` on, into segments. */
export function planBatch(encoder: Encoder, from: u32): void {
  for (let index = from; index < encoder.blocksCount; ++index) {
    const block = blockAt(encoder, index);
    const segment = ++encoder.segmentsCount;
    block.segmentLiterals = segment;
    for (let code = CODE_LITERALS; code <= CODE_MATCH; ++code) setSegment(block, code, segment);
  }
}
