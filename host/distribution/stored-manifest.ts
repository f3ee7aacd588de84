// Manifests as the store has them: objects that a channel's state names by hash. What the state
// names has been checked when it was published; what is signed again is checked again.

import { GatewayError, isGatewayError } from '../core/index.ts';
import { openManifest, readManifest } from './documents.ts';
import { peekEnvelope } from './envelope.ts';
import type { ChannelState, ReleaseEntry, ReleaseManifest } from './model.ts';
import type { Store } from './store.ts';
import type { RootVersion } from './trust-root-chain.ts';

/** The manifest of a release, without a look at its signatures: keys may have changed since.
 *  Errors: GW_DIST_CORRUPT when it is damaged or missing. */
export async function readStoredManifest(
  store: Store,
  entry: Pick<ReleaseEntry, 'manifest' | 'version'>,
): Promise<ReleaseManifest> {
  return readManifest(peekEnvelope(await readManifestEnvelope(store, entry), 'release'));
}

/** The envelope of a release's manifest. Errors: GW_DIST_CORRUPT. */
export async function readManifestEnvelope(
  store: Store,
  { manifest, version }: Pick<ReleaseEntry, 'manifest' | 'version'>,
): Promise<Uint8Array> {
  const bytes = await store.readWhole({ kind: 'object', sha256: manifest.sha256 });
  if (bytes !== null) return bytes;
  const detail = `the manifest of ${version} is missing: object ${manifest.sha256}`;
  throw new GatewayError('GW_DIST_CORRUPT', detail);
}

/** The manifest of a release, signed by the keys of some version of the trust root. */
export async function openStoredManifest(
  store: Store,
  entry: Pick<ReleaseEntry, 'manifest' | 'version'>,
  chain: readonly RootVersion[],
): Promise<ReleaseManifest> {
  const envelope = await readManifestEnvelope(store, entry);
  for (const { root } of chain.toReversed()) {
    try {
      return openManifest(envelope, root);
    } catch (error) {
      if (!isGatewayError(error) || error.code !== 'GW_DIST_SIGNATURE') throw error;
    }
  }
  const detail = `no version of the trust root signed the manifest of ${entry.version}`;
  throw new GatewayError('GW_DIST_SIGNATURE', detail);
}

/** A release by its version. Errors: GW_DIST_NOT_FOUND. */
export function entryOf(state: ChannelState | null, version: string): ReleaseEntry {
  const entry = state?.releases.find((one) => one.version === version);
  if (entry !== undefined) return entry;
  const where = state === null ? 'a channel without releases' : `channel ${state.channel}`;
  throw new GatewayError('GW_DIST_NOT_FOUND', `release ${version} in ${where}`);
}
