// What the request bodies of one worker hold in memory because somebody behind them reads slowly:
// counted in one place, wherever the bytes stand, so that many stalled uploads together stay below
// one bound. An upload whose bytes go on at once is never counted.

import { UPLOAD_PIECE_SIZE_BYTES, UPLOADS_HELD_SIZE_BYTES_MAX } from './limits.ts';

export class UploadBudget {
  #heldSizeBytes = 0;

  get heldSizeBytes(): number {
    return this.#heldSizeBytes;
  }

  /** Whether more is held than may be: whoever added the last bytes gives up. */
  get isExceeded(): boolean {
    return this.#heldSizeBytes > UPLOADS_HELD_SIZE_BYTES_MAX;
  }

  /** Bytes are held, or (below 0) no longer. */
  change(sizeBytes: number): void {
    this.#heldSizeBytes += sizeBytes;
  }

  /** Why an upload is refused, for its client and the log. */
  describe(): string {
    return (
      `${this.#heldSizeBytes} bytes of request bodies wait in this worker, ` +
      `the limit is ${UPLOADS_HELD_SIZE_BYTES_MAX}`
    );
  }
}

/** What `count` pieces of `sizeBytes` bytes together cost. */
export function heldCost(sizeBytes: number, count: number): number {
  return sizeBytes + count * UPLOAD_PIECE_SIZE_BYTES;
}
