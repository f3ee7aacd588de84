// One writer at a time: a file that names its process. A process that was killed leaves it behind;
// the next one sees that nobody of that name lives and takes it. Processes of another machine
// cannot be seen, so theirs is never taken. Readers, and on-demand deltas, need no lock.

import { link, open, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { GatewayError, secretBytes } from '../core/index.ts';
import { diskError, errorCode, TEMPORARY_FOLDER, temporaryName } from './durable-file.ts';

const LOCK_FILE = 'lock';
/** One taken over, and one lost to somebody else who took it over, and again. */
const ATTEMPTS_MAX = 4;

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** Of the machine's start: a process id means nothing after the next. */
  readonly bootId: string;
  /** Of the process: ids are given again. */
  readonly startedTicks: string;
  readonly token: string;
}

export class StoreLock {
  readonly #path: string;
  readonly #token: string;

  private constructor(path: string, token: string) {
    this.#path = path;
    this.#token = token;
  }

  /** Takes the lock of a store whose folders exist. Errors: GW_DIST_LOCKED, which names the holder;
   *  GW_DIST_DISK. */
  static async take(dir: string): Promise<StoreLock> {
    const path = join(dir, LOCK_FILE);
    const temporary = join(dir, TEMPORARY_FOLDER, temporaryName());
    const token = Buffer.from(secretBytes(16)).toString('hex');
    try {
      // Whole before it has the name: nobody reads half a holder.
      await writeFile(temporary, JSON.stringify(await ownHolder(token)), { flag: 'wx' });
      for (let attempt = 1; attempt <= ATTEMPTS_MAX; ++attempt) {
        if (await linkIfFree(temporary, path)) return new StoreLock(path, token);
        await breakIfStale(dir, path);
      }
    } catch (error) {
      throw diskError(error, path);
    } finally {
      await rm(temporary, { force: true }).catch(() => {});
    }
    throw new GatewayError('GW_DIST_LOCKED', `${path} changes hands all the time`);
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

/** Takes a dead holder's file away. Errors: GW_DIST_LOCKED when the holder may live. */
async function breakIfStale(dir: string, path: string): Promise<void> {
  const found = await readWithInode(path);
  if (found === null) return;
  const holder = holderOf(found.text);
  if (holder !== null && (await mayLive(holder))) {
    const where = holder.host === hostname() ? '' : ` on ${holder.host}`;
    const advice = where === '' ? '' : `; when it is gone for good, remove ${path}`;
    throw new GatewayError('GW_DIST_LOCKED', `process ${holder.pid}${where}${advice}`);
  }
  const aside = join(dir, TEMPORARY_FOLDER, temporaryName());
  try {
    await rename(path, aside);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  const taken = await readWithInode(aside);
  // Somebody else was faster and this is a living lock: it goes back.
  if (taken !== null && taken.inode !== found.inode) await linkIfFree(aside, path);
  await unlink(aside);
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

/** Null for what no holder wrote. */
function holderOf(text: string): Holder | null {
  try {
    const value: Holder = JSON.parse(text);
    return Number.isSafeInteger(value?.pid) && value.pid > 0 ? value : null;
  } catch {
    return null;
  }
}

async function ownHolder(token: string): Promise<Holder> {
  return {
    pid: process.pid,
    host: hostname(),
    bootId: await bootId(),
    startedTicks: await startedTicksOf(process.pid),
    token,
  };
}

async function mayLive(holder: Holder): Promise<boolean> {
  if (holder.host !== hostname()) return true;
  if (holder.bootId !== (await bootId()) || !isProcess(holder.pid)) return false;
  return holder.startedTicks === (await startedTicksOf(holder.pid));
}

/** Whether a process of this machine has the id. */
export function isProcess(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}

/** Empty where the system does not say. */
async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim();
}

/** Field 22 of proc_pid_stat(5); the name in field 2 may hold spaces. Empty where there is none. */
async function startedTicksOf(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}
