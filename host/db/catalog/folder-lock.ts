// One process at a time has the databases of a folder: a file that names it. A process that was
// killed leaves it behind; the next one sees that nobody of that name lives and takes it. A process
// of another machine cannot be seen, so its lock is never taken.

import { link, open, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { GatewayError, secretBytes } from '../../core/index.ts';

const LOCK_FILE = 'lock';
/** Who holds the lock may leave the address of its admin API here; no database is called so. */
const ADMIN_FILE = '.admin';
/** One taken over, and one lost to somebody else who took it over, and again. */
const ATTEMPTS_MAX = 4;

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** Of the machine's start: a process id means nothing after the next. */
  readonly bootId: string;
  /** Of the process: ids are given again. */
  readonly startedTicks: string;
}

/** Where the admin API of the process is that has the folder; null where it has not said so. */
export async function findAdminUrl(folder: string): Promise<string | null> {
  const [lock, text] = await Promise.all([
    readLock(join(folder, LOCK_FILE)),
    readFile(join(folder, ADMIN_FILE), 'utf8').catch(() => ''),
  ]);
  const [pid, url] = text.trim().split(' ');
  // Another one may have left it, whose end was sudden.
  const isHolder = lock?.holder != null && String(lock.holder.pid) === pid;
  return isHolder && url !== undefined && URL.canParse(url) ? url : null;
}

export class FolderLock {
  readonly #folder: string;
  readonly #path: string;
  readonly #inode: number;

  private constructor(folder: string, inode: number) {
    this.#folder = folder;
    this.#path = join(folder, LOCK_FILE);
    this.#inode = inode;
  }

  /** Takes the lock of an existing folder. Errors: DB_STORE_LOCKED, which names the holder. */
  static async take(folder: string): Promise<FolderLock> {
    const path = join(folder, LOCK_FILE);
    const temporary = asideName(path);
    try {
      // Whole before it has the name: nobody reads half a holder.
      await writeFile(temporary, JSON.stringify(await ownHolder()), { flag: 'wx' });
      for (let attempt = 1; attempt <= ATTEMPTS_MAX; ++attempt) {
        if (await linkIfFree(temporary, path)) {
          return new FolderLock(folder, (await readLock(path))!.inode);
        }
        await breakIfStale(path);
      }
    } finally {
      await rm(temporary, { force: true });
    }
    throw new GatewayError('DB_STORE_LOCKED', `${path} changes hands all the time`);
  }

  /** Leaves word of the holder's admin API. */
  async announce(adminUrl: string): Promise<void> {
    const path = join(this.#folder, ADMIN_FILE);
    const temporary = asideName(path);
    await writeFile(temporary, `${process.pid} ${adminUrl}\n`, { flag: 'wx' });
    await rename(temporary, path);
  }

  /** Gives the lock back; it is no error when it is gone. */
  async release(): Promise<void> {
    await rm(join(this.#folder, ADMIN_FILE), { force: true });
    if ((await readLock(this.#path))?.inode === this.#inode) await rm(this.#path, { force: true });
  }
}

async function linkIfFree(temporary: string, path: string): Promise<boolean> {
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Takes a dead holder's file away. Errors: DB_STORE_LOCKED where the holder may live. */
async function breakIfStale(path: string): Promise<void> {
  const found = await readLock(path);
  if (found === null) return;
  const { holder } = found;
  if (holder !== null && (await mayLive(holder))) {
    const isHere = holder.host === hostname();
    const where = isHere ? '' : ` on ${holder.host}; when it is gone for good, remove ${path}`;
    throw new GatewayError('DB_STORE_LOCKED', `process ${holder.pid}${where}`);
  }
  const aside = asideName(path);
  try {
    await rename(path, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  // Somebody else was faster and this is a living lock: it goes back.
  if ((await readLock(aside))?.inode !== found.inode) await linkIfFree(aside, path);
  await unlink(aside);
}

async function readLock(path: string): Promise<{ holder: Holder | null; inode: number } | null> {
  try {
    const file = await open(path, 'r');
    try {
      const { ino: inode } = await file.stat();
      return { holder: holderOf(await file.readFile('utf8')), inode };
    } finally {
      await file.close();
    }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
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

async function ownHolder(): Promise<Holder> {
  const startedTicks = await startedTicksOf(process.pid);
  return { pid: process.pid, host: hostname(), bootId: await bootId(), startedTicks };
}

async function mayLive(holder: Holder): Promise<boolean> {
  if (holder.host !== hostname()) return true;
  if (holder.bootId !== (await bootId())) return false;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if (codeOf(error) !== 'EPERM') return false;
  }
  return holder.startedTicks === (await startedTicksOf(holder.pid));
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

function asideName(path: string): string {
  return `${path}.${Buffer.from(secretBytes(8)).toString('hex')}.tmp`;
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null)?.code;
}
