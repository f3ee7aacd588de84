// A task of the compute pool: the index of a release, from the manifest in the store.

import { isGatewayError } from '../core/index.ts';
import { encodeReleaseIndex, readStoredManifest, Store } from '../distribution/index.ts';
import { Codec } from '../kernels/index.ts';
import { readWasm } from './assets.ts';
import type { IndexOutcome, IndexTask } from './compute.ts';

let codec: Codec | undefined;

/** An error loses its code on the way between threads, so it travels as data. */
export async function runIndexTask(task: IndexTask): Promise<IndexOutcome> {
  codec ??= Codec.create(readWasm('codec.wasm'));
  try {
    const manifest = await readStoredManifest(new Store(task.dir, codec), task);
    return { ok: true, index: encodeReleaseIndex(manifest) };
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    return { ok: false, code: error.code, detail: error.detail };
  }
}
