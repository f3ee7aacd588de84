// What an instance tells whoever made it.

import type { GatewayError } from '../core/index.ts';
import type { Vm } from './vm.ts';

/** The one root context of an instance: each plugin has instances of its own. */
export const ROOT_CONTEXT_ID = 1;

export interface VmOwner {
  onDeath(vm: Vm, death: GatewayError): void;
  onStreamGone(vm: Vm): void;
  onSteps(steps: number): void;
}
