// What the gateway says about itself: metrics, latency histograms, access log and process log.

export type { AccessEntry } from './access-line.ts';
export type { AccessLogOptions } from './access-log.ts';
export { AccessLog } from './access-log.ts';
export type { LatencySummary } from './latency.ts';
export { latencyHgrm, latencyHistogram, latencySummary } from './latency.ts';
export { LoopDelayMonitor } from './loop-delay.ts';
export type {
  Log,
  LogFields,
  LogLevel,
  LogRecord,
  PostedLogOptions,
  ProcessLog,
  ProcessLogOptions,
} from './process-log.ts';
export { createPostedLog, createProcessLog } from './process-log.ts';
export type { MetricsSource, ProcessStatus } from './prometheus.ts';
export { METRICS_CONTENT_TYPE, renderMetrics } from './prometheus.ts';
export type { DistributionMetrics, ReleaseMetrics } from './prometheus-distribution.ts';
export type { PluginMetrics, PluginsMetrics } from './prometheus-plugins.ts';
export { endpointSeriesName, splitEndpointSeriesName } from './series-names.ts';
