// The main thread's part of the shared store: what a dead thread held is put in order, and what
// nobody uses any more is given back.

import { NAMESPACES_COUNT_MAX, QUEUES_COUNT_MAX } from '../limits.ts';
import { Blocks, blocksFor } from './blocks.ts';
import {
  BLOCK_SIZE_BYTES,
  BLOCKS_COUNT,
  BUCKETS_COUNT,
  HEAD_ENTRIES,
  HEAD_EPOCH,
  HEAD_FREE_COUNT,
  HEAD_FREE_FIRST,
  HEAD_METRICS,
  HEAD_REFUSALS,
  HEAD_REPAIRS,
  HEAD_TIMEOUTS,
  HEAD_WAITS,
  METRIC_WORDS,
  NAMESPACE_WORDS,
  QUEUE_WORDS,
  RECORD_KEY_SIZE,
  RECORD_NAMESPACE,
  RECORD_NEXT,
  RECORD_VALUE_SIZE,
  type StoreView,
} from './layout.ts';
import type { StoreLock } from './lock.ts';
import { METRIC_NAME } from './metrics.ts';
import { NAMESPACE_BLOCKS, NAMESPACE_ENTRIES, NAMESPACE_NAME } from './names.ts';
import {
  leaveQueue,
  QUEUE_FIRST,
  QUEUE_LAST,
  QUEUE_LENGTH,
  QUEUE_NAME,
  QUEUE_WAITING,
} from './queues.ts';

export interface SharedStoreStats {
  readonly entriesCount: number;
  readonly usedSizeBytes: number;
  readonly queuesCount: number;
  readonly messagesCount: number;
  readonly metricsCount: number;
  /** Writes that found no room. */
  readonly refusedCount: number;
  /** Times that a thread slept for the lock, and that it went on without. */
  readonly waitsCount: number;
  readonly timeoutsCount: number;
  /** Times that a thread died with the lock. */
  readonly repairsCount: number;
}

/** Reads the counters, without the lock: each is true, together they may be a moment apart. */
export function readStats({ head, metrics, queues }: StoreView): SharedStoreStats {
  let queuesCount = 0;
  let messagesCount = 0;
  for (let at = 0; at < queues.length; at += QUEUE_WORDS) {
    if (queues[at + QUEUE_NAME] === 0) continue;
    queuesCount += 1;
    messagesCount += queues[at + QUEUE_LENGTH]!;
  }
  let metricsCount = 0;
  for (let place = 0; place < head[HEAD_METRICS]!; place++) {
    if (metrics[place * METRIC_WORDS + METRIC_NAME] !== 0) metricsCount += 1;
  }
  return {
    entriesCount: head[HEAD_ENTRIES]!,
    usedSizeBytes: (BLOCKS_COUNT - 1 - head[HEAD_FREE_COUNT]!) * BLOCK_SIZE_BYTES,
    queuesCount,
    messagesCount,
    metricsCount,
    refusedCount: head[HEAD_REFUSALS]!,
    waitsCount: head[HEAD_WAITS]!,
    timeoutsCount: head[HEAD_TIMEOUTS]!,
    repairsCount: head[HEAD_REPAIRS]!,
  };
}

/** Takes a dead thread out of the store: its lock, and its place among the watchers. Returns the
 *  queues that somebody else has to look at. Cost: some ms when it held the lock. */
export function bury(
  view: StoreView,
  lock: StoreLock,
  owner: number,
): readonly (readonly [target: number, token: number])[] {
  const hadLock = lock.takeFrom(owner);
  if (!hadLock && !lock.take()) return [];
  try {
    if (hadLock) {
      repair(view);
      Atomics.add(view.head, HEAD_REPAIRS, 1);
    }
    const signals: (readonly [number, number])[] = [];
    for (let token = 1; token <= QUEUES_COUNT_MAX; token++) {
      const heir = leaveQueue(view.queues, token, owner);
      if (heir !== 0) signals.push([heir, token]);
    }
    return signals;
  } finally {
    lock.release();
  }
}

/** Counts everything anew from what is reachable; every other block is free. Under the lock. */
function repair(view: StoreView): void {
  const { head, buckets, namespaces, queues, metrics, links } = view;
  const blocks = new Blocks(view);
  const isUsed = new Uint8Array(BLOCKS_COUNT);
  const mark = (record: number) => {
    for (let block = record; block !== 0; block = links[block]!) isUsed[block] = 1;
  };
  for (let at = 0; at < namespaces.length; at += NAMESPACE_WORDS) {
    mark(namespaces[at + NAMESPACE_NAME]!);
    namespaces[at + NAMESPACE_ENTRIES] = 0;
    namespaces[at + NAMESPACE_BLOCKS] = 0;
  }
  head[HEAD_ENTRIES] = 0;
  for (let bucket = 0; bucket < BUCKETS_COUNT; bucket++) {
    for (let record = buckets[bucket]!; record !== 0; record = blocks.word(record, RECORD_NEXT)) {
      mark(record);
      head[HEAD_ENTRIES]! += 1;
      const at = blocks.word(record, RECORD_NAMESPACE) * NAMESPACE_WORDS;
      namespaces[at + NAMESPACE_ENTRIES]! += 1;
      namespaces[at + NAMESPACE_BLOCKS]! += blocksFor(sizeOf(blocks, record));
    }
  }
  for (let at = 0; at < queues.length; at += QUEUE_WORDS) {
    mark(queues[at + QUEUE_NAME]!);
    repairQueue(blocks, queues, at, mark);
  }
  const metricsCount = head[HEAD_METRICS]!;
  for (let id = 0; id < metricsCount; id++) mark(metrics[id * METRIC_WORDS + METRIC_NAME]!);
  head[HEAD_FREE_FIRST] = 0;
  head[HEAD_FREE_COUNT] = 0;
  for (let block = BLOCKS_COUNT - 1; block > 0; block--) {
    if (isUsed[block] === 1) continue;
    links[block] = head[HEAD_FREE_FIRST]!;
    head[HEAD_FREE_FIRST] = block;
    head[HEAD_FREE_COUNT]! += 1;
  }
}

function repairQueue(
  blocks: Blocks,
  queues: Int32Array,
  at: number,
  mark: (record: number) => void,
): void {
  let length = 0;
  let last = 0;
  const first = queues[at + QUEUE_FIRST]!;
  for (let record = first; record !== 0; record = blocks.word(record, RECORD_NEXT)) {
    mark(record);
    length += 1;
    last = record;
  }
  queues[at + QUEUE_LAST] = last;
  // A message that came in with the death may not have been counted: it is told of once too often
  // rather than never.
  if (length > queues[at + QUEUE_LENGTH]!) queues[at + QUEUE_WAITING]! += 1;
  queues[at + QUEUE_LENGTH] = length;
}

/** Frees what namespaces and queues hold of vm ids that no plugin has any more: a vm id is most
 *  often a module's hash, and modules come and go. Cost: one look at each bucket. */
export function forgetVms(
  view: StoreView,
  lock: StoreLock,
  isForgotten: (vmId: string) => boolean,
): number {
  if (!lock.take()) return 0;
  try {
    const blocks = new Blocks(view);
    const gone = new Set<number>();
    for (let index = 0; index < NAMESPACES_COUNT_MAX; index++) {
      const name = view.namespaces[index * NAMESPACE_WORDS + NAMESPACE_NAME]!;
      if (name !== 0 && isForgotten(textOf(blocks, name))) gone.add(index);
    }
    if (gone.size > 0) freeNamespaces(view, blocks, gone);
    return gone.size + freeQueues(view, blocks, isForgotten);
  } finally {
    lock.release();
  }
}

function freeNamespaces(view: StoreView, blocks: Blocks, gone: ReadonlySet<number>): void {
  const { head, buckets, namespaces } = view;
  for (let bucket = 0; bucket < BUCKETS_COUNT; bucket++) {
    let before = 0;
    let record = buckets[bucket]!;
    while (record !== 0) {
      const next = blocks.word(record, RECORD_NEXT);
      if (gone.has(blocks.word(record, RECORD_NAMESPACE))) {
        if (before === 0) buckets[bucket] = next;
        else blocks.setWord(before, RECORD_NEXT, next);
        blocks.free(record);
        head[HEAD_ENTRIES]! -= 1;
      } else before = record;
      record = next;
    }
  }
  for (const index of gone) {
    const at = index * NAMESPACE_WORDS;
    const name = namespaces[at + NAMESPACE_NAME]!;
    namespaces.fill(0, at, at + NAMESPACE_WORDS);
    blocks.free(name);
  }
  head[HEAD_EPOCH] = (head[HEAD_EPOCH]! + 1) | 0;
}

function freeQueues(
  view: StoreView,
  blocks: Blocks,
  isForgotten: (vmId: string) => boolean,
): number {
  const { queues } = view;
  let count = 0;
  for (let at = 0; at < queues.length; at += QUEUE_WORDS) {
    const name = queues[at + QUEUE_NAME]!;
    if (name === 0 || !isForgotten(textOf(blocks, name).split('\0')[0]!)) continue;
    let record = queues[at + QUEUE_FIRST]!;
    queues.fill(0, at, at + QUEUE_WORDS);
    while (record !== 0) {
      const next = blocks.word(record, RECORD_NEXT);
      blocks.free(record);
      record = next;
    }
    blocks.free(name);
    count += 1;
  }
  return count;
}

function textOf(blocks: Blocks, record: number): string {
  return new TextDecoder().decode(blocks.read(record, 0, blocks.word(record, RECORD_KEY_SIZE)));
}

function sizeOf(blocks: Blocks, record: number): number {
  return blocks.word(record, RECORD_KEY_SIZE) + blocks.word(record, RECORD_VALUE_SIZE);
}
