// Making and changing the keys that sign. Each change is a new version of the trust root, signed by
// the keys of the version before, so that a client that has any version can follow.
//
//   {dir}/root-….pem  release-….pem  head-….pem     private, mode 0600
//   {dir}/roots/{version}.json                      public, also shipped with the app
//   {dir}/pending/root-{version}.json               not signed by enough keys yet

import { readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { GatewayError, isGatewayError } from '../core/index.ts';
import { makeFolder, writeDurably } from './durable-file.ts';
import {
  addSignatures,
  type DocumentType,
  payloadType,
  type Signer,
  sealEnvelope,
} from './envelope.ts';
import { parseJson } from './fields.ts';
import { createKeyFile, type NewKey, signersIn } from './key-files.ts';
import { ROLES, type Role, type TrustRoot } from './model.ts';
import { readTrustRoot } from './trust-root.ts';
import { addRoot, newestRoot, readRootChain } from './trust-root-chain.ts';

const CODE = 'GW_DIST_KEY';
const DOCUMENT_TYPES: readonly DocumentType[] = ['root', 'release', 'head'];

export interface RootOutcome {
  readonly root: TrustRoot;
  /** Null when it is signed and stands among the roots; else the file that lacks signatures. */
  readonly pendingPath: string | null;
}

/** Makes a key for each role and the first trust root. Errors: GW_DIST_KEY when there is a root
 *  already. */
export async function initKeys(dir: string, expiresAtMs: number): Promise<TrustRoot> {
  if ((await readRootChain(dir)).length > 0) {
    throw new GatewayError(CODE, `${dir} has a trust root; sluice keys rotate changes its keys`);
  }
  const made: Record<Role, NewKey> = {
    root: await createKeyFile(dir, 'root'),
    release: await createKeyFile(dir, 'release'),
    head: await createKeyFile(dir, 'head'),
  };
  const keys = Object.fromEntries(
    ROLES.map((role) => [made[role].signer.keyId, trustKeyOf(made[role])]),
  );
  const roleOf = (role: Role) => ({ keyIds: [made[role].signer.keyId], threshold: 1 });
  const roles = { root: roleOf('root'), release: roleOf('release'), head: roleOf('head') };
  const root: TrustRoot = { type: 'root', version: 1, expiresAtMs, keys, roles };
  return addRoot(dir, sealEnvelope('root', root, [made.root.signer]));
}

/** Puts a new key in the place of one of a role's: of `oldKeyId`, or of its only one.
 *  Errors: GW_DIST_KEY. */
export async function rotateKey(
  dir: string,
  change: { readonly role: Role; readonly oldKeyId: string | null; readonly expiresAtMs: number },
): Promise<RootOutcome> {
  const { role, expiresAtMs } = change;
  const trusted = await newestRoot(dir);
  const { keyIds, threshold } = trusted.roles[role];
  const oldKeyId = change.oldKeyId ?? (keyIds.length === 1 ? keyIds[0]! : null);
  if (oldKeyId === null || !keyIds.includes(oldKeyId)) {
    const detail = `the ${role} role has the keys ${keyIds.join(', ')}; name the one to replace`;
    throw new GatewayError(CODE, detail);
  }
  const made = await createKeyFile(dir, role);
  const { keyId } = made.signer;
  const replaced = keyIds.map((one) => (one === oldKeyId ? keyId : one));
  return advance(dir, trusted, {
    expiresAtMs,
    roles: { ...trusted.roles, [role]: { keyIds: replaced, threshold } },
    added: { [keyId]: trustKeyOf(made) },
  });
}

/** Adds a key to a role and says how many must sign from now on. Errors: GW_DIST_KEY. */
export async function addKey(
  dir: string,
  change: { readonly role: Role; readonly threshold: number; readonly expiresAtMs: number },
): Promise<RootOutcome> {
  const { role, threshold, expiresAtMs } = change;
  const trusted = await newestRoot(dir);
  const made = await createKeyFile(dir, role);
  const keyIds = [...trusted.roles[role].keyIds, made.signer.keyId];
  return advance(dir, trusted, {
    expiresAtMs,
    roles: { ...trusted.roles, [role]: { keyIds, threshold } },
    added: { [made.signer.keyId]: trustKeyOf(made) },
  });
}

/** The same keys for longer. */
export async function renewRoot(dir: string, expiresAtMs: number): Promise<RootOutcome> {
  const trusted = await newestRoot(dir);
  return advance(dir, trusted, { expiresAtMs, roles: trusted.roles, added: {} });
}

/** Adds signatures to an envelope in a file, of whatever type it is. A trust root that is signed by
 *  enough keys now takes its place among the roots. Returns whether it did. */
export async function signFile(
  path: string,
  signers: readonly Signer[],
  rootsDir: string,
): Promise<boolean> {
  const bytes = await readFile(path).catch((error) => {
    throw new GatewayError('GW_DIST_DOCUMENT', `${path} cannot be read`, error);
  });
  const type = documentTypeOf(bytes, path);
  const signed = addSignatures(bytes, type, signers);
  await replaceFile(path, signed);
  if (type !== 'root') return false;
  const isTaken = await tryAddRoot(rootsDir, signed);
  if (isTaken) await rm(path, { force: true });
  return isTaken;
}

interface RootChange {
  readonly expiresAtMs: number;
  readonly roles: TrustRoot['roles'];
  readonly added: TrustRoot['keys'];
}

async function advance(dir: string, trusted: TrustRoot, change: RootChange): Promise<RootOutcome> {
  const { roles, expiresAtMs } = change;
  const used = new Set(ROLES.flatMap((role) => roles[role].keyIds));
  const known = Object.entries({ ...trusted.keys, ...change.added });
  const keys = Object.fromEntries(known.filter(([keyId]) => used.has(keyId)));
  // Read as a client will read it: a threshold above the number of keys stops here.
  const root = readTrustRoot({
    type: 'root',
    version: trusted.version + 1,
    expiresAtMs,
    keys,
    roles,
  });
  const signers = [
    ...(await signersIn(dir, 'root', trusted)),
    ...(await signersIn(dir, 'root', root)),
  ];
  const unique = new Map(signers.map((signer) => [signer.keyId, signer]));
  if (unique.size === 0) throw new GatewayError(CODE, `${dir} has no key of the root role`);
  const envelope = sealEnvelope('root', root, [...unique.values()]);
  if (await tryAddRoot(dir, envelope)) return { root, pendingPath: null };
  const pendingPath = join(dir, 'pending', `root-${root.version}.json`);
  await replaceFile(pendingPath, envelope);
  return { root, pendingPath };
}

/** False when it lacks signatures. */
async function tryAddRoot(dir: string, envelope: Uint8Array): Promise<boolean> {
  try {
    await addRoot(dir, envelope);
    return true;
  } catch (error) {
    if (isGatewayError(error) && error.code === 'GW_DIST_SIGNATURE') return false;
    throw error;
  }
}

async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const temporaryDir = dirname(path);
  await makeFolder(temporaryDir);
  await writeDurably({ path, temporaryDir, parts: [bytes] });
}

function documentTypeOf(bytes: Uint8Array, path: string): DocumentType {
  const value = parseJson(bytes, path, 'GW_DIST_DOCUMENT') as { payloadType?: unknown } | null;
  const type = DOCUMENT_TYPES.find((one) => payloadType(one) === value?.payloadType);
  if (type !== undefined) return type;
  throw new GatewayError('GW_DIST_DOCUMENT', `${path} is no envelope of a root, release or head`);
}

function trustKeyOf(made: NewKey) {
  return { algorithm: 'ed25519', public: made.publicBase64 } as const;
}
