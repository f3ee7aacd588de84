// Variants and deltas made in this thread, with the real kernels.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeDelta, makeVariant, type ZstdTools } from '../../host/distribution/delta.ts';
import type { PublishJobs } from '../../host/distribution/publish.ts';
import { Store } from '../../host/distribution/store.ts';
import { compileCodec, ZstdDecoder } from '../../host/kernels/index.ts';
import { sharedCodec } from './store-scene.ts';

let shared: ZstdTools | undefined;

export function zstdTools(): ZstdTools {
  if (shared !== undefined) return shared;
  const module = compileCodec(new Uint8Array(readFileSync('build/codec.wasm')));
  shared = { encoder: { encode: encodeByProgram }, decoder: new ZstdDecoder(module) };
  return shared;
}

function encodeByProgram(content: Uint8Array, options: { dictionary?: Uint8Array }): Uint8Array {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-zstd-'));
  try {
    writeFileSync(join(dir, 'content'), content);
    writeFileSync(join(dir, 'base'), options.dictionary ?? new Uint8Array());
    const patch = options.dictionary === undefined ? [] : [`--patch-from=${join(dir, 'base')}`];
    const argv = ['-q', '-9', ...patch, join(dir, 'content'), '-o', join(dir, 'out')];
    const { status, stderr } = spawnSync('zstd', argv, { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
    return readFileSync(join(dir, 'out'));
  } finally {
    rmSync(dir, { recursive: true });
  }
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
