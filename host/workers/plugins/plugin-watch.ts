// Files of plugins with `watch: true`, for development: a change is told, as one for all that come
// close together. What the file holds then is the reload's to judge.

import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

/** Changes within this are one change: a compiler writes a module in several steps. */
const SETTLE_MS = 150;

export class PluginWatch {
  readonly #onChange: () => void;
  readonly #onError: (error: Error) => void;
  /** By folder: a rename over a file would leave a watch on the file with the old inode. */
  readonly #watchers = new Map<string, FSWatcher>();
  #files: ReadonlySet<string> = new Set();
  #timer: NodeJS.Timeout | null = null;

  constructor(onChange: () => void, onError: (error: Error) => void) {
    this.#onChange = onChange;
    this.#onError = onError;
  }

  /** Watches these files from now on, and no others. */
  set(files: readonly string[]): void {
    this.#files = new Set(files);
    const folders = new Set(files.map(dirname));
    for (const [folder, watcher] of this.#watchers) {
      if (folders.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    for (const folder of folders) {
      if (!this.#watchers.has(folder)) this.#watch(folder);
    }
  }

  stop(): void {
    this.set([]);
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, (_event, name) => {
        const names = [...this.#files].filter((file) => dirname(file) === folder);
        if (name !== null && !names.some((file) => basename(file) === name)) return;
        if (this.#timer !== null) clearTimeout(this.#timer);
        this.#timer = setTimeout(() => {
          this.#timer = null;
          this.#onChange();
        }, SETTLE_MS);
      });
      watcher.on('error', (error) => this.#onError(error));
      this.#watchers.set(folder, watcher);
    } catch (error) {
      this.#onError(error as Error);
    }
  }
}
