// The request body on node: a paused stream until somebody reads it, so that the client is held
// back by TCP or by the HTTP/2 window with nothing held here.

import { type BodyReader, HEADERS_COUNT_MAX } from '../core/index.ts';
import type { NodeHost } from './node-host.ts';
import type { NodeRequest } from './node-native.ts';
import type { Upload } from './upload-watch.ts';

const EMPTY = new Uint8Array(0);

export interface NodeBodyOwner {
  /** Sends `100 Continue`; null when the client does not wait for it. */
  readonly onContinue: (() => void) | null;
  onError(error: unknown): void;
  /** What followed the body cannot be taken. */
  onMalformed(detail: string): void;
  /** Nothing came for too long. */
  onCut(): void;
}

export class NodeBody implements Upload {
  idleSweeps = 0;
  receivedSizeBytes = 0;
  isComplete = false;
  readonly #req: NodeRequest;
  readonly #host: NodeHost;
  readonly #owner: NodeBodyOwner;
  #reader: BodyReader | null = null;
  #isHeldBack = true;
  #hasProgressed = false;

  constructor(req: NodeRequest, host: NodeHost, owner: NodeBodyOwner) {
    this.#req = req;
    this.#host = host;
    this.#owner = owner;
    host.uploads.add(this);
    // A body that breaks off ends the exchange through the response; without a listener the error
    // would be thrown.
    req.on('error', () => {});
  }

  read(reader: BodyReader): void {
    if (this.#reader !== null) return;
    this.#reader = reader;
    this.#isHeldBack = false;
    this.#owner.onContinue?.();
    this.#req.on('data', (chunk: Buffer) => {
      this.#hasProgressed = true;
      this.#host.progress.noteArrival();
      this.receivedSizeBytes += chunk.length;
      this.#deliver(chunk, false);
    });
    this.#req.on('end', () => {
      this.isComplete = true;
      this.#host.uploads.delete(this);
      const count = this.#req.rawTrailers.length / 2;
      if (count > HEADERS_COUNT_MAX) {
        this.#owner.onMalformed(`${count} trailers, the limit is ${HEADERS_COUNT_MAX}`);
        return;
      }
      this.#deliver(EMPTY, true);
    });
  }

  pause(): void {
    this.#isHeldBack = true;
    this.#req.pause();
  }

  resume(): void {
    if (this.#reader === null) return;
    this.#isHeldBack = false;
    this.#req.resume();
  }

  /** The response ends: what still comes is thrown away. */
  discard(): void {
    this.stop();
    if (!this.isComplete) this.#req.resume();
  }

  stop(): void {
    this.#reader = null;
    this.#host.uploads.delete(this);
  }

  hasProgressed(): boolean {
    const hasProgressed = this.#hasProgressed || this.#isHeldBack;
    this.#hasProgressed = false;
    return hasProgressed;
  }

  /** Node has no timer of its own here: none is set. */
  touch(): void {}

  cut(): void {
    this.#owner.onCut();
  }

  #deliver(chunk: Uint8Array, isLast: boolean): void {
    try {
      this.#reader?.onChunk(chunk, isLast);
    } catch (error) {
      this.#owner.onError(error);
    }
  }
}
