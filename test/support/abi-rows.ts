// The words in which the table of host functions is written: a function with its parameters, the
// calls of it that succeed, and those that find nothing.

import { pairsSizeBytes, writePairs } from '../../host/proxywasm/abi/pairs.ts';
import type { AbiProbe, Argument, Parameter } from './abi-probe.ts';

export interface Call {
  /** All but the `out` ones. */
  readonly args: readonly Argument[];
  readonly status: number;
  readonly prepare?: (probe: AbiProbe) => unknown;
  /** Compared behind the call. */
  readonly see?: (probe: AbiProbe) => unknown;
  readonly is?: unknown;
}

export interface Row {
  readonly name: string;
  readonly parameters: readonly Parameter[];
  readonly good: readonly Call[];
  readonly missing: readonly Call[];
}

export const OK = 0;
export const NOT_FOUND = 1;
export const BAD_ARGUMENT = 2;
export const PARSE_FAILURE = 4;
export const EMPTY = 7;
export const CAS_MISMATCH = 8;
export const INTERNAL_FAILURE = 10;
export const UNIMPLEMENTED = 12;

export function row(
  name: string,
  parameters: string,
  good: readonly Call[],
  missing: readonly Call[],
): Row {
  return { name, parameters: parametersOf(parameters), good, missing };
}

export function parametersOf(text: string): Parameter[] {
  return text === '' ? [] : (text.split(' ') as Parameter[]);
}

export function fails(status: number, ...args: readonly Argument[]): Call {
  return { args, status };
}

/** Succeeds and gives the guest a byte string. */
export function gives(text: string, ...args: readonly Argument[]): Call {
  return { args, status: OK, see: (probe) => probe.given(), is: text };
}

export function pairs(...headers: string[]): Buffer {
  const bytes = Buffer.alloc(pairsSizeBytes(headers));
  writePairs(headers, bytes, 0);
  return bytes;
}

export function int64(value: bigint): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return bytes.toString('latin1');
}
