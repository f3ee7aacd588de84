// Signed documents. The exact bytes that were signed travel with their signatures, so that nothing
// has to be serialised again to be checked.
//
//   { "payloadType": "application/vnd.sluice.head+json",
//     "payload": base64(JSON), "signatures": [ { "keyId": hex, "signature": base64 } ] }
//
// What is signed is the pre-authentication encoding of type and payload: a document of one type
// never passes for another. Source: DSSE 1.0, github.com/secure-systems-lab/dsse (protocol.md).

import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { ENVELOPE_SIZE_BYTES_MAX, GatewayError, TRUST_KEYS_COUNT_MAX } from '../core/index.ts';
import { Fields, parseJson, SHA256_PATTERN } from './fields.ts';
import type { Role, TrustRoot } from './model.ts';

export type DocumentType = 'root' | 'release' | 'head';

export interface Signer {
  readonly keyId: string;
  readonly privateKey: KeyObject;
}

interface Signature {
  readonly keyId: string;
  readonly signature: Uint8Array;
}

interface Envelope {
  readonly payload: Uint8Array;
  readonly signatures: readonly Signature[];
}

const SIGNATURE_SIZE_BYTES = 64;
/** The DER of an ed25519 public key before its 32 bytes (RFC 8410 section 4). */
const PUBLIC_KEY_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

export function payloadType(type: DocumentType): string {
  return `application/vnd.sluice.${type}+json`;
}

/** Signs a document. Errors: GW_DIST_LIMIT. */
export function sealEnvelope(
  type: DocumentType,
  document: object,
  signers: readonly Signer[],
): Uint8Array {
  const payload = Buffer.from(JSON.stringify(document), 'utf8');
  return sealPayload(type, payload, signers);
}

function sealPayload(
  type: DocumentType,
  payload: Uint8Array,
  signers: readonly Signer[],
): Uint8Array {
  const message = preAuthentication(type, payload);
  const signatures = signers.map(({ keyId, privateKey }) => {
    return { keyId, signature: sign(null, message, privateKey).toString('base64') };
  });
  const text = JSON.stringify({
    payloadType: payloadType(type),
    payload: Buffer.from(payload).toString('base64'),
    signatures,
  });
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length > ENVELOPE_SIZE_BYTES_MAX) {
    throw new GatewayError(
      'GW_DIST_LIMIT',
      `a ${type} document of ${bytes.length} bytes, the limit is ${ENVELOPE_SIZE_BYTES_MAX}`,
    );
  }
  return bytes;
}

/** The document inside an envelope, once enough keys of the role have signed it. The caller still
 *  checks the document's own fields.
 *  Errors: GW_DIST_DOCUMENT, GW_DIST_SIGNATURE. */
export function openEnvelope(
  bytes: Uint8Array,
  type: DocumentType,
  trust: TrustRoot,
  role: Role,
): unknown {
  const envelope = readEnvelope(bytes, type);
  const message = preAuthentication(type, envelope.payload);
  const { keyIds, threshold } = trust.roles[role];
  const signedBy = new Set<string>();
  for (const { keyId, signature } of envelope.signatures) {
    const key = keyIds.includes(keyId) ? trust.keys[keyId] : undefined;
    if (key === undefined || signedBy.has(keyId)) continue;
    if (verify(null, message, publicKeyOf(key.public), signature)) signedBy.add(keyId);
  }
  if (signedBy.size < threshold) {
    const found = envelope.signatures.length;
    throw new GatewayError(
      'GW_DIST_SIGNATURE',
      `${signedBy.size} of ${found} signatures are good for the ${role} role, ` +
        `${threshold} are needed`,
    );
  }
  return parseJson(envelope.payload, `the ${type} document`, 'GW_DIST_DOCUMENT');
}

/** The document inside an envelope that nobody has checked: to look for what would check it. */
export function peekEnvelope(bytes: Uint8Array, type: DocumentType): unknown {
  return parseJson(readEnvelope(bytes, type).payload, `the ${type} document`, 'GW_DIST_DOCUMENT');
}

/** Adds signatures to an envelope, for keys that are kept in different places. */
export function addSignatures(
  bytes: Uint8Array,
  type: DocumentType,
  signers: readonly Signer[],
): Uint8Array {
  const { payload, signatures } = readEnvelope(bytes, type);
  const added = JSON.parse(Buffer.from(sealPayload(type, payload, signers)).toString('utf8'));
  const kept = signatures.filter((one) => signers.every(({ keyId }) => keyId !== one.keyId));
  const all = [
    ...kept.map(({ keyId, signature }) => {
      return { keyId, signature: Buffer.from(signature).toString('base64') };
    }),
    ...added.signatures,
  ];
  return Buffer.from(JSON.stringify({ ...added, signatures: all }), 'utf8');
}

export function publicKeyOf(base64: string): KeyObject {
  const der = Buffer.concat([PUBLIC_KEY_PREFIX, Buffer.from(base64, 'base64')]);
  return createPublicKey({ key: der, format: 'der', type: 'spki' });
}

function readEnvelope(bytes: Uint8Array, type: DocumentType): Envelope {
  if (bytes.length > ENVELOPE_SIZE_BYTES_MAX) {
    throw new GatewayError(
      'GW_DIST_DOCUMENT',
      `an envelope of ${bytes.length} bytes, the limit is ${ENVELOPE_SIZE_BYTES_MAX}`,
    );
  }
  const value = parseJson(bytes, 'the envelope', 'GW_DIST_DOCUMENT');
  const keys = ['payloadType', 'payload', 'signatures'];
  const fields = new Fields(value, 'envelope', keys, 'GW_DIST_DOCUMENT');
  fields.literal('payloadType', [payloadType(type)]);
  const payload = base64Of(fields, 'payload', ENVELOPE_SIZE_BYTES_MAX);
  const signatures = fields.list('signatures', TRUST_KEYS_COUNT_MAX, (one, place) => {
    const inner = new Fields(one, place, ['keyId', 'signature'], 'GW_DIST_DOCUMENT');
    const keyId = inner.matching('keyId', SHA256_PATTERN, 'a SHA-256 in hex');
    const signature = base64Of(inner, 'signature', 128);
    if (signature.length !== SIGNATURE_SIZE_BYTES) {
      throw inner.bad('signature', `${SIGNATURE_SIZE_BYTES} bytes in base64`);
    }
    return { keyId, signature };
  });
  return { payload, signatures };
}

function base64Of(fields: Fields, key: string, lengthMax: number): Uint8Array {
  const text = fields.string(key, 1, lengthMax);
  const bytes = Buffer.from(text, 'base64');
  // Buffer passes over what is not base64; one text for one value keeps hashes of envelopes apart.
  if (bytes.toString('base64') !== text) throw fields.bad(key, 'base64 with padding');
  return bytes;
}

/** DSSE's PAE: lengths in decimal before what they count. */
function preAuthentication(type: DocumentType, payload: Uint8Array): Uint8Array {
  const name = payloadType(type);
  const head = Buffer.from(`DSSEv1 ${name.length} ${name} ${payload.length} `, 'utf8');
  return Buffer.concat([head, payload]);
}
