// The admin API: what the gateway tells and takes over HTTP on its own port.

export type {
  AdminDatabases,
  AdminDeps,
  AdminIssue,
  DatabaseMoment,
  DistributionChange,
  EndpointView,
  PluginChange,
  PluginPushed,
  PluginPushOptions,
  PluginView,
  Readiness,
  ReloadOutcome,
  RouteCandidate,
  RouteExplanation,
  ServiceView,
} from './deps.ts';
export { isLoopbackAddress } from './guard.ts';
export type { AdminServer } from './server.ts';
export { createAdminServer } from './server.ts';
