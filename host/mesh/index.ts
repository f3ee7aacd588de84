// The mesh: routing, balancing and the upstream client, with the resilience around them.

export { explainMatch } from './explain.ts';
export { Mesh, type MeshDeps } from './pipeline.ts';
export type { Lookup } from './upstream/address-book.ts';
export type {
  FailureFacts,
  UpstreamCall,
  UpstreamHandler,
  UpstreamRequest,
} from './upstream/contract.ts';
export { Deadline, type DeadlineOwner, Deadlines } from './upstream/deadlines.ts';
export {
  UpstreamPool,
  type UpstreamPoolDeps,
  type UpstreamPoolOptions,
} from './upstream/pool.ts';
