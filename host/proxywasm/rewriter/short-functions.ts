// Which functions are counted where they are called, and not at their entry: those without loops
// that are short with everything they call in turn. AssemblyScript checks its own stack in such a
// function at every other line. A circle of calls always holds a function that is counted: the one
// that closes it is found while the walk is still inside of the circle. The shortest, if they take
// and give nothing, stand in the place of their calls: V8 would not do that.

import {
  INLINED_ALL_SIZE_BYTES,
  INLINED_SIZE_BYTES,
  SHORT_FUNCTION_SIZE_BYTES,
} from '../limits.ts';
import { ByteReader } from './byte-reader.ts';
import {
  OP_CALL,
  OP_CALL_INDIRECT,
  OP_LOOP,
  OP_MEMORY_GROW,
  OP_RETURN,
  skipOperands,
} from './instructions.ts';
import { type FunctionType, skipLocals } from './sections.ts';

/** One function's body: where its locals and its code lie. */
export interface Body {
  readonly start: number;
  readonly end: number;
  readonly type: FunctionType;
}

/** Calls within calls that are followed. Each takes at least 3 bytes, so that what is deeper is
 *  rarely short; it is counted then, which is always right. */
const DEPTH_MAX = 16;
const COUNTED = 0;
const UNKNOWN = -1;

export class ShortFunctions {
  readonly #bytes: Uint8Array;
  readonly #bodies: readonly Body[];
  readonly #importsCount: number;
  /** By defined function. */
  readonly #sizes: Int32Array;
  /** Where the code begins that may stand in a call's place; 0 for none. */
  readonly #inlined: Int32Array;
  /** How much more code may be put in the place of calls. */
  #inlinableSizeBytes = INLINED_ALL_SIZE_BYTES;

  /** `importsCount`: of functions, which have the first numbers. */
  constructor(bytes: Uint8Array, bodies: readonly Body[], importsCount: number) {
    this.#bytes = bytes;
    this.#bodies = bodies;
    this.#importsCount = importsCount;
    this.#sizes = new Int32Array(bodies.length).fill(UNKNOWN);
    this.#inlined = new Int32Array(bodies.length);
  }

  /** Code that runs when a short function is called, with what it calls; 0 for a function that is
   *  counted at its entry, and for an import, which the host counts. */
  sizeBytes(functionIndex: number): number {
    return this.#size(functionIndex - this.#importsCount, 0);
  }

  /** The code with its end that does as a block what a call of the function does, for one call;
   *  null where it has to be called. */
  inlined(functionIndex: number): Uint8Array | null {
    const index = functionIndex - this.#importsCount;
    if (this.#size(index, 0) === COUNTED || this.#inlined[index] === 0) return null;
    const code = this.#bytes.subarray(this.#inlined[index], this.#bodies[index]!.end);
    if (code.length > this.#inlinableSizeBytes) return null;
    this.#inlinableSizeBytes -= code.length;
    return code;
  }

  #size(index: number, depth: number): number {
    const body = this.#bodies[index];
    if (body === undefined) return COUNTED;
    const known = this.#sizes[index]!;
    if (known !== UNKNOWN) return known;
    // Whoever finds it again from inside of itself finds it too long, and is counted.
    this.#sizes[index] = SHORT_FUNCTION_SIZE_BYTES + 1;
    const found = depth < DEPTH_MAX ? this.#measure(index, body, depth) : COUNTED;
    this.#sizes[index] = found;
    return found;
  }

  #measure(index: number, { start, end, type }: Body, depth: number): number {
    const reader = new ByteReader(this.#bytes, start, end);
    const localsCount = skipLocals(reader, reader.u32());
    const codeOffset = reader.offset;
    let sizeBytes = end - codeOffset;
    let isPlain = localsCount + type.parametersCount + type.resultsCount === 0;
    if (sizeBytes > INLINED_SIZE_BYTES) isPlain = false;
    while (!reader.isAtEnd && sizeBytes <= SHORT_FUNCTION_SIZE_BYTES) {
      const opcode = reader.byte();
      if (opcode === OP_RETURN || opcode === OP_MEMORY_GROW) isPlain = false;
      if (opcode === OP_CALL) sizeBytes += this.#size(reader.u32() - this.#importsCount, depth + 1);
      else if (opcode === OP_LOOP || opcode === OP_CALL_INDIRECT) return COUNTED;
      else if (skipOperands(reader, opcode) !== 'plain') return COUNTED;
    }
    if (sizeBytes > SHORT_FUNCTION_SIZE_BYTES) return COUNTED;
    if (isPlain) this.#inlined[index] = codeOffset;
    return sizeBytes;
  }
}
