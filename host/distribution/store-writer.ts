// Writing the store. A writer holds the lock from opening to closing; what it puts is content that
// nobody sees until a channel's state names it. Objects are safe to put twice: their name is their
// hash.

import { readdir, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, GatewayError } from '../core/index.ts';
import { artefactFileSize, artefactTail, sha256Of } from './artefact-file.ts';
import { readChannelState, replaceChannelState } from './channel-state.ts';
import { makeFolder, syncFolder, TEMPORARY_FOLDER, writeDurably } from './durable-file.ts';
import type { ChannelState } from './model.ts';
import { readFolder, type Store } from './store.ts';
import { isProcess, StoreLock } from './store-lock.ts';
import { type ArtefactRef, shownArtefact } from './store-paths.ts';

/** No write takes longer; an older file in the folder was left by a process that was killed, also
 *  when its id has been given again. */
const LEFTOVER_AGE_MS = 3_600_000;

export interface WriterOptions {
  readonly store: Store;
  /** What all artefacts together may take on disk. */
  readonly diskBytesMax: number;
  readonly clock: Clock;
}

export interface PutOptions {
  /** What may still be written. */
  readonly roomBytes: number;
  /** Takes the folders that are still to be synced; without it they are synced at once. */
  readonly unsynced?: Set<string>;
}

/** Puts one artefact, in place of what stood there. Needs no lock: it is whole or not there.
 *  Returns what it takes on disk. Errors: GW_DIST_DISK. */
export async function putArtefact(
  store: Store,
  ref: ArtefactRef,
  payload: Uint8Array,
  options: PutOptions,
): Promise<number> {
  const fileSizeBytes = artefactFileSize(payload.length);
  if (fileSizeBytes > options.roomBytes) {
    const room = Math.max(0, options.roomBytes);
    const detail = `${shownArtefact(ref)} takes ${fileSizeBytes} bytes, the limit leaves ${room}`;
    throw new GatewayError('GW_DIST_DISK', detail);
  }
  const temporaryDir = join(store.dir, TEMPORARY_FOLDER);
  await makeFolder(temporaryDir);
  const parts = [payload, artefactTail(payload, store.checksums)];
  const path = store.pathOf(ref);
  const { unsynced } = options;
  await writeDurably({
    path,
    temporaryDir,
    parts,
    ...(unsynced === undefined ? {} : { unsynced }),
  });
  return fileSizeBytes;
}

export class StoreWriter {
  readonly store: Store;
  readonly #lock: StoreLock;
  readonly #diskBytesMax: number;
  readonly #unsynced = new Set<string>();
  #usedBytes: number;

  private constructor(options: WriterOptions, lock: StoreLock, usedBytes: number) {
    this.store = options.store;
    this.#lock = lock;
    this.#diskBytesMax = options.diskBytesMax;
    this.#usedBytes = usedBytes;
  }

  /** Makes the store if there is none, takes its lock, and removes what killed processes left.
   *  Errors: GW_DIST_LOCKED, GW_DIST_DISK. Cost: one stat for each artefact. */
  static async open(options: WriterOptions): Promise<StoreWriter> {
    const { store, clock } = options;
    await makeFolder(join(store.dir, TEMPORARY_FOLDER));
    const lock = await StoreLock.take(store.dir);
    try {
      await sweepLeftovers(join(store.dir, TEMPORARY_FOLDER), clock.wallMs());
      return new StoreWriter(options, lock, await usedBytesOf(store));
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** What artefacts take on disk. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  get roomBytes(): number {
    return this.#diskBytesMax - this.#usedBytes;
  }

  /** Counts what somebody else put meanwhile: a task of the compute pool. */
  addUsed(fileSizeBytes: number): void {
    this.#usedBytes += fileSizeBytes;
  }

  /** Puts content under its hash. What is there already is read and checked; if it is damaged it is
   *  put again. Returns whether it was written. Errors: GW_DIST_CORRUPT when the bytes have another
   *  hash than the caller says, GW_DIST_DISK. */
  async putObject(sha256: string, bytes: Uint8Array): Promise<boolean> {
    const found = sha256Of(bytes);
    if (found !== sha256) {
      throw new GatewayError('GW_DIST_CORRUPT', `content ${sha256} has the hash ${found} now`);
    }
    const ref: ArtefactRef = { kind: 'object', sha256 };
    if (await this.isWhole(ref)) return false;
    await this.put(ref, bytes);
    return true;
  }

  async put(ref: ArtefactRef, payload: Uint8Array): Promise<void> {
    const options = { roomBytes: this.roomBytes, unsynced: this.#unsynced };
    const previousBytes = (await this.store.fileSizeOf(ref)) ?? 0;
    const fileSizeBytes = await putArtefact(this.store, ref, payload, options);
    this.#usedBytes += fileSizeBytes - previousBytes;
  }

  /** Reads all of an artefact. A damaged one is out of sight afterwards and counts as missing. */
  async isWhole(ref: ArtefactRef): Promise<boolean> {
    try {
      return (await this.store.readWhole(ref)) !== null;
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'GW_DIST_CORRUPT') return false;
      throw error;
    }
  }

  /** Removes an artefact; readers that have it open go on reading. */
  async remove(ref: ArtefactRef): Promise<void> {
    const fileSizeBytes = await this.store.fileSizeOf(ref);
    if (fileSizeBytes === null) return;
    await rm(this.store.pathOf(ref), { force: true });
    this.#usedBytes -= fileSizeBytes;
  }

  /** Makes everything that was put durable, and only then the state visible.
   *  Errors: GW_DIST_DISK, GW_DIST_LOCKED; nothing is visible then. */
  async commit(state: ChannelState): Promise<void> {
    for (const folder of this.#unsynced) await syncFolder(folder);
    this.#unsynced.clear();
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

/** What artefacts take on disk. Cost: one stat for each. */
export async function usedBytesOf(store: Store): Promise<number> {
  let sumBytes = 0;
  for await (const { fileSizeBytes } of store.list()) sumBytes += fileSizeBytes;
  return sumBytes;
}

/** Removes empty folders below a folder, but not itself. */
export async function removeEmptyFolders(folder: string): Promise<void> {
  for (const entry of await readFolder(folder)) {
    if (!entry.isDirectory()) continue;
    const below = join(folder, entry.name);
    await removeEmptyFolders(below);
    // A folder that somebody just put something in stays.
    if ((await readdir(below)).length === 0) await rmdir(below).catch(() => {});
  }
}

async function sweepLeftovers(folder: string, wallMs: number): Promise<void> {
  for (const { name } of await readFolder(folder)) {
    const pid = Number(name.split('-')[0]);
    const path = join(folder, name);
    const isWritten = Number.isSafeInteger(pid) && pid > 0 && isProcess(pid);
    const mtimeMs = isWritten ? ((await stat(path).catch(() => null))?.mtimeMs ?? 0) : 0;
    if (wallMs - mtimeMs > LEFTOVER_AGE_MS) await rm(path, { force: true });
  }
}
