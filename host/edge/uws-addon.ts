// The uWS addon of the standalone binary. The dynamic linker takes only files, so the bytes are put
// into one that no longer has a name: nothing is left to remove, however the process ends, and
// nobody can put other bytes into its place. A checkout loads the addon from its package instead.

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
import { GatewayError } from '../core/index.ts';

const ADDON_KEY = 'sluice:uws-addon';
const COMPARE_SIZE_BYTES = 65_536;
const FILE_NAME = 'uws.node';

/** Where a program may be put: the folder for temporary files first, which TMPDIR names. */
function addonFolders(): readonly string[] {
  return [...new Set([tmpdir(), '/var/tmp', '/dev/shm'])];
}

/** Makes the addon ready for the threads that are started from now on; the main thread's part.
 *  Errors: GW_LISTEN, with what each folder said, when none takes a program. */
export function provideUwsAddon(bytes: Uint8Array, folders = addonFolders()): void {
  const refusals: string[] = [];
  for (const folder of folders) {
    try {
      setEnvironmentData(ADDON_KEY, `/proc/self/fd/${placeIn(folder, bytes)}`);
      return;
    } catch (error) {
      refusals.push(`${folder}: ${(error as Error).message}`);
    }
  }
  throw new GatewayError(
    'GW_LISTEN',
    `no folder takes the uWebSockets addon, set TMPDIR to one that may hold programs ` +
      `(${refusals.join('; ')})`,
  );
}

/** Loads the addon that the main thread provided. Errors: GW_INTERNAL when it did not, GW_LISTEN
 *  with the dynamic linker's words. */
export function loadUwsAddon(): object {
  const path = getEnvironmentData(ADDON_KEY);
  if (typeof path !== 'string') {
    throw new GatewayError('GW_INTERNAL', 'no uWebSockets addon when the thread was started');
  }
  const addon = { exports: {} };
  try {
    process.dlopen(addon, path);
  } catch (error) {
    const why = (error as Error).message;
    throw new GatewayError('GW_LISTEN', `cannot load the uWebSockets addon: ${why}`, error);
  }
  return addon.exports;
}

/** The descriptor of a nameless file with the bytes. It stays open for the life of the process:
 *  the linker opens it again for each thread. */
function placeIn(folder: string, bytes: Uint8Array): number {
  // Readable by nobody else, with a name that nobody can know before.
  const own = mkdtempSync(join(folder, 'sluice-'));
  const file = join(own, FILE_NAME);
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
