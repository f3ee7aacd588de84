// What a filter says about its stream: go on, close, answer; and about contexts.

import { isHeaderValue, isToken } from '../../core/index.ts';
import type { StreamContext } from '../contexts.ts';
import { HOST_COPY_SIZE_BYTES_LOG2, LOCAL_BODY_SIZE_BYTES_MAX } from '../limits.ts';
import type { Vm } from '../vm.ts';
import type { HostFunctions } from './function.ts';
import { readPairs } from './pairs.ts';
import {
  BAD_ARGUMENT,
  INVALID_MEMORY_ACCESS,
  NOT_FOUND,
  OK,
  PARSE_FAILURE,
  STREAM_REQUEST,
  STREAM_RESPONSE,
  UNIMPLEMENTED,
} from './values.ts';

const STREAMS_COUNT = 4;
const DETAILS_SIZE_CHARS_MAX = 256;
const NO_GRPC_STATUS = -1;

export function streamFunctions(vm: Vm): HostFunctions {
  return {
    proxy_continue_stream(kind: number): number {
      return continueStream(vm, kind);
    },
    proxy_close_stream(kind: number): number {
      if (kind < 0 || kind >= STREAMS_COUNT) return BAD_ARGUMENT;
      if (kind > STREAM_RESPONSE) return UNIMPLEMENTED;
      const context = streamOf(vm);
      if (context === null) return NOT_FOUND;
      context.isClosed = true;
      vm.touch(context);
      return OK;
    },
    proxy_set_effective_context(id: number): number {
      const context = vm.context(id);
      if (context === undefined) return BAD_ARGUMENT;
      vm.effective = context;
      return OK;
    },
    proxy_done(): number {
      const context = vm.effective;
      if (!context.isFinishing) return NOT_FOUND;
      context.isFinishing = false;
      if (context.kind === 'stream') vm.releaseLater(context);
      return OK;
    },
    proxy_send_local_response(
      status: number,
      detailsPtr: number,
      detailsSizeBytes: number,
      bodyPtr: number,
      bodySizeBytes: number,
      headersPtr: number,
      headersSizeBytes: number,
      grpcStatus: number,
    ): number {
      const details = vm.memory.text(detailsPtr, detailsSizeBytes);
      const body = vm.memory.bytes(bodyPtr, bodySizeBytes);
      const pairs = vm.memory.textBytes(headersPtr, headersSizeBytes);
      if (details === null || body === null || pairs === null) return INVALID_MEMORY_ACCESS;
      const context = streamOf(vm);
      if (context === null) return NOT_FOUND;
      if (status < 200 || status > 599) return BAD_ARGUMENT;
      if (body.length > LOCAL_BODY_SIZE_BYTES_MAX) return BAD_ARGUMENT;
      const headers = readPairs(pairs);
      if (headers === null) return PARSE_FAILURE;
      for (let index = 0; index < headers.length; index += 2) {
        const isFit = isToken(headers[index]!) && isHeaderValue(headers[index + 1]!);
        if (!isFit) return BAD_ARGUMENT;
      }
      if (grpcStatus !== NO_GRPC_STATUS) headers.push('grpc-status', String(grpcStatus >>> 0));
      vm.charge(body.length >> HOST_COPY_SIZE_BYTES_LOG2);
      // The first answer stands.
      context.answer ??= {
        status,
        headers,
        body: Uint8Array.from(body),
        details: details.slice(0, DETAILS_SIZE_CHARS_MAX),
      };
      vm.touch(context);
      return OK;
    },
  };
}

/** Lets a paused direction go on. */
export function continueStream(vm: Vm, kind: number): number {
  if (kind < 0 || kind >= STREAMS_COUNT) return BAD_ARGUMENT;
  if (kind !== STREAM_REQUEST && kind !== STREAM_RESPONSE) return UNIMPLEMENTED;
  const context = streamOf(vm);
  if (context === null) return NOT_FOUND;
  context.isResumed[kind] = true;
  vm.touch(context);
  return OK;
}

function streamOf(vm: Vm): StreamContext | null {
  const context = vm.effective;
  return context.kind === 'stream' && !context.isLogging ? context : null;
}
