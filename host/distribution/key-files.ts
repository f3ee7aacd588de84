// Private keys as files: ed25519 in PKCS#8 PEM (RFC 8410), readable by their owner alone. A file's
// name tells role and key: `release-0123456789abcdef.pem`; which keys count says the trust root.

import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { GatewayError } from '../core/index.ts';
import { diskError, errorCode, makeFolder, syncFolder } from './durable-file.ts';
import type { Signer } from './envelope.ts';
import type { Role, TrustRoot } from './model.ts';
import { readFolder } from './store.ts';
import { keyIdOf } from './trust-root.ts';

const CODE = 'GW_DIST_KEY';
const KEY_FILE = /^(root|release|head)-[0-9a-f]{16}\.pem$/;
const KEY_FILE_SIZE_BYTES_MAX = 4096;
const ID_DIGITS_SHOWN = 16;
/** Rights of group and others. */
const FOREIGN_RIGHTS = 0o077;
const PUBLIC_KEY_SIZE_BYTES = 32;

export interface NewKey {
  readonly signer: Signer;
  /** 32 bytes in base64. */
  readonly publicBase64: string;
  readonly path: string;
}

/** Makes a key and its file, which must be new. Errors: GW_DIST_KEY, GW_DIST_DISK. */
export async function createKeyFile(dir: string, role: Role): Promise<NewKey> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const publicBase64 = publicBase64Of(privateKey);
  const keyId = keyIdOf(publicBase64);
  const path = join(dir, `${role}-${keyId.slice(0, ID_DIGITS_SHOWN)}.pem`);
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }) as string;
  await makeFolder(dir);
  try {
    const handle = await open(path, 'wx', 0o600);
    try {
      await handle.writeFile(pem);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw diskError(error, path);
  }
  await syncFolder(dir);
  return { signer: { keyId, privateKey }, publicBase64, path };
}

/** Reads a key file. Errors: GW_DIST_KEY when it is missing, no ed25519 key, or others may read
 *  it. */
export async function readKeyFile(path: string): Promise<Signer> {
  const pem = await readPrivate(path);
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(pem);
  } catch (error) {
    throw new GatewayError(CODE, `${path} holds no private key in PEM`, error);
  }
  if (privateKey.asymmetricKeyType !== 'ed25519') {
    throw new GatewayError(
      CODE,
      `${path} is a key of ${privateKey.asymmetricKeyType}, not ed25519`,
    );
  }
  return { keyId: keyIdOf(publicBase64Of(privateKey)), privateKey };
}

/** The keys of a role that lie in a folder and that the root names. */
export async function signersIn(dir: string, role: Role, root: TrustRoot): Promise<Signer[]> {
  const signers: Signer[] = [];
  for (const { name } of await readFolder(dir)) {
    if (KEY_FILE.exec(name)?.[1] !== role) continue;
    const signer = await readKeyFile(join(dir, name));
    if (root.roles[role].keyIds.includes(signer.keyId)) signers.push(signer);
  }
  return signers;
}

/** Errors: GW_DIST_KEY when the root does not name a signer's key for the role. */
export function checkSigners(signers: readonly Signer[], role: Role, root: TrustRoot): void {
  for (const { keyId } of signers) {
    if (root.roles[role].keyIds.includes(keyId)) continue;
    const detail = `key ${keyId} is none of the ${role} role in trust root ${root.version}`;
    throw new GatewayError(CODE, detail);
  }
  if (signers.length > 0) return;
  throw new GatewayError(CODE, `no key of the ${role} role of trust root ${root.version}`);
}

function publicBase64Of(privateKey: KeyObject): string {
  const der = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return der.subarray(der.length - PUBLIC_KEY_SIZE_BYTES).toString('base64');
}

async function readPrivate(path: string): Promise<string> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw new GatewayError(CODE, `${path} cannot be read: ${errorCode(error)}`, error);
  }
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new GatewayError(CODE, `${path} is no file`);
    if ((stats.mode & FOREIGN_RIGHTS) !== 0) {
      const mode = (stats.mode & 0o777).toString(8);
      throw new GatewayError(CODE, `${path} has mode ${mode}; others may use it: chmod 600`);
    }
    if (stats.size > KEY_FILE_SIZE_BYTES_MAX) {
      const detail = `${path} has ${stats.size} bytes, the limit is ${KEY_FILE_SIZE_BYTES_MAX}`;
      throw new GatewayError(CODE, detail);
    }
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}
