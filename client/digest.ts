// SHA-256 and ed25519 through WebCrypto. Where a platform lacks one, the loader says so and takes
// no update: nothing is ever accepted unverified.

import { hex } from './bytes.ts';
import { LoaderError } from './errors.ts';
import type { Bytes, ContentRef } from './model.ts';

/** Public key, message and signature of RFC 8032 section 7.1, test 1: the empty message. */
const PROBE_KEY = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a';
const PROBE_SIGNATURE =
  'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155' +
  '5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b';

/** Errors: LOADER_CRYPTO outside a secure context, where browsers hide WebCrypto. */
export async function sha256Hex(bytes: Bytes): Promise<string> {
  return hex(new Uint8Array(await subtle().digest('SHA-256', bytes)));
}

/** Whether signatures can be checked here. Never throws. */
export async function hasEd25519(): Promise<boolean> {
  try {
    return await verifyEd25519(fromHex(PROBE_KEY), new Uint8Array(0), fromHex(PROBE_SIGNATURE));
  } catch {
    return false;
  }
}

/** Errors: LOADER_CRYPTO. */
export async function verifyEd25519(
  publicKey: Bytes,
  message: Bytes,
  signature: Bytes,
): Promise<boolean> {
  const algorithm = { name: 'Ed25519' };
  const key = await subtle().importKey('raw', publicKey, algorithm, false, ['verify']);
  return await subtle().verify(algorithm, key, signature, message);
}

/** Checks that bytes are what was signed for. Errors: LOADER_HASH, which names both sides. */
export async function checkContent(bytes: Bytes, ref: ContentRef, what: string): Promise<void> {
  if (bytes.length !== ref.sizeBytes) {
    const detail = `${what} has ${bytes.length} bytes, ${ref.sizeBytes} were signed`;
    throw new LoaderError('LOADER_HASH', detail);
  }
  const found = await sha256Hex(bytes);
  if (found === ref.sha256) return;
  throw new LoaderError('LOADER_HASH', `${what} has SHA-256 ${found}, ${ref.sha256} was signed`);
}

function subtle(): SubtleCrypto {
  const found = globalThis.crypto?.subtle;
  if (found !== undefined) return found;
  throw new LoaderError('LOADER_CRYPTO', 'no WebCrypto here; browsers have it on https pages only');
}

function fromHex(text: string): Bytes {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
