// Loads the kernels that `npm run build:wasm` made.

import { readFileSync } from 'node:fs';
import {
  Codec,
  createEdgeImage,
  type EdgeImage,
  type EdgeInstance,
  instantiateEdge,
} from '../../host/kernels/index.ts';

export function edgeImage(): EdgeImage {
  return createEdgeImage(new Uint8Array(readFileSync('build/edge.wasm')));
}

export function edgeInstance(image = edgeImage(), workerIndex = 0): EdgeInstance {
  return instantiateEdge(image, workerIndex);
}

export function codec(): Codec {
  return Codec.create(codecModuleBytes());
}

export function codecModuleBytes(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync('build/codec.wasm'));
}
