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

/** Calls in flight that one step covers. */
const CALLS_PER_STEP_LOG2 = 3;

/** A pointer and a size. */
type Place = readonly [number, number];

/** Where the guest put what it asks for. */
interface Places {
  readonly target: Place;
  readonly service: Place;
  readonly method: Place;
  readonly metadata: Place;
}

const NOTHING: Place = [0, 0];

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
      timeoutMs: number | undefined,
      outPtr: number | undefined,
    ): number {
      const target = [targetPtr, targetSizeBytes] as const;
      const service = [servicePtr, serviceSizeBytes] as const;
      const method = [methodPtr, methodSizeBytes] as const;
      const given = [metadataPtr, metadataSizeBytes] as const;
      if (timeoutMs === undefined || outPtr === undefined) {
        // The SDK for AssemblyScript: the same without metadata.
        const places = { target, service, method, metadata: NOTHING, message: given };
        return beginCall(vm, places, messagePtr, messageSizeBytes);
      }
      const message = [messagePtr, messageSizeBytes] as const;
      return beginCall(
        vm,
        { target, service, method, metadata: given, message },
        timeoutMs,
        outPtr,
      );
    },
    proxy_grpc_stream(
      targetPtr: number,
      targetSizeBytes: number,
      servicePtr: number,
      serviceSizeBytes: number,
      methodPtr: number,
      methodSizeBytes: number,
      metadataPtr: number,
      metadataSizeBytes: number | undefined,
      outPtr: number | undefined,
    ): number {
      const target = [targetPtr, targetSizeBytes] as const;
      const service = [servicePtr, serviceSizeBytes] as const;
      const method = [methodPtr, methodSizeBytes] as const;
      if (metadataSizeBytes === undefined || outPtr === undefined) {
        return beginStream(vm, { target, service, method, metadata: NOTHING }, metadataPtr);
      }
      const metadata = [metadataPtr, metadataSizeBytes] as const;
      return beginStream(vm, { target, service, method, metadata }, outPtr);
    },
  };
}

function beginCall(
  vm: Vm,
  places: Places & { readonly message: Place },
  timeoutMs: number,
  outPtr: number,
): number {
  const message = vm.memory.bytes(...places.message);
  if (message === null || !vm.memory.holds(outPtr, 4)) return INVALID_MEMORY_ACCESS;
  const asked = readAsked(vm, places, timeoutMs >>> 0);
  if (typeof asked === 'number') return asked;
  if (message.length > GRPC_MESSAGE_SIZE_BYTES_MAX) return BAD_ARGUMENT;
  chargeMessage(vm, message);
  if (vm.hasAllCalls || !vm.grpc.hasRoomFor(message.length)) return INTERNAL_FAILURE;
  return vm.memory.setU32(outPtr, vm.grpc.call(asked, message));
}

function beginStream(vm: Vm, places: Places, outPtr: number): number {
  if (!vm.memory.holds(outPtr, 4)) return INVALID_MEMORY_ACCESS;
  const asked = readAsked(vm, places, 0);
  if (typeof asked === 'number') return asked;
  if (vm.hasAllCalls) return INTERNAL_FAILURE;
  return vm.memory.setU32(outPtr, vm.grpc.stream(asked));
}

function streamFunctions(vm: Vm): HostFunctions {
  return {
    proxy_grpc_send(id: number, ptr: number, sizeBytes: number, isLast: number): number {
      const message = vm.memory.bytes(ptr, sizeBytes);
      if (message === null) return INVALID_MEMORY_ACCESS;
      const kind = vm.grpc.kindOf(id);
      if (kind === null) return NOT_FOUND;
      if (kind === 'call' || message.length > GRPC_MESSAGE_SIZE_BYTES_MAX) return BAD_ARGUMENT;
      chargeMessage(vm, message);
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

/** Pays for the copy, and for a look at what waits of each call in flight. */
function chargeMessage(vm: Vm, message: Uint8Array): void {
  vm.charge((message.length >> HOST_COPY_SIZE_BYTES_LOG2) + (vm.grpc.count >> CALLS_PER_STEP_LOG2));
}

/** What a guest asks for, or why it cannot be had. */
function readAsked(vm: Vm, places: Places, timeoutMs: number): GrpcAsked | number {
  const { memory } = vm;
  const target = memory.bytes(...places.target);
  const service = memory.text(...places.service);
  const method = memory.text(...places.method);
  const pairs = memory.textBytes(...places.metadata);
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
