// A response on node that its client has not read yet. Node waits for a reader for ever, and each
// response that waits holds an exchange and an upstream connection, so one that takes nothing for
// too long is cut. What was given less what is queued is the measure: it grows while the client
// reads.

import type { NodeResponse } from './node-native.ts';
import type { Upload } from './upload-watch.ts';

export class NodeOutput implements Upload {
  idleSweeps = 0;
  /** Body bytes that the plane has given so far. */
  givenSizeBytes = 0;
  readonly #res: NodeResponse;
  readonly #onCut: () => void;
  #takenSizeBytes = 0;

  constructor(res: NodeResponse, onCut: () => void) {
    this.#res = res;
    this.#onCut = onCut;
  }

  /** A response that waits for its plane has nothing queued, and may wait; so may one that is
   *  pipelined behind another, which has no socket yet. */
  hasProgressed(): boolean {
    if (!this.#res.socket) return true;
    const { writableLength } = this.#res;
    const before = this.#takenSizeBytes;
    this.#takenSizeBytes = this.givenSizeBytes - writableLength;
    return writableLength === 0 || this.#takenSizeBytes !== before;
  }

  /** Node has no timer of its own here: none is set. */
  touch(): void {}

  cut(): void {
    this.#onCut();
  }
}
