// One at a time changes what is visible: a file that names its process. A process that was killed
// leaves it behind; the next one sees that nobody of that name lives and takes it. Processes of
// another machine cannot be seen, so theirs is never taken. Readers need no lock, and who puts
// content needs none either: it is held for a moment by who makes a state visible, and by a
// collection of garbage as long as it takes.

import { link, open, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GatewayError, secretBytes } from '../core/index.ts';
import { diskError, errorCode, TEMPORARY_FOLDER, temporaryName } from './durable-file.ts';
import { type Holder, holderOf, isOfThisMachine, mayLive, ownHolder } from './holder.ts';

const LOCK_FILE = 'lock';
/** One taken over, and one lost to somebody else who took it over, and again. */
const ATTEMPTS_MAX = 4;
/** How long a holder is waited for by who would lose work, or has nobody waiting. Units: ms. */
export const LOCK_PATIENCE_MS = 30_000;
const LOOK_AGAIN_MS = 20;

export class StoreLock {
  readonly #path: string;
  readonly #token: string;

  private constructor(path: string, token: string) {
    this.#path = path;
    this.#token = token;
  }

  /** Takes the lock of a store whose folders exist; waits for a living holder for `waitMs`.
   *  Errors: GW_DIST_LOCKED, which names the holder; GW_DIST_DISK. */
  static async take(dir: string, waitMs = 0): Promise<StoreLock> {
    const path = join(dir, LOCK_FILE);
    const temporary = join(dir, TEMPORARY_FOLDER, temporaryName());
    const token = Buffer.from(secretBytes(16)).toString('hex');
    try {
      // Whole before it has the name: nobody reads half a holder.
      await writeFile(temporary, JSON.stringify(await ownHolder(token)), { flag: 'wx' });
      let attempt = 0;
      for (let waitedMs = 0; ; ) {
        if (await linkIfFree(temporary, path)) return new StoreLock(path, token);
        const holder = await breakIfStale(dir, path);
        attempt += 1;
        if (holder === null && attempt < ATTEMPTS_MAX) continue;
        if (waitedMs >= waitMs) throw lockedError(path, holder);
        await sleep(LOOK_AGAIN_MS);
        waitedMs += LOOK_AGAIN_MS;
      }
    } catch (error) {
      throw diskError(error, path);
    } finally {
      await rm(temporary, { force: true }).catch(() => {});
    }
  }

  /** Looks whether the lock is still this one's, before what cannot be undone.
   *  Errors: GW_DIST_LOCKED. */
  async assertHeld(): Promise<void> {
    if ((await holderAt(this.#path))?.token === this.#token) return;
    throw new GatewayError('GW_DIST_LOCKED', `${this.#path} was taken by somebody else`);
  }

  /** Gives the lock back; it is no error when it is gone. */
  async release(): Promise<void> {
    if ((await holderAt(this.#path))?.token !== this.#token) return;
    await rm(this.#path, { force: true });
  }
}

async function linkIfFree(temporary: string, path: string): Promise<boolean> {
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

function lockedError(path: string, holder: Holder | null): GatewayError {
  if (holder === null)
    return new GatewayError('GW_DIST_LOCKED', `${path} changes hands all the time`);
  const where = isOfThisMachine(holder) ? '' : ` on ${holder.host}`;
  const advice = where === '' ? '' : `; when it is gone for good, remove ${path}`;
  return new GatewayError('GW_DIST_LOCKED', `process ${holder.pid}${where}${advice}`);
}

/** Takes a dead holder's file away. The holder when it may live, else null. */
async function breakIfStale(dir: string, path: string): Promise<Holder | null> {
  const found = await readWithInode(path);
  if (found === null) return null;
  const holder = holderOf(found.text);
  if (holder !== null && (await mayLive(holder))) return holder;
  const aside = join(dir, TEMPORARY_FOLDER, temporaryName());
  try {
    await rename(path, aside);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
  const taken = await readWithInode(aside);
  // Somebody else was faster and this is a living lock: it goes back.
  if (taken !== null && taken.inode !== found.inode) await linkIfFree(aside, path);
  await unlink(aside);
  return null;
}

async function readWithInode(path: string): Promise<{ text: string; inode: number } | null> {
  try {
    const handle = await open(path, 'r');
    try {
      const { ino: inode } = await handle.stat();
      return { text: await handle.readFile('utf8'), inode };
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

async function holderAt(path: string): Promise<Holder | null> {
  const found = await readWithInode(path);
  return found === null ? null : holderOf(found.text);
}
