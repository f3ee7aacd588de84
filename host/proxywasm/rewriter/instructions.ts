// Where instructions end: all of Wasm 1.0, bulk memory, sign extension, saturating conversions,
// multi-value, reference types and SIMD. Any other instruction is refused by the name of its
// proposal, for what is not understood cannot be metered.
// Source: WebAssembly core specification 2.0, section 5.4.

import type { ByteReader } from './byte-reader.ts';

export const OP_UNREACHABLE = 0x00;
export const OP_BLOCK = 0x02;
export const OP_LOOP = 0x03;
export const OP_IF = 0x04;
export const OP_END = 0x0b;
export const OP_BR = 0x0c;
export const OP_BR_IF = 0x0d;
export const OP_BR_TABLE = 0x0e;
export const OP_RETURN = 0x0f;
export const OP_CALL = 0x10;
export const OP_CALL_INDIRECT = 0x11;
export const OP_LOCAL_GET = 0x20;
export const OP_LOCAL_SET = 0x21;
export const OP_LOCAL_TEE = 0x22;
export const OP_GLOBAL_GET = 0x23;
export const OP_GLOBAL_SET = 0x24;
export const OP_MEMORY_GROW = 0x40;
export const OP_I32_CONST = 0x41;
export const OP_I32_LT_S = 0x48;
export const OP_I32_SUB = 0x6b;
export const OP_I32_SHR_U = 0x76;
export const OP_MISC = 0xfc;
export const TYPE_VOID = 0x40;
export const TYPE_I32 = 0x7f;

/** What an instruction of the 0xfc group means for metering. */
export type MiscKind = 'plain' | 'memory' | 'table' | 'grow';

const OP_SIMD = 0xfd;

/** Passes the operands of an instruction whose first byte was read. Returns the kind of an 0xfc
 *  instruction, and `plain` for others. Errors: GW_PLUGIN_INSTRUCTION for what is not supported. */
export function skipOperands(reader: ByteReader, opcode: number): MiscKind {
  if (opcode >= 0x45 && opcode <= 0xc4) return 'plain';
  if (opcode >= 0x28 && opcode <= 0x3e) {
    skipMemoryOperand(reader);
    return 'plain';
  }
  switch (opcode) {
    case OP_UNREACHABLE:
    case 0x01: // nop
    case 0x05: // else
    case OP_END:
    case OP_RETURN:
    case 0x1a: // drop
    case 0x1b: // select
    case 0xd1: // ref.is_null
      return 'plain';
    case OP_BLOCK:
    case OP_LOOP:
    case OP_IF:
    case OP_I32_CONST:
    case OP_BR:
    case OP_BR_IF:
    case OP_CALL:
    case OP_LOCAL_GET:
    case OP_LOCAL_SET:
    case OP_LOCAL_TEE:
    case OP_GLOBAL_GET:
    case OP_GLOBAL_SET:
    case 0x25: // table.get
    case 0x26: // table.set
    case 0x3f: // memory.size
    case OP_MEMORY_GROW:
    case 0xd0: // ref.null
    case 0xd2: // ref.func
      reader.skipNumber(5);
      return 'plain';
    case OP_CALL_INDIRECT:
      reader.skipNumber(5);
      reader.skipNumber(5);
      return 'plain';
    case OP_BR_TABLE:
      skipNumbers(reader, reader.u32() + 1);
      return 'plain';
    case 0x1c: // select with types
      skipNumbers(reader, reader.u32());
      return 'plain';
    case 0x42: // i64.const
      reader.skipNumber(10);
      return 'plain';
    case 0x43: // f32.const
      reader.skip(4);
      return 'plain';
    case 0x44: // f64.const
      reader.skip(8);
      return 'plain';
    case OP_MISC:
      return skipMisc(reader);
    case OP_SIMD:
      skipSimd(reader);
      return 'plain';
    default:
      return refuse(reader, opcode);
  }
}

function skipNumbers(reader: ByteReader, count: number): void {
  for (let index = 0; index < count; index++) reader.skipNumber(5);
}

function skipMemoryOperand(reader: ByteReader): void {
  const align = reader.u32();
  if (align >= 0x40) reader.fail('it uses several memories', 'GW_PLUGIN_INSTRUCTION');
  reader.skipNumber(5);
}

function skipMisc(reader: ByteReader): MiscKind {
  const code = reader.u32();
  switch (code) {
    case 8: // memory.init
      skipNumbers(reader, 2);
      return 'memory';
    case 10: // memory.copy
      skipNumbers(reader, 2);
      return 'memory';
    case 11: // memory.fill
      reader.skipNumber(5);
      return 'memory';
    case 9: // data.drop
    case 13: // elem.drop
    case 16: // table.size
      reader.skipNumber(5);
      return 'plain';
    case 12: // table.init
    case 14: // table.copy
      skipNumbers(reader, 2);
      return 'table';
    case 15: // table.grow
      reader.skipNumber(5);
      return 'grow';
    case 17: // table.fill
      reader.skipNumber(5);
      return 'table';
    default:
      if (code <= 7) return 'plain';
      return refuseNamed(reader, `instruction 0xfc ${code}`);
  }
}

function skipSimd(reader: ByteReader): void {
  const code = reader.u32();
  if (code <= 11 || code === 92 || code === 93) skipMemoryOperand(reader);
  else if (code === 12 || code === 13) reader.skip(16);
  else if (code >= 21 && code <= 34) reader.skip(1);
  else if (code >= 84 && code <= 91) {
    skipMemoryOperand(reader);
    reader.skip(1);
  } else if (code > 255) refuseNamed(reader, 'relaxed SIMD');
}

function refuse(reader: ByteReader, opcode: number): never {
  if ((opcode >= 0x06 && opcode <= 0x0a) || opcode === 0x18 || opcode === 0x19) {
    return refuseNamed(reader, 'exception handling');
  }
  if (opcode === 0x1f) return refuseNamed(reader, 'exception handling');
  if (opcode === 0x12 || opcode === 0x13) return refuseNamed(reader, 'tail calls');
  if (opcode === 0x14 || opcode === 0x15) return refuseNamed(reader, 'typed function references');
  if (opcode === 0xfb || (opcode >= 0xd3 && opcode <= 0xd6)) {
    return refuseNamed(reader, 'garbage collection');
  }
  if (opcode === 0xfe) return refuseNamed(reader, 'threads');
  return refuseNamed(reader, `instruction 0x${opcode.toString(16)}`);
}

function refuseNamed(reader: ByteReader, feature: string): never {
  return reader.fail(`it uses ${feature}`, 'GW_PLUGIN_INSTRUCTION');
}
