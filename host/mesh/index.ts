// The mesh: routing, balancing and the upstream client, with the resilience around them.

export type {
  Balancer,
  BalancerDeps,
  EndpointState,
  RequestOutcome,
} from './balance/balancer.ts';
export { createEndpoints } from './balance/balancer.ts';
export { createBalancer } from './balance/create-balancer.ts';
export { ClientAddress } from './client-address.ts';
export { explainMatch } from './explain.ts';
export { ForwardHeaders } from './forward-headers.ts';
export { OutgoingGrpcCall } from './grpc/grpc-call.ts';
export { hash32 } from './hash32.ts';
export type { KeyContext, KeyReader } from './key-source.ts';
export { compileKeySource } from './key-source.ts';
export { Mesh, type MeshDeps } from './pipeline.ts';
export { RateHeaders } from './rate-headers.ts';
export { RegexChecks } from './regex-check.ts';
export { MeshServiceCaller } from './service-caller.ts';
export { TraceparentSource } from './trace-context.ts';
export type { Lookup } from './upstream/address-book.ts';
export type {
  FailureFacts,
  UpstreamCall,
  UpstreamHandler,
  UpstreamRequest,
} from './upstream/contract.ts';
export { Deadline, type DeadlineOwner, Deadlines } from './upstream/deadlines.ts';
export { Http2Pool } from './upstream/http2-pool.ts';
export {
  UpstreamPool,
  type UpstreamPoolDeps,
  type UpstreamPoolOptions,
} from './upstream/pool.ts';
