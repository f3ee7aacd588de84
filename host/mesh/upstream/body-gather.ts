// Body bytes of one request that wait for the end of this turn of the event loop, so that a body
// which comes byte by byte is not written byte by byte: a write to a socket costs some thousand
// times what a byte costs. What is taken is one buffer, framed as one chunk where the body is
// chunked, with the request's head before it where that still waits. It refuses to hold more than a
// bound: its owner takes what is there first.
//
//   | room for the head and a size line | body bytes | room to grow | room for CRLF, last chunk |
//   0                        #dataOffset   #endOffset

import { LAST_CHUNK } from './request-writer.ts';

/** Bytes that are gathered before they are written though the turn goes on: one read of a socket.
 *  A larger piece is never joined with another. */
export const BODY_GATHER_SIZE_BYTES_MAX = 65_536;

/** A size in up to eight hexadecimal digits, and CRLF. */
const SIZE_LINE_SIZE_BYTES_MAX = 10;
const TAIL_SIZE_BYTES = 2 + LAST_CHUNK.length;
const NOTHING = Buffer.alloc(0);

export interface BodyFraming {
  /** What stands before the body and has not been sent; or `''`. */
  readonly head: string;
  readonly isChunked: boolean;
  /** Whether the body ends here. */
  readonly isLast: boolean;
}

export class BodyGather {
  #bytes: Buffer = NOTHING;
  #dataOffset = 0;
  #endOffset = 0;

  /** Body bytes that wait. */
  get sizeBytes(): number {
    return this.#endOffset - this.#dataOffset;
  }

  /** Whether `sizeBytes` more have to wait until take(). */
  isFullFor(sizeBytes: number): boolean {
    return this.sizeBytes > 0 && this.sizeBytes + sizeBytes > BODY_GATHER_SIZE_BYTES_MAX;
  }

  /** Copies a piece. `headSizeBytes`: room to leave for a head that take() will be given. Cost: the
   *  copy; the first piece, which is often the only one, is held in exactly its size. */
  add(piece: Uint8Array, headSizeBytes: number): void {
    if (this.#endOffset === 0) {
      this.#dataOffset = headSizeBytes + SIZE_LINE_SIZE_BYTES_MAX;
      this.#endOffset = this.#dataOffset;
      this.#bytes = Buffer.allocUnsafe(this.#dataOffset + piece.length + TAIL_SIZE_BYTES);
    } else this.#grow(piece.length);
    this.#bytes.set(piece, this.#endOffset);
    this.#endOffset += piece.length;
  }

  /** Hands over what was added, as it goes on the wire. */
  take({ head, isChunked, isLast }: BodyFraming): Buffer {
    const bytes = this.#bytes;
    const before = isChunked ? `${head}${this.sizeBytes.toString(16)}\r\n` : head;
    const after = isChunked ? (isLast ? `\r\n${LAST_CHUNK}` : '\r\n') : '';
    const startOffset = this.#dataOffset - before.length;
    bytes.write(before, startOffset, 'latin1');
    bytes.write(after, this.#endOffset, 'latin1');
    const taken = bytes.subarray(startOffset, this.#endOffset + after.length);
    this.clear();
    return taken;
  }

  clear(): void {
    this.#bytes = NOTHING;
    this.#dataOffset = 0;
    this.#endOffset = 0;
  }

  #grow(sizeBytes: number): void {
    const neededSizeBytes = this.#endOffset + sizeBytes + TAIL_SIZE_BYTES;
    if (neededSizeBytes <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(neededSizeBytes, 2 * this.#bytes.length));
    grown.set(this.#bytes.subarray(this.#dataOffset, this.#endOffset), this.#dataOffset);
    this.#bytes = grown;
  }
}
