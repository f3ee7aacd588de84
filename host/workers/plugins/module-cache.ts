// Compiled modules by the hash of their bytes and what the rewriter was told: what was loaded once,
// under the same limits, is not compiled again.

import type { PluginConfig } from '../../config/index.ts';
import type { PluginModule } from '../../proxywasm/index.ts';
import type { InstalledPlugin } from './plugin-task.ts';

/** Versions that run, canaries, and some that may be rolled back to. */
const MODULES_COUNT_MAX = 64;

export class ModuleCache {
  /** In the order of use, the least recent first. */
  readonly #modules = new Map<string, PluginModule>();

  put({ spec, module }: InstalledPlugin): void {
    const { memorySizeBytes } = spec.limits;
    this.#use(keyOf(module.report.sha256, memorySizeBytes, spec.strictImports), module);
    for (const key of this.#modules.keys()) {
      if (this.#modules.size <= MODULES_COUNT_MAX) return;
      this.#modules.delete(key);
    }
  }

  /** Null for what is not known. */
  get(sha256: string, { limits, strict }: PluginConfig): PluginModule | null {
    const key = keyOf(sha256, limits.memorySizeBytes, strict);
    const found = this.#modules.get(key);
    if (found === undefined) return null;
    this.#use(key, found);
    return found;
  }

  #use(key: string, module: PluginModule): void {
    this.#modules.delete(key);
    this.#modules.set(key, module);
  }
}

function keyOf(sha256: string, memorySizeBytes: number, isStrict: boolean): string {
  return JSON.stringify([sha256, memorySizeBytes, isStrict]);
}
