// A rollback by the admin API: the content of an older release as a new one, signed by the release
// key that the configuration names. Everybody gets it, as everybody has to come back.

import type { DistributionConfig } from '../config/index.ts';
import { type Clock, GatewayError } from '../core/index.ts';
import {
  ContentWriter,
  entryOf,
  newestRoot,
  openStoredManifest,
  type PublishJobs,
  publish,
  ROLLOUT_WHOLE,
  readChannelState,
  readKeyFile,
  readRootChain,
  type Store,
  storedSource,
} from '../distribution/index.ts';

/** As a publisher does without being told otherwise. */
const DELTAS = { askedCountMax: 8, latestCountMax: 3 };

/** Publishes the content of `version` anew. Returns the name of the new release.
 *  Errors: GW_DIST_KEY without a signing key; GW_DIST_NOT_FOUND, GW_DIST_LOCKED, GW_DIST_DISK. */
export async function rollbackRelease(
  place: { readonly config: DistributionConfig; readonly clock: Clock; readonly store: Store },
  asked: { readonly channel: string; readonly version: string; readonly jobs: PublishJobs },
): Promise<string> {
  const { config, clock, store } = place;
  const { channel, jobs } = asked;
  if (config.signingKey === '') {
    throw new GatewayError('GW_DIST_KEY', 'distribution.signingKey is not set');
  }
  const signer = await readKeyFile(config.signingKey);
  const diskBytesMax = config.limits.diskSizeBytesMax;
  const state = await readChannelState(store.dir, channel);
  const old = entryOf(state, asked.version);
  const manifest = await openStoredManifest(store, old, await readRootChain(store.dir));
  const version = `${old.version}-again.${state!.releases[0]!.sequence + 1}`;
  await publish({
    writer: await ContentWriter.open({ store, diskBytesMax, clock }),
    jobs,
    clock,
    channel,
    version,
    source: storedSource(store, manifest),
    isPacked: null,
    isBuiltIn: false,
    rollbackOf: old.version,
    rule: { state: 'active', rollout: ROLLOUT_WHOLE, schedule: [], targeting: null, halt: null },
    root: await newestRoot(store.dir),
    signing: { kind: 'signers', signers: [signer] },
    deltas: DELTAS,
    effort: 3,
    onProgress: () => {},
  });
  return version;
}
