// Threads and their wiring: the gateway on the main thread, the io workers, the compute pool.

export { isStandalone, readWasm } from './assets.ts';
export { ComputePool } from './compute.ts';
export { ConfigRefused, errorCount } from './config-refused.ts';
export { readConfigFile } from './config-source.ts';
export type { DbFleet } from './db-fleet.ts';
export { Gateway, type GatewayOptions } from './gateway.ts';
export type { DeskEntry } from './plugins/desk-entry.ts';
export type { PluginPlane } from './plugins/plugin-plane.ts';
