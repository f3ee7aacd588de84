// Foreign functions: the few of Envoy's that make sense here.

import { deflateSync, inflateSync } from 'node:zlib';
import { FOREIGN_RESULT_SIZE_BYTES_MAX, HOST_COPY_SIZE_BYTES_LOG2 } from '../limits.ts';
import type { Vm } from '../vm.ts';
import type { HostFunctions } from './function.ts';
import { BAD_ARGUMENT, INVALID_MEMORY_ACCESS, NOT_FOUND, OK } from './values.ts';

const NO_BYTES = new Uint8Array(0);
const DEFLATE_LEVEL = 6;
/** To deflate a byte costs some twenty times what it costs to copy it. */
const COMPRESS_FACTOR = 20;
/** What deflate makes of zeros, at most. Source: RFC 1951, 258 bytes by two bits. */
const INFLATE_RATIO_MAX = 1_032;

/** Null for arguments that the function cannot take. */
type Foreign = (vm: Vm, argument: Uint8Array) => Uint8Array | null;

const FOREIGN: ReadonlyMap<string, Foreign> = new Map<string, Foreign>([
  ['compress', compress],
  ['uncompress', uncompress],
  // Properties that a filter sets are bytes to everyone who reads them: there is no type to
  // declare.
  ['declare_property', () => NO_BYTES],
  // Routes are chosen before filters run, and stay.
  ['clear_route_cache', () => NO_BYTES],
]);

export function foreignFunctions(vm: Vm): HostFunctions {
  return {
    proxy_call_foreign_function(
      namePtr: number,
      nameSizeBytes: number,
      argumentPtr: number,
      argumentSizeBytes: number,
      outPtr: number,
      outSizePtr: number,
    ): number {
      const name = vm.memory.text(namePtr, nameSizeBytes);
      const argument = vm.memory.bytes(argumentPtr, argumentSizeBytes);
      if (name === null || argument === null) return INVALID_MEMORY_ACCESS;
      const foreign = FOREIGN.get(name);
      if (foreign === undefined) return NOT_FOUND;
      const result = foreign(vm, argument);
      if (result === null) return BAD_ARGUMENT;
      // A caller that wants no result passes no place for it.
      if (outPtr === 0 && outSizePtr === 0) return OK;
      vm.charge(result.length >> HOST_COPY_SIZE_BYTES_LOG2);
      return vm.memory.give(result, outPtr, outSizePtr);
    },
  };
}

function compress(vm: Vm, argument: Uint8Array): Uint8Array {
  chargeDeflated(vm, argument.length);
  return deflateSync(argument, { level: DEFLATE_LEVEL });
}

function uncompress(vm: Vm, argument: Uint8Array): Uint8Array | null {
  try {
    const result = inflateSync(argument, { maxOutputLength: FOREIGN_RESULT_SIZE_BYTES_MAX });
    chargeDeflated(vm, result.length);
    return result;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    // Nobody says how far it came: what is damaged at its end has cost as much as what is whole.
    const sizeBytesMax = argument.length * INFLATE_RATIO_MAX;
    chargeDeflated(vm, Math.min(sizeBytesMax, FOREIGN_RESULT_SIZE_BYTES_MAX));
    return null;
  }
}

function chargeDeflated(vm: Vm, sizeBytes: number): void {
  vm.charge((sizeBytes >> HOST_COPY_SIZE_BYTES_LOG2) * COMPRESS_FACTOR);
}
