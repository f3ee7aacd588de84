// The request body on uWS. Bytes come whether or not anybody reads: uWS must be given its data
// handler in the tick of the request, so what comes early is held, bounded, and the socket paused.
// A paused socket gets no writable event either, and a write that fills the socket resumes it. So
// it is never paused while the output is full; what comes meanwhile is held up to the same bound.

import {
  BODY_HELD_SIZE_BYTES_MAX,
  type BodyReader,
  heldCost,
  type UploadBudget,
} from '../core/index.ts';
import { HeldBytes } from './held-bytes.ts';
import type { Upload } from './upload-watch.ts';
import type { UwsResponse } from './uws-native.ts';

const EMPTY = new Uint8Array(0);

/** What a body tells its exchange. */
export interface BodyOwner {
  onBodyError(error: unknown): void;
  /** uWS threw. */
  onBodyNativeError(error: unknown): void;
  /** Nothing came for too long. */
  onBodyCut(): void;
  /** More is held than may be. */
  onBodyOverflow(detail: string): void;
}

export class UwsBody implements Upload {
  idleSweeps = 0;
  receivedSizeBytes = 0;
  isComplete = false;
  #res: UwsResponse | null;
  readonly #owner: BodyOwner;
  readonly #budget: UploadBudget;
  #reader: BodyReader | null = null;
  readonly #held = new HeldBytes();
  /** What of the budget this body holds. */
  #countedSizeBytes = 0;
  #hasLastHeld = false;
  #isHeldBack = true;
  #isPaused = false;
  #isOutputFull = false;
  #isMuted = false;
  #hasProgressed = false;

  constructor(res: UwsResponse, owner: BodyOwner, budget: UploadBudget) {
    this.#res = res;
    this.#owner = owner;
    this.#budget = budget;
  }

  /** Bytes from the socket; `chunk` is valid only during the call. */
  accept(chunk: Uint8Array, isLast: boolean): void {
    if (this.#res === null) return;
    this.#hasProgressed = true;
    this.receivedSizeBytes += chunk.length;
    this.isComplete = isLast;
    if (this.#isMuted) return;
    if (!this.#isHeldBack) {
      this.#deliver(chunk, isLast);
      return;
    }
    this.#held.push(chunk);
    this.#countHeld();
    this.#hasLastHeld = isLast;
    if (this.#countedSizeBytes > BODY_HELD_SIZE_BYTES_MAX) {
      const detail = `${this.#countedSizeBytes} bytes of this body wait`;
      this.#owner.onBodyOverflow(`${detail}, the limit is ${BODY_HELD_SIZE_BYTES_MAX}`);
    } else if (chunk.length > 0 && this.#budget.isExceeded) {
      this.#owner.onBodyOverflow(this.#budget.describe());
    } else if (!isLast) this.#pauseSocket();
  }

  read(reader: BodyReader): void {
    if (this.#reader !== null) return;
    this.#reader = reader;
    this.resume();
  }

  pause(): void {
    this.#isHeldBack = true;
    if (!this.isComplete) this.#pauseSocket();
  }

  resume(): void {
    if (this.#reader === null) return;
    this.#isHeldBack = false;
    this.#deliverHeld();
    if (!this.#isHeldBack && this.#isPaused && this.#res !== null) {
      this.#isPaused = false;
      this.#native((res) => res.resume());
    }
  }

  onOutputFull(): void {
    this.#isOutputFull = true;
    this.#isPaused = false;
  }

  onOutputRoom(): void {
    this.#isOutputFull = false;
    if (this.#isHeldBack && !this.isComplete && !this.#isMuted) this.#pauseSocket();
  }

  /** The plane has given its whole response: what still comes is nobody's. */
  mute(): void {
    this.#isMuted = true;
    this.#forgetHeld();
    this.#hasLastHeld = false;
  }

  /** The response ends: what still comes is discarded, so the socket must be read again. */
  discard(): void {
    if (this.#isPaused) this.#native((res) => res.resume());
    this.release();
  }

  /** The socket is gone or no longer ours. */
  release(): void {
    this.#res = null;
    this.#forgetHeld();
  }

  hasProgressed(): boolean {
    const hasProgressed = this.#hasProgressed || this.#isHeldBack;
    this.#hasProgressed = false;
    return hasProgressed;
  }

  /** Pausing disarms uWS's timer for slow uploads and resuming arms it anew. */
  touch(): void {
    if (this.#isPaused || this.#isOutputFull || this.isComplete || this.#res === null) return;
    this.#native((res) => {
      res.pause();
      res.resume();
    });
  }

  cut(): void {
    this.#owner.onBodyCut();
  }

  #countHeld(): void {
    const costBytes = heldCost(this.#held.sizeBytes, this.#held.blockCount);
    this.#budget.change(costBytes - this.#countedSizeBytes);
    this.#countedSizeBytes = costBytes;
  }

  #forgetHeld(): void {
    this.#held.clear();
    this.#countHeld();
  }

  #pauseSocket(): void {
    if (this.#isOutputFull) return;
    this.#isPaused = true;
    this.#native((res) => res.pause());
  }

  #native(call: (res: UwsResponse) => void): void {
    if (this.#res === null) return;
    try {
      call(this.#res);
    } catch (error) {
      this.#owner.onBodyNativeError(error);
    }
  }

  #deliverHeld(): void {
    while (this.#held.sizeBytes > 0 && !this.#isHeldBack) {
      const chunk = this.#held.shift()!;
      this.#countHeld();
      const isLast = this.#hasLastHeld && this.#held.sizeBytes === 0;
      if (isLast) this.#hasLastHeld = false;
      this.#deliver(chunk, isLast);
    }
    if (this.#hasLastHeld && !this.#isHeldBack) {
      this.#hasLastHeld = false;
      this.#deliver(EMPTY, true);
    }
  }

  #deliver(chunk: Uint8Array, isLast: boolean): void {
    try {
      this.#reader?.onChunk(chunk, isLast);
    } catch (error) {
      this.#owner.onBodyError(error);
    }
  }
}
