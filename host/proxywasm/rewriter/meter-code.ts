// Puts counters into function bodies: one step at each function's entry and at each turn of a loop,
// more for long straight code, and for bulk operations by their size. Steps are a global that
// counts down; below zero the guest traps. A function that calls nothing counts its loops in a
// local, and the global is told where it ends. The shortest functions stand in the place of their
// calls. Nothing is renumbered, so everything else in the module stays as it is.

import { LOCALS_COUNT_MAX } from '../limits.ts';
import type { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';
import {
  OP_BLOCK,
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
  OP_LOCAL_TEE,
  OP_UNREACHABLE,
  TYPE_I32,
  TYPE_VOID,
} from './instructions.ts';
import { type Scan, scanCode } from './scan-code.ts';
import { skipLocals } from './sections.ts';
import type { ShortFunctions } from './short-functions.ts';

export type Metering = 'steps' | 'none';

export class CodeMeter {
  readonly #fuelGlobal: number;
  readonly #shorts: ShortFunctions;
  readonly #metering: Metering;

  constructor(fuelGlobal: number, shorts: ShortFunctions, metering: Metering) {
    this.#fuelGlobal = fuelGlobal;
    this.#shorts = shorts;
    this.#metering = metering;
  }

  /** Writes one function's body, metered, with its size before it. `body`: locals and code.
   *  `functionIndex`: its number among all. */
  rewrite(
    body: ByteReader,
    functionIndex: number,
    parametersCount: number,
    writer: ByteWriter,
  ): void {
    const localsOffset = body.offset;
    const groups = body.u32();
    const groupsOffset = body.offset;
    const local = parametersCount + skipLocals(body, groups);
    const codeOffset = body.offset;
    const scan = this.#only(scanCode(body, functionIndex, this.#shorts));
    const place = writer.beginSized();
    if (scan.entrySteps === 0 && scan.insertions.length === 0) {
      writer.copy(body.bytes, localsOffset, body.end);
      writer.endSized(place);
      return;
    }
    if (local >= LOCALS_COUNT_MAX) {
      body.fail(`a function has ${local} locals, the limit is ${LOCALS_COUNT_MAX - 1}`);
    }
    writer.u32(groups + 1);
    writer.copy(body.bytes, groupsOffset, codeOffset);
    writer.u32(1);
    writer.byte(TYPE_I32);
    this.#writeCode(body, codeOffset, scan, local, writer);
    writer.endSized(place);
  }

  /** What is to be put in of what a scan found. */
  #only(scan: Scan): Scan {
    const { insertions, isSecluded } = scan;
    if (this.#metering === 'none') {
      const inlined = insertions.filter(({ kind }) => kind === 'inline');
      return { ...scan, insertions: inlined, entrySteps: 0 };
    }
    if (isSecluded) return scan;
    return { ...scan, insertions: insertions.filter(({ kind }) => kind !== 'leave') };
  }

  #writeCode(
    body: ByteReader,
    codeOffset: number,
    scan: Scan,
    local: number,
    writer: ByteWriter,
  ): void {
    if (scan.entrySteps > 0) {
      writer.byte(OP_GLOBAL_GET);
      writer.u32(this.#fuelGlobal);
      this.#charge(scan.entrySteps, scan.isSecluded, local, writer);
    }
    let copied = codeOffset;
    for (const { offset, kind, amount, code } of scan.insertions) {
      writer.copy(body.bytes, copied, offset);
      copied = offset;
      if (code !== undefined) {
        writer.byte(OP_BLOCK);
        writer.byte(TYPE_VOID);
        writer.write(code);
        copied += amount;
      } else if (kind === 'leave') this.#tell(local, writer);
      else if (kind === 'bulk') this.#chargeBulk(writer, local, amount);
      else {
        writer.byte(scan.isSecluded ? OP_LOCAL_GET : OP_GLOBAL_GET);
        writer.u32(scan.isSecluded ? local : this.#fuelGlobal);
        this.#charge(amount, scan.isSecluded, local, writer);
      }
    }
    writer.copy(body.bytes, copied, body.end);
  }

  /** Takes steps off those on the stack. The global is told at once, or where the function ends:
   *  by a trap too, if it is for want of steps. */
  #charge(steps: number, isSecluded: boolean, local: number, writer: ByteWriter): void {
    writer.byte(OP_I32_CONST);
    writer.positive(steps);
    writer.byte(OP_I32_SUB);
    writer.byte(OP_LOCAL_TEE);
    writer.u32(local);
    if (!isSecluded) {
      writer.byte(OP_GLOBAL_SET);
      writer.u32(this.#fuelGlobal);
      writer.byte(OP_LOCAL_GET);
      writer.u32(local);
    }
    writer.byte(OP_I32_CONST);
    writer.positive(0);
    writer.byte(OP_I32_LT_S);
    writer.byte(OP_IF);
    writer.byte(TYPE_VOID);
    if (isSecluded) this.#tell(local, writer);
    writer.byte(OP_UNREACHABLE);
    writer.byte(OP_END);
  }

  #tell(local: number, writer: ByteWriter): void {
    writer.byte(OP_LOCAL_GET);
    writer.u32(local);
    writer.byte(OP_GLOBAL_SET);
    writer.u32(this.#fuelGlobal);
  }

  /** The size is on the stack and stays there. */
  #chargeBulk(writer: ByteWriter, local: number, shift: number): void {
    const fuel = this.#fuelGlobal;
    writer.byte(OP_LOCAL_SET);
    writer.u32(local);
    writer.byte(OP_GLOBAL_GET);
    writer.u32(fuel);
    writer.byte(OP_LOCAL_GET);
    writer.u32(local);
    writer.byte(OP_I32_CONST);
    writer.positive(shift);
    writer.byte(OP_I32_SHR_U);
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
    writer.byte(OP_LOCAL_GET);
    writer.u32(local);
  }
}
