// The pieces of request bodies that an upstream's socket has been given and the kernel has not
// taken: written through here, so that they count in the worker's upload budget.

import type { Socket } from 'node:net';
import { heldCost, type UploadBudget } from '../../core/index.ts';

export class SocketQueue {
  readonly #socket: Socket;
  readonly #budget: UploadBudget;
  readonly #onEmpty: () => void;
  readonly #onWritten = (): void => this.#countWritten();
  #piecesCount = 0;
  #isReleased = false;
  /** What they cost; 0 when the kernel has taken all. */
  heldSizeBytes = 0;

  /** `onEmpty`: a piece has been taken and none is left. The socket's own `drain` tells it only
   *  after 16 KiB, which small pieces do not reach. */
  constructor(socket: Socket, budget: UploadBudget, onEmpty: () => void) {
    this.#socket = socket;
    this.#budget = budget;
    this.#onEmpty = onEmpty;
  }

  write(bytes: Buffer): void {
    this.#piecesCount += 1;
    this.#socket.write(bytes, this.#onWritten);
    this.count();
  }

  count(): void {
    const { writableLength } = this.#socket;
    const sizeBytes = writableLength === 0 ? 0 : heldCost(writableLength, this.#piecesCount);
    this.#budget.change(sizeBytes - this.heldSizeBytes);
    this.heldSizeBytes = sizeBytes;
  }

  /** The socket is gone, and its queue with it. */
  release(): void {
    this.#isReleased = true;
    this.#budget.change(-this.heldSizeBytes);
    this.heldSizeBytes = 0;
  }

  #countWritten(): void {
    this.#piecesCount -= 1;
    if (this.#isReleased || this.heldSizeBytes === 0) return;
    this.count();
    if (this.heldSizeBytes === 0) this.#onEmpty();
  }
}
