// Writing the store with its lock, from opening to closing: removing artefacts, and replacing what
// a channel knows.

import { rm } from 'node:fs/promises';
import { readChannelState, replaceChannelState } from './channel-state.ts';
import { ContentWriter, prepareStore, type WriterOptions } from './content-writer.ts';
import type { ChannelState } from './model.ts';
import { StoreLock } from './store-lock.ts';
import type { ArtefactRef } from './store-paths.ts';

export class StoreWriter extends ContentWriter {
  readonly #lock: StoreLock;

  private constructor(options: WriterOptions, lock: StoreLock, usedBytes: number) {
    super(options, usedBytes);
    this.#lock = lock;
  }

  /** As a ContentWriter opens, and takes the lock; waits for a living holder for `waitMs`.
   *  Errors: GW_DIST_LOCKED, GW_DIST_DISK. Cost: one stat for each artefact, before the lock. */
  static override async open(options: WriterOptions, waitMs = 0): Promise<StoreWriter> {
    const usedBytes = await prepareStore(options);
    return new StoreWriter(options, await StoreLock.take(options.store.dir, waitMs), usedBytes);
  }

  /** Removes an artefact; readers that have it open go on reading. */
  async remove(ref: ArtefactRef): Promise<void> {
    const fileSizeBytes = await this.store.fileSizeOf(ref);
    if (fileSizeBytes === null) return;
    await rm(this.store.pathOf(ref), { force: true });
    this.addUsed(-fileSizeBytes);
  }

  /** Makes everything that was put durable, and only then the state visible.
   *  Errors: GW_DIST_DISK, GW_DIST_LOCKED; nothing is visible then. */
  async commit(state: ChannelState): Promise<void> {
    await this.sync();
    await this.#lock.assertHeld();
    await replaceChannelState(this.store.dir, state);
  }

  /** Changes a channel's state. `change` gets null for a channel without one. */
  async update(
    channel: string,
    change: (state: ChannelState | null) => ChannelState,
  ): Promise<ChannelState> {
    const state = change(await readChannelState(this.store.dir, channel));
    await this.commit(state);
    return state;
  }

  async close(): Promise<void> {
    await this.#lock.release();
  }
}
