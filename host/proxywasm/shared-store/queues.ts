// Shared queues, the same for every thread. Each message calls on_queue_ready once, on the thread
// that registered the queue last, in the instance that did; when that one is gone, another that
// registered it takes its place, and what nobody was told of waits for the next.

import type { SharedQueues, Timers } from '../contract.ts';
import { QUEUE_MESSAGES_COUNT_MAX, QUEUES_COUNT_MAX } from '../limits.ts';
import { Blocks, blocksFor } from './blocks.ts';
import {
  BLOCKS_COUNT,
  HEAD_REFUSALS,
  QUEUE_WORDS,
  RECORD_NEXT,
  RECORD_VALUE_SIZE,
  type StoreView,
} from './layout.ts';
import type { StoreLock } from './lock.ts';
import { isNamed, makeName } from './names.ts';
import type { QueueSignals } from './signals.ts';

export const QUEUE_NAME = 0;
export const QUEUE_FIRST = 1;
export const QUEUE_LAST = 2;
export const QUEUE_LENGTH = 3;
/** The thread whose turn it is to be told; 0 for none. */
const QUEUE_TARGET = 4;
/** Messages that nobody was told of. */
export const QUEUE_WAITING = 5;
/** A bit for each thread that watches, by its number less one. */
const QUEUE_MASK = 6;

/** Messages of all queues may take half of the blocks, so that data is never starved. */
const QUEUE_BLOCKS_LEFT_MIN = BLOCKS_COUNT / 2;
/** Calls into guests between two turns of the event loop. */
const CALLS_PER_TURN_MAX = 64;

/** Takes a thread off a queue's watchers; under the lock. Returns the thread to signal, or 0. */
export function leaveQueue(queues: Int32Array, token: number, owner: number): number {
  const at = (token - 1) * QUEUE_WORDS;
  const word = at + QUEUE_MASK + ((owner - 1) >> 5);
  queues[word]! &= ~(1 << ((owner - 1) & 31));
  if (queues[at + QUEUE_TARGET] !== owner) return 0;
  const heir = firstOf(queues[at + QUEUE_MASK]!, queues[at + QUEUE_MASK + 1]!);
  queues[at + QUEUE_TARGET] = heir;
  return queues[at + QUEUE_WAITING]! > 0 ? heir : 0;
}

function firstOf(low: number, high: number): number {
  if (low !== 0) return 32 - Math.clz32(low & -low);
  return high === 0 ? 0 : 64 - Math.clz32(high & -high);
}

export class SharedQueueTable implements SharedQueues {
  readonly #view: StoreView;
  readonly #lock: StoreLock;
  readonly #blocks: Blocks;
  readonly #owner: number;
  readonly #timers: Timers;
  readonly #signals: QueueSignals;
  readonly #encoder = new TextEncoder();
  /** By token, in the order in which they registered. */
  readonly #watchers = new Map<number, (() => void)[]>();
  readonly #scheduled = new Set<number>();

  constructor(
    view: StoreView,
    lock: StoreLock,
    { owner, timers, signals }: { owner: number; timers: Timers; signals: QueueSignals },
  ) {
    this.#view = view;
    this.#lock = lock;
    this.#blocks = new Blocks(view);
    this.#owner = owner;
    this.#timers = timers;
    this.#signals = signals;
  }

  register(vmId: string, name: string): number {
    const label = this.#label(vmId, name);
    if (!this.#lock.take()) return 0;
    try {
      const known = this.#find(label);
      if (known !== 0) return known;
      for (let token = 1; token <= QUEUES_COUNT_MAX; token++) {
        const at = (token - 1) * QUEUE_WORDS;
        if (this.#view.queues[at + QUEUE_NAME] !== 0) continue;
        this.#view.queues.fill(0, at, at + QUEUE_WORDS);
        this.#view.queues[at + QUEUE_NAME] = makeName(this.#blocks, label);
        return this.#view.queues[at + QUEUE_NAME] === 0 ? 0 : token;
      }
      return 0;
    } finally {
      this.#lock.release();
    }
  }

  resolve(vmId: string, name: string): number {
    const label = this.#label(vmId, name);
    if (!this.#lock.take()) return 0;
    try {
      return this.#find(label);
    } finally {
      this.#lock.release();
    }
  }

  enqueue(token: number, value: Uint8Array): 'ok' | 'not-found' | 'full' | 'busy' {
    const at = this.#place(token);
    if (at < 0) return 'not-found';
    if (!this.#lock.take()) return 'busy';
    let target = 0;
    try {
      const { queues, head } = this.#view;
      if (queues[at + QUEUE_NAME] === 0) return 'not-found';
      if (!this.#hasRoom(at, value.length)) {
        Atomics.add(head, HEAD_REFUSALS, 1);
        return 'full';
      }
      const record = this.#blocks.allocate(value.length);
      this.#blocks.setWord(record, RECORD_VALUE_SIZE, value.length);
      this.#blocks.write(record, 0, value);
      const last = queues[at + QUEUE_LAST]!;
      // From this word on the message is in the queue.
      if (last === 0) queues[at + QUEUE_FIRST] = record;
      else this.#blocks.setWord(last, RECORD_NEXT, record);
      queues[at + QUEUE_LAST] = record;
      queues[at + QUEUE_LENGTH]! += 1;
      queues[at + QUEUE_WAITING]! += 1;
      // Whoever has been told of one message looks for all that wait.
      if (queues[at + QUEUE_WAITING] === 1) target = queues[at + QUEUE_TARGET]!;
    } finally {
      this.#lock.release();
    }
    this.#tell(target, token);
    return 'ok';
  }

  dequeue(token: number): Uint8Array | 'not-found' | 'empty' | 'busy' {
    const at = this.#place(token);
    if (at < 0) return 'not-found';
    if (!this.#lock.take()) return 'busy';
    try {
      const { queues } = this.#view;
      if (queues[at + QUEUE_NAME] === 0) return 'not-found';
      const record = queues[at + QUEUE_FIRST]!;
      if (record === 0) return 'empty';
      const value = this.#blocks.read(record, 0, this.#blocks.word(record, RECORD_VALUE_SIZE));
      const next = this.#blocks.word(record, RECORD_NEXT);
      queues[at + QUEUE_FIRST] = next;
      if (next === 0) queues[at + QUEUE_LAST] = 0;
      queues[at + QUEUE_LENGTH]! -= 1;
      this.#blocks.free(record);
      return value;
    } finally {
      this.#lock.release();
    }
  }

  watch(token: number, onReady: () => void): () => void {
    const at = this.#place(token);
    if (at < 0) return () => {};
    const own = () => onReady();
    const watchers = this.#watchers.get(token) ?? [];
    this.#watchers.set(token, watchers);
    watchers.push(own);
    this.#signals.listen();
    if (this.#lock.take()) {
      try {
        const { queues } = this.#view;
        queues[at + QUEUE_MASK + ((this.#owner - 1) >> 5)]! |= 1 << ((this.#owner - 1) & 31);
        queues[at + QUEUE_TARGET] = this.#owner;
      } finally {
        this.#lock.release();
      }
      this.#tell(this.#owner, token);
    }
    return () => this.#unwatch(token, own);
  }

  /** Another thread says that something waits. */
  takeSignal(token: number): void {
    this.#schedule(token);
  }

  close(): void {
    for (const [token, watchers] of this.#watchers) {
      for (const watcher of [...watchers]) this.#unwatch(token, watcher);
    }
    this.#signals.close();
  }

  #unwatch(token: number, own: () => void): void {
    const watchers = this.#watchers.get(token);
    const place = watchers?.indexOf(own) ?? -1;
    if (watchers === undefined || place < 0) return;
    watchers.splice(place, 1);
    if (watchers.length > 0) return;
    this.#watchers.delete(token);
    // Not taken in time, the queue keeps a target that does not look; the next to register is one
    // that does.
    if (!this.#lock.take()) return;
    let heir = 0;
    try {
      heir = leaveQueue(this.#view.queues, token, this.#owner);
    } finally {
      this.#lock.release();
    }
    this.#tell(heir, token);
  }

  #tell(target: number, token: number): void {
    if (target === 0) return;
    if (target === this.#owner) this.#schedule(token);
    else this.#signals.send([target, token]);
  }

  #schedule(token: number): void {
    if (this.#scheduled.has(token)) return;
    this.#scheduled.add(token);
    this.#timers.after(0, () => {
      this.#scheduled.delete(token);
      this.#callWatcher(token);
    });
  }

  /** One call for each message that waits; the guest may end the watcher in any of them. */
  #callWatcher(token: number): void {
    for (let calls = 0; calls < CALLS_PER_TURN_MAX; calls++) {
      const watcher = this.#watchers.get(token)?.at(-1);
      if (watcher === undefined || !this.#takeOne(token)) return;
      watcher();
    }
    this.#schedule(token);
  }

  #takeOne(token: number): boolean {
    if (!this.#lock.take()) {
      this.#schedule(token);
      return false;
    }
    try {
      const { queues } = this.#view;
      const at = (token - 1) * QUEUE_WORDS;
      if (queues[at + QUEUE_TARGET] !== this.#owner) return false;
      // What was taken unasked needs no call.
      const waiting = Math.min(queues[at + QUEUE_WAITING]!, queues[at + QUEUE_LENGTH]!);
      queues[at + QUEUE_WAITING] = Math.max(0, waiting - 1);
      return waiting > 0;
    } finally {
      this.#lock.release();
    }
  }

  #hasRoom(at: number, sizeBytes: number): boolean {
    if (this.#view.queues[at + QUEUE_LENGTH]! >= QUEUE_MESSAGES_COUNT_MAX) return false;
    return this.#blocks.freeCount - blocksFor(sizeBytes) >= QUEUE_BLOCKS_LEFT_MIN;
  }

  #label(vmId: string, name: string): Uint8Array {
    return this.#encoder.encode(`${vmId}\0${name}`);
  }

  #find(label: Uint8Array): number {
    const { queues } = this.#view;
    for (let token = 1; token <= QUEUES_COUNT_MAX; token++) {
      const record = queues[(token - 1) * QUEUE_WORDS + QUEUE_NAME]!;
      if (record !== 0 && isNamed(this.#blocks, record, label)) return token;
    }
    return 0;
  }

  #place(token: number): number {
    const isToken = Number.isInteger(token) && token >= 1 && token <= QUEUES_COUNT_MAX;
    return isToken ? (token - 1) * QUEUE_WORDS : -1;
  }
}
