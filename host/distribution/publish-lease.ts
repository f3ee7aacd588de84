// What a running publisher needs, told to collections of garbage: no release names it yet. A file
// that names the process and the contents; with the process it dies. It is made under the store's
// lock, which a collection holds from beginning to end: a collection sees it, or ends before it.
//
//   {dir}/leases/{process}-{machine}-{random}.json
//   {"holder":{"pid":1,"host":"…","bootId":"…","startedTicks":"…","token":"…"},
//    "contents":["<hex>"]}

import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GatewayError, secretBytes } from '../core/index.ts';
import {
  diskError,
  errorCode,
  makeFolder,
  TEMPORARY_FOLDER,
  temporaryName,
} from './durable-file.ts';
import { SHA256_PATTERN } from './fields.ts';
import { holderOf, isOfThisMachine, mayLive, ownHolder } from './holder.ts';
import { readFolder } from './store.ts';
import { LOCK_PATIENCE_MS, StoreLock } from './store-lock.ts';

const LEASES_FOLDER = 'leases';
/** Whether a process of another machine lives cannot be seen; no publishing takes longer. */
const FOREIGN_AGE_MS = 86_400_000;

export class PublishLease {
  readonly #path: string;
  readonly #text: string;

  private constructor(path: string, text: string) {
    this.#path = path;
    this.#text = text;
  }

  /** Leases contents of a store whose folders exist, by their hashes. Errors: GW_DIST_LOCKED when
   *  the lock is not to be had for half a minute; GW_DIST_DISK. */
  static async take(
    dir: string,
    contents: Iterable<string>,
    wallMs: number,
  ): Promise<PublishLease> {
    const folder = join(dir, LEASES_FOLDER);
    const temporary = join(dir, TEMPORARY_FOLDER, temporaryName());
    const path = join(folder, temporaryName().replace('.tmp', '.json'));
    const holder = await ownHolder(Buffer.from(secretBytes(16)).toString('hex'));
    const text = JSON.stringify({ holder, contents: [...contents] });
    const lock = await StoreLock.take(dir, LOCK_PATIENCE_MS);
    try {
      await makeFolder(folder);
      // Those of killed publishers go, for who never collects garbage.
      await leasedContents(dir, wallMs);
      await writeFile(temporary, text, { flag: 'wx' });
      await rename(temporary, path);
      return new PublishLease(path, text);
    } catch (error) {
      throw diskError(error, path);
    } finally {
      await rm(temporary, { force: true }).catch(() => {});
      await lock.release();
    }
  }

  /** Looks whether the lease still stands, before what it kept is relied on.
   *  Errors: GW_DIST_LOCKED. */
  async assertHeld(): Promise<void> {
    if ((await readText(this.#path)) === this.#text) return;
    throw new GatewayError('GW_DIST_LOCKED', `${this.#path} was taken away; publish again`);
  }

  /** Gives the contents free; it is no error when the lease is gone. */
  async release(): Promise<void> {
    await rm(this.#path, { force: true });
  }
}

/** What running publishers need. Leases of dead ones are removed. The caller holds the lock. */
export async function leasedContents(dir: string, wallMs: number): Promise<Set<string>> {
  const leased = new Set<string>();
  const folder = join(dir, LEASES_FOLDER);
  for (const { name } of await readFolder(folder)) {
    const path = join(folder, name);
    const contents = await contentsAt(path, wallMs);
    if (contents === null) await rm(path, { force: true });
    else for (const sha256 of contents) leased.add(sha256);
  }
  return leased;
}

/** Null for a lease of nobody who lives. */
async function contentsAt(path: string, wallMs: number): Promise<readonly string[] | null> {
  const text = await readText(path);
  if (text === null) return null;
  const lease = leaseOf(text);
  const holder = holderOf(JSON.stringify(lease?.holder ?? null));
  if (lease === null || holder === null || !(await mayLive(holder))) return null;
  if (!isOfThisMachine(holder)) {
    const mtimeMs = (await stat(path).catch(() => null))?.mtimeMs ?? 0;
    if (wallMs - mtimeMs > FOREIGN_AGE_MS) return null;
  }
  return lease.contents;
}

interface LeaseText {
  readonly holder: unknown;
  readonly contents: readonly string[];
}

/** Null for what nobody wrote: a lease is whole before it has its name. */
function leaseOf(text: string): LeaseText | null {
  try {
    const value: LeaseText | null = JSON.parse(text);
    if (!Array.isArray(value?.contents)) return null;
    return value.contents.every((one) => SHA256_PATTERN.test(String(one))) ? value : null;
  } catch {
    return null;
  }
}

async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}
