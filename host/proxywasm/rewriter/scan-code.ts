// Finds what has to be counted in one function's code: its entry, each turn of its loops, bulk
// operations, and what grows. Code is counted by its length, that of short functions where they are
// called.

import {
  GROW_STEPS,
  SHORT_FUNCTION_SIZE_BYTES,
  STEP_BULK_SIZE_BYTES_LOG2,
  STEP_CODE_SIZE_BYTES,
  STEP_TABLE_COUNT_LOG2,
} from '../limits.ts';
import type { ByteReader } from './byte-reader.ts';
import {
  type MiscKind,
  OP_BLOCK,
  OP_BR,
  OP_BR_IF,
  OP_BR_TABLE,
  OP_CALL,
  OP_CALL_INDIRECT,
  OP_END,
  OP_IF,
  OP_LOOP,
  OP_MEMORY_GROW,
  OP_MISC,
  OP_RETURN,
  skipOperands,
} from './instructions.ts';
import type { ShortFunctions } from './short-functions.ts';

/** Where something is put in. `steps`: `amount` steps are charged; `bulk`: the size on the stack,
 *  shifted by `amount`; `leave`: the function may end here; `inline`: `code` takes the place of the
 *  `amount` bytes that stand there. */
export interface Insertion {
  readonly offset: number;
  readonly kind: 'steps' | 'bulk' | 'leave' | 'inline';
  amount: number;
  readonly code?: Uint8Array;
}

export interface Scan {
  /** In the order of the code. */
  readonly insertions: readonly Insertion[];
  /** 0 for a function that is counted where it is called. */
  readonly entrySteps: number;
  readonly hasBulk: boolean;
  /** It has loops and calls nothing: nobody looks at the steps before it ends. */
  readonly isSecluded: boolean;
}

interface OpenBlock {
  /** Null for what is no loop. */
  readonly loop: Insertion | null;
  readonly startOffset: number;
  /** Code inside that belongs to inner loops. */
  innerSizeBytes: number;
  /** Code of short functions that is called from here, but for that of inner loops. */
  calledSizeBytes: number;
}

/** Scans a function's code. `functionIndex`: its number among all. */
export function scanCode(body: ByteReader, functionIndex: number, shorts: ShortFunctions): Scan {
  return new Scanner(body, shorts).run(shorts.sizeBytes(functionIndex) > 0);
}

class Scanner {
  readonly #body: ByteReader;
  readonly #shorts: ShortFunctions;
  readonly #insertions: Insertion[] = [];
  readonly #outer: OpenBlock;
  readonly #open: OpenBlock[];
  #hasBulk = false;
  #hasCalls = false;
  #hasLoops = false;

  constructor(body: ByteReader, shorts: ShortFunctions) {
    this.#body = body;
    this.#shorts = shorts;
    this.#outer = newBlock(null, body.offset);
    this.#open = [this.#outer];
  }

  run(isShort: boolean): Scan {
    const body = this.#body;
    while (this.#open.length > 0) {
      const offset = body.offset;
      this.#take(body.byte(), offset);
    }
    if (!body.isAtEnd) body.fail('a function goes on behind its end');
    return {
      insertions: this.#insertions,
      entrySteps: isShort ? 0 : stepsOf(this.#outer, body.end),
      hasBulk: this.#hasBulk,
      isSecluded: this.#hasLoops && !this.#hasCalls && !this.#hasBulk,
    };
  }

  #take(opcode: number, offset: number): void {
    const body = this.#body;
    switch (opcode) {
      case OP_CALL:
        this.#call(body.u32(), offset);
        return;
      case OP_BR:
      case OP_BR_IF:
        if (body.u32() >= this.#open.length - 1) this.#leave(offset);
        return;
      case OP_BR_TABLE:
      case OP_RETURN:
        this.#leave(offset);
        break;
      case OP_CALL_INDIRECT:
        // It may be a short one.
        this.#hasCalls = true;
        this.#open.at(-1)!.calledSizeBytes += SHORT_FUNCTION_SIZE_BYTES;
        break;
      case OP_MEMORY_GROW:
        this.#insertions.push({ offset, kind: 'steps', amount: GROW_STEPS });
        break;
      case OP_END:
        if (this.#open.length === 1) this.#leave(offset);
        this.#close();
        break;
      default:
    }
    const misc = skipOperands(body, opcode);
    if (opcode === OP_BLOCK || opcode === OP_IF) this.#open.push(newBlock(null, offset));
    else if (opcode === OP_LOOP) this.#beginLoop(offset);
    else if (opcode === OP_MISC && misc !== 'plain') {
      this.#insertions.push(...bulkInsertions(offset, misc));
      this.#hasBulk = true;
    }
  }

  #call(functionIndex: number, offset: number): void {
    this.#hasCalls = true;
    this.#open.at(-1)!.calledSizeBytes += this.#shorts.sizeBytes(functionIndex);
    const code = this.#shorts.inlined(functionIndex);
    if (code === null) return;
    this.#insertions.push({ offset, kind: 'inline', amount: this.#body.offset - offset, code });
  }

  /** Behind the loop's head, where each turn begins. */
  #beginLoop(startOffset: number): void {
    const loop: Insertion = { offset: this.#body.offset, kind: 'steps', amount: 1 };
    this.#insertions.push(loop);
    this.#open.push(newBlock(loop, startOffset));
    this.#hasLoops = true;
  }

  #leave(offset: number): void {
    this.#insertions.push({ offset, kind: 'leave', amount: 0 });
  }

  #close(): void {
    const closed = this.#open.pop()!;
    const parent = this.#open.at(-1);
    if (parent === undefined) return;
    if (closed.loop === null) {
      parent.innerSizeBytes += closed.innerSizeBytes;
      parent.calledSizeBytes += closed.calledSizeBytes;
      return;
    }
    closed.loop.amount = stepsOf(closed, this.#body.offset);
    parent.innerSizeBytes += this.#body.offset - closed.startOffset;
  }
}

function newBlock(loop: Insertion | null, startOffset: number): OpenBlock {
  return { loop, startOffset, innerSizeBytes: 0, calledSizeBytes: 0 };
}

function stepsOf(block: OpenBlock, endOffset: number): number {
  const ownSizeBytes = endOffset - block.startOffset - block.innerSizeBytes;
  return 1 + Math.floor((ownSizeBytes + block.calledSizeBytes) / STEP_CODE_SIZE_BYTES);
}

function bulkInsertions(offset: number, misc: MiscKind): Insertion[] {
  if (misc === 'memory') return [{ offset, kind: 'bulk', amount: STEP_BULK_SIZE_BYTES_LOG2 }];
  const byCount: Insertion = { offset, kind: 'bulk', amount: STEP_TABLE_COUNT_LOG2 };
  if (misc === 'table') return [byCount];
  return [{ offset, kind: 'steps', amount: GROW_STEPS }, byCount];
}
