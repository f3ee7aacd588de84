// Calls to configured services. Names of services are the configuration's, or the plugin's aliases
// for them. gRPC needs HTTP/2 towards the service, which the upstream client does not speak: a
// gRPC call ends as one whose service cannot be reached, which every SDK has a callback for.

import { headerValue } from '../../core/index.ts';
import { CALL_BODY_SIZE_BYTES_MAX, HOST_COPY_SIZE_BYTES_LOG2 } from '../limits.ts';
import type { Vm } from '../vm.ts';
import type { HostFunctions } from './function.ts';
import { readPairs } from './pairs.ts';
import {
  BAD_ARGUMENT,
  INTERNAL_FAILURE,
  INVALID_MEMORY_ACCESS,
  NOT_FOUND,
  OK,
  PARSE_FAILURE,
} from './values.ts';

export function callFunctions(vm: Vm): HostFunctions {
  return { ...httpFunctions(vm), ...grpcFunctions(vm) };
}

function httpFunctions(vm: Vm): HostFunctions {
  return {
    proxy_http_call(
      servicePtr: number,
      serviceSizeBytes: number,
      headersPtr: number,
      headersSizeBytes: number,
      bodyPtr: number,
      bodySizeBytes: number,
      trailersPtr: number,
      trailersSizeBytes: number,
      timeoutMs: number,
      outPtr: number,
    ): number {
      const { memory, calls } = vm;
      const name = memory.text(servicePtr, serviceSizeBytes);
      const pairs = memory.bytes(headersPtr, headersSizeBytes);
      const body = memory.bytes(bodyPtr, bodySizeBytes);
      const trailers = memory.bytes(trailersPtr, trailersSizeBytes);
      if (name === null || pairs === null || body === null) return INVALID_MEMORY_ACCESS;
      if (trailers === null || !memory.holds(outPtr, 4)) return INVALID_MEMORY_ACCESS;
      const headers = readPairs(pairs);
      if (headers === null || readPairs(trailers) === null) return PARSE_FAILURE;
      const needed = [':method', ':path', ':authority'];
      if (needed.some((key) => headerValue(headers, key) === undefined)) return BAD_ARGUMENT;
      const service = calls.service(name);
      if (service === null || body.length > CALL_BODY_SIZE_BYTES_MAX) return BAD_ARGUMENT;
      if (calls.isFull) return INTERNAL_FAILURE;
      vm.charge(body.length >> HOST_COPY_SIZE_BYTES_LOG2);
      const request = {
        service,
        headers,
        body: Uint8Array.from(body),
        timeoutMs: timeoutMs >>> 0,
      };
      return memory.setU32(outPtr, calls.send(request));
    },
  };
}

function grpcFunctions(vm: Vm): HostFunctions {
  const begin = (parts: readonly [number, number][], outPtr: number | undefined): number => {
    const { memory, calls } = vm;
    // An SDK with another idea of the parameters must not have its memory written to.
    if (outPtr === undefined) return BAD_ARGUMENT;
    if (!parts.every(([ptr, sizeBytes]) => memory.holds(ptr, sizeBytes))) {
      return INVALID_MEMORY_ACCESS;
    }
    if (!memory.holds(outPtr, 4)) return INVALID_MEMORY_ACCESS;
    const service = grpcService(memory.text(...parts[0]!)!);
    if (calls.service(service) === null) return BAD_ARGUMENT;
    if (calls.isFull) return INTERNAL_FAILURE;
    return memory.setU32(outPtr, calls.failGrpc());
  };
  return {
    proxy_grpc_call(
      servicePtr: number,
      serviceSize: number,
      namePtr: number,
      nameSize: number,
      methodPtr: number,
      methodSize: number,
      metadataPtr: number,
      metadataSize: number,
      messagePtr: number,
      messageSize: number,
      _timeoutMs: number,
      outPtr: number,
    ): number {
      const parts: [number, number][] = [
        [servicePtr, serviceSize],
        [namePtr, nameSize],
        [methodPtr, methodSize],
        [metadataPtr, metadataSize],
        [messagePtr, messageSize],
      ];
      return begin(parts, outPtr);
    },
    proxy_grpc_stream(
      servicePtr: number,
      serviceSize: number,
      namePtr: number,
      nameSize: number,
      methodPtr: number,
      methodSize: number,
      metadataPtr: number,
      metadataSize: number,
      outPtr: number,
    ): number {
      const parts: [number, number][] = [
        [servicePtr, serviceSize],
        [namePtr, nameSize],
        [methodPtr, methodSize],
        [metadataPtr, metadataSize],
      ];
      return begin(parts, outPtr);
    },
    proxy_grpc_send(id: number, ptr: number, sizeBytes: number, _isLast: number): number {
      if (!vm.memory.holds(ptr, sizeBytes)) return INVALID_MEMORY_ACCESS;
      return vm.calls.has(id) ? OK : NOT_FOUND;
    },
    proxy_grpc_cancel(id: number): number {
      return vm.calls.cancel(id) ? OK : NOT_FOUND;
    },
    proxy_grpc_close(id: number): number {
      return vm.calls.cancel(id) ? OK : NOT_FOUND;
    },
  };
}

/** A service's name, also out of Envoy's GrpcService message: field 1 (envoy_grpc) of it, and field
 *  1 (cluster_name) of that, each short. */
function grpcService(given: string): string {
  const outer = given.charCodeAt(1);
  const isMessage =
    given.length > 4 &&
    given.charCodeAt(0) === 0x0a &&
    outer <= given.length - 2 &&
    given.charCodeAt(2) === 0x0a &&
    given.charCodeAt(3) <= outer - 2;
  return isMessage ? given.slice(4, 4 + given.charCodeAt(3)) : given;
}
