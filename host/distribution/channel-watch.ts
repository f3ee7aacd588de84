// Sees that a channel's state was changed by another process, such as `sluice publish`. It looks at
// the files twice a second rather than asking the system to be told: a store may lie on a network
// file system, where nobody tells, and a stat of each state costs some microseconds.

import { type BigIntStats, promises } from 'node:fs';
import { join } from 'node:path';
import { listChannels, readChannelState, statePath } from './channel-state.ts';
import { errorCode } from './durable-file.ts';
import type { ChannelState } from './model.ts';

export interface ChannelChanges {
  /** Of channels that are new or have another generation. */
  readonly changed: readonly ChannelState[];
  readonly removed: readonly string[];
}

interface Seen {
  readonly mark: string;
  readonly generation: number;
}

export class ChannelWatch {
  readonly #dir: string;
  readonly #onFault: (channel: string, error: unknown) => void;
  readonly #seen = new Map<string, Seen>();

  /** `onFault`: told of a state that cannot be read; the channel stays as it was. */
  constructor(dir: string, onFault: (channel: string, error: unknown) => void) {
    this.#dir = dir;
    this.#onFault = onFault;
  }

  /** What has changed since the last call. */
  async look(): Promise<ChannelChanges> {
    const names = await listChannels(this.#dir);
    const changed: ChannelState[] = [];
    for (const name of names) {
      const state = await this.#lookAt(name);
      if (state !== null) changed.push(state);
    }
    const removed = [...this.#seen.keys()].filter((name) => !names.includes(name));
    for (const name of removed) this.#seen.delete(name);
    return { changed, removed };
  }

  async #lookAt(channel: string): Promise<ChannelState | null> {
    const mark = await markOf(join(this.#dir, statePath(channel)));
    const seen = this.#seen.get(channel);
    if (mark === null || mark === seen?.mark) return null;
    try {
      const state = await readChannelState(this.#dir, channel);
      if (state === null) return null;
      this.#seen.set(channel, { mark, generation: state.generation });
      return state.generation === seen?.generation ? null : state;
    } catch (error) {
      // Told once: until the file is another one.
      this.#seen.set(channel, { mark, generation: seen?.generation ?? 0 });
      this.#onFault(channel, error);
      return null;
    }
  }
}

/** What a file that was replaced has of its own; null when there is none. */
async function markOf(path: string): Promise<string | null> {
  let stats: BigIntStats;
  try {
    stats = await promises.stat(path, { bigint: true });
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
  return `${stats.ino} ${stats.size} ${stats.mtimeNs}`;
}
