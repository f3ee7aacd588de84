// A thread's view of the shared store.

import type { Timers } from '../contract.ts';
import { SharedEntries } from './entries.ts';
import { bury, forgetVms, readStats, type SharedStoreStats } from './keeper.ts';
import { HEAD_CHANNEL, viewStore } from './layout.ts';
import { StoreLock } from './lock.ts';
import { SharedMetrics } from './metrics.ts';
import { SharedQueueTable } from './queues.ts';
import { ChannelSignals } from './signals.ts';

/** The main thread's number among the owners of the lock: io workers have theirs from 1 on. */
const MAIN_OWNER = 64;

/** What the plugins of one io worker share with those of all others. */
export class SharedStore {
  readonly data: SharedEntries;
  readonly queues: SharedQueueTable;
  readonly metrics: SharedMetrics;

  constructor(memory: SharedArrayBuffer, workerIndex: number, timers: Timers) {
    const view = viewStore(memory);
    const owner = workerIndex + 1;
    const lock = new StoreLock(view.head, owner);
    const signals = new ChannelSignals(view.head[HEAD_CHANNEL]!, owner, (token) =>
      this.queues.takeSignal(token),
    );
    this.data = new SharedEntries(view, lock);
    this.queues = new SharedQueueTable(view, lock, { owner, timers, signals });
    this.metrics = new SharedMetrics(view, lock);
  }

  close(): void {
    this.queues.close();
  }
}

/** The main thread's view: it shares nothing, and keeps order. */
export class SharedStoreKeeper {
  readonly metrics: SharedMetrics;
  readonly #view;
  readonly #lock: StoreLock;
  readonly #signals: ChannelSignals;

  constructor(memory: SharedArrayBuffer) {
    this.#view = viewStore(memory);
    this.#lock = new StoreLock(this.#view.head, MAIN_OWNER);
    this.#signals = new ChannelSignals(this.#view.head[HEAD_CHANNEL]!, MAIN_OWNER, () => {});
    this.metrics = new SharedMetrics(this.#view, this.#lock);
  }

  stats(): SharedStoreStats {
    return readStats(this.#view);
  }

  /** A worker is dead: its lock is taken from it, and others are told of what it was to be told. */
  workerGone(workerIndex: number): void {
    const signals = bury(this.#view, this.#lock, workerIndex + 1);
    for (const signal of signals) this.#signals.send(signal);
  }

  /** Frees what plugins shared that are no more. Returns how many namespaces and queues. */
  forget(isForgotten: (vmId: string) => boolean): number {
    return forgetVms(this.#view, this.#lock, isForgotten);
  }

  /** Frees the metrics of plugins that are no more. Returns how many. */
  forgetMetrics(isGone: (plugin: string) => boolean): number {
    return this.metrics.free(isGone);
  }

  close(): void {
    this.#signals.close();
  }
}
