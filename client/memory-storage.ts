// A storage that lasts as long as the process: for tests, and for platforms that keep nothing.

import type { LoaderStorage } from './api.ts';
import type { Bytes } from './model.ts';

export function memoryStorage(): LoaderStorage {
  const content = new Map<string, Bytes>();
  let state: string | null = null;
  const lines = new Map<string, Promise<unknown>>();
  return {
    readState: async () => state,
    writeState: async (text) => {
      state = text;
    },
    read: async (sha256) => content.get(sha256)?.slice() ?? null,
    write: async (sha256, bytes) => {
      content.set(sha256, bytes.slice());
    },
    missing: async (refs) => refs.filter(({ sha256 }) => !content.has(sha256)),
    remove: async (sha256) => {
      content.delete(sha256);
    },
    list: async () => [...content.keys()],
    exclusive: (name, _waitMs, work) => inLine(lines, name, work),
  };
}

/** One after the other within this process. */
export function inLine<T>(
  lines: Map<string, Promise<unknown>>,
  name: string,
  work: () => Promise<T>,
): Promise<T> {
  const turn = (lines.get(name) ?? Promise.resolve()).then(work, work);
  lines.set(name, turn);
  return turn;
}
