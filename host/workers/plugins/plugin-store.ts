// The folder of modules that were pushed or fetched, and of what was pushed in which order. Modules
// lie under their hash. A file is there whole or not at all: written under another name, synced,
// renamed, the folder synced. One gateway owns the folder.
//
//   modules/<sha256>.wasm   a module
//   state/<plugin>.json     a PluginState

import { createHash } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { GatewayError } from '../../core/index.ts';
import { formatState, NOTHING_PUSHED, type PluginState, parseState } from './pushed-state.ts';

/** Files that this class made; others in the folder are not its to delete. */
const OWN_FILE = /^([0-9a-f]{64})\.wasm(\.\d+\.temporary)?$/;

export class PluginStore {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** A module's bytes; null where it is not. Errors: GW_PLUGIN_STORE, also for other bytes than its
   *  name says. */
  readModule(sha256: string): Uint8Array<ArrayBuffer> | null {
    const path = this.modulePath(sha256);
    const bytes = readIfThere(path);
    if (bytes === null) return null;
    const found = createHash('sha256').update(bytes).digest('hex');
    if (found === sha256) return new Uint8Array(bytes);
    throw new GatewayError('GW_PLUGIN_STORE', `${path} is damaged: its bytes are ${found}`);
  }

  /** Errors: GW_PLUGIN_STORE. */
  writeModule(sha256: string, bytes: Uint8Array): void {
    writeDurably(this.modulePath(sha256), bytes);
  }

  /** Errors: GW_PLUGIN_STORE for what is not a state. */
  readState(plugin: string): PluginState {
    const path = this.#statePath(plugin);
    const bytes = readIfThere(path);
    if (bytes === null) return NOTHING_PUSHED;
    const state = parseState(bytes.toString());
    if (state !== null) return state;
    const detail = `${path} is damaged; delete it to run what the configuration names`;
    throw new GatewayError('GW_PLUGIN_STORE', detail);
  }

  /** Errors: GW_PLUGIN_STORE; the state before stays. */
  writeState(plugin: string, state: PluginState): void {
    writeDurably(this.#statePath(plugin), Buffer.from(formatState(state)));
  }

  /** Deletes modules that neither a state of the folder nor the caller names, and what a crash has
   *  left. A file that cannot be deleted stays for the next time. */
  collect(kept: ReadonlySet<string>): void {
    try {
      const named = new Set(kept);
      for (const file of listIfThere(join(this.#dir, 'state'))) {
        if (!file.endsWith('.json')) continue;
        const { versions, canary } = this.readState(file.slice(0, -'.json'.length));
        for (const { sha256 } of versions) named.add(sha256);
        if (canary !== null) named.add(canary.sha256);
      }
      const modules = join(this.#dir, 'modules');
      for (const file of listIfThere(modules)) {
        const [, sha256, isHalf] = OWN_FILE.exec(file) ?? [];
        if (sha256 === undefined || (named.has(sha256) && isHalf === undefined)) continue;
        rmSync(join(modules, file), { force: true });
      }
    } catch {
      // What names modules cannot be read: then none is deleted.
    }
  }

  /** Where a module lies, or would. */
  modulePath(sha256: string): string {
    return join(this.#dir, 'modules', `${sha256}.wasm`);
  }

  #statePath(plugin: string): string {
    return join(this.#dir, 'state', `${plugin}.json`);
  }
}

function readIfThere(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw storeError(path, error);
  }
}

function listIfThere(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function writeDurably(path: string, bytes: Uint8Array): void {
  const temporary = `${path}.${process.pid}.temporary`;
  try {
    makeFolder(dirname(path));
    const file = openSync(temporary, 'w', 0o644);
    try {
      for (let offset = 0; offset < bytes.length; ) offset += writeSync(file, bytes, offset);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
    syncFolder(dirname(path));
  } catch (error) {
    rmSync(temporary, { force: true, recursive: true });
    throw storeError(path, error);
  }
}

/** A folder that was made is durable when the one that names it has been synced. */
function makeFolder(dir: string): void {
  const first = mkdirSync(dir, { recursive: true });
  if (first === undefined) return;
  for (let made = dir; made.length >= first.length; made = dirname(made)) {
    syncFolder(dirname(made));
  }
}

function syncFolder(dir: string): void {
  const folder = openSync(dir, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function storeError(path: string, error: unknown): GatewayError {
  return new GatewayError('GW_PLUGIN_STORE', `${path}: ${(error as Error).message}`, error);
}
