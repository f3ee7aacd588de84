// The native addons of the standalone binary. The dynamic linker takes only files, so the bytes are
// put into one that no longer has a name: nothing is left to remove, however the process ends, and
// nobody can put other bytes into its place. A checkout loads an addon from its package instead.

import {
  accessSync,
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import { GatewayError } from './errors.ts';

/** A native package that the standalone binary carries. */
export interface EmbeddedAddon {
  /** What its package is called in messages. */
  readonly title: string;
  /** Of the file and of the workers' environment data. */
  readonly name: string;
  /** What cannot be done without it. */
  readonly code: 'GW_LISTEN' | 'DB_UNAVAILABLE';
}

export const UWS_ADDON: EmbeddedAddon = {
  title: 'uWebSockets',
  name: 'uws.node',
  code: 'GW_LISTEN',
};

export const LMDB_ADDON: EmbeddedAddon = {
  title: 'LMDB',
  name: 'lmdb.node',
  code: 'DB_UNAVAILABLE',
};

const COMPARE_SIZE_BYTES = 65_536;

/** Where a program may be put: the folder for temporary files first, which TMPDIR names. */
function addonFolders(): readonly string[] {
  return [...new Set([tmpdir(), '/var/tmp', '/dev/shm'])];
}

/** Makes an addon ready for this thread and for those that are started from now on; the main
 *  thread's part, once a process. Errors: the addon's code, with what each folder said, when none
 *  takes a program. */
export function provideAddon(
  addon: EmbeddedAddon,
  bytes: Uint8Array,
  folders = addonFolders(),
): void {
  const refusals: string[] = [];
  for (const folder of folders) {
    try {
      const fd = placeIn(folder, addon.name, bytes);
      setEnvironmentData(keyOf(addon), `/proc/self/fd/${fd}`);
      return;
    } catch (error) {
      refusals.push(`${folder}: ${(error as Error).message}`);
    }
  }
  throw new GatewayError(
    addon.code,
    `no folder takes the ${addon.title} addon, set TMPDIR to one that may hold programs ` +
      `(${refusals.join('; ')})`,
  );
}

/** Whether the main thread has made it ready. */
export function isAddonProvided(addon: EmbeddedAddon): boolean {
  return getEnvironmentData(keyOf(addon)) !== undefined;
}

/** Loads an addon that the main thread provided. Errors: GW_INTERNAL when it did not, the addon's
 *  code with the dynamic linker's words. */
export function loadAddon(addon: EmbeddedAddon): object {
  const path = getEnvironmentData(keyOf(addon));
  if (typeof path !== 'string') {
    throw new GatewayError('GW_INTERNAL', `no ${addon.title} addon when the thread was started`);
  }
  const loaded = { exports: {} };
  try {
    process.dlopen(loaded, path);
  } catch (error) {
    const why = (error as Error).message;
    throw new GatewayError(addon.code, `cannot load the ${addon.title} addon: ${why}`, error);
  }
  return loaded.exports;
}

function keyOf({ name }: EmbeddedAddon): string {
  return `sluice:${name}`;
}

/** The descriptor of a nameless file with the bytes. It stays open for the life of the process:
 *  the linker opens it again for each thread. */
function placeIn(folder: string, name: string, bytes: Uint8Array): number {
  // Readable by nobody else, with a name that nobody can know before.
  const own = mkdtempSync(join(folder, 'sluice-'));
  const file = join(own, name);
  let fd: number;
  try {
    writeFileSync(file, bytes, { flag: 'wx', mode: 0o500 });
    // A mount with noexec says so here; the linker's own words would come much later.
    accessSync(file, constants.X_OK);
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
  try {
    assertSame(fd, bytes);
    // Without /proc the linker has no way to the file.
    accessSync(`/proc/self/fd/${fd}`);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return fd;
}

function assertSame(fd: number, bytes: Uint8Array): void {
  const chunk = Buffer.allocUnsafe(COMPARE_SIZE_BYTES);
  let offset = 0;
  for (;;) {
    const sizeBytes = readSync(fd, chunk, 0, chunk.length, offset);
    if (sizeBytes === 0) break;
    const expected = bytes.subarray(offset, offset + sizeBytes);
    if (!chunk.subarray(0, sizeBytes).equals(expected)) {
      throw new Error(`it does not hold what was written, from byte ${offset}`);
    }
    offset += sizeBytes;
  }
  if (offset !== bytes.length) throw new Error(`it holds ${offset} of ${bytes.length} bytes`);
}
