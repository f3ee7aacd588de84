// The versions of a trust root in a folder, `{dir}/roots/{version}.json`: in a store, for clients
// that have an older one, and beside the keys. Each is checked against the one before it.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GatewayError } from '../core/index.ts';
import { errorCode, makeFolder, writeDurably } from './durable-file.ts';
import type { TrustRoot } from './model.ts';
import { readFolder } from './store.ts';
import { advanceTrustRoot, openTrustRoot } from './trust-root.ts';

const ROOTS_FOLDER = 'roots';
const ROOT_FILE = /^([1-9]\d{0,8})\.json$/;

/** Where the versions lie. */
export function rootFolder(dir: string): string {
  return join(dir, ROOTS_FOLDER);
}

/** One version, and the bytes that others can check. */
export interface RootVersion {
  readonly root: TrustRoot;
  readonly envelope: Uint8Array;
}

/** The envelope of a version; null when the folder has none. Unchecked. */
export async function readRootEnvelope(dir: string, version: number): Promise<Uint8Array | null> {
  try {
    return await readFile(join(dir, ROOTS_FOLDER, `${version}.json`));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

/** All versions, oldest first, each signed by the keys of the one before; none in an empty folder.
 *  Errors: GW_DIST_DOCUMENT, GW_DIST_SIGNATURE, GW_DIST_OLDER. */
export async function readRootChain(dir: string): Promise<RootVersion[]> {
  const entries = await readFolder(join(dir, ROOTS_FOLDER));
  const versions = entries.map(({ name }) => Number(ROOT_FILE.exec(name)?.[1] ?? 0));
  const chain: RootVersion[] = [];
  for (const version of versions.filter((one) => one > 0).sort((a, b) => a - b)) {
    const envelope = await readRootEnvelope(dir, version);
    if (envelope === null) continue;
    const root = openOfFolder(dir, version, { envelope, last: chain.at(-1) });
    if (root.version !== version) {
      const detail = `roots/${version}.json holds version ${root.version}`;
      throw new GatewayError('GW_DIST_DOCUMENT', detail);
    }
    chain.push({ root, envelope });
  }
  return chain;
}

/** Errors: those of opening, with the file that is to be mended. */
function openOfFolder(
  dir: string,
  version: number,
  { envelope, last }: { readonly envelope: Uint8Array; readonly last: RootVersion | undefined },
): TrustRoot {
  try {
    return last === undefined ? openTrustRoot(envelope) : advanceTrustRoot(last.root, envelope);
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    const path = join(dir, ROOTS_FOLDER, `${version}.json`);
    throw new GatewayError(error.code, `${path}: ${error.detail}`, error);
  }
}

/** The version that counts. Errors: GW_DIST_KEY when there is none; those of reading. */
export async function newestRoot(dir: string): Promise<TrustRoot> {
  const last = (await readRootChain(dir)).at(-1);
  if (last !== undefined) return last.root;
  throw new GatewayError('GW_DIST_KEY', `${dir} has no trust root; sluice keys init makes one`);
}

/** Adds the next version to a folder. Errors: GW_DIST_SIGNATURE, GW_DIST_OLDER, GW_DIST_DISK. */
export async function addRoot(dir: string, envelope: Uint8Array): Promise<TrustRoot> {
  const last = (await readRootChain(dir)).at(-1);
  const root = last === undefined ? openTrustRoot(envelope) : advanceTrustRoot(last.root, envelope);
  const temporaryDir = join(dir, ROOTS_FOLDER);
  await makeFolder(temporaryDir);
  const path = join(temporaryDir, `${root.version}.json`);
  await writeDurably({ path, temporaryDir, parts: [envelope] });
  return root;
}

/** Takes over the versions that stand beside the keys and not yet in the store. Returns the newest
 *  of the store. Errors: GW_DIST_KEY when the two disagree, or there is none at all. */
export async function installRoots(keysDir: string, storeDir: string): Promise<TrustRoot> {
  const ours = await readRootChain(storeDir);
  const newest = ours.at(-1)?.root.version ?? 0;
  for (const { root, envelope } of await readRootChain(keysDir)) {
    const twin = ours.find((one) => one.root.version === root.version);
    if (twin !== undefined && Buffer.compare(twin.envelope, envelope) !== 0) {
      const detail = `version ${root.version} of the trust root is another one in the store`;
      throw new GatewayError('GW_DIST_KEY', detail);
    }
    if (root.version > newest) await addRoot(storeDir, envelope);
  }
  return newestRoot(storeDir);
}
