// `GET …/root/{version}`: a trust root's envelope, checked before it leaves. It is asked for once
// in years by each device, so nothing of it is kept.

import { type Exchange, GatewayError } from '../core/index.ts';
import { refuse } from './refusal.ts';
import { openTrustRoot } from './trust-root.ts';
import { readRootEnvelope } from './trust-root-chain.ts';

const HEADERS = ['content-type', 'application/json', 'x-content-type-options', 'nosniff'];
const IMMUTABLE = ['cache-control', 'public, max-age=31536000, immutable'];

/** Answers with a root of a store. Errors: GW_DIST_CORRUPT when it is not signed by itself. */
export async function sendTrustRoot(
  exchange: Exchange,
  dir: string,
  version: number,
): Promise<void> {
  const bytes = await readRootEnvelope(dir, version);
  if (bytes === null) {
    refuse(exchange, 'GW_DIST_NOT_FOUND', `trust root version ${version}`);
    return;
  }
  try {
    openTrustRoot(bytes);
  } catch (error) {
    throw new GatewayError('GW_DIST_CORRUPT', `trust root version ${version}`, error);
  }
  if (!exchange.isEnded) exchange.respond(200, HEADERS.concat(IMMUTABLE), bytes);
}
