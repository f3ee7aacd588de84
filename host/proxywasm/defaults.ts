// A plugin's settings where its owner gave none, each with its reason.

import type { PluginSpec } from './contract.ts';

const NO_BYTES = new Uint8Array(0);

/** A plugin with every default. */
export const PLUGIN_DEFAULTS: Omit<PluginSpec, 'name'> = {
  rootId: '',
  vmId: '',
  config: NO_BYTES,
  vmConfig: NO_BYTES,
  env: {},
  phase: 'unspecified',
  priority: 0,
  onFailure: 'close',
  // Envoy's first pause is 1 s; a module that cannot start costs a few ms a try.
  reload: { baseMs: 1_000, maxMs: 30_000 },
  limits: {
    // Go modules begin with 8 MiB, C++ ones with 16.
    memorySizeBytes: 67_108_864,
    // 4 to 30 ms of a worker: a request needs 50 to 8,700.
    steps: 1_000_000,
    // A Go runtime's start takes 100,000 to a million.
    startSteps: 20_000_000,
    bodySizeBytes: 1_048_576,
    callsMax: 128,
  },
  isolation: { kind: 'shared' },
  capabilities: ['*'],
  allowOnHeadersStopIteration: false,
  strictImports: false,
  background: false,
  repeatedHeaders: 'join',
  upstreams: {},
};

/** A whole spec out of what was given. */
export function pluginSpec(given: Partial<PluginSpec> & { readonly name: string }): PluginSpec {
  return { ...PLUGIN_DEFAULTS, ...given };
}
