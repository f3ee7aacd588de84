// Takes gRPC messages out of the bytes of a stream. They are never compressed, for we say that we
// take none that are, and never longer than their reader allows: what is announced above that is
// refused before a byte of it is kept.
//
//   | compressed u8 | size u32, big-endian | message |
//   0               1                      5         5 + size
//
// Source: gRPC, doc/PROTOCOL-HTTP2.md.

import { GRPC_STATUS } from '../../core/index.ts';

export const GRPC_PREFIX_SIZE_BYTES = 5;
const NO_BYTES = new Uint8Array(0);

/** Why a stream cannot go on. */
export interface GrpcFault {
  readonly status: number;
  readonly message: string;
}

export class GrpcMessageDecoder {
  readonly #sizeBytesMax: number;
  #prefix = new Uint8Array(GRPC_PREFIX_SIZE_BYTES);
  #prefixSizeBytes = 0;
  /** Null while the prefix is not whole. */
  #message: Uint8Array | null = null;
  #filledSizeBytes = 0;
  #input: Uint8Array = NO_BYTES;
  #offset = 0;

  constructor(sizeBytesMax: number) {
    this.#sizeBytesMax = sizeBytesMax;
  }

  /** Whether the stream may not end here. */
  get isInside(): boolean {
    return this.#prefixSizeBytes > 0;
  }

  /** Whether all that was given has been taken. */
  get isEmpty(): boolean {
    return this.#offset === this.#input.length;
  }

  /** Gives the next bytes, which are the decoder's until it is empty again: only then may more be
   *  given. */
  give(bytes: Uint8Array): void {
    this.#input = bytes;
    this.#offset = 0;
  }

  /** The next message; null where there is none yet. */
  next(): Uint8Array | GrpcFault | null {
    if (this.#message === null) {
      const fault = this.#takePrefix();
      if (fault !== null) return fault;
      if (this.#message === null) return null;
    }
    const message: Uint8Array = this.#message;
    const sizeBytes = Math.min(
      message.length - this.#filledSizeBytes,
      this.#input.length - this.#offset,
    );
    message.set(
      this.#input.subarray(this.#offset, this.#offset + sizeBytes),
      this.#filledSizeBytes,
    );
    this.#offset += sizeBytes;
    this.#filledSizeBytes += sizeBytes;
    if (this.#filledSizeBytes < message.length) return null;
    this.#message = null;
    this.#prefixSizeBytes = 0;
    return message;
  }

  #takePrefix(): GrpcFault | null {
    while (this.#prefixSizeBytes < GRPC_PREFIX_SIZE_BYTES) {
      if (this.#offset === this.#input.length) return null;
      this.#prefix[this.#prefixSizeBytes] = this.#input[this.#offset]!;
      this.#offset += 1;
      this.#prefixSizeBytes += 1;
    }
    const [flag, first, second, third, fourth] = this.#prefix as unknown as number[];
    if (flag !== 0) {
      const what = flag === 1 ? 'a compressed message' : `a message with the flag ${flag}`;
      return { status: GRPC_STATUS.internal, message: `${what}, which was not agreed` };
    }
    const sizeBytes = first! * 0x100_0000 + second! * 0x1_0000 + third! * 0x100 + fourth!;
    if (sizeBytes > this.#sizeBytesMax) {
      const detail = `a message of ${sizeBytes} bytes, the limit is ${this.#sizeBytesMax}`;
      return { status: GRPC_STATUS.resourceExhausted, message: detail };
    }
    this.#message = new Uint8Array(sizeBytes);
    this.#filledSizeBytes = 0;
    return null;
  }
}

/** A message as it goes on the wire: a copy. */
export function framedMessage(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(GRPC_PREFIX_SIZE_BYTES + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, GRPC_PREFIX_SIZE_BYTES);
  return framed;
}
