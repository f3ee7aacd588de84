// Where the process finds its own parts: beside the bundle in a checkout, inside the executable in
// the standalone binary (scripts/build-binary.ts puts them there). Nothing else in the host knows
// which of the two it is.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { getAsset, getRawAsset, isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import {
  type EmbeddedAddon,
  isAddonProvided,
  LMDB_ADDON,
  loadAddon,
  provideAddon,
} from '../core/index.ts';

/** Whether this process is the standalone binary, in any of its threads. */
export function isStandalone(): boolean {
  return isSea();
}

function beside(name: string): string {
  return join(dirname(fileURLToPath(import.meta.url)), name);
}

/** The bytes of a kernel module, or of SQLite. */
export function readWasm(
  name: 'edge.wasm' | 'codec.wasm' | 'sqlite3.wasm',
): Uint8Array<ArrayBuffer> {
  return new Uint8Array(isStandalone() ? getAsset(name) : readFileSync(beside(name)));
}

/** The bytes of an addon, which only the standalone binary carries. They are not to be written to:
 *  they are the executable's own pages, for a copy would stay resident. */
export function readAddon({ name }: EmbeddedAddon): Uint8Array {
  return new Uint8Array(getRawAsset(name) as ArrayBuffer);
}

/** LMDB's addon, for lmdb-js in the standalone binary, whose build has it call this. The main
 *  thread is the first that opens a database. Errors: those of provideAddon and loadAddon. */
export function loadLmdbAddon(): object {
  if (!isAddonProvided(LMDB_ADDON)) provideAddon(LMDB_ADDON, readAddon(LMDB_ADDON));
  return loadAddon(LMDB_ADDON);
}

/** Starts a worker thread of ours. */
export function startWorker(
  name: 'io-worker' | 'compute-worker' | 'db-worker',
  options: WorkerOptions,
): Worker {
  if (!isStandalone()) return new Worker(beside(`${name}.js`), options);
  return new Worker(getAsset(`${name}.js`, 'utf8'), { ...options, eval: true });
}

/** The path of the compute pool's worker file, which its library loads itself. In the standalone
 *  binary the library is built to start `compute-worker` by `startWorker` and reads no file. */
export function computeWorkerPath(): string {
  return isStandalone() ? 'compute-worker' : beside('compute-worker.js');
}
