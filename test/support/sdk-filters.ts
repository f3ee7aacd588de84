// The common filter of test/proxywasm/sdk in each language, as its compiler made it.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { brotliDecompressSync } from 'node:zlib';

const FOLDER = 'test/proxywasm/sdk';

/** One compiled filter. */
export interface SdkFilter {
  /** The file's name without its end. */
  readonly name: string;
  /** What the filter calls itself in headers and metrics. */
  readonly language: string;
  /** What the host has to take it for. */
  readonly sdk: string;
  /** Whether it speaks WASI. */
  readonly wasi: boolean;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** What scripts/build-sdk-filters.ts wrote down of what it built. */
export interface SdkManifest {
  readonly filters: readonly {
    readonly name: string;
    readonly language: string;
    readonly sdk: string;
    readonly wasi: boolean;
    readonly compiler: string;
    readonly command: string;
    readonly sources: Readonly<Record<string, string>>;
    readonly sha256: string;
  }[];
}

export function sdkManifest(): SdkManifest {
  return JSON.parse(readFileSync(`${FOLDER}/filters.json`, 'utf8')) as SdkManifest;
}

/** Every filter of the folder. Cost: some 20 ms for what is packed. */
export function sdkFilters(): SdkFilter[] {
  return sdkManifest().filters.map(({ name, language, sdk, wasi }) => {
    const packed = readFileSync(`${FOLDER}/${name}.wasm.br`);
    return { name, language, sdk, wasi, bytes: new Uint8Array(brotliDecompressSync(packed)) };
  });
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Names of the files that are filters. */
export function packedFilters(): string[] {
  return readdirSync(FOLDER).filter((name) => name.endsWith('.wasm.br'));
}

/** A source of a filter, for its hash. */
export function sdkSource(name: string): Uint8Array {
  return readFileSync(`${FOLDER}/${name}`);
}
