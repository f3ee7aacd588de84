// The keys that tokens may be signed with, as JSON Web Keys (RFC 7517, RFC 7518 section 6, and
// RFC 8037). A key has one algorithm, whatever a token says: a public key is never taken for a
// secret.

import { Settings } from '../kit/settings';
import { decodeBase64url } from './base64url';
import { ed25519Key, ed25519Verify } from './ed25519';
import { p256Key, p256Verify } from './p256';
import { sha256 } from './sha2';

/** RFC 7518 section 3.2: a secret as long as the digest at least. */
const SECRET_SIZE_BYTES_MIN: i32 = 32;
const SECRET_SIZE_BYTES_MAX: i32 = 512;
const BLOCK_SIZE_BYTES: i32 = 64;

export class Key {
  /** '' for a key of any token. */
  id: string = '';
  algorithm: string = '';
  /** The secret, or the public key of Ed25519 as it came. */
  bytes: Uint8Array = new Uint8Array(0);
  /** The public key as the curve's module made it. */
  point: usize = 0;

  isSignature(message: Uint8Array, signature: Uint8Array): bool {
    if (this.algorithm == 'ES256') return p256Verify(this.point, sha256(message), signature);
    if (this.algorithm == 'EdDSA') {
      return ed25519Verify(this.point, this.bytes, message, signature);
    }
    return isSame(hmac(this.bytes, message), signature);
  }
}

/** Reads one key; what is wrong goes into the settings' problems. */
export function readKey(settings: Settings): Key {
  const key = new Key();
  const kind = settings.choice('kty', 'oct', ['oct', 'EC', 'OKP']);
  key.algorithm = kind == 'oct' ? 'HS256' : kind == 'EC' ? 'ES256' : 'EdDSA';
  key.id = settings.has('kid') ? settings.text('kid', '', 128) : '';
  settings.choice('alg', key.algorithm, [key.algorithm]);
  settings.choice('use', 'sig', ['sig']);
  if (kind == 'oct') readSecret(settings, key);
  else if (kind == 'EC') {
    settings.choice('crv', '', ['P-256']);
    key.point = p256Key(coordinate(settings, 'x'), coordinate(settings, 'y'));
    if (key.point == 0) settings.complain('', 'x and y are not a point of P-256');
  } else {
    settings.choice('crv', '', ['Ed25519']);
    key.bytes = coordinate(settings, 'x');
    key.point = ed25519Key(key.bytes);
    if (key.point == 0) settings.complain('', 'x is not a point of Ed25519');
  }
  settings.finish();
  return key;
}

function readSecret(settings: Settings, key: Key): void {
  const secret = decodeBase64url(settings.text('k', null, 1024));
  if (secret === null) return settings.complain('k', 'expected base64url without padding');
  if (secret.length < SECRET_SIZE_BYTES_MIN || secret.length > SECRET_SIZE_BYTES_MAX) {
    settings.complain(
      'k',
      'a secret of ' + secret.length.toString() + ' bytes, expected 32 to 512',
    );
  }
  key.bytes = secret;
}

/** 32 bytes, or none where there is something else. */
function coordinate(settings: Settings, name: string): Uint8Array {
  const bytes = decodeBase64url(settings.text(name, null, 64));
  if (bytes !== null && bytes.length == 32) return bytes;
  settings.complain(name, 'expected 32 bytes as base64url without padding');
  return new Uint8Array(0);
}

/** HMAC-SHA256 (RFC 2104). */
export function hmac(secret: Uint8Array, message: Uint8Array): Uint8Array {
  const key = secret.length > BLOCK_SIZE_BYTES ? sha256(secret) : secret;
  const inner = new Uint8Array(BLOCK_SIZE_BYTES + message.length);
  const outer = new Uint8Array(BLOCK_SIZE_BYTES + 32);
  for (let index = 0; index < BLOCK_SIZE_BYTES; index++) {
    const byte: u8 = index < key.length ? key[index] : 0;
    inner[index] = byte ^ 0x36;
    outer[index] = byte ^ 0x5c;
  }
  inner.set(message, BLOCK_SIZE_BYTES);
  outer.set(sha256(inner), BLOCK_SIZE_BYTES);
  return sha256(outer);
}

/** Compares in a time that does not depend on where two texts differ. */
export function isSame(left: Uint8Array, right: Uint8Array): bool {
  if (left.length != right.length) return false;
  let difference: u8 = 0;
  for (let index = 0; index < left.length; index++) difference |= left[index] ^ right[index];
  return difference == 0;
}
