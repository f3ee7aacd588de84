// Metrics that guests define. Values are 64-bit integers in the guest, numbers here: exact up to
// 2^53. An instance has the metrics that it defined: those of other plugins are not there for it,
// whatever id it tries.

import type { MetricKind } from '../contract.ts';
import { METRIC_NAME_SIZE_BYTES_MAX, METRIC_SEARCH_STEPS } from '../limits.ts';
import type { Vm } from '../vm.ts';
import type { HostFunctions } from './function.ts';
import { BAD_ARGUMENT, INTERNAL_FAILURE, INVALID_MEMORY_ACCESS, NOT_FOUND, OK } from './values.ts';

const KINDS: readonly MetricKind[] = ['counter', 'gauge', 'histogram'];

export function metricFunctions(vm: Vm): HostFunctions {
  return {
    proxy_define_metric(
      kind: number,
      namePtr: number,
      nameSizeBytes: number,
      outPtr: number,
    ): number {
      const metricKind = KINDS[kind];
      if (metricKind === undefined) return BAD_ARGUMENT;
      const name = vm.memory.bytes(namePtr, nameSizeBytes);
      if (name === null || !vm.memory.holds(outPtr, 4)) return INVALID_MEMORY_ACCESS;
      if (name.length === 0 || name.length > METRIC_NAME_SIZE_BYTES_MAX) return BAD_ARGUMENT;
      vm.charge(METRIC_SEARCH_STEPS);
      const id = vm.services.metrics.define(vm.spec.name, metricKind, name.toString('utf8'));
      if (id < 0) return INTERNAL_FAILURE;
      vm.metricIds.add(id);
      return vm.memory.setU32(outPtr, id);
    },
    proxy_record_metric(id: number, value: bigint): number {
      if (!vm.metricIds.has(id)) return NOT_FOUND;
      const given = Number(BigInt.asUintN(64, value));
      return vm.services.metrics.record(id, given) ? OK : NOT_FOUND;
    },
    proxy_increment_metric(id: number, delta: bigint): number {
      if (!vm.metricIds.has(id)) return NOT_FOUND;
      const given = Number(BigInt.asIntN(64, delta));
      return vm.services.metrics.increment(id, given) ? OK : NOT_FOUND;
    },
    proxy_get_metric(id: number, outPtr: number): number {
      const value = vm.metricIds.has(id) ? vm.services.metrics.value(id) : undefined;
      if (value === undefined) return NOT_FOUND;
      return vm.memory.setU64(outPtr, BigInt(Math.trunc(value)));
    },
  };
}
