// Looking after a store: removing what no release needs, and finding what is damaged.

import { join } from 'node:path';
import { isGatewayError } from '../core/index.ts';
import { listChannels, readBaseCounts, readChannelState } from './channel-state.ts';
import { removeEmptyFolders } from './content-writer.ts';
import { readDcz } from './delta.ts';
import { readCounter } from './heads.ts';
import { OutcomeBook } from './outcome-book.ts';
import { leasedContents } from './publish-lease.ts';
import type { Store } from './store.ts';
import { ARTEFACT_FOLDERS, type ArtefactRef, shownArtefact } from './store-paths.ts';
import type { StoreWriter } from './store-writer.ts';
import { readStoredManifest } from './stored-manifest.ts';
import { readRootChain } from './trust-root-chain.ts';

export interface Collected {
  readonly removedCount: number;
  readonly removedBytes: number;
  readonly keptCount: number;
}

/** Removes every artefact that no release of any channel needs, nor a running publisher. A state or
 *  manifest that cannot be read stops it before anything is removed: what it names is not known.
 *  Errors: GW_DIST_CORRUPT. */
export async function collectGarbage(writer: StoreWriter, wallMs: number): Promise<Collected> {
  const { store } = writer;
  const needed = await neededContent(store);
  for (const sha256 of await leasedContents(store.dir, wallMs)) needed.add(sha256);
  const usedBytes = writer.usedBytes;
  let removedCount = 0;
  let keptCount = 0;
  for await (const { ref } of store.list()) {
    // A delta is good for as long as somebody may want its target; who has its base is not known.
    const sha256 = ref.kind === 'delta' ? ref.target : ref.sha256;
    if (needed.has(sha256)) {
      keptCount += 1;
      continue;
    }
    await writer.remove(ref);
    removedCount += 1;
  }
  for (const folder of ARTEFACT_FOLDERS) await removeEmptyFolders(join(store.dir, folder));
  return { removedCount, removedBytes: usedBytes - writer.usedBytes, keptCount };
}

/** The hashes of everything that some release names: manifests, files and packs. */
async function neededContent(store: Store): Promise<Set<string>> {
  const needed = new Set<string>();
  for (const channel of await listChannels(store.dir)) {
    const state = await readChannelState(store.dir, channel);
    for (const entry of state?.releases ?? []) {
      const { files, pack } = await readStoredManifest(store, entry);
      needed.add(entry.manifest.sha256);
      if (pack !== null) needed.add(pack.sha256);
      for (const { sha256 } of files) needed.add(sha256);
    }
  }
  return needed;
}

export interface ScanFinding {
  /** What is bad, in words. */
  readonly what: string;
  readonly why: string;
}

export interface StoreScan {
  readonly artefactCount: number;
  readonly findings: readonly ScanFinding[];
}

/** Reads every byte of a store and looks whether each release has all of its content. What is
 *  damaged is out of sight afterwards: missing variants and deltas cost bytes, missing objects come
 *  back when the release is published again under another version. */
export async function scanStore(
  store: Store,
  onProgress: (doneCount: number) => void = () => {},
): Promise<StoreScan> {
  const findings: ScanFinding[] = [];
  let artefactCount = 0;
  for await (const { ref } of store.list()) {
    const why = await faultOf(store, ref);
    if (why !== null) findings.push({ what: shownArtefact(ref), why });
    artefactCount += 1;
    onProgress(artefactCount);
  }
  for (const channel of await listChannels(store.dir)) await scanChannel(store, channel, findings);
  const why = await faultIn(() => readRootChain(store.dir));
  if (why !== null) findings.push({ what: 'the trust roots', why });
  return { artefactCount, findings };
}

async function faultOf(store: Store, ref: ArtefactRef): Promise<string | null> {
  return fault(async () => {
    const bytes = await store.readWhole(ref);
    if (bytes === null || ref.kind !== 'delta') return null;
    const { base } = readDcz(bytes);
    return base === ref.base ? null : `it is made against ${base}`;
  });
}

async function scanChannel(store: Store, channel: string, findings: ScanFinding[]): Promise<void> {
  const what = `channel ${channel}`;
  const why = await fault(async () => {
    const state = await readChannelState(store.dir, channel);
    for (const entry of state?.releases ?? []) {
      const release = `release ${entry.version} of channel ${channel}`;
      const missing = await fault(async () => missingOf(store, entry));
      if (missing !== null) findings.push({ what: release, why: missing });
    }
    return null;
  });
  if (why !== null) findings.push({ what, why });
  // What a gateway counts: what is damaged begins anew, and says so once, in a log.
  const looks: Readonly<Record<string, () => Promise<unknown>>> = {
    'the head counter': () => readCounter(store.dir, channel),
    'the bases': () => readBaseCounts(store.dir, channel),
    'the outcomes': () => new OutcomeBook().load(store.dir, channel),
  };
  for (const [name, look] of Object.entries(looks)) {
    const fails = await faultIn(look);
    if (fails !== null) findings.push({ what: `${name} of channel ${channel}`, why: fails });
  }
}

async function missingOf(
  store: Store,
  entry: Parameters<typeof readStoredManifest>[1],
): Promise<string | null> {
  const { files, pack } = await readStoredManifest(store, entry);
  const wanted = [...files, ...(pack === null ? [] : [{ path: 'the pack', ...pack }])];
  const missing: string[] = [];
  for (const { path, sha256 } of wanted) {
    if (!(await store.has({ kind: 'object', sha256 }))) missing.push(path);
  }
  if (missing.length === 0) return null;
  const more = missing.length > 3 ? ` and ${missing.length - 3} more` : '';
  return `missing: ${missing.slice(0, 3).join(', ')}${more}`;
}

/** What reading something fails with; null when it is good. */
function faultIn(read: () => Promise<unknown>): Promise<string | null> {
  return fault(async () => {
    await read();
    return null;
  });
}

/** What `look` finds or what it fails with. */
async function fault(look: () => Promise<string | null>): Promise<string | null> {
  try {
    return await look();
  } catch (error) {
    if (isGatewayError(error)) return (error as unknown as Error).message;
    throw error;
  }
}
