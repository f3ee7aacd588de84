// The trust root: who may sign what. The app ships one; a later one is taken because the keys of
// the present one signed it. Source: The Update Framework specification 1.0.33, section 5.3.

import { fromBase64 } from './bytes.ts';
import { sha256Hex } from './digest.ts';
import { type Envelope, peekPayload, readEnvelope, verifyEnvelope } from './envelope.ts';
import { LoaderError } from './errors.ts';
import { Fields, SHA256_PATTERN } from './fields.ts';
import { TRUST_KEYS_COUNT_MAX } from './limits.ts';
import type { Bytes, Role, TrustRole, TrustRoot } from './model.ts';

const ROLES: readonly Role[] = ['root', 'release', 'head'];
const PUBLIC_KEY_SIZE_BYTES = 32;

/** Reads the root that the app ships. It must still be signed by its own root role.
 *  Errors: LOADER_DOCUMENT, LOADER_SIGNATURE, LOADER_CRYPTO. */
export async function openTrustRoot(bytes: Uint8Array): Promise<TrustRoot> {
  const envelope = readEnvelope(bytes, 'root');
  const root = await readTrustRoot(peekPayload(envelope));
  await verifyEnvelope(envelope, root);
  return root;
}

/** Takes the next root: signed by the root role of both, and exactly one version higher.
 *  Errors: LOADER_DOCUMENT, LOADER_SIGNATURE, LOADER_OLDER. */
export async function advanceTrustRoot(trusted: TrustRoot, bytes: Uint8Array): Promise<TrustRoot> {
  const envelope: Envelope = readEnvelope(bytes, 'root');
  const next = await readTrustRoot(await verifyEnvelope(envelope, trusted));
  await verifyEnvelope(envelope, next);
  if (next.version === trusted.version + 1) return next;
  const detail = `trust root version ${next.version}, expected ${trusted.version + 1}`;
  throw new LoaderError('LOADER_OLDER', detail);
}

/** Whether a role is signed by others from one root to the next: what was counted under the old
 *  keys may have been counted by a thief, and is counted anew. */
export function hasNewKeys(before: TrustRoot, after: TrustRoot, role: Role): boolean {
  const old = new Set(before.roles[role].keyIds);
  const now = after.roles[role].keyIds;
  return now.length !== old.size || now.some((keyId) => !old.has(keyId));
}

async function readTrustRoot(value: unknown): Promise<TrustRoot> {
  const fields = new Fields(value, 'root', ['type', 'version', 'expiresAtMs', 'keys', 'roles']);
  fields.literal('type', ['root']);
  const version = fields.integer('version', 1, Number.MAX_SAFE_INTEGER);
  const expiresAtMs = fields.integer('expiresAtMs', 0, Number.MAX_SAFE_INTEGER);
  const keys = fields.map('keys', TRUST_KEYS_COUNT_MAX, readKey);
  for (const [keyId, key] of keys) {
    if (SHA256_PATTERN.test(keyId) && keyId === (await sha256Hex(key))) continue;
    const detail = `root.keys.${keyId}: the key id is not the SHA-256 of the key`;
    throw new LoaderError('LOADER_DOCUMENT', detail);
  }
  const roleFields = new Fields(fields.get('roles'), 'root.roles', ROLES);
  const read = (role: Role): TrustRole => readRole(roleFields.get(role), role, keys);
  const roles = { root: read('root'), release: read('release'), head: read('head') };
  return { version, expiresAtMs, keys, roles };
}

function readKey(value: unknown, place: string): Bytes {
  const fields = new Fields(value, place, ['algorithm', 'public']);
  fields.literal('algorithm', ['ed25519']);
  const bytes = fromBase64(fields.string('public', 64));
  if (bytes?.length === PUBLIC_KEY_SIZE_BYTES) return bytes;
  throw fields.bad('public', `${PUBLIC_KEY_SIZE_BYTES} bytes in base64`);
}

function readRole(value: unknown, role: Role, keys: ReadonlyMap<string, Bytes>): TrustRole {
  const fields = new Fields(value, `root.roles.${role}`, ['keyIds', 'threshold']);
  const keyIds = fields.list('keyIds', TRUST_KEYS_COUNT_MAX, (keyId, place) => {
    if (typeof keyId === 'string' && keys.has(keyId)) return keyId;
    throw new LoaderError('LOADER_DOCUMENT', `${place} names no key of the root`);
  });
  if (keyIds.length === 0 || new Set(keyIds).size !== keyIds.length) {
    throw fields.bad('keyIds', 'at least one key, and each once');
  }
  // A threshold of none would let anybody sign.
  return { keyIds, threshold: fields.integer('threshold', 1, keyIds.length) };
}
