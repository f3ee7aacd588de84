// A loader for tests: our decoder from build/, short waits, and content to publish.

import { readFileSync } from 'node:fs';
import type { Loader, LoaderClock, LoaderOptions } from '../../client/api.ts';
import { loadDecoder } from '../../client/decoder.ts';
import { openLoader } from '../../client/loader.ts';
import { memoryStorage } from '../../client/memory-storage.ts';
import type { Bytes } from '../../client/model.ts';
import { nodeFetch } from '../../client/node-fetch.ts';
import type { ReleaseShelf, TestRelease } from './release-shelf.ts';

/** For origins that never answer, or trickle; others may take as long as the machine does. */
export const QUICK_LIMITS = {
  requestTimeoutMs: 1_500,
  stallTimeoutMs: 1_000,
  bytesPerSecondMin: 1_000_000,
};
const TEST_LIMITS = { rounds: 2, backoffMs: 2, backoffMsMax: 4 };

export function testLoader(
  shelf: ReleaseShelf,
  options: Partial<LoaderOptions> & { readonly origins: readonly string[] },
): Loader {
  const wasm = new Uint8Array(readFileSync('build/decoder.wasm')) as Bytes;
  const whole: LoaderOptions = {
    channels: ['app'],
    trustRoot: shelf.trustRoot,
    device: { id: 'device-1' },
    ...options,
    limits: { ...TEST_LIMITS, ...options.limits },
  };
  const decoder = () => loadDecoder(wasm);
  return openLoader(whole, { storage: memoryStorage, decoder, fetch: nodeFetch });
}

/** A release inside the app. */
export function builtInOf({ manifest, files }: TestRelease) {
  return {
    manifest,
    read: async (path: string) => {
      const bytes = files.get(path);
      if (bytes === undefined) throw new Error(`no ${path} in the app`);
      return bytes;
    },
  };
}

/** A clock whose time is set by the test; its timers are real. */
export function clockAt(nowMs: number): LoaderClock & { nowMsSet: number } {
  return {
    nowMsSet: nowMs,
    nowMs() {
      return this.nowMsSet;
    },
    after: (ms, then) => {
      const timer = setTimeout(then, ms);
      return () => clearTimeout(timer);
    },
    random: () => 0.5,
  };
}

/** A script of some KB; versions differ in a few lines. */
export function script(version: number, lineCount = 400): Uint8Array {
  const lines = Array.from({ length: lineCount }, (_, index) => {
    const value = index % 100 === 7 ? version * 31 + index : index * 17;
    return `export function part${index}(x) { return x * ${value} + ${(index * 7919) % 1013}; }`;
  });
  return Buffer.from(lines.join('\n'));
}
