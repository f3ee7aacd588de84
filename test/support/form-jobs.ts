// Variants and deltas made in this thread, with the real kernels.

import { readFileSync } from 'node:fs';
import { makeDelta, makeVariant, type ZstdTools } from '../../host/distribution/delta.ts';
import type { PublishJobs } from '../../host/distribution/publish.ts';
import { Store } from '../../host/distribution/store.ts';
import { compileCodec, ZstdDecoder, ZstdEncoder } from '../../host/kernels/index.ts';
import { sharedCodec } from './store-scene.ts';

let shared: ZstdTools | undefined;

export function zstdTools(): ZstdTools {
  if (shared !== undefined) return shared;
  const module = compileCodec(new Uint8Array(readFileSync('build/codec.wasm')));
  shared = { encoder: new ZstdEncoder(module), decoder: new ZstdDecoder(module) };
  return shared;
}

/** Jobs that count what they were asked for. */
export class FormJobsHere implements PublishJobs {
  variantCount = 0;
  deltaCount = 0;
  readonly #tools: ZstdTools;

  constructor(tools = zstdTools()) {
    this.#tools = tools;
  }

  makeVariant(task: Parameters<PublishJobs['makeVariant']>[0]) {
    this.variantCount += 1;
    return makeVariant(new Store(task.dir, sharedCodec()), this.#tools, task);
  }

  makeDelta(task: Parameters<PublishJobs['makeDelta']>[0]) {
    this.deltaCount += 1;
    return makeDelta(new Store(task.dir, sharedCodec()), this.#tools, task);
  }
}
