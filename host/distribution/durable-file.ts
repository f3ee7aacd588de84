// Files that are there whole or not at all, whatever ends the process or the machine: written under
// another name, synced, renamed, and the folder synced. Whoever reads sees the old file or the new.

import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { GatewayError, secretBytes } from '../core/index.ts';

/** The name of the folder for files that are being written; on the same file system as their
 *  places, so that a rename moves them. */
export const TEMPORARY_FOLDER = 'temporary';
/** A folder goes once in a collection of garbage, and these are far apart. */
const MOVES_MAX = 4;
/** What a file system says when it has no room for more. */
const NO_ROOM_CODES: readonly unknown[] = ['ENOSPC', 'EDQUOT', 'EFBIG'];

export interface DurableFile {
  readonly path: string;
  /** An existing folder on the same file system. */
  readonly temporaryDir: string;
  /** The content, piece by piece. */
  readonly parts: readonly Uint8Array[];
  /** Given by who writes many files: takes the folders that are still to be synced. */
  readonly unsynced?: Set<string>;
}

/** Writes a file in place of what stands at `path`. Errors: GW_DIST_DISK, and then nothing has
 *  changed. */
export async function writeDurably(file: DurableFile): Promise<void> {
  const { path, temporaryDir, parts, unsynced } = file;
  const temporary = join(temporaryDir, temporaryName());
  try {
    await writeSynced(temporary, parts);
    await moveInto(temporary, path, unsynced);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw diskError(error, path);
  }
  await syncNowOrLater(dirname(path), unsynced);
}

/** The folder may be taken away, being empty, by who tidies up; then it is made again. */
async function moveInto(from: string, path: string, unsynced?: Set<string>): Promise<void> {
  for (let attempt = 1; ; ++attempt) {
    try {
      await makeFolder(dirname(path), unsynced);
      await rename(from, path);
      return;
    } catch (error) {
      if (errorCode(error) !== 'ENOENT' || attempt === MOVES_MAX) throw error;
    }
  }
}

/** Of this machine, for names: others cannot tell whether its processes live. */
const MACHINE = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
const OWNED_NAME = /^([1-9]\d{0,9})-([0-9a-f]{8})-/;

/** `{process}-{machine}-{random}.tmp`: the process tells whether anybody is still writing. */
export function temporaryName(): string {
  return `${process.pid}-${MACHINE}-${Buffer.from(secretBytes(8)).toString('hex')}.tmp`;
}

/** The process that a temporary name is of; null where it is of another machine, or of nobody. */
export function processOf(name: string): number | null {
  const [, pid, machine] = OWNED_NAME.exec(name) ?? [];
  return machine === MACHINE ? Number(pid) : null;
}

async function writeSynced(path: string, parts: readonly Uint8Array[]): Promise<void> {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const handle = await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644);
  try {
    // Goes on where the write before ended.
    for (const part of parts) await handle.writeFile(part);
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

/** Makes a folder and those above it, and syncs what holds the new ones. */
export async function makeFolder(path: string, unsynced?: Set<string>): Promise<void> {
  const first = await mkdir(path, { recursive: true });
  if (first === undefined) return;
  for (let folder = path; folder.length >= first.length; folder = dirname(folder)) {
    await syncNowOrLater(dirname(folder), unsynced);
  }
}

async function syncNowOrLater(folder: string, unsynced: Set<string> | undefined): Promise<void> {
  if (unsynced === undefined) await syncFolder(folder);
  else unsynced.add(folder);
}

/** Makes the names in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    throw diskError(error, path);
  }
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** An error of the file system as GW_DIST_DISK where it is about room; any other as it is. */
export function diskError(error: unknown, path: string): unknown {
  if (!NO_ROOM_CODES.includes(errorCode(error))) return error;
  return new GatewayError('GW_DIST_DISK', `${path}: ${(error as Error).message}`, error);
}

/** `ENOENT` and its kind; null for what is no error of the system. */
export function errorCode(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null;
  return typeof error.code === 'string' ? error.code : null;
}
