// The loader for browsers: storage in Cache Storage.

import type { BuiltIn, Loader, LoaderOptions } from './api.ts';
import { cacheStorage } from './cache-storage.ts';
import { decoderModule } from './decoder-module.ts';
import { LoaderError } from './errors.ts';
import { openLoader } from './loader.ts';
import { encodeResourcePath } from './resource-path.ts';

export type * from './api.ts';
export { isLoaderError, LoaderError, type LoaderErrorCode } from './errors.ts';
export { memoryStorage } from './memory-storage.ts';
export type { Bytes, ContentRef, Priority } from './model.ts';
export { cacheStorage };

/** Makes a loader; `start()` opens what is there. Errors: LOADER_OPTIONS. */
export function createLoader(options: LoaderOptions): Loader {
  return openLoader(options, {
    storage: cacheStorage,
    decoder: decoderModule,
    // Browsers want fetch called on the window.
    fetch: (input, init) => globalThis.fetch(input, init),
  });
}

/** A release that is served beside the page: the URL below which its files are, and the URL of its
 *  manifest's envelope. */
export function builtInUrl(filesUrl: string, manifestUrl: string): BuiltIn {
  const load = async (url: string): Promise<Uint8Array> => {
    const response = await fetch(url);
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
    throw new LoaderError('LOADER_NETWORK', `${url} answered ${response.status}`);
  };
  const base = filesUrl.replace(/\/*$/, '/');
  return {
    manifest: () => load(manifestUrl),
    read: (path) => load(`${base}${encodeResourcePath(path)}`),
  };
}
