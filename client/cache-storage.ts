// Storage in the browser's Cache Storage: what is put is there whole or not at all. It needs a
// secure context; the browser may clear it, and then the app opens what is built in.

import type { LoaderStorage } from './api.ts';
import { LoaderError } from './errors.ts';
import { inLine } from './memory-storage.ts';
import type { Bytes, ContentRef } from './model.ts';

/** Entries need addresses; nothing is ever fetched from these. */
const BASE = 'https://loader.invalid/';

/** `name`: the cache's, one for each loader of a page's origin. */
export function cacheStorage(name = 'sluice-loader'): LoaderStorage {
  const lines = new Map<string, Promise<unknown>>();
  const address = (sha256: string): string => `${BASE}content/${sha256}`;
  const cache = async (): Promise<Cache> => {
    if (globalThis.caches !== undefined) return await globalThis.caches.open(name);
    throw new LoaderError('LOADER_DISK', 'no Cache Storage here; browsers have it on https pages');
  };
  const read = async (url: string): Promise<Response | null> => {
    return (await (await cache()).match(url)) ?? null;
  };
  const list = async (): Promise<string[]> => {
    const keys = await (await cache()).keys();
    const prefix = address('');
    return keys.flatMap(({ url }) => (url.startsWith(prefix) ? [url.slice(prefix.length)] : []));
  };
  return {
    readState: async () => (await read(`${BASE}state`))?.text() ?? null,
    writeState: async (text) => (await cache()).put(`${BASE}state`, new Response(text)),
    read: async (sha256) => {
      const found = await read(address(sha256));
      return found === null ? null : (new Uint8Array(await found.arrayBuffer()) as Bytes);
    },
    write: async (sha256, bytes) => (await cache()).put(address(sha256), new Response(bytes)),
    missing: async (refs) => {
      const there = new Set(await list());
      return refs.filter(({ sha256 }: ContentRef) => !there.has(sha256));
    },
    remove: async (sha256) => void (await (await cache()).delete(address(sha256))),
    list,
    exclusive: (lock, waitMs, work) => {
      return inLine(lines, lock, () => withWebLock(`${name}:${lock}`, waitMs, work));
    },
  };
}

/** Between tabs, where the browser has locks. */
async function withWebLock<T>(name: string, waitMs: number, work: () => Promise<T>): Promise<T> {
  const locks = globalThis.navigator?.locks;
  if (locks === undefined) return await work();
  const waiting = new AbortController();
  const timer = setTimeout(() => waiting.abort(), waitMs);
  let hasBegun = false;
  try {
    const held = locks.request(name, { signal: waiting.signal }, async () => {
      hasBegun = true;
      clearTimeout(timer);
      return await work();
    });
    return (await held) as T;
  } catch (error) {
    if (hasBegun) throw error;
    throw new LoaderError('LOADER_BUSY', `another tab holds ${name}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}
