// Time, and ticks of the root context.

import type { Vm } from '../vm.ts';
import type { HostFunctions } from './function.ts';
import { BAD_ARGUMENT, OK } from './values.ts';

const NANOSECONDS_PER_MS = 1_000_000;

/** Wall-clock time. Units: ns since the Unix epoch. */
export function wallNanoseconds(vm: Vm): bigint {
  return BigInt(Math.round(vm.services.clock.wallMs() * 1_000)) * 1_000n;
}

/** Time that only goes on. Units: ns. */
export function monotonicNanoseconds(vm: Vm): bigint {
  return BigInt(Math.round(vm.services.clock.nowMs() * NANOSECONDS_PER_MS));
}

export function clockFunctions(vm: Vm): HostFunctions {
  return {
    proxy_get_current_time_nanoseconds(outPtr: number): number {
      return vm.memory.setU64(outPtr, wallNanoseconds(vm));
    },
    proxy_set_tick_period_milliseconds(ms: number): number {
      if (ms < 0) return BAD_ARGUMENT;
      vm.setTick(ms);
      return OK;
    },
  };
}
