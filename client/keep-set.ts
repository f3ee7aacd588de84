// What the storage must keep: the current and the last good release of every channel, those that
// are open, and nothing else.

import type { ContentStore } from './content.ts';
import { readManifest } from './documents.ts';
import { peekPayload, readEnvelope } from './envelope.ts';
import type { OpenRelease } from './release.ts';
import type { InstalledRelease, LoaderState } from './state.ts';

/** Size in bytes by hash of what the storage must keep. `reading`: releases that files are read
 *  from. Cost: reads the manifests that are kept. */
export async function contentsToKeep(
  state: LoaderState,
  reading: readonly OpenRelease[],
  content: ContentStore,
): Promise<Map<string, number>> {
  const kept = new Map<string, number>();
  for (const [channel, { current, lastGood }] of state.channels) {
    for (const installed of [current, lastGood]) {
      if (installed !== null) await keepInstalled(channel, installed, content, kept);
    }
  }
  // What is built in lies in the app.
  for (const release of reading) if (release.source !== 'builtIn') keepRelease(release, kept);
  return kept;
}

export function keepRelease(
  { installed, manifest }: Pick<OpenRelease, 'installed' | 'manifest'>,
  kept: Map<string, number>,
): void {
  for (const one of [installed.manifest, installed.skeleton, ...manifest.files]) {
    if (one !== null) kept.set(one.sha256, one.sizeBytes);
  }
}

async function keepInstalled(
  channel: string,
  installed: InstalledRelease,
  content: ContentStore,
  kept: Map<string, number>,
): Promise<void> {
  const place = { channel, what: `release ${installed.version}` };
  const bytes = await content.read(installed.manifest, place);
  // Without its manifest a release does not open, and its files are of no use.
  if (bytes === null) return;
  try {
    // Its hash stands in the state, which only takes what was signed.
    const manifest = readManifest(peekPayload(readEnvelope(bytes, 'release')));
    keepRelease({ installed, manifest }, kept);
  } catch {
    // No manifest: nothing to keep.
  }
}
