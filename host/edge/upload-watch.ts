// Watches request bodies in flight, and on node responses too, one timer per listener. uWS cuts an
// upload that brings less than 16 KB/s over 10 s unless it is touched; and what makes no progress
// at all must end somewhere.

import { BODY_IDLE_TIMEOUT_MS } from '../core/index.ts';

export interface Upload {
  /** Whether bytes came since the last call, or the plane holds the client back. */
  hasProgressed(): boolean;
  /** Tells the engine that the upload is alive. */
  touch(): void;
  /** Ends the exchange: the body brought nothing for too long. */
  cut(): void;
  idleSweeps: number;
}

/** Well under the 10 s of uWS, whose own timer has a grain of 4 s. */
const SWEEP_MS = 4_000;
const IDLE_SWEEPS_MAX = Math.floor(BODY_IDLE_TIMEOUT_MS / SWEEP_MS);

export class UploadWatch {
  readonly #uploads = new Set<Upload>();
  readonly #lingering = new Set<() => void>();
  readonly #timer = setInterval(() => this.sweep(), SWEEP_MS).unref();

  add(upload: Upload): void {
    this.#uploads.add(upload);
  }

  delete(upload: Upload): void {
    this.#uploads.delete(upload);
  }

  /** Calls once between one and two sweeps from now: time for bytes already given to leave. */
  linger(close: () => void): void {
    let isRipe = false;
    const sweepOnce = () => {
      if (!isRipe) {
        isRipe = true;
        return;
      }
      this.#lingering.delete(sweepOnce);
      close();
    };
    this.#lingering.add(sweepOnce);
  }

  /** Public for tests, which do not wait. */
  sweep(): void {
    for (const sweepOnce of this.#lingering) sweepOnce();
    for (const upload of this.#uploads) {
      upload.idleSweeps = upload.hasProgressed() ? 0 : upload.idleSweeps + 1;
      if (upload.idleSweeps >= IDLE_SWEEPS_MAX) upload.cut();
      else upload.touch();
    }
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#uploads.clear();
    this.#lingering.clear();
  }
}
