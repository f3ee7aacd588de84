// Where the process finds its own parts: beside the bundle in a checkout, inside the executable in
// the standalone binary. Nothing else in the host knows which of the two it is.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker, type WorkerOptions } from 'node:worker_threads';

/** Reads the parts that are embedded in a standalone binary; null in a checkout. The binary's
 *  entry point sets it before anything else runs. */
export interface EmbeddedParts {
  read(name: string): Uint8Array<ArrayBuffer>;
  /** A file on disk with the part's bytes, for what can only be loaded from a path. */
  extract(name: string): string;
}

let embedded: EmbeddedParts | null = null;

export function useEmbeddedParts(parts: EmbeddedParts): void {
  embedded = parts;
}

function beside(name: string): string {
  return join(dirname(fileURLToPath(import.meta.url)), name);
}

/** The bytes of a kernel module. */
export function readWasm(name: 'edge.wasm' | 'codec.wasm'): Uint8Array<ArrayBuffer> {
  return embedded === null ? new Uint8Array(readFileSync(beside(name))) : embedded.read(name);
}

/** Starts a worker thread of ours. */
export function startWorker(name: 'io-worker', options: WorkerOptions): Worker {
  if (embedded === null) return new Worker(beside(`${name}.js`), options);
  const source = new TextDecoder().decode(embedded.read(`${name}.js`));
  return new Worker(source, { ...options, eval: true });
}

/** The path of the compute pool's worker file, which its library loads itself. */
export function computeWorkerPath(): string {
  return embedded === null ? beside('compute-worker.js') : embedded.extract('compute-worker.js');
}
