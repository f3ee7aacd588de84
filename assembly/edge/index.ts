// edge.wasm: what every request needs, on shared memory. Exports only.

export {
  routerEnd,
  routerFields,
  routerFieldsClear,
  routerHost,
  routerMatch,
  routerNext,
  routerOpen,
} from './router';
