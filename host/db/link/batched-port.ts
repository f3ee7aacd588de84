// A port between two threads that posts once in a turn of the event loop, whatever is sent in it,
// as long as that is not much.

import type { MessagePort } from 'node:worker_threads';
import { type Frame, FrameWriter, readFrames } from './frames.ts';

/** As much is posted at once, in the middle of a turn. */
const POST_SIZE_BYTES_MIN = 4_194_304;

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
    // Large replies of one turn need not stand in one buffer.
    if (this.#writer.size >= POST_SIZE_BYTES_MIN) this.flush();
    if (this.#isDue || this.#writer.size === 0) return;
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
