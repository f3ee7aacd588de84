// gRPC calls and streams to configured services. A service is named as for an HTTP call, or by
// Envoy's GrpcService message, which the SDK for C++ sends.
// Source: proxy-wasm/spec, abi-versions/v0.2.1, "gRPC calls"; in 0.1.0 and 0.2.0 they are the same.

import { isHeaderValue, isToken } from '../../core/index.ts';
import type { GrpcAsked } from '../grpc-calls.ts';
import {
  GRPC_MESSAGE_SIZE_BYTES_MAX,
  GRPC_METADATA_SIZE_BYTES_MAX,
  GRPC_PATH_SIZE_BYTES_MAX,
  HOST_COPY_SIZE_BYTES_LOG2,
} from '../limits.ts';
import type { Vm } from '../vm.ts';
import type { HostFunctions } from './function.ts';
import { type GrpcServiceMessage, readGrpcService } from './grpc-service.ts';
import { pairsSizeBytes, readPairs } from './pairs.ts';
import {
  BAD_ARGUMENT,
  INTERNAL_FAILURE,
  INVALID_MEMORY_ACCESS,
  NOT_FOUND,
  OK,
  PARSE_FAILURE,
} from './values.ts';

const AUTHORITY = /^[A-Za-z0-9.\-_~%:[\]]{0,261}$/;
/** Names of services and methods: identifiers, with packages around them. */
const NAME = /^[A-Za-z_][A-Za-z0-9_./-]*$/;

/** Where the guest put what it asks for: pointers and sizes. */
interface Places {
  readonly target: readonly [number, number];
  readonly service: readonly [number, number];
  readonly method: readonly [number, number];
  readonly metadata: readonly [number, number];
}

export function grpcFunctions(vm: Vm): HostFunctions {
  return { ...beginFunctions(vm), ...streamFunctions(vm) };
}

function beginFunctions(vm: Vm): HostFunctions {
  return {
    proxy_grpc_call(
      targetPtr: number,
      targetSizeBytes: number,
      servicePtr: number,
      serviceSizeBytes: number,
      methodPtr: number,
      methodSizeBytes: number,
      metadataPtr: number,
      metadataSizeBytes: number,
      messagePtr: number,
      messageSizeBytes: number,
      timeoutMs: number,
      outPtr: number | undefined,
    ): number {
      // An SDK with another idea of the parameters must not have its memory written to.
      if (outPtr === undefined) return BAD_ARGUMENT;
      const places: Places = {
        target: [targetPtr, targetSizeBytes],
        service: [servicePtr, serviceSizeBytes],
        method: [methodPtr, methodSizeBytes],
        metadata: [metadataPtr, metadataSizeBytes],
      };
      const message = vm.memory.bytes(messagePtr, messageSizeBytes);
      if (message === null || !vm.memory.holds(outPtr, 4)) return INVALID_MEMORY_ACCESS;
      const asked = readAsked(vm, places, timeoutMs >>> 0);
      if (typeof asked === 'number') return asked;
      if (message.length > GRPC_MESSAGE_SIZE_BYTES_MAX) return BAD_ARGUMENT;
      if (vm.hasAllCalls) return INTERNAL_FAILURE;
      vm.charge(message.length >> HOST_COPY_SIZE_BYTES_LOG2);
      return vm.memory.setU32(outPtr, vm.grpc.call(asked, message));
    },
    proxy_grpc_stream(
      targetPtr: number,
      targetSizeBytes: number,
      servicePtr: number,
      serviceSizeBytes: number,
      methodPtr: number,
      methodSizeBytes: number,
      metadataPtr: number,
      metadataSizeBytes: number,
      outPtr: number | undefined,
    ): number {
      if (outPtr === undefined) return BAD_ARGUMENT;
      if (!vm.memory.holds(outPtr, 4)) return INVALID_MEMORY_ACCESS;
      const places: Places = {
        target: [targetPtr, targetSizeBytes],
        service: [servicePtr, serviceSizeBytes],
        method: [methodPtr, methodSizeBytes],
        metadata: [metadataPtr, metadataSizeBytes],
      };
      const asked = readAsked(vm, places, 0);
      if (typeof asked === 'number') return asked;
      if (vm.hasAllCalls) return INTERNAL_FAILURE;
      return vm.memory.setU32(outPtr, vm.grpc.stream(asked));
    },
  };
}

function streamFunctions(vm: Vm): HostFunctions {
  return {
    proxy_grpc_send(id: number, ptr: number, sizeBytes: number, isLast: number): number {
      const message = vm.memory.bytes(ptr, sizeBytes);
      if (message === null) return INVALID_MEMORY_ACCESS;
      const kind = vm.grpc.kindOf(id);
      if (kind === null) return NOT_FOUND;
      if (kind === 'call' || message.length > GRPC_MESSAGE_SIZE_BYTES_MAX) return BAD_ARGUMENT;
      vm.charge(message.length >> HOST_COPY_SIZE_BYTES_LOG2);
      const sent = vm.grpc.send(id, message);
      if (sent !== 'ok') return sent === 'full' ? INTERNAL_FAILURE : BAD_ARGUMENT;
      if (isLast !== 0) vm.grpc.end(id);
      return OK;
    },
    proxy_grpc_cancel(id: number): number {
      return vm.grpc.cancel(id) ? OK : NOT_FOUND;
    },
    /** Of a stream, it closes the guest's side; a call has been sent whole, and is given up. */
    proxy_grpc_close(id: number): number {
      const kind = vm.grpc.kindOf(id);
      if (kind === null) return NOT_FOUND;
      if (kind === 'call') vm.grpc.cancel(id);
      else vm.grpc.end(id);
      return OK;
    },
  };
}

/** What a guest asks for, or why it cannot be had. */
function readAsked(vm: Vm, places: Places, timeoutMs: number): GrpcAsked | number {
  const { memory } = vm;
  const target = memory.bytes(...places.target);
  const service = memory.text(...places.service);
  const method = memory.text(...places.method);
  const pairs = memory.bytes(...places.metadata);
  if (target === null || service === null || method === null || pairs === null) {
    return INVALID_MEMORY_ACCESS;
  }
  const found = findService(vm, target);
  if (found === null) return PARSE_FAILURE;
  const path = `/${service}/${method}`;
  if (!NAME.test(service) || !NAME.test(method) || path.length > GRPC_PATH_SIZE_BYTES_MAX) {
    return BAD_ARGUMENT;
  }
  const given = readPairs(pairs);
  if (given === null) return PARSE_FAILURE;
  const metadata = [...found.metadata, ...given];
  if (pairsSizeBytes(metadata) > GRPC_METADATA_SIZE_BYTES_MAX || !isSendable(metadata)) {
    return BAD_ARGUMENT;
  }
  return { service: found.cluster, authority: found.authority, path, metadata, timeoutMs };
}

/** The configured service: a name is taken first, for no message looks like one. */
function findService(vm: Vm, target: Buffer): GrpcServiceMessage | null {
  const byName = vm.calls.service(target.toString('latin1'));
  if (byName !== null) return { cluster: byName, authority: '', metadata: [] };
  const message = readGrpcService(target);
  if (message === null || !AUTHORITY.test(message.authority)) return null;
  const cluster = vm.calls.service(message.cluster);
  return cluster === null ? null : { ...message, cluster };
}

function isSendable(metadata: readonly string[]): boolean {
  return metadata.every((text, index) => {
    if (index % 2 === 1) return isHeaderValue(text);
    // Pseudo headers are read over, as all that belongs to the transport.
    return isToken(text.startsWith(':') ? text.slice(1) : text);
  });
}
