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

export interface PushedVersion {
  readonly sha256: string;
  /** Units: ms since the Unix epoch. */
  readonly pushedMs: number;
}

/** How the last canary ended. */
export interface CanaryEnd {
  readonly sha256: string;
  readonly outcome: 'promoted' | 'aborted' | 'rolled-back' | 'replaced';
  readonly why: string;
  readonly endedMs: number;
}

export interface PluginState {
  /** What was pushed, the last in force; none while the configuration's own module runs. */
  readonly versions: readonly PushedVersion[];
  readonly canary: (PushedVersion & { readonly share: number }) | null;
  readonly lastCanary: CanaryEnd | null;
}

export const NOTHING_PUSHED: PluginState = { versions: [], canary: null, lastCanary: null };
/** Versions that a plugin can go back to; older ones are forgotten. */
export const VERSIONS_COUNT_MAX = 10;

const FORMAT = 1;
const HASH = /^[0-9a-f]{64}$/;
/** Files that this class made; others in the folder are not its to delete. */
const OWN_FILE = /^([0-9a-f]{64})\.wasm(\.\d+\.temporary)?$/;
const OUTCOMES: readonly unknown[] = ['promoted', 'aborted', 'rolled-back', 'replaced'];

export class PluginStore {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** A module's bytes; null where it is not. Errors: GW_PLUGIN_STORE, also for other bytes than its
   *  name says. */
  readModule(sha256: string): Uint8Array<ArrayBuffer> | null {
    const path = this.#modulePath(sha256);
    const bytes = readIfThere(path);
    if (bytes === null) return null;
    const found = createHash('sha256').update(bytes).digest('hex');
    if (found === sha256) return new Uint8Array(bytes);
    throw new GatewayError('GW_PLUGIN_STORE', `${path} is damaged: its bytes are ${found}`);
  }

  /** Errors: GW_PLUGIN_STORE. */
  writeModule(sha256: string, bytes: Uint8Array): void {
    writeDurably(this.#modulePath(sha256), bytes);
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
    const text = `${JSON.stringify({ format: FORMAT, ...state }, null, 2)}\n`;
    writeDurably(this.#statePath(plugin), Buffer.from(text));
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

  #modulePath(sha256: string): string {
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

/** Null for what is not a state. */
function parseState(text: string): PluginState | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isObject(value) || value.format !== FORMAT || !Array.isArray(value.versions)) return null;
  const { versions, canary, lastCanary } = value;
  if (versions.length > VERSIONS_COUNT_MAX || !versions.every(isVersion)) return null;
  if (canary !== null && !isCanary(canary)) return null;
  if (lastCanary !== null && !isEnd(lastCanary)) return null;
  return { versions, canary, lastCanary };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isVersion(value: unknown): value is PushedVersion {
  return isObject(value) && isHash(value.sha256) && Number.isSafeInteger(value.pushedMs);
}

function isCanary(value: unknown): value is NonNullable<PluginState['canary']> {
  if (!isVersion(value)) return false;
  const { share } = value as { readonly share?: unknown };
  return typeof share === 'number' && share > 0 && share < 1;
}

function isEnd(value: unknown): value is CanaryEnd {
  if (!isObject(value) || !isHash(value.sha256) || typeof value.why !== 'string') return false;
  return OUTCOMES.includes(value.outcome) && Number.isSafeInteger(value.endedMs);
}

function isHash(value: unknown): boolean {
  return typeof value === 'string' && HASH.test(value);
}
