// edge.wasm: what every request needs, on shared memory. Exports only.

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
export { statsActive, statsRecord, statsRefuse } from './stats';
