// How a thread tells another that something waits in a queue. A channel by name reaches threads
// that nobody has to introduce to each other; it is opened when the first queue is watched or used
// by another thread, so that a gateway without queues has none.

import { BroadcastChannel } from 'node:worker_threads';

/** `target`: the owner's number of the thread that shall look; `token`: the queue. */
export type Signal = readonly [target: number, token: number];

export interface QueueSignals {
  send(signal: Signal): void;
  /** Begins to take signals for this thread. */
  listen(): void;
  close(): void;
}

export class ChannelSignals implements QueueSignals {
  readonly #name: string;
  readonly #owner: number;
  readonly #onSignal: (token: number) => void;
  #channel: BroadcastChannel | null = null;

  /** `id`: of the store, for there may be several in a process. */
  constructor(id: number, owner: number, onSignal: (token: number) => void) {
    this.#name = `sluice-queues-${id >>> 0}`;
    this.#owner = owner;
    this.#onSignal = onSignal;
  }

  send(signal: Signal): void {
    this.#open().postMessage(signal);
  }

  listen(): void {
    this.#open();
  }

  close(): void {
    this.#channel?.close();
    this.#channel = null;
  }

  #open(): BroadcastChannel {
    if (this.#channel !== null) return this.#channel;
    const channel = new BroadcastChannel(this.#name);
    channel.unref();
    channel.onmessage = (event: unknown) => {
      const [target, token] = (event as { readonly data: Signal }).data;
      if (target === this.#owner) this.#onSignal(token);
    };
    this.#channel = channel;
    return channel;
  }
}
