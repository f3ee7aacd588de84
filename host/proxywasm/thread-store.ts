// Shared data and queues of one thread alone, where there is no store that all threads share:
// while a module is tried, and in tests of a plugin. The same bounds and answers as there.

import type { SharedData, SharedEntry, SharedQueues, SharedStatus, Timers } from './contract.ts';
import {
  QUEUE_MESSAGES_COUNT_MAX,
  QUEUES_COUNT_MAX,
  SHARED_ENTRIES_COUNT_MAX,
  SHARED_SIZE_BYTES_MAX,
} from './limits.ts';

const ABSENT_CAS = 0xffff_ffff;

export class ThreadData implements SharedData {
  readonly #entries = new Map<string, SharedEntry>();
  #sizeBytes = 0;
  #lastCas = 0;

  get(vmId: string, key: string): SharedEntry | null {
    return this.#entries.get(`${vmId}\0${key}`) ?? null;
  }

  set(vmId: string, key: string, value: Uint8Array, cas: number): SharedStatus {
    const name = `${vmId}\0${key}`;
    const before = this.#entries.get(name);
    if (cas !== 0 && (before?.cas ?? ABSENT_CAS) !== cas) return 'cas-mismatch';
    const changeBytes = value.length - (before === undefined ? -name.length : before.value.length);
    if (this.#sizeBytes + changeBytes > SHARED_SIZE_BYTES_MAX) return 'full';
    if (before === undefined && this.#entries.size >= SHARED_ENTRIES_COUNT_MAX) return 'full';
    this.#sizeBytes += changeBytes;
    this.#lastCas = this.#lastCas >= ABSENT_CAS - 1 ? 1 : this.#lastCas + 1;
    this.#entries.set(name, { value: Uint8Array.from(value), cas: this.#lastCas });
    return 'ok';
  }
}

interface Queue {
  readonly messages: Uint8Array[];
  readonly watchers: Set<() => void>;
}

export class ThreadQueues implements SharedQueues {
  readonly #timers: Timers;
  readonly #tokens = new Map<string, number>();
  readonly #queues: Queue[] = [];
  #sizeBytes = 0;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  register(vmId: string, name: string): number {
    const known = this.resolve(vmId, name);
    if (known !== 0) return known;
    if (this.#queues.length >= QUEUES_COUNT_MAX) return 0;
    const token = this.#queues.push({ messages: [], watchers: new Set() });
    this.#tokens.set(`${vmId}\0${name}`, token);
    return token;
  }

  resolve(vmId: string, name: string): number {
    return this.#tokens.get(`${vmId}\0${name}`) ?? 0;
  }

  enqueue(token: number, value: Uint8Array): 'ok' | 'not-found' | 'full' {
    const queue = this.#queues[token - 1];
    if (queue === undefined) return 'not-found';
    const isFull = queue.messages.length >= QUEUE_MESSAGES_COUNT_MAX;
    if (isFull || this.#sizeBytes + value.length > SHARED_SIZE_BYTES_MAX) return 'full';
    queue.messages.push(Uint8Array.from(value));
    this.#sizeBytes += value.length;
    // Whoever registered it last is told, and no other.
    this.#timers.after(0, () => [...queue.watchers].at(-1)?.());
    return 'ok';
  }

  dequeue(token: number): Uint8Array | 'not-found' | 'empty' {
    const queue = this.#queues[token - 1];
    if (queue === undefined) return 'not-found';
    const value = queue.messages.shift();
    if (value === undefined) return 'empty';
    this.#sizeBytes -= value.length;
    return value;
  }

  watch(token: number, onReady: () => void): () => void {
    const queue = this.#queues[token - 1];
    const own = () => onReady();
    queue?.watchers.add(own);
    return () => queue?.watchers.delete(own);
  }
}
