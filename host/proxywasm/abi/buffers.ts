// Buffers: bodies, configurations, and what calls and foreign functions brought.

import type { BodyBuffer } from '../body-buffer.ts';
import { HOST_COPY_SIZE_BYTES_LOG2 } from '../limits.ts';
import type { Vm } from '../vm.ts';
import type { HostFunctions } from './function.ts';
import {
  BAD_ARGUMENT,
  BUFFER_CALL_RESPONSE,
  BUFFER_FOREIGN_ARGUMENTS,
  BUFFER_GRPC_MESSAGE,
  BUFFER_PLUGIN_CONFIG,
  BUFFER_REQUEST_BODY,
  BUFFER_RESPONSE_BODY,
  BUFFER_VM_CONFIG,
  INVALID_MEMORY_ACCESS,
  NOT_FOUND,
  OK,
} from './values.ts';

const BUFFERS_COUNT = 9;

export function bufferFunctions(vm: Vm): HostFunctions {
  return {
    proxy_get_buffer_bytes(
      kind: number,
      start: number,
      sizeBytesMax: number,
      outPtr: number,
      outSizePtr: number,
    ): number {
      const bytes = bufferBytes(vm, kind);
      if (typeof bytes === 'number') return bytes;
      const from = start >>> 0;
      if (from > bytes.length) return BAD_ARGUMENT;
      const part = bytes.subarray(from, from + (sizeBytesMax >>> 0));
      vm.charge(part.length >> HOST_COPY_SIZE_BYTES_LOG2);
      return vm.memory.give(part, outPtr, outSizePtr);
    },
    proxy_set_buffer_bytes(
      kind: number,
      start: number,
      replacedSizeBytes: number,
      ptr: number,
      sizeBytes: number,
    ): number {
      if (kind < 0 || kind >= BUFFERS_COUNT) return BAD_ARGUMENT;
      const body = writableBody(vm, kind);
      if (body === null) return NOT_FOUND;
      const given = vm.memory.bytes(ptr, sizeBytes);
      if (given === null) return INVALID_MEMORY_ACCESS;
      const from = start >>> 0;
      if (from > 0 && from < body.sizeBytes) return BAD_ARGUMENT;
      if (body.sizeBytes + given.length > vm.spec.limits.bodySizeBytes) return BAD_ARGUMENT;
      vm.charge((given.length + body.sizeBytes) >> HOST_COPY_SIZE_BYTES_LOG2);
      body.splice(from, from > 0 ? 0 : replacedSizeBytes >>> 0, given);
      return OK;
    },
    proxy_get_buffer_status(kind: number, sizePtr: number, flagsPtr: number): number {
      const bytes = bufferBytes(vm, kind);
      if (typeof bytes === 'number') return bytes;
      return vm.memory.setU32Pair(sizePtr, bytes.length, flagsPtr, 0);
    },
  };
}

/** The bytes of a buffer, or why there are none. */
export function bufferBytes(vm: Vm, kind: number): Uint8Array | number {
  const { root } = vm;
  switch (kind) {
    case BUFFER_REQUEST_BODY:
    case BUFFER_RESPONSE_BODY: {
      const context = vm.effective;
      if (context.kind !== 'stream' || !context.hasBody[kind]) return NOT_FOUND;
      return context.body(kind).bytes();
    }
    case BUFFER_CALL_RESPONSE:
      return root.callBody ?? NOT_FOUND;
    case BUFFER_GRPC_MESSAGE:
      return root.grpcMessage ?? NOT_FOUND;
    case BUFFER_VM_CONFIG:
      return vm.spec.vmConfig;
    case BUFFER_PLUGIN_CONFIG:
      return vm.spec.config;
    case BUFFER_FOREIGN_ARGUMENTS:
      return root.foreignArguments;
    default:
      return kind >= 0 && kind < BUFFERS_COUNT ? NOT_FOUND : BAD_ARGUMENT;
  }
}

function writableBody(vm: Vm, kind: number): BodyBuffer | null {
  const context = vm.effective;
  if (context.kind !== 'stream' || context.isLogging) return null;
  if (kind !== BUFFER_REQUEST_BODY && kind !== BUFFER_RESPONSE_BODY) return null;
  return context.hasBody[kind] ? context.body(kind) : null;
}
