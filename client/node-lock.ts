// A lock between processes that share a storage folder: a file that holds the process id. One that
// a killed process left is taken over; so is one whose holder has not touched it for a minute,
// because process ids are used again.

import { link, mkdir, open, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { LoaderError } from './errors.ts';

const STALE_MS = 60_000;
const TOUCH_MS = 10_000;
const POLL_MS = 50;

let lockCount = 0;

/** Errors: LOADER_BUSY when another process holds the lock for longer than `waitMs`. */
export async function withLockFile<T>(
  path: string,
  waitMs: number,
  work: () => Promise<T>,
): Promise<T> {
  await acquire(path, waitMs);
  const touching = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, TOUCH_MS);
  touching.unref();
  try {
    return await work();
  } finally {
    clearInterval(touching);
    await rm(path, { force: true }).catch(() => {});
  }
}

async function acquire(path: string, waitMs: number): Promise<void> {
  await mkdir(join(dirname(path), 'temporary'), { recursive: true });
  const untilMs = Date.now() + waitMs;
  for (;;) {
    if (await tryAcquire(path)) return;
    if (await takeOver(path)) continue;
    if (Date.now() >= untilMs) {
      throw new LoaderError('LOADER_BUSY', `another process holds ${path}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** The file appears with its content: a link either is made or finds the name taken. */
async function tryAcquire(path: string): Promise<boolean> {
  const own = asidePath(path);
  try {
    await writeFile(own, String(process.pid));
    await link(own, path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    if (code === 'EPERM' || code === 'ENOTSUP') return await createPlainly(path);
    throw error;
  } finally {
    await rm(own, { force: true }).catch(() => {});
  }
}

/** For file systems without links. */
async function createPlainly(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    await file.writeFile(String(process.pid));
    await file.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Moves a dead holder's lock aside; whether it is worth trying again at once. */
async function takeOver(path: string): Promise<boolean> {
  try {
    const holder = await readFile(path, 'utf8');
    const { mtimeMs } = await stat(path);
    if (!isDead(Number.parseInt(holder, 10), mtimeMs)) return false;
    const aside = asidePath(path);
    await rename(path, aside);
    // Another waiter may have been first, and then this is its lock: it gets it back.
    const isOther = (await readFile(aside, 'utf8')) !== holder;
    if (isOther) await link(aside, path).catch(() => {});
    await rm(aside, { force: true });
    return !isOther;
  } catch (error) {
    // It was let go in the meantime.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
}

/** Where the storage sweeps what killed processes leave. */
function asidePath(path: string): string {
  lockCount += 1;
  return join(dirname(path), 'temporary', `${process.pid}-${lockCount}-${basename(path)}`);
}

function isDead(holder: number, mtimeMs: number): boolean {
  const nowMs = Date.now();
  if (nowMs - mtimeMs >= STALE_MS) return true;
  // In a container each life has the same process id.
  if (holder === process.pid) return mtimeMs < nowMs - process.uptime() * 1_000;
  return !isRunning(holder);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
