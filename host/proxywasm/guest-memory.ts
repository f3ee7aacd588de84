// A guest's memory as the host touches it: every pointer comes from the guest and is checked, every
// view is taken anew after the memory has grown, for the old one is detached then.

import { INTERNAL_FAILURE, INVALID_MEMORY_ACCESS, OK } from './abi/values.ts';
import { HOST_TEXT_SIZE_BYTES_LOG2 } from './limits.ts';

/** Buffer's own methods without the checks of `toString` and `write`: header values are short. */
export type Latin1Buffer = Buffer & {
  latin1Slice(start: number, end: number): string;
  latin1Write(text: string, offset: number, sizeBytes: number): number;
};

const NO_BYTES = Buffer.alloc(0) as Latin1Buffer;

export class GuestMemory {
  readonly #memory: WebAssembly.Memory;
  /** The guest's malloc: a pointer, or 0. The guest may grow its memory in it. */
  readonly #allocate: (sizeBytes: number) => number;
  /** Takes steps off the guest's: it says how long a text is, and may say as much as it has. */
  readonly #charge: (steps: number) => void;
  #view: Latin1Buffer = NO_BYTES;

  constructor(
    memory: WebAssembly.Memory,
    allocate: (sizeBytes: number) => number,
    charge: (steps: number) => void,
  ) {
    this.#memory = memory;
    this.#allocate = allocate;
    this.#charge = charge;
  }

  /** All of it; valid until the guest runs again. */
  get view(): Latin1Buffer {
    // A memory that grows detaches what it was, which has no length then. To ask the memory for
    // its buffer costs more than all else here.
    if (this.#view.length === 0) this.#view = Buffer.from(this.#memory.buffer) as Latin1Buffer;
    return this.#view;
  }

  get sizeBytes(): number {
    return this.view.length;
  }

  /** Whether `sizeBytes` bytes at `ptr` are inside. Both as the guest gave them: signed. */
  holds(ptr: number, sizeBytes: number): boolean {
    return (ptr >>> 0) + (sizeBytes >>> 0) <= this.view.length;
  }

  /** Bytes at a pointer, valid until the guest runs again; null out of bounds. */
  bytes(ptr: number, sizeBytes: number): Buffer | null {
    if (!this.holds(ptr, sizeBytes)) return null;
    const start = ptr >>> 0;
    return this.view.subarray(start, start + (sizeBytes >>> 0));
  }

  /** A byte string at a pointer, which the guest pays for; null out of bounds. */
  text(ptr: number, sizeBytes: number): string | null {
    const { view } = this;
    const start = ptr >>> 0;
    const end = start + (sizeBytes >>> 0);
    if (end > view.length) return null;
    this.#charge((sizeBytes >>> 0) >> HOST_TEXT_SIZE_BYTES_LOG2);
    return view.latin1Slice(start, end);
  }

  /** As bytes(), for what is read as text: the guest pays as much. */
  textBytes(ptr: number, sizeBytes: number): Buffer | null {
    const found = this.bytes(ptr, sizeBytes);
    if (found !== null) this.#charge(found.length >> HOST_TEXT_SIZE_BYTES_LOG2);
    return found;
  }

  /** Writes a number where the guest wants it. Returns a status. */
  setU32(ptr: number, value: number): number {
    if (!this.holds(ptr, 4)) return INVALID_MEMORY_ACCESS;
    this.view.writeUInt32LE(value >>> 0, ptr >>> 0);
    return OK;
  }

  setU64(ptr: number, value: bigint): number {
    if (!this.holds(ptr, 8)) return INVALID_MEMORY_ACCESS;
    this.view.writeBigUInt64LE(BigInt.asUintN(64, value), ptr >>> 0);
    return OK;
  }

  /** Writes two numbers, or none of them. */
  setU32Pair(ptr: number, value: number, secondPtr: number, second: number): number {
    if (!this.holds(ptr, 4) || !this.holds(secondPtr, 4)) return INVALID_MEMORY_ACCESS;
    this.view.writeUInt32LE(value >>> 0, ptr >>> 0);
    this.view.writeUInt32LE(second >>> 0, secondPtr >>> 0);
    return OK;
  }

  /** Gives the guest bytes: memory of its own, whose place is written where it asked. */
  give(bytes: Uint8Array, outPtr: number, outSizePtr: number): number {
    const place = this.#reserve(bytes.length, outPtr, outSizePtr);
    if (place < 0) return INVALID_MEMORY_ACCESS;
    if (bytes.length > 0) this.view.set(bytes, place);
    return OK;
  }

  /** The same for a byte string. */
  giveText(text: string, outPtr: number, outSizePtr: number): number {
    this.#charge(text.length >> HOST_TEXT_SIZE_BYTES_LOG2);
    const place = this.#reserve(text.length, outPtr, outSizePtr);
    if (place < 0) return INVALID_MEMORY_ACCESS;
    if (text.length > 0) this.view.latin1Write(text, place, text.length);
    return OK;
  }

  /** Gives `sizeBytes` bytes that are written in place. */
  giveWritten(
    sizeBytes: number,
    outPtr: number,
    outSizePtr: number,
    write: (target: Buffer, offset: number) => void,
  ): number {
    const place = this.#reserve(sizeBytes, outPtr, outSizePtr);
    if (place < 0) return INVALID_MEMORY_ACCESS;
    if (sizeBytes > 0) write(this.view, place);
    return OK;
  }

  /** Memory of the guest's for `sizeBytes`, told to it; negative where it has none. */
  #reserve(sizeBytes: number, outPtr: number, outSizePtr: number): number {
    if (!this.holds(outPtr, 4) || !this.holds(outSizePtr, 4)) return -INVALID_MEMORY_ACCESS;
    let place = 0;
    if (sizeBytes > 0) {
      place = this.#allocate(sizeBytes) >>> 0;
      if (place === 0 || !this.holds(place, sizeBytes)) return -INTERNAL_FAILURE;
    }
    const view = this.view;
    view.writeUInt32LE(place, outPtr >>> 0);
    view.writeUInt32LE(sizeBytes, outSizePtr >>> 0);
    return place;
  }
}
