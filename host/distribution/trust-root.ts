// The trust root: who may sign what. It is the one document that a client has to get from somewhere
// it trusts already; a later version is taken because the keys of the present one signed it.
// Source: The Update Framework specification 1.0.33, section 5.3.

import { createHash } from 'node:crypto';
import { GatewayError, TRUST_KEYS_COUNT_MAX } from '../core/index.ts';
import { openEnvelope, peekEnvelope } from './envelope.ts';
import { Fields, SHA256_PATTERN } from './fields.ts';
import { ROLES, type Role, type TrustKey, type TrustRole, type TrustRoot } from './model.ts';

const CODE = 'GW_DIST_DOCUMENT';
const PUBLIC_KEY_SIZE_BYTES = 32;

/** The key id of a public key given in base64. */
export function keyIdOf(publicBase64: string): string {
  return createHash('sha256').update(Buffer.from(publicBase64, 'base64')).digest('hex');
}

/** Reads a root that is trusted because of where it stands: a file of the operator's, the app's
 *  own. It must still be signed by its own root role.
 *  Errors: GW_DIST_DOCUMENT, GW_DIST_SIGNATURE. */
export function openTrustRoot(bytes: Uint8Array): TrustRoot {
  const claimed = readTrustRoot(peekEnvelope(bytes, 'root'));
  return readTrustRoot(openEnvelope(bytes, 'root', claimed, 'root'));
}

/** Takes the next version of a root: signed by the root role of both, and exactly one higher.
 *  Errors: GW_DIST_DOCUMENT, GW_DIST_SIGNATURE, GW_DIST_OLDER. */
export function advanceTrustRoot(trusted: TrustRoot, bytes: Uint8Array): TrustRoot {
  const next = readTrustRoot(openEnvelope(bytes, 'root', trusted, 'root'));
  openEnvelope(bytes, 'root', next, 'root');
  if (next.version !== trusted.version + 1) {
    const detail = `trust root version ${next.version}, expected ${trusted.version + 1}`;
    throw new GatewayError('GW_DIST_OLDER', detail);
  }
  return next;
}

/** Errors: GW_DIST_EXPIRED when the root's time is over. */
export function checkTrustRootFresh(root: TrustRoot, nowMs: number): void {
  if (nowMs < root.expiresAtMs) return;
  const when = new Date(root.expiresAtMs).toISOString();
  const detail = `trust root version ${root.version} at ${when}`;
  throw new GatewayError('GW_DIST_EXPIRED', detail);
}

/** Checks the fields of a root document. Errors: GW_DIST_DOCUMENT. */
export function readTrustRoot(value: unknown): TrustRoot {
  const names = ['type', 'version', 'expiresAtMs', 'keys', 'roles'];
  const fields = new Fields(value, 'root', names, CODE);
  const type = fields.literal('type', ['root']);
  const version = fields.integer('version', 1, Number.MAX_SAFE_INTEGER);
  const expiresAtMs = fields.integer('expiresAtMs', 0, Number.MAX_SAFE_INTEGER);
  const keys = fields.map('keys', TRUST_KEYS_COUNT_MAX, readKey);
  const roleFields = new Fields(fields.get('roles'), 'root.roles', ROLES, CODE);
  const read = (role: Role): TrustRole => readRole(roleFields.get(role), role, keys);
  const roles = { root: read('root'), release: read('release'), head: read('head') };
  return { type, version, expiresAtMs, keys, roles };
}

function readKey(value: unknown, place: string, keyId: string): TrustKey {
  const fields = new Fields(value, place, ['algorithm', 'public'], CODE);
  const algorithm = fields.literal('algorithm', ['ed25519']);
  const text = fields.string('public', 1, 64);
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== PUBLIC_KEY_SIZE_BYTES || bytes.toString('base64') !== text) {
    throw fields.bad('public', `${PUBLIC_KEY_SIZE_BYTES} bytes in base64`);
  }
  if (!SHA256_PATTERN.test(keyId) || keyId !== keyIdOf(text)) {
    throw new GatewayError(CODE, `${place}: the key id is not the SHA-256 of the key`);
  }
  return { algorithm, public: text };
}

function readRole(value: unknown, role: Role, keys: Readonly<Record<string, TrustKey>>): TrustRole {
  const place = `root.roles.${role}`;
  const fields = new Fields(value, place, ['keyIds', 'threshold'], CODE);
  const keyIds = fields.list('keyIds', TRUST_KEYS_COUNT_MAX, (keyId, at) => {
    if (typeof keyId === 'string' && Object.hasOwn(keys, keyId)) return keyId;
    throw new GatewayError(CODE, `${at} names no key of the root`);
  });
  if (new Set(keyIds).size !== keyIds.length) throw fields.bad('keyIds', 'each key once');
  // A threshold of none would let anybody sign.
  const threshold = fields.integer('threshold', 1, Math.max(1, keyIds.length));
  if (keyIds.length === 0) throw fields.bad('keyIds', 'at least one key');
  return { keyIds, threshold };
}
