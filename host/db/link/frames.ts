// What io workers and db workers say to each other: records in one buffer, so that all of one turn
// of the event loop cross in one message. Whatever is in them is bytes of a client or for one.
//
//     0      1       2       4     8      12
//     ├ kind ┼ flags ┼ extra ┼ id  ┼ size ┼ payload ┤     little-endian
//
// The payload of a `request` and an `open` begins with the database's name, `extra` bytes of it.

/** From an io worker. */
export const FRAME_REQUEST = 1;
/** A WebSocket whose hello has been accepted. */
export const FRAME_OPEN = 2;
export const FRAME_MESSAGE = 3;
export const FRAME_CLOSED = 4;
/** The client has taken that many bytes: `extra` units of CREDIT_UNIT_BYTES. */
export const FRAME_CREDIT = 5;
/** A follower's question; `flags` is what it asks, as REPLICATION_ACTIONS counts. */
export const FRAME_REPLICATION = 9;
/** From a db worker. `extra` is the status, or the close code. */
export const FRAME_REPLY = 6;
export const FRAME_SEND = 7;
export const FRAME_END = 8;
/** Messages of a client have been taken: `extra` units of CREDIT_UNIT_BYTES. */
export const FRAME_TAKEN = 10;

/** Of a credit. */
export const CREDIT_UNIT_BYTES = 1_024;

const HEAD_SIZE_BYTES = 12;
const SIZE_BYTES_FIRST = 16_384;

export interface Frame {
  readonly kind: number;
  readonly flags: number;
  readonly extra: number;
  readonly id: number;
  /** A view of the message that came: nobody else has it. */
  readonly payload: Uint8Array;
}

/** Collects records until they are taken. */
export class FrameWriter {
  #bytes = Buffer.allocUnsafeSlow(SIZE_BYTES_FIRST);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(frame: Omit<Frame, 'payload'>, ...parts: readonly Uint8Array[]): void {
    let payloadSize = 0;
    for (const part of parts) payloadSize += part.length;
    this.#reserve(HEAD_SIZE_BYTES + payloadSize);
    const bytes = this.#bytes;
    const at = this.#size;
    bytes[at] = frame.kind;
    bytes[at + 1] = frame.flags;
    bytes.writeUInt16LE(frame.extra, at + 2);
    bytes.writeUInt32LE(frame.id, at + 4);
    bytes.writeUInt32LE(payloadSize, at + 8);
    this.#size = at + HEAD_SIZE_BYTES;
    for (const part of parts) {
      bytes.set(part, this.#size);
      this.#size += part.length;
    }
  }

  /** The records, in a buffer that can be given away. */
  take(): ArrayBuffer {
    const bytes = this.#bytes;
    const taken = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + this.#size);
    this.#size = 0;
    if (bytes.length > SIZE_BYTES_KEPT_MAX) this.#bytes = Buffer.allocUnsafeSlow(SIZE_BYTES_FIRST);
    return taken as ArrayBuffer;
  }

  #reserve(sizeBytes: number): void {
    const needed = this.#size + sizeBytes;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#size);
    this.#bytes = grown;
  }
}

/** A turn with large replies does not keep its buffer. */
const SIZE_BYTES_KEPT_MAX = 1_048_576;

/** Calls `take` with each record of a message. */
export function readFrames(message: ArrayBuffer, take: (frame: Frame) => void): void {
  const bytes = Buffer.from(message);
  let at = 0;
  // In bounds: both ends are this program.
  while (at < bytes.length) {
    const size = bytes.readUInt32LE(at + 8);
    const start = at + HEAD_SIZE_BYTES;
    take({
      kind: bytes[at]!,
      flags: bytes[at + 1]!,
      extra: bytes.readUInt16LE(at + 2),
      id: bytes.readUInt32LE(at + 4),
      payload: bytes.subarray(start, start + size),
    });
    at = start + size;
  }
}
