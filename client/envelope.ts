// Opening signed envelopes: the bytes that were signed travel with their signatures, so nothing is
// serialised again. The type is part of what is signed: no document passes for another kind.
// Source: DSSE 1.0, github.com/secure-systems-lab/dsse (protocol.md).

import { concat, fromBase64, utf8 } from './bytes.ts';
import { verifyEd25519 } from './digest.ts';
import { LoaderError } from './errors.ts';
import { Fields, parseJson, SHA256_PATTERN } from './fields.ts';
import { ENVELOPE_SIZE_BYTES_MAX, TRUST_KEYS_COUNT_MAX } from './limits.ts';
import type { Bytes, Role, TrustRoot } from './model.ts';

const SIGNATURE_SIZE_BYTES = 64;

interface Signature {
  readonly keyId: string;
  readonly signature: Bytes;
}

/** An envelope whose form is right and whose signatures nobody has checked yet. */
export interface Envelope {
  readonly role: Role;
  readonly payload: Bytes;
  readonly signatures: readonly Signature[];
}

/** Errors: LOADER_DOCUMENT. */
export function readEnvelope(bytes: Uint8Array, role: Role): Envelope {
  if (bytes.length > ENVELOPE_SIZE_BYTES_MAX) {
    const detail = `an envelope of ${bytes.length} bytes, the limit is ${ENVELOPE_SIZE_BYTES_MAX}`;
    throw new LoaderError('LOADER_DOCUMENT', detail);
  }
  return envelopeOf(parseJson(bytes, `the ${role} envelope`), role);
}

/** The same of JSON that is parsed already. Errors: LOADER_DOCUMENT. */
export function envelopeOf(value: unknown, role: Role): Envelope {
  const fields = new Fields(value, `the ${role} envelope`, [
    'payloadType',
    'payload',
    'signatures',
  ]);
  fields.literal('payloadType', [payloadType(role)]);
  const payload = base64Of(fields, 'payload', ENVELOPE_SIZE_BYTES_MAX);
  const signatures = fields.list('signatures', TRUST_KEYS_COUNT_MAX, (one, place) => {
    const inner = new Fields(one, place, ['keyId', 'signature']);
    const keyId = inner.matching('keyId', SHA256_PATTERN);
    const signature = base64Of(inner, 'signature', 128);
    if (signature.length === SIGNATURE_SIZE_BYTES) return { keyId, signature };
    throw inner.bad('signature', `${SIGNATURE_SIZE_BYTES} bytes in base64`);
  });
  return { role, payload, signatures };
}

/** What an envelope says, before anybody has checked it: to look for what would check it. */
export function peekPayload({ payload, role }: Envelope): unknown {
  return parseJson(payload, `the ${role} document`);
}

/** The document, once enough keys of the role have signed it. Errors: LOADER_SIGNATURE, and
 *  LOADER_DOCUMENT when what was signed is no JSON. */
export async function verifyEnvelope(envelope: Envelope, trust: TrustRoot): Promise<unknown> {
  const { role, payload, signatures } = envelope;
  const { keyIds, threshold } = trust.roles[role];
  const message = preAuthentication(role, payload);
  // A key counts once however often it signs.
  const signedBy = new Set<string>();
  for (const { keyId, signature } of signatures) {
    const key = keyIds.includes(keyId) ? trust.keys.get(keyId) : undefined;
    if (key === undefined || signedBy.has(keyId)) continue;
    if (await verifyEd25519(key, message, signature)) signedBy.add(keyId);
  }
  if (signedBy.size < threshold) {
    throw new LoaderError(
      'LOADER_SIGNATURE',
      `${signedBy.size} of ${signatures.length} signatures are good for the ${role} role of root ` +
        `${trust.version}, ${threshold} needed`,
    );
  }
  return peekPayload(envelope);
}

export function payloadType(role: Role): string {
  return `application/vnd.sluice.${role}+json`;
}

function base64Of(fields: Fields, key: string, lengthMax: number): Bytes {
  const bytes = fromBase64(fields.string(key, lengthMax));
  if (bytes === null) throw fields.bad(key, 'base64 with padding');
  return bytes;
}

/** DSSE's PAE: lengths in decimal before what they count. */
function preAuthentication(role: Role, payload: Bytes): Bytes {
  const name = payloadType(role);
  return concat([utf8(`DSSEv1 ${name.length} ${name} ${payload.length} `), payload]);
}
