// The loader for Node: storage in a folder.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuiltIn, Loader, LoaderOptions } from './api.ts';
import { decoderModule } from './decoder-module.ts';
import { openLoader } from './loader.ts';
import { memoryStorage } from './memory-storage.ts';
import { nodeFetch } from './node-fetch.ts';

export type * from './api.ts';
export { isLoaderError, LoaderError, type LoaderErrorCode } from './errors.ts';
export type { Bytes, ContentRef, Priority } from './model.ts';
export { fileStorage } from './node-storage.ts';
export { memoryStorage };

/** Makes a loader; `start()` opens what is there. Without `storage` nothing outlives the process.
 *  Errors: LOADER_OPTIONS. */
export function createLoader(options: LoaderOptions): Loader {
  return openLoader(options, { storage: memoryStorage, decoder: decoderModule, fetch: nodeFetch });
}

/** A release inside the app: a folder with its files, and the file of its manifest's envelope. */
export function builtInFolder(folder: string, manifestPath: string): BuiltIn {
  return {
    manifest: () => readFile(manifestPath, 'utf8'),
    read: (path) => readFile(join(folder, ...path.split('/'))),
  };
}
