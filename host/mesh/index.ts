// The mesh: what happens to a request between the listener and an upstream.

export type {
  Balancer,
  BalancerDeps,
  EndpointState,
  RequestOutcome,
} from './balance/balancer.ts';
export { createEndpoints } from './balance/balancer.ts';
export { createBalancer } from './balance/create-balancer.ts';
export { ClientAddress } from './client-address.ts';
export { ForwardHeaders } from './forward-headers.ts';
export { hash32 } from './hash32.ts';
export type { KeyContext, KeyReader } from './key-source.ts';
export { compileKeySource } from './key-source.ts';
export { RateHeaders } from './rate-headers.ts';
export { RegexChecks } from './regex-check.ts';
export { TraceparentSource } from './trace-context.ts';
