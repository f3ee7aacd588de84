// edge.wasm: what every request needs, on shared memory. Exports only.

export { statsActive, statsRecord, statsRefuse } from './stats';
export {
  limiterHash,
  limiterOccupied,
  limiterPeek,
  limiterRecover,
  limiterTake,
  limiterTakeKey,
} from './limiter';
export {
  routerEnd,
  routerFields,
  routerFieldsClear,
  routerHost,
  routerMatch,
  routerNext,
  routerOpen,
} from './router';
