// The one memory that all threads of a process have for what plugins share: data, queues, metrics.
// The ABI is synchronous, so that a broker behind a port could not answer; here a lock of some
// microseconds can. Every record is a chain of blocks, which cannot fragment, and is written whole
// before one word makes it known: whoever dies in between leaves blocks that nobody has, never half
// a record.
//
//   head        16 words: see the constants below
//   buckets     16,384 words: the first entry of each, 0 for none
//   namespaces  512 x 4 words   | name | entries | blocks | - |
//   queues      256 x 8 words   | name | first | last | length | target | waiting | mask, 2 words |
//   metrics     4,096 x 2 words | name | kind |
//   cells       4,096 x 22 i64  | value | count | sum | 19 of a histogram |
//   links       65,536 words: the block that follows, 0 for none
//   blocks      65,536 x 256 bytes; the first is nobody's, so that 0 says none
//
//   an entry    | next | hash | cas | key size | value size | namespace | - | - | key | value |
//   a message   | next | - | - | 0 | size | - | - | - | bytes |
//   a name      | - | hash | - | size | 0 | - | - | - | bytes |

import { secretSeed } from '../../core/index.ts';
import { METRICS_COUNT_MAX, NAMESPACES_COUNT_MAX, QUEUES_COUNT_MAX } from '../limits.ts';

export const HEAD_LOCK = 0;
export const HEAD_LAST_CAS = 1;
export const HEAD_CHANNEL = 2;
export const HEAD_ENTRIES = 3;
export const HEAD_FREE_FIRST = 4;
export const HEAD_FREE_COUNT = 5;
export const HEAD_SEED = 6;
/** Goes up when a namespace is given away, so that threads forget its number. */
export const HEAD_EPOCH = 7;
export const HEAD_METRICS = 8;
/** Counters, for the metrics of the host. */
export const HEAD_WAITS = 9;
export const HEAD_TIMEOUTS = 10;
export const HEAD_REPAIRS = 11;
export const HEAD_REFUSALS = 12;
const HEAD_WORDS = 16;

export const BUCKETS_COUNT = 16_384;
export const NAMESPACE_WORDS = 4;
export const QUEUE_WORDS = 8;
export const METRIC_WORDS = 2;
export const METRIC_CELLS = 22;
export const BLOCKS_COUNT = 65_536;
export const BLOCK_SIZE_BYTES = 256;
export const BLOCK_WORDS = BLOCK_SIZE_BYTES / 4;
/** Words before a record's bytes. */
export const RECORD_WORDS = 8;

export const RECORD_NEXT = 0;
export const RECORD_HASH = 1;
export const RECORD_CAS = 2;
export const RECORD_KEY_SIZE = 3;
export const RECORD_VALUE_SIZE = 4;
export const RECORD_NAMESPACE = 5;

const CELLS_SIZE_BYTES = METRICS_COUNT_MAX * METRIC_CELLS * 8;
const TABLE_WORDS =
  BUCKETS_COUNT +
  NAMESPACES_COUNT_MAX * NAMESPACE_WORDS +
  QUEUES_COUNT_MAX * QUEUE_WORDS +
  METRICS_COUNT_MAX * METRIC_WORDS +
  BLOCKS_COUNT;
const CELLS_OFFSET = (HEAD_WORDS + TABLE_WORDS) * 4;
const BLOCKS_OFFSET = CELLS_OFFSET + CELLS_SIZE_BYTES;
export const STORE_SIZE_BYTES = BLOCKS_OFFSET + BLOCKS_COUNT * BLOCK_SIZE_BYTES;

/** The parts of a store's memory. */
export interface StoreView {
  readonly head: Int32Array;
  readonly buckets: Int32Array;
  readonly namespaces: Int32Array;
  readonly queues: Int32Array;
  readonly metrics: Int32Array;
  readonly links: Int32Array;
  readonly cells: BigInt64Array;
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
}

export function viewStore(memory: SharedArrayBuffer): StoreView {
  let offset = 0;
  const words = (count: number) => {
    const part = new Int32Array(memory, offset, count);
    offset += count * 4;
    return part;
  };
  return {
    head: words(HEAD_WORDS),
    buckets: words(BUCKETS_COUNT),
    namespaces: words(NAMESPACES_COUNT_MAX * NAMESPACE_WORDS),
    queues: words(QUEUES_COUNT_MAX * QUEUE_WORDS),
    metrics: words(METRICS_COUNT_MAX * METRIC_WORDS),
    links: words(BLOCKS_COUNT),
    cells: new BigInt64Array(memory, CELLS_OFFSET, METRICS_COUNT_MAX * METRIC_CELLS),
    words: new Int32Array(memory, BLOCKS_OFFSET, BLOCKS_COUNT * BLOCK_WORDS),
    bytes: new Uint8Array(memory, BLOCKS_OFFSET, BLOCKS_COUNT * BLOCK_SIZE_BYTES),
  };
}

/** Makes an empty store, for all threads of a process. Cost: pages that are not used take none. */
export function createSharedStore(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(STORE_SIZE_BYTES);
  const { head, links } = viewStore(memory);
  for (let block = 1; block < BLOCKS_COUNT - 1; block++) links[block] = block + 1;
  head[HEAD_FREE_FIRST] = 1;
  head[HEAD_FREE_COUNT] = BLOCKS_COUNT - 1;
  head[HEAD_CHANNEL] = secretSeed() | 0;
  head[HEAD_SEED] = secretSeed() | 0;
  return memory;
}
