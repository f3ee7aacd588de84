// Which functions are counted where they are called, and not at their entry: those without loops
// that are short with everything they call in turn. AssemblyScript checks its own stack in such a
// function at every other line. A circle of calls always holds a function that is counted: the one
// that closes it is found while the walk is still inside of the circle.

import { SHORT_FUNCTION_SIZE_BYTES } from '../limits.ts';
import { ByteReader } from './byte-reader.ts';
import { OP_CALL, OP_CALL_INDIRECT, OP_LOOP, skipOperands } from './instructions.ts';
import { skipLocals } from './sections.ts';

/** Where one function's body lies: locals and code. */
export interface BodyPlace {
  readonly start: number;
  readonly end: number;
}

/** Calls within calls that are followed. Each takes at least 3 bytes, so that what is deeper is
 *  rarely short; it is counted then, which is always right. */
const DEPTH_MAX = 16;
const COUNTED = 0;
const UNKNOWN = -1;

export class ShortFunctions {
  readonly #bytes: Uint8Array;
  readonly #bodies: readonly BodyPlace[];
  readonly #importsCount: number;
  /** By defined function. */
  readonly #sizes: Int32Array;

  /** `importsCount`: of functions, which have the first numbers. */
  constructor(bytes: Uint8Array, bodies: readonly BodyPlace[], importsCount: number) {
    this.#bytes = bytes;
    this.#bodies = bodies;
    this.#importsCount = importsCount;
    this.#sizes = new Int32Array(bodies.length).fill(UNKNOWN);
  }

  /** Code that runs when a short function is called, with what it calls; 0 for a function that is
   *  counted at its entry, and for an import, which the host counts. */
  sizeBytes(functionIndex: number): number {
    return this.#size(functionIndex - this.#importsCount, 0);
  }

  #size(index: number, depth: number): number {
    const place = this.#bodies[index];
    if (place === undefined) return COUNTED;
    const known = this.#sizes[index]!;
    if (known !== UNKNOWN) return known;
    // Whoever finds it again from inside of itself finds it too long, and is counted.
    this.#sizes[index] = SHORT_FUNCTION_SIZE_BYTES + 1;
    const found = depth < DEPTH_MAX ? this.#measure(place, depth) : COUNTED;
    this.#sizes[index] = found;
    return found;
  }

  #measure({ start, end }: BodyPlace, depth: number): number {
    const body = new ByteReader(this.#bytes, start, end);
    skipLocals(body, body.u32());
    let sizeBytes = end - body.offset;
    while (!body.isAtEnd && sizeBytes <= SHORT_FUNCTION_SIZE_BYTES) {
      const opcode = body.byte();
      if (opcode === OP_CALL) sizeBytes += this.#size(body.u32() - this.#importsCount, depth + 1);
      else if (opcode === OP_LOOP || opcode === OP_CALL_INDIRECT) return COUNTED;
      else if (skipOperands(body, opcode) !== 'plain') return COUNTED;
    }
    return sizeBytes <= SHORT_FUNCTION_SIZE_BYTES ? sizeBytes : COUNTED;
  }
}
