// Storage in a folder. Content is written beside its place, synced and renamed; the state is the
// same, after the folders of all content written before it have been synced. A process that is
// killed anywhere leaves a state whose content is there.
//
//   {directory}/state            {directory}/content/{ab}/{sha256}
//   {directory}/temporary/…      {directory}/{name}.lock

import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { LoaderStorage } from './api.ts';
import { inLine } from './memory-storage.ts';
import type { Bytes, ContentRef } from './model.ts';
import { withLockFile } from './node-lock.ts';

/** Stats at a time. */
const LOOKS_COUNT = 16;
/** What no living process can still be writing. */
const TEMPORARY_AGE_MS_MAX = 3_600_000;

export function fileStorage(path: string): LoaderStorage {
  const directory = resolve(path);
  const folder = new ContentFolder(directory);
  const lines = new Map<string, Promise<unknown>>();
  const statePath = join(directory, 'state');
  return {
    readState: () => whenThere(readFile(statePath, 'utf8')),
    writeState: (text) => folder.replaceState(statePath, text),
    read: (sha256) => whenThere(readFile(folder.pathOf(sha256))) as Promise<Bytes | null>,
    write: (sha256, bytes) => folder.place(folder.pathOf(sha256), bytes),
    missing: (refs) => folder.missing(refs),
    remove: (sha256) => rm(folder.pathOf(sha256), { force: true }),
    list: () => folder.list(),
    exclusive: (name, waitMs, work) => {
      return inLine(lines, name, () => {
        return withLockFile(join(directory, `${name}.lock`), waitMs, work);
      });
    },
  };
}

class ContentFolder {
  readonly #directory: string;
  /** Folders with names in them that a power cut could still take. */
  readonly #unsynced = new Set<string>();
  /** Folders that content was put into; who made them may not have synced the ones above. */
  readonly #entered = new Set<string>();
  #syncing: Promise<void> = Promise.resolve();
  #count = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  pathOf(sha256: string): string {
    return join(this.#directory, 'content', sha256.slice(0, 2), sha256);
  }

  async replaceState(path: string, text: string): Promise<void> {
    await this.#syncFolders();
    await this.place(path, Buffer.from(text, 'utf8'));
    await this.#syncFolders();
  }

  async place(path: string, bytes: Uint8Array): Promise<void> {
    const temporary = await this.#temporaryPath();
    try {
      const file = await open(temporary, 'wx');
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      const made = await mkdir(dirname(path), { recursive: true });
      this.#noteEntered(dirname(path), made);
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {});
      throw error;
    }
    this.#unsynced.add(dirname(path));
  }

  async missing(refs: readonly ContentRef[]): Promise<ContentRef[]> {
    const absent: ContentRef[] = [];
    const left = [...refs];
    const look = async (): Promise<void> => {
      for (let ref = left.pop(); ref !== undefined; ref = left.pop()) {
        const found = await whenThere(stat(this.pathOf(ref.sha256)));
        if (found?.size !== ref.sizeBytes) absent.push(ref);
      }
    };
    await Promise.all(Array.from({ length: LOOKS_COUNT }, look));
    return absent;
  }

  async list(): Promise<string[]> {
    await this.#sweep();
    const root = join(this.#directory, 'content');
    const names: string[] = [];
    for (const folder of (await whenThere(readdir(root))) ?? []) {
      names.push(...((await whenThere(readdir(join(root, folder)))) ?? []));
    }
    return names;
  }

  /** A rename is kept by its folder, and a new folder by the one above it. One after the other: who
   *  finds a folder being synced must not go on before that is done. */
  async #syncFolders(): Promise<void> {
    const turn = this.#syncing.then(() => this.#syncNow());
    this.#syncing = turn.catch(() => {});
    await turn;
  }

  async #syncNow(): Promise<void> {
    for (const path of [...this.#unsynced]) {
      // Taken out first: what is renamed while the folder is being synced needs another sync.
      this.#unsynced.delete(path);
      try {
        await syncFolder(path);
      } catch (error) {
        this.#unsynced.add(path);
        throw error;
      }
    }
  }

  /** Names stand in `path`, in the folders above it, and in those that were made just now, of which
   *  `topmost` is the first. */
  #noteEntered(path: string, topmost: string | undefined): void {
    if (this.#entered.has(path)) return;
    const sizeMin = Math.min(this.#directory.length + 1, topmost?.length ?? Infinity);
    for (let at = path; at.length >= sizeMin; at = dirname(at)) this.#unsynced.add(dirname(at));
    this.#entered.add(path);
  }

  async #temporaryPath(): Promise<string> {
    const folder = join(this.#directory, 'temporary');
    await mkdir(folder, { recursive: true });
    this.#count += 1;
    return join(folder, `${process.pid}-${performance.now()}-${this.#count}`);
  }

  /** Removes what killed processes left half-written. */
  async #sweep(): Promise<void> {
    const folder = join(this.#directory, 'temporary');
    for (const name of (await whenThere(readdir(folder))) ?? []) {
      const path = join(folder, name);
      const found = await whenThere(stat(path));
      const isOld = found !== null && Date.now() - found.mtimeMs > TEMPORARY_AGE_MS_MAX;
      if (isOld || !isAlive(Number.parseInt(name, 10))) await rm(path, { force: true });
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Windows opens no folders; its renames are journaled. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function whenThere<T>(found: Promise<T>): Promise<T | null> {
  try {
    return await found;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
