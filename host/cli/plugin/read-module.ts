// Reads a module's file as the gateway would load it.

import { readPlainFileSync } from '../../config/index.ts';
import { type GatewayError, isGatewayError } from '../../core/index.ts';
import { loadModule, PLUGIN_DEFAULTS, type PluginModule } from '../../proxywasm/index.ts';

/** The module, or why it is none that runs. */
export function readModule(
  file: string,
  strictImports: 'strict' | 'lax',
): PluginModule | GatewayError {
  try {
    const bytes = Uint8Array.from(readPlainFileSync(file));
    return loadModule(bytes, {
      sha256: '',
      memorySizeBytesMax: PLUGIN_DEFAULTS.limits.memorySizeBytes,
      strictImports: strictImports === 'strict',
    });
  } catch (error) {
    if (isGatewayError(error)) return error;
    throw error;
  }
}
