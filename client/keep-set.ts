// What the storage must keep: the current and the last good release of every channel, those that
// are open, and nothing else.

import type { ContentStore } from './content.ts';
import { readManifest } from './documents.ts';
import { peekPayload, readEnvelope } from './envelope.ts';
import type { OpenRelease } from './release.ts';
import type { InstalledRelease, LoaderState } from './state.ts';

/** Removes what no release needs. Never throws. Cost: reads the manifests that are kept. */
export async function collectGarbage(
  state: LoaderState,
  open: readonly OpenRelease[],
  content: ContentStore,
): Promise<void> {
  const kept = new Set<string>();
  for (const [channel, { current, lastGood }] of state.channels) {
    for (const installed of [current, lastGood]) {
      if (installed !== null) await keepInstalled(channel, installed, content, kept);
    }
  }
  for (const { installed, manifest } of open) {
    addInstalled(installed, kept);
    for (const { sha256 } of manifest.files) kept.add(sha256);
  }
  await content.collect(kept);
}

async function keepInstalled(
  channel: string,
  installed: InstalledRelease,
  content: ContentStore,
  kept: Set<string>,
): Promise<void> {
  addInstalled(installed, kept);
  const place = { channel, what: `release ${installed.version}` };
  const bytes = await content.read(installed.manifest, place);
  // Without its manifest a release does not open, and its files are of no use.
  if (bytes === null) return;
  try {
    // Its hash stands in the state, which only takes what was signed.
    const manifest = readManifest(peekPayload(readEnvelope(bytes, 'release')));
    for (const { sha256 } of manifest.files) kept.add(sha256);
  } catch {
    // No manifest: nothing to keep.
  }
}

function addInstalled({ manifest, skeleton }: InstalledRelease, kept: Set<string>): void {
  kept.add(manifest.sha256);
  if (skeleton !== null) kept.add(skeleton.sha256);
}
