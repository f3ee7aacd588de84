// HTTP calls to configured services. Names of services are the configuration's, or the plugin's
// aliases for them.

import { headerValue } from '../../core/index.ts';
import { CALL_BODY_SIZE_BYTES_MAX, HOST_COPY_SIZE_BYTES_LOG2 } from '../limits.ts';
import type { Vm } from '../vm.ts';
import type { HostFunctions } from './function.ts';
import { readPairs } from './pairs.ts';
import { BAD_ARGUMENT, INTERNAL_FAILURE, INVALID_MEMORY_ACCESS, PARSE_FAILURE } from './values.ts';

export function callFunctions(vm: Vm): HostFunctions {
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
      const pairs = memory.textBytes(headersPtr, headersSizeBytes);
      const body = memory.bytes(bodyPtr, bodySizeBytes);
      const trailers = memory.textBytes(trailersPtr, trailersSizeBytes);
      if (name === null || pairs === null || body === null) return INVALID_MEMORY_ACCESS;
      if (trailers === null || !memory.holds(outPtr, 4)) return INVALID_MEMORY_ACCESS;
      const headers = readPairs(pairs);
      const trailerList = readPairs(trailers);
      if (headers === null || trailerList === null) return PARSE_FAILURE;
      const needed = [':method', ':path', ':authority'];
      if (needed.some((key) => headerValue(headers, key) === undefined)) return BAD_ARGUMENT;
      const service = calls.service(name);
      if (service === null || body.length > CALL_BODY_SIZE_BYTES_MAX) return BAD_ARGUMENT;
      if (vm.hasAllCalls) return INTERNAL_FAILURE;
      vm.charge(body.length >> HOST_COPY_SIZE_BYTES_LOG2);
      const request = {
        service,
        headers,
        body: Uint8Array.from(body),
        trailers: trailerList,
        timeoutMs: timeoutMs >>> 0,
      };
      return memory.setU32(outPtr, calls.send(request));
    },
  };
}
