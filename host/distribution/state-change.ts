// Changing a channel's state without putting anything: under the store's lock, for a publisher may
// be at work in another process, and without counting what the store takes.

import { join } from 'node:path';
import { readChannelState, replaceChannelState } from './channel-state.ts';
import { makeFolder, TEMPORARY_FOLDER } from './durable-file.ts';
import type { ChannelState } from './model.ts';
import { StoreLock } from './store-lock.ts';

/** Replaces a state by what `change` makes of it; null leaves it. Waits for a living holder of the
 *  lock for `waitMs`. Returns the new state.
 *  Errors: GW_DIST_LOCKED, GW_DIST_DISK; whatever `change` throws. */
export async function changeChannelState<S extends ChannelState | null>(
  dir: string,
  channel: string,
  change: (state: ChannelState | null) => S,
  waitMs = 0,
): Promise<S> {
  await makeFolder(join(dir, TEMPORARY_FOLDER));
  const lock = await StoreLock.take(dir, waitMs);
  try {
    const next = change(await readChannelState(dir, channel));
    if (next === null) return next;
    await lock.assertHeld();
    await replaceChannelState(dir, next);
    return next;
  } finally {
    await lock.release();
  }
}
