// edge.wasm: what every request needs, on shared memory. Exports only.

export { statsActive, statsRecord, statsRefuse } from './stats';
