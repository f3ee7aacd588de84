// Where the bytes of a module come from: a file, a URL, or the plugin folder. Runs in the compute
// pool, for a module has up to 64 MiB.

import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { PluginConfig } from '../../config/index.ts';
import { GatewayError, isGatewayError } from '../../core/index.ts';
import { MODULE_SIZE_BYTES_MAX } from '../../proxywasm/index.ts';
import type { PluginStore } from './plugin-store.ts';

/** A whole fetch, redirects and body included; a registry on another continent needs some of it. */
const FETCH_MS_MAX = 20_000;
/** A gateway that starts while its registry does should not give up at once. */
const ATTEMPTS_MAX = 3;
const PAUSE_MS = 250;

/** What the configuration names. A module from a URL is kept in the folder under its hash, so that
 *  it is fetched once. `isKept`: false for bytes still to be kept, once their hash is known.
 *  Errors: GW_PLUGIN_FILE, GW_PLUGIN_LIMIT, GW_PLUGIN_STORE. */
export async function configuredModule(
  { file, url, sha256 }: PluginConfig,
  store: PluginStore,
): Promise<{ readonly bytes: Uint8Array<ArrayBuffer>; readonly isKept: boolean }> {
  if (file !== '') return { bytes: readFile(file), isKept: true };
  const known = intactModule(store, sha256);
  if (known !== null) return { bytes: known, isKept: true };
  return { bytes: await fetchModule(url), isKept: false };
}

/** Null also for a damaged one: the URL has it, and its hash says whether it is. */
function intactModule(store: PluginStore, sha256: string): Uint8Array<ArrayBuffer> | null {
  try {
    return store.readModule(sha256);
  } catch (error) {
    if (isGatewayError(error)) return null;
    throw error;
  }
}

function readFile(file: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(readFileSync(file));
  } catch (error) {
    throw new GatewayError('GW_PLUGIN_FILE', `${file}: ${(error as Error).message}`, error);
  }
}

async function fetchModule(url: string): Promise<Uint8Array<ArrayBuffer>> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await fetchOnce(url, AbortSignal.timeout(FETCH_MS_MAX));
    } catch (error) {
      if (isGatewayError(error)) throw error;
      if (attempt === ATTEMPTS_MAX) {
        const { cause, message } = error as Error;
        const why = cause instanceof Error ? cause.message : message;
        throw new GatewayError('GW_PLUGIN_FILE', `${url}: ${why}`, error);
      }
      await pause(PAUSE_MS * 2 ** attempt);
    }
  }
}

/** Errors: GatewayError for what another attempt would not change. */
async function fetchOnce(url: string, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url, { signal, headers: { accept: 'application/wasm, */*' } });
  const { status } = response;
  if (status >= 500) throw new Error(`status ${status}`);
  if (status !== 200) {
    await response.body?.cancel();
    throw new GatewayError('GW_PLUGIN_FILE', `${url}: status ${status}, expected 200`);
  }
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of response.body ?? []) {
    sizeBytes += piece.length;
    if (sizeBytes > MODULE_SIZE_BYTES_MAX) {
      const detail = `${url}: ${sizeBytes} bytes or more, the limit is ${MODULE_SIZE_BYTES_MAX}`;
      throw new GatewayError('GW_PLUGIN_LIMIT', detail);
    }
    pieces.push(piece);
  }
  return new Uint8Array(Buffer.concat(pieces));
}
