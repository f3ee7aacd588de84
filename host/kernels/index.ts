// Typed faces of edge.wasm and codec.wasm. No other folder touches a WebAssembly module of ours.

export type { EdgeImage, EdgeInstance } from './edge-module.ts';
export { createEdgeImage, instantiateEdge } from './edge-module.ts';
export { Matcher } from './matcher.ts';
export { encodeRouteTable } from './route-table.ts';
export { RouteTables } from './route-tables.ts';
