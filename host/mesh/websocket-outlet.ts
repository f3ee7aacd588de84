// What goes to a WebSocket upstream: the client's messages, framed here and joined, so that a
// client which sends empty messages does not cost a write for each. Messages that come in one turn
// of the event loop leave in one write, or when 64 KiB of them wait; a larger one is left to `ws`.
// It refuses what the upstream does not take: the client's side cannot be paused (uWS).
//
//   a frame  | fin, opcode | mask bit, size | size, 0, 2 or 8 bytes | mask, 4 bytes | payload |
//            Source: RFC 6455 section 5.2

import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import {
  secretBytes,
  WEBSOCKET_QUEUE_COUNT_MAX,
  WEBSOCKET_QUEUE_SIZE_BYTES_MAX,
} from '../core/index.ts';

/** Bytes of frames that are joined in one write. */
export const WEBSOCKET_JOIN_SIZE_BYTES_MAX = 65_536;

const TEXT_FIN = 0x81;
const BINARY_FIN = 0x82;
const MASKED = 0x80;
const SIZE_IN_2_BYTES = 126;
const SIZE_IN_8_BYTES = 127;
const MASK_SIZE_BYTES = 4;
const FRAME_HEAD_SIZE_BYTES_MAX = 14;
/** Masks are drawn from the system's entropy, as section 10.3 demands, for many frames at once. */
const MASK_POOL_SIZE_BYTES = 8_192;
const NOTHING = Buffer.alloc(0);

export class WebSocketOutlet {
  readonly #upstream: WebSocket;
  readonly #socket: Socket;
  /** Frames that wait for the end of this turn: the first `#endOffset` bytes. */
  #frames: Buffer = NOTHING;
  #endOffset = 0;
  #framesCount = 0;
  #isScheduled = false;
  /** Messages in each write that the socket has been given and has not confirmed. */
  #written: number[] = [];
  #writtenCount = 0;
  readonly #onTurnEnd = (): void => {
    this.#isScheduled = false;
    this.flush();
  };
  readonly #onTaken = (): void => {
    this.#writtenCount -= this.#written.shift() ?? 0;
  };
  #masks: Uint8Array = NOTHING;
  #maskOffset = 0;

  /** `socket` is the one under `upstream`, on which nothing but whole frames may be written. */
  constructor(upstream: WebSocket, socket: Socket) {
    this.#upstream = upstream;
    this.#socket = socket;
  }

  /** Messages that the upstream's socket has not taken. */
  get queuedCount(): number {
    return this.#writtenCount;
  }

  /** Takes a message; `data` is copied. False: the upstream has not taken what was sent before, and
   *  this is more than may wait for it. A message alone may be larger than the bound; it has a
   *  bound of its own. Cost: the copy, no allocation for a message that joins others. */
  send(data: Uint8Array, kind: 'text' | 'binary'): boolean {
    if (this.#upstream.readyState !== WebSocket.OPEN) return true;
    const frameSizeBytesMax = FRAME_HEAD_SIZE_BYTES_MAX + data.length;
    const isFull = this.#endOffset + frameSizeBytesMax > WEBSOCKET_JOIN_SIZE_BYTES_MAX;
    const isMany = this.#writtenCount + this.#framesCount >= WEBSOCKET_QUEUE_COUNT_MAX;
    if (isFull || isMany) this.flush();
    const queuedSizeBytes = this.#socket.writableLength;
    const sumSizeBytes = queuedSizeBytes + this.#endOffset + data.length;
    if (queuedSizeBytes > 0 && sumSizeBytes > WEBSOCKET_QUEUE_SIZE_BYTES_MAX) return false;
    if (this.#writtenCount + this.#framesCount >= WEBSOCKET_QUEUE_COUNT_MAX) return false;
    if (frameSizeBytesMax > WEBSOCKET_JOIN_SIZE_BYTES_MAX) {
      // `ws` may hold on to its argument until the socket has room.
      const options = { binary: kind === 'binary', compress: false };
      this.#upstream.send(Buffer.from(data), options, this.#onTaken);
      this.#noteWritten(1);
      return true;
    }
    this.#frame(data, kind === 'binary' ? BINARY_FIN : TEXT_FIN);
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(this.#onTurnEnd);
    }
    return true;
  }

  /** Writes what waits; to be called before the upstream is closed. */
  flush(): void {
    if (this.#endOffset === 0) return;
    const bytes = this.#frames.subarray(0, this.#endOffset);
    const count = this.#framesCount;
    this.#frames = NOTHING;
    this.#endOffset = 0;
    this.#framesCount = 0;
    // Nothing may follow a close frame.
    if (this.#upstream.readyState !== WebSocket.OPEN) return;
    this.#socket.write(bytes, this.#onTaken);
    this.#noteWritten(count);
  }

  /** A socket confirms later what the kernel has taken at once: that does not wait. */
  #noteWritten(count: number): void {
    const waitingCount = this.#socket.writableLength === 0 ? 0 : count;
    this.#written.push(waitingCount);
    this.#writtenCount += waitingCount;
  }

  #frame(data: Uint8Array, firstByte: number): void {
    const sizeBytes = data.length;
    this.#reserve(FRAME_HEAD_SIZE_BYTES_MAX + sizeBytes);
    const frames = this.#frames;
    let offset = this.#endOffset;
    frames[offset++] = firstByte;
    if (sizeBytes < SIZE_IN_2_BYTES) frames[offset++] = MASKED | sizeBytes;
    else if (sizeBytes < 65_536) {
      frames[offset++] = MASKED | SIZE_IN_2_BYTES;
      offset = frames.writeUInt16BE(sizeBytes, offset);
    } else {
      frames[offset++] = MASKED | SIZE_IN_8_BYTES;
      offset = frames.writeUInt32BE(0, offset);
      offset = frames.writeUInt32BE(sizeBytes, offset);
    }
    if (this.#maskOffset === this.#masks.length) {
      this.#masks = secretBytes(MASK_POOL_SIZE_BYTES);
      this.#maskOffset = 0;
    }
    const masks = this.#masks;
    const maskOffset = this.#maskOffset;
    this.#maskOffset += MASK_SIZE_BYTES;
    for (let index = 0; index < MASK_SIZE_BYTES; index++) {
      frames[offset++] = masks[maskOffset + index]!;
    }
    for (let index = 0; index < sizeBytes; index++) {
      frames[offset++] = data[index]! ^ masks[maskOffset + (index & 3)]!;
    }
    this.#endOffset = offset;
    this.#framesCount += 1;
  }

  /** The first message, which is often the only one, gets no more room than it needs. */
  #reserve(sizeBytes: number): void {
    const neededSizeBytes = this.#endOffset + sizeBytes;
    if (neededSizeBytes <= this.#frames.length) return;
    const grown = Buffer.allocUnsafe(Math.max(neededSizeBytes, 2 * this.#frames.length));
    grown.set(this.#frames.subarray(0, this.#endOffset));
    this.#frames = grown;
  }
}
