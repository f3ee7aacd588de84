// Typed faces of edge.wasm and codec.wasm. No other folder touches a WebAssembly module of ours.

export { Codec } from './codec.ts';
export { compileCodec } from './codec-module.ts';
export type { EdgeImage, EdgeInstance } from './edge-module.ts';
export { createEdgeImage, instantiateEdge } from './edge-module.ts';
export type { LimiterOptions } from './limiter.ts';
export { initialiseLimiter, Limiter } from './limiter.ts';
export type { LimiterPolicy, LimiterRule } from './limiter-policy.ts';
