// Puts counters into function bodies: one step at each function's entry and at each turn of a loop,
// more for long straight code, and for bulk operations by their size. Steps are a global that
// counts down; below zero the guest traps. Nothing is renumbered, so everything else in the module
// stays as it is.

import {
  FREE_LEAF_SIZE_BYTES,
  GROW_STEPS,
  LOCALS_COUNT_MAX,
  STEP_BULK_SIZE_BYTES_LOG2,
  STEP_CODE_SIZE_BYTES,
  STEP_TABLE_COUNT_LOG2,
} from '../limits.ts';
import type { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import {
  type MiscKind,
  OP_BLOCK,
  OP_CALL,
  OP_CALL_INDIRECT,
  OP_END,
  OP_GLOBAL_GET,
  OP_GLOBAL_SET,
  OP_I32_CONST,
  OP_I32_LT_S,
  OP_I32_SHR_U,
  OP_I32_SUB,
  OP_IF,
  OP_LOCAL_GET,
  OP_LOCAL_SET,
  OP_LOOP,
  OP_MEMORY_GROW,
  OP_MISC,
  OP_UNREACHABLE,
  skipOperands,
  TYPE_I32,
  TYPE_VOID,
} from './instructions.ts';

/** Where something is put in. `steps` for `steps`; for `bulk`, how far the size is shifted. */
interface Insertion {
  readonly offset: number;
  readonly kind: 'steps' | 'bulk';
  amount: number;
}

interface OpenBlock {
  /** Null for what is no loop. */
  readonly loop: Insertion | null;
  readonly startOffset: number;
  /** Code inside that belongs to inner loops. */
  innerSizeBytes: number;
}

interface Scan {
  readonly insertions: readonly Insertion[];
  readonly entrySteps: number;
  readonly hasBulk: boolean;
}

export class CodeMeter {
  readonly #fuelGlobal: number;
  readonly #charges = new Map<number, Uint8Array>();

  constructor(fuelGlobal: number) {
    this.#fuelGlobal = fuelGlobal;
  }

  /** Writes one function's body, metered, with its size before it. `body`: locals and code. */
  rewrite(body: ByteReader, parametersCount: number, writer: ByteWriter): void {
    const localsOffset = body.offset;
    const groups = body.u32();
    const groupsOffset = body.offset;
    const localsCount = countLocals(body, groups);
    const codeOffset = body.offset;
    const scan = scanCode(body);
    const place = writer.beginSized();
    const bulkLocal = parametersCount + localsCount;
    if (scan.hasBulk) {
      if (bulkLocal >= LOCALS_COUNT_MAX) {
        body.fail(`a function has ${bulkLocal} locals, the limit is ${LOCALS_COUNT_MAX - 1}`);
      }
      writer.u32(groups + 1);
      writer.copy(body.bytes, groupsOffset, codeOffset);
      writer.u32(1);
      writer.byte(TYPE_I32);
    } else writer.copy(body.bytes, localsOffset, codeOffset);
    if (scan.entrySteps > 0) writer.write(this.#charge(scan.entrySteps));
    let copied = codeOffset;
    for (const { offset, kind, amount } of scan.insertions) {
      writer.copy(body.bytes, copied, offset);
      copied = offset;
      if (kind === 'steps') writer.write(this.#charge(amount));
      else this.#chargeBulk(writer, bulkLocal, amount);
    }
    writer.copy(body.bytes, copied, body.end);
    writer.endSized(place);
  }

  #charge(steps: number): Uint8Array {
    const known = this.#charges.get(steps);
    if (known !== undefined) return known;
    const writer = new ByteWriter(32);
    writer.byte(OP_GLOBAL_GET);
    writer.u32(this.#fuelGlobal);
    writer.byte(OP_I32_CONST);
    writer.positive(steps);
    this.#subtract(writer);
    const made = writer.result();
    this.#charges.set(steps, made);
    return made;
  }

  /** The size is on the stack and stays there. */
  #chargeBulk(writer: ByteWriter, local: number, shift: number): void {
    writer.byte(OP_LOCAL_SET);
    writer.u32(local);
    writer.byte(OP_GLOBAL_GET);
    writer.u32(this.#fuelGlobal);
    writer.byte(OP_LOCAL_GET);
    writer.u32(local);
    writer.byte(OP_I32_CONST);
    writer.positive(shift);
    writer.byte(OP_I32_SHR_U);
    this.#subtract(writer);
    writer.byte(OP_LOCAL_GET);
    writer.u32(local);
  }

  #subtract(writer: ByteWriter): void {
    const fuel = this.#fuelGlobal;
    writer.byte(OP_I32_SUB);
    writer.byte(OP_GLOBAL_SET);
    writer.u32(fuel);
    writer.byte(OP_GLOBAL_GET);
    writer.u32(fuel);
    writer.byte(OP_I32_CONST);
    writer.positive(0);
    writer.byte(OP_I32_LT_S);
    writer.byte(OP_IF);
    writer.byte(TYPE_VOID);
    writer.byte(OP_UNREACHABLE);
    writer.byte(OP_END);
  }
}

function countLocals(body: ByteReader, groups: number): number {
  let count = 0;
  for (let index = 0; index < groups; index++) {
    count += body.u32();
    if (count > LOCALS_COUNT_MAX) {
      body.fail(`a function has ${count} locals, the limit is ${LOCALS_COUNT_MAX}`);
    }
    body.skipNumber(5);
  }
  return count;
}

/** Finds what has to be counted in one function's code. */
function scanCode(body: ByteReader): Scan {
  const insertions: Insertion[] = [];
  const outer: OpenBlock = { loop: null, startOffset: body.offset, innerSizeBytes: 0 };
  const open: OpenBlock[] = [outer];
  let hasBulk = false;
  let isLeaf = true;
  while (open.length > 0) {
    const offset = body.offset;
    const opcode = body.byte();
    const misc = skipOperands(body, opcode);
    if (opcode === OP_BLOCK || opcode === OP_IF) {
      open.push({ loop: null, startOffset: offset, innerSizeBytes: 0 });
    } else if (opcode === OP_LOOP) {
      const loop: Insertion = { offset: body.offset, kind: 'steps', amount: 1 };
      insertions.push(loop);
      open.push({ loop, startOffset: offset, innerSizeBytes: 0 });
      isLeaf = false;
    } else if (opcode === OP_END) closeBlock(open, body.offset);
    else if (opcode === OP_CALL || opcode === OP_CALL_INDIRECT) isLeaf = false;
    else if (opcode === OP_MEMORY_GROW) {
      insertions.push({ offset, kind: 'steps', amount: GROW_STEPS });
    } else if (opcode === OP_MISC && misc !== 'plain') {
      insertions.push(...bulkInsertions(offset, misc));
      hasBulk = true;
    }
  }
  if (!body.isAtEnd) body.fail('a function goes on behind its end');
  const ownSizeBytes = body.end - outer.startOffset - outer.innerSizeBytes;
  const isFree = isLeaf && !hasBulk && ownSizeBytes <= FREE_LEAF_SIZE_BYTES;
  return { insertions, hasBulk, entrySteps: isFree ? 0 : stepsOf(ownSizeBytes) };
}

function closeBlock(open: OpenBlock[], endOffset: number): void {
  const closed = open.pop()!;
  const parent = open.at(-1);
  if (parent === undefined) return;
  if (closed.loop === null) {
    parent.innerSizeBytes += closed.innerSizeBytes;
    return;
  }
  const sizeBytes = endOffset - closed.startOffset;
  closed.loop.amount = stepsOf(sizeBytes - closed.innerSizeBytes);
  parent.innerSizeBytes += sizeBytes;
}

function stepsOf(sizeBytes: number): number {
  return 1 + Math.floor(sizeBytes / STEP_CODE_SIZE_BYTES);
}

function bulkInsertions(offset: number, misc: MiscKind): Insertion[] {
  if (misc === 'memory') return [{ offset, kind: 'bulk', amount: STEP_BULK_SIZE_BYTES_LOG2 }];
  const byCount: Insertion = { offset, kind: 'bulk', amount: STEP_TABLE_COUNT_LOG2 };
  if (misc === 'table') return [byCount];
  return [{ offset, kind: 'steps', amount: GROW_STEPS }, byCount];
}
