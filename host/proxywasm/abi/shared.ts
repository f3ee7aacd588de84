// Shared data with compare-and-swap, and shared queues.

import {
  HOST_COPY_SIZE_BYTES_LOG2,
  QUEUE_SEARCH_STEPS,
  SHARED_KEY_SIZE_BYTES_MAX,
  SHARED_VALUE_SIZE_BYTES_MAX,
} from '../limits.ts';
import type { Vm } from '../vm.ts';
import type { HostFunctions } from './function.ts';
import {
  BAD_ARGUMENT,
  CAS_MISMATCH,
  EMPTY,
  INTERNAL_FAILURE,
  INVALID_MEMORY_ACCESS,
  NOT_FOUND,
  OK,
} from './values.ts';

export function sharedFunctions(vm: Vm): HostFunctions {
  return { ...dataFunctions(vm), ...queueFunctions(vm) };
}

function dataFunctions(vm: Vm): HostFunctions {
  return {
    proxy_get_shared_data(
      keyPtr: number,
      keySizeBytes: number,
      outPtr: number,
      outSizePtr: number,
      outCasPtr: number,
    ): number {
      const key = vm.memory.text(keyPtr, keySizeBytes);
      if (key === null || !vm.memory.holds(outCasPtr, 4)) return INVALID_MEMORY_ACCESS;
      const found = vm.services.data.get(vm.vmId, key);
      if (found === null) return NOT_FOUND;
      if (found === 'busy') return INTERNAL_FAILURE;
      vm.charge(found.value.length >> HOST_COPY_SIZE_BYTES_LOG2);
      const status = vm.memory.give(found.value, outPtr, outSizePtr);
      return status === OK ? vm.memory.setU32(outCasPtr, found.cas) : status;
    },
    proxy_set_shared_data(
      keyPtr: number,
      keySizeBytes: number,
      valuePtr: number,
      valueSizeBytes: number,
      cas: number,
    ): number {
      const key = vm.memory.text(keyPtr, keySizeBytes);
      const value = vm.memory.bytes(valuePtr, valueSizeBytes);
      if (key === null || value === null) return INVALID_MEMORY_ACCESS;
      if (key.length > SHARED_KEY_SIZE_BYTES_MAX || value.length > SHARED_VALUE_SIZE_BYTES_MAX) {
        return BAD_ARGUMENT;
      }
      vm.charge(value.length >> HOST_COPY_SIZE_BYTES_LOG2);
      const status = vm.services.data.set(vm.vmId, key, value, cas >>> 0);
      if (status === 'cas-mismatch') return CAS_MISMATCH;
      return status === 'ok' ? OK : INTERNAL_FAILURE;
    },
  };
}

function queueFunctions(vm: Vm): HostFunctions {
  return {
    proxy_register_shared_queue(namePtr: number, nameSizeBytes: number, outPtr: number): number {
      const name = vm.memory.text(namePtr, nameSizeBytes);
      if (name === null || !vm.memory.holds(outPtr, 4)) return INVALID_MEMORY_ACCESS;
      if (name.length > SHARED_KEY_SIZE_BYTES_MAX) return BAD_ARGUMENT;
      vm.charge(QUEUE_SEARCH_STEPS);
      const token = vm.services.queues.register(vm.vmId, name);
      if (token === 0) return INTERNAL_FAILURE;
      vm.watchQueue(token);
      return vm.memory.setU32(outPtr, token);
    },
    proxy_resolve_shared_queue(
      vmIdPtr: number,
      vmIdSizeBytes: number,
      namePtr: number,
      nameSizeBytes: number,
      outPtr: number,
    ): number {
      const vmId = vm.memory.text(vmIdPtr, vmIdSizeBytes);
      const name = vm.memory.text(namePtr, nameSizeBytes);
      if (vmId === null || name === null || !vm.memory.holds(outPtr, 4)) {
        return INVALID_MEMORY_ACCESS;
      }
      vm.charge(QUEUE_SEARCH_STEPS);
      const token = vm.services.queues.resolve(vmId === '' ? vm.vmId : vmId, name);
      return token === 0 ? NOT_FOUND : vm.memory.setU32(outPtr, token);
    },
    proxy_enqueue_shared_queue(token: number, valuePtr: number, valueSizeBytes: number): number {
      const value = vm.memory.bytes(valuePtr, valueSizeBytes);
      if (value === null) return INVALID_MEMORY_ACCESS;
      if (value.length > SHARED_VALUE_SIZE_BYTES_MAX) return BAD_ARGUMENT;
      vm.charge(value.length >> HOST_COPY_SIZE_BYTES_LOG2);
      const status = vm.services.queues.enqueue(token, value);
      if (status === 'not-found') return NOT_FOUND;
      return status === 'ok' ? OK : INTERNAL_FAILURE;
    },
    proxy_dequeue_shared_queue(token: number, outPtr: number, outSizePtr: number): number {
      if (!vm.memory.holds(outPtr, 4) || !vm.memory.holds(outSizePtr, 4)) {
        return INVALID_MEMORY_ACCESS;
      }
      const value = vm.services.queues.dequeue(token);
      if (value === 'not-found') return NOT_FOUND;
      if (value === 'empty') return EMPTY;
      if (value === 'busy') return INTERNAL_FAILURE;
      vm.charge(value.length >> HOST_COPY_SIZE_BYTES_LOG2);
      return vm.memory.give(value, outPtr, outSizePtr);
    },
  };
}
