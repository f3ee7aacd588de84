// Putting content into the store: what nobody sees until a channel's state names it. It needs no
// lock, for an artefact is whole or not there, and its name is the hash of what it is. What keeps a
// collection of garbage from taking it is a lease (publish-lease.ts).

import { readdir, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, GatewayError } from '../core/index.ts';
import { artefactFileSize, artefactTail, sha256Of } from './artefact-file.ts';
import {
  makeFolder,
  processOf,
  syncFolder,
  TEMPORARY_FOLDER,
  writeDurably,
} from './durable-file.ts';
import { isProcess } from './holder.ts';
import { readFolder, type Store } from './store.ts';
import { type ArtefactRef, shownArtefact } from './store-paths.ts';

/** No write takes longer; an older file in the folder was left by a process that was killed, also
 *  when its id has been given again, or is another machine's. */
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

/** Puts content for one publisher, and counts what it takes. */
export class ContentWriter {
  readonly store: Store;
  readonly #diskBytesMax: number;
  readonly #unsynced = new Set<string>();
  #usedBytes: number;

  protected constructor(options: WriterOptions, usedBytes: number) {
    this.store = options.store;
    this.#diskBytesMax = options.diskBytesMax;
    this.#usedBytes = usedBytes;
  }

  /** Makes the store if there is none, and removes what killed processes left.
   *  Errors: GW_DIST_DISK. Cost: one stat for each artefact. */
  static async open(options: WriterOptions): Promise<ContentWriter> {
    return new ContentWriter(options, await prepareStore(options));
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

  /** Makes the names of everything that was put durable. */
  async sync(): Promise<void> {
    for (const folder of this.#unsynced) await syncFolder(folder);
    this.#unsynced.clear();
  }
}

/** Makes the folders of a store and removes what killed processes left. Returns what artefacts take
 *  on disk. Errors: GW_DIST_DISK. Cost: one stat for each artefact. */
export async function prepareStore({ store, clock }: WriterOptions): Promise<number> {
  const temporaryDir = join(store.dir, TEMPORARY_FOLDER);
  await makeFolder(temporaryDir);
  await sweepLeftovers(temporaryDir, clock.wallMs());
  return usedBytesOf(store);
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
    const pid = processOf(name);
    const path = join(folder, name);
    const mayBeWritten = pid === null || isProcess(pid);
    const mtimeMs = mayBeWritten ? ((await stat(path).catch(() => null))?.mtimeMs ?? 0) : 0;
    if (wallMs - mtimeMs > LEFTOVER_AGE_MS) await rm(path, { force: true });
  }
}
