// The Proxy-Wasm host: loads, meters and runs filters that were built for Envoy and its kin.

export type {
  AbiVersion,
  FailurePolicy,
  HostServices,
  Isolation,
  LoadOptions,
  MetricKind,
  ModuleImport,
  ModuleReport,
  PluginLimits,
  PluginLogLevel,
  PluginLogLine,
  PluginMetrics,
  PluginModule,
  PluginPhase,
  PluginReport,
  PluginSpec,
  PluginStats,
  SharedData,
  SharedEntry,
  SharedQueues,
  SharedStatus,
  Timers,
} from './contract.ts';
export { PLUGIN_DEFAULTS, pluginSpec } from './defaults.ts';
export { MODULE_SIZE_BYTES_MAX } from './limits.ts';
export { loadModule } from './loader.ts';
export { MetricRegistry, type PluginMetric } from './metric-registry.ts';
export { PluginBook } from './plugin-book.ts';
export { sumReports } from './report-book.ts';
export type { SharedStoreStats } from './shared-store/keeper.ts';
export { createSharedStore } from './shared-store/layout.ts';
export { HISTOGRAM_BOUNDS, type SharedMetric } from './shared-store/metrics.ts';
export { SharedStore, SharedStoreKeeper } from './shared-store/store.ts';
export { shownName } from './shown-name.ts';
export { systemTimers, type ThreadServicesOptions, threadServices } from './thread-services.ts';
export { vmIdOf } from './vm.ts';
