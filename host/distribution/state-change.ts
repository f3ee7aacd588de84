// Changing a channel's state from the gateway: under the store's lock, for a publisher may be at
// work in another process, and without counting what the store takes, for nothing is put.

import { join } from 'node:path';
import { readChannelState, replaceChannelState } from './channel-state.ts';
import { makeFolder, TEMPORARY_FOLDER } from './durable-file.ts';
import type { ChannelState } from './model.ts';
import { StoreLock } from './store-lock.ts';

/** Replaces a state by what `change` makes of it; null leaves it.
 *  Errors: GW_DIST_LOCKED, GW_DIST_DISK; whatever `change` throws. */
export async function changeChannelState(
  dir: string,
  channel: string,
  change: (state: ChannelState | null) => ChannelState | null,
): Promise<void> {
  await makeFolder(join(dir, TEMPORARY_FOLDER));
  const lock = await StoreLock.take(dir);
  try {
    const next = change(await readChannelState(dir, channel));
    if (next === null) return;
    await lock.assertHeld();
    await replaceChannelState(dir, next);
  } finally {
    await lock.release();
  }
}
