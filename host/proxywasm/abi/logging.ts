// Logging, and the status of the last call.

import type { Vm } from '../vm.ts';
import type { HostFunctions } from './function.ts';
import { BAD_ARGUMENT, INVALID_MEMORY_ACCESS, LOG_LEVELS, OK } from './values.ts';

export function logFunctions(vm: Vm): HostFunctions {
  return {
    proxy_log(level: number, ptr: number, sizeBytes: number): number {
      if (level < 0 || level >= LOG_LEVELS.length) return BAD_ARGUMENT;
      const line = vm.memory.bytes(ptr, sizeBytes);
      if (line === null) return INVALID_MEMORY_ACCESS;
      vm.log.guest(level, line);
      return OK;
    },
    proxy_get_log_level(outPtr: number): number {
      return vm.memory.setU32(outPtr, vm.log.level);
    },
    /** The status of a gRPC call: the callback that is running, or 0 and nothing. */
    proxy_get_status(codePtr: number, messagePtr: number, messageSizePtr: number): number {
      const { memory, root } = vm;
      if (!memory.holds(codePtr, 4)) return INVALID_MEMORY_ACCESS;
      const status = memory.giveText(root.grpcStatusMessage, messagePtr, messageSizePtr);
      return status === OK ? memory.setU32(codePtr, root.grpcStatus) : status;
    },
  };
}
