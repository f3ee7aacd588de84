// What only modules of ABI 0.1.0 call, and what toolchains link without being in any specification.

import type { Vm } from '../vm.ts';
import type { HostFunctions } from './function.ts';
import { continueStream } from './streams.ts';
import { OK, STREAM_REQUEST, STREAM_RESPONSE } from './values.ts';

const NO_BYTES = new Uint8Array(0);
const DIFFERENT = 0;
const SAME = 1;

export function legacyFunctions(vm: Vm): HostFunctions {
  return {
    proxy_continue_request(): number {
      return continueStream(vm, STREAM_REQUEST);
    },
    proxy_continue_response(): number {
      return continueStream(vm, STREAM_RESPONSE);
    },
    /** Routes are chosen before filters run, and stay. */
    proxy_clear_route_cache(): number {
      return OK;
    },
    proxy_get_configuration(outPtr: number, outSizePtr: number): number {
      const { configuring, spec } = vm;
      const bytes =
        configuring === 'vm' ? spec.vmConfig : configuring === 'plugin' ? spec.config : NO_BYTES;
      return vm.memory.give(bytes, outPtr, outSizePtr);
    },
    pthread_equal(first: number, second: number): number {
      return first === second ? SAME : DIFFERENT;
    },
    /** Views are taken anew in any case. */
    emscripten_notify_memory_growth(_memory: number): number {
      return OK;
    },
  };
}
