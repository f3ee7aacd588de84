// edge.wasm: what every request needs, on shared memory. Exports only.
export {
  limiterHash,
  limiterOccupied,
  limiterPeek,
  limiterRecover,
  limiterTake,
  limiterTakeKey,
} from './limiter';
