// A port between two threads that posts once in a turn of the event loop, whatever is sent in it.

import type { MessagePort } from 'node:worker_threads';
import { type Frame, FrameWriter, readFrames } from './frames.ts';

export class BatchedPort {
  readonly #port: MessagePort;
  readonly #writer = new FrameWriter();
  #isDue = false;
  #isClosed = false;

  constructor(port: MessagePort, take: (frame: Frame) => void, onClosed: () => void) {
    this.#port = port;
    port.on('message', (message: ArrayBuffer) => readFrames(message, take));
    port.on('close', () => {
      this.#isClosed = true;
      onClosed();
    });
  }

  /** Bytes that have not been posted yet. */
  get size(): number {
    return this.#writer.size;
  }

  send(frame: Omit<Frame, 'payload'>, ...parts: readonly Uint8Array[]): void {
    if (this.#isClosed) return;
    this.#writer.add(frame, ...parts);
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => this.flush());
  }

  flush(): void {
    this.#isDue = false;
    if (this.#isClosed || this.#writer.size === 0) return;
    const bytes = this.#writer.take();
    this.#port.postMessage(bytes, [bytes]);
  }

  close(): void {
    this.flush();
    this.#isClosed = true;
    this.#port.close();
  }
}
