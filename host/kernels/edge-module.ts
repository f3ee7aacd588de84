// `edge.wasm`: its one shared memory, and an instance per thread. The module has no data segments
// and no mutable globals, because two instances on one memory would overwrite each other's.

import {
  HEADER_MAGIC,
  HEADER_MAGIC_OFFSET,
  HEADER_VERSION,
  HEADER_VERSION_OFFSET,
  MEMORY_PAGES,
  WORKERS_MAX,
} from '../../assembly/shared/memory-map.ts';

/** What a thread needs to join: both parts can be posted to a worker. */
export interface EdgeImage {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
}

/** A thread's own instance. `exports` are the raw kernels; the faces in this folder type them. */
export interface EdgeInstance {
  readonly exports: WebAssembly.Exports;
  readonly memory: WebAssembly.Memory;
  /** The thread's place in the scratch area and in the header's tables. */
  readonly workerIndex: number;
}

/** Compiles the module and creates the memory, once a process. Cost: address space of 1 GiB, of
 *  which only touched pages become real. */
export function createEdgeImage(wasm: Uint8Array<ArrayBuffer>): EdgeImage {
  const module = new WebAssembly.Module(wasm);
  const memory = new WebAssembly.Memory({
    initial: MEMORY_PAGES,
    maximum: MEMORY_PAGES,
    shared: true,
  });
  const words = new Int32Array(memory.buffer);
  words[HEADER_MAGIC_OFFSET >> 2] = HEADER_MAGIC;
  words[HEADER_VERSION_OFFSET >> 2] = HEADER_VERSION;
  return { module, memory };
}

/** Instantiates the module for one thread. */
export function instantiateEdge(image: EdgeImage, workerIndex: number): EdgeInstance {
  if (!(workerIndex >= 0 && workerIndex < WORKERS_MAX)) {
    throw new RangeError(`worker index ${workerIndex} is outside 0..${WORKERS_MAX - 1}`);
  }
  const words = new Int32Array(image.memory.buffer);
  if (words[HEADER_MAGIC_OFFSET >> 2] !== HEADER_MAGIC) {
    throw new TypeError('the memory was not made by createEdgeImage');
  }
  const instance = new WebAssembly.Instance(image.module, { env: { memory: image.memory } });
  return { exports: instance.exports, memory: image.memory, workerIndex };
}
