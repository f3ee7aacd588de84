// Looks whether the configured ports are free before any worker takes them. Workers share ports by
// SO_REUSEPORT, and so would a second gateway by mistake: the kernel would give each half of the
// connections, and nobody would be told.

import type { ListenerConfig } from '../config/index.ts';
import { provideAddon, UWS_ADDON } from '../core/index.ts';
import { assertPortFree, prepareUwsEnvironment } from '../edge/index.ts';
import { isStandalone, readAddon } from './assets.ts';

/** Prepares the process for listening: what uWebSockets reads when it loads, and the ports.
 *  Errors: GW_LISTEN, naming the first address and port that is taken, or why the standalone
 *  binary cannot load its addon. */
export async function prepareListening(listeners: readonly ListenerConfig[]): Promise<void> {
  prepareUwsEnvironment();
  const needsAddon = isStandalone() && listeners.some(({ engine }) => engine === 'uws');
  if (needsAddon) provideAddon(UWS_ADDON, readAddon(UWS_ADDON));
  for (const { port, address } of listeners) await assertPortFree(port, address);
}
