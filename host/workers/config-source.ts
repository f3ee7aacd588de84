// The configuration file as a source of reloads: it is read again when it changes on disk. Editors
// and config managers replace files in several steps, so changes are gathered for a moment, and a
// file whose text is the same is not reloaded.

import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { readConfigText } from '../config/index.ts';
import { GatewayError, isGatewayError } from '../core/index.ts';

/** Changes within this are one change. */
const SETTLE_MS = 100;

/** Reads a configuration file. Errors: GW_CONFIG_FILE, GW_CONFIG_LIMIT, GW_CONFIG_SYNTAX. */
export async function readConfigFile(path: string): Promise<string> {
  try {
    return await readConfigText(path);
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    throw new GatewayError(error.code, `${path}: ${error.detail}`, error);
  }
}

export class ConfigSource {
  readonly #path: string;
  readonly #onChange: () => void;
  readonly #onError: (error: unknown) => void;
  #text: string;
  #watcher: FSWatcher | null = null;
  #timer: NodeJS.Timeout | null = null;

  /** `text` is what has been loaded already. */
  constructor(path: string, text: string, onChange: () => void, onError: (error: unknown) => void) {
    this.#path = resolve(path);
    this.#text = text;
    this.#onChange = onChange;
    this.#onError = onError;
  }

  /** Watches the folder rather than the file: a rename over the file, which is how most tools
   *  write, would leave a watch on the file with the old inode. */
  start(): void {
    const name = basename(this.#path);
    this.#watcher = watch(dirname(this.#path), { persistent: false }, (_event, changed) => {
      // A ConfigMap mount swaps a symbolic link beside the file, so a foreign name counts too.
      if (changed !== null && changed !== name && !changed.startsWith('..')) return;
      this.#timer ??= setTimeout(() => void this.#look(), SETTLE_MS);
    });
    this.#watcher.on('error', (error) => this.#onError(error));
  }

  stop(): void {
    this.#watcher?.close();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  /** Reads the file now. What is returned counts as seen. */
  async read(): Promise<string> {
    this.#text = await readConfigFile(this.#path);
    return this.#text;
  }

  async #look(): Promise<void> {
    this.#timer = null;
    const before = this.#text;
    try {
      if ((await this.read()) !== before) this.#onChange();
    } catch (error) {
      this.#onError(error);
    }
  }
}
