// Bringing a release here: its manifest, then every file but the idle ones, and only then the one
// write of the state that makes it the current one.

import type { LoaderLimits, Progress } from './api.ts';
import type { ContentStore } from './content.ts';
import { readManifest } from './documents.ts';
import { readEnvelope, verifyEnvelope } from './envelope.ts';
import { isFinal, LoaderError, toLoaderError } from './errors.ts';
import { contentsToKeep, keepRelease } from './keep-set.ts';
import {
  type Bytes,
  type ChannelHead,
  type ContentRef,
  PRIORITIES,
  type ReleaseFile,
  type ReleaseManifest,
} from './model.ts';
import { manifestTarget } from './network.ts';
import type { Notes } from './notes.ts';
import { receivePack } from './pack.ts';
import { checkIdentity, type OpenRelease, releaseOf } from './release.ts';
import type { InstalledRelease, StateKeeper } from './state.ts';
import { type Supply, throwUnlessKept } from './supply.ts';
import type { Trust } from './trust.ts';

export interface InstallContext {
  readonly supply: Supply;
  readonly content: ContentStore;
  readonly keeper: StateKeeper;
  readonly trust: Trust;
  readonly notes: Notes;
  readonly limits: LoaderLimits;
  /** Releases that are here, newest first. */
  readonly present: readonly OpenRelease[];
  /** Releases of all channels that files are read from. */
  readonly reading: readonly OpenRelease[];
  readonly signal: AbortSignal;
}

/** Makes the head's release ready in the storage. The caller swaps.
 *  Errors: LOADER_SIGNATURE, LOADER_DOCUMENT, LOADER_MISMATCH, LOADER_OLDER, LOADER_CRASHED,
 *  LOADER_LIMIT, LOADER_DISK, LOADER_UNAVAILABLE, LOADER_ABORTED. */
export async function bringRelease(
  head: ChannelHead,
  context: InstallContext,
): Promise<OpenRelease> {
  const { keeper, trust } = context;
  if (keeper.channel(head.channel).crashed.includes(head.sequence)) {
    throw new LoaderError('LOADER_CRASHED', `release ${head.version} was given up here`);
  }
  const bytes = await bringManifest(head, context);
  const manifest = readManifest(await verifyEnvelope(readEnvelope(bytes, 'release'), trust.newest));
  checkIdentity(manifest, head.channel, head);
  await keepSequence(manifest, keeper);
  const installed: InstalledRelease = {
    sequence: head.sequence,
    version: head.version,
    manifest: head.manifest,
    skeleton: null,
  };
  const release = releaseOf(installed, manifest, 'current');
  await makeRoom(release, context);
  const skeleton = await bringContents(release, context);
  return skeleton === null ? release : { ...release, installed: { ...installed, skeleton } };
}

/** Completes a release that runs: files that were lost, and idle ones.
 *  Errors: LOADER_DISK, LOADER_UNAVAILABLE, LOADER_ABORTED. */
export async function bringFiles(
  release: OpenRelease,
  files: readonly ReleaseFile[],
  context: InstallContext,
): Promise<void> {
  const { supply, content, notes, limits, signal } = context;
  const absent = await content.missing(onePerContent(files));
  const hashes = new Set(absent.map(({ sha256 }) => sha256));
  const missing = onePerContent(files).filter(({ sha256 }) => hashes.has(sha256));
  const progress = progressOf(release.manifest, files, missing);
  notes.emit('progress', progress.now());
  const bring = async (file: ReleaseFile): Promise<void> => {
    const supplied = await supply.file(release, file, { priority: file.priority, signal });
    throwUnlessKept(supplied);
    progress.add(file, supplied.receivedBytes);
    notes.emit('progress', progress.now());
  };
  const ordered = PRIORITIES.flatMap((one) => missing.filter(({ priority }) => priority === one));
  await inLanes(ordered, limits.concurrency, bring);
}

export function isIdle({ priority }: ReleaseFile): boolean {
  return priority === 'idle';
}

async function bringManifest(head: ChannelHead, context: InstallContext): Promise<Bytes> {
  const { supply, signal } = context;
  const supplied = await supply.content(
    {
      ref: head.manifest,
      channel: head.channel,
      what: `manifest of ${head.version}`,
      target: manifestTarget(head.channel, head.manifest.sha256),
      bases: [],
      kind: 'document',
    },
    { priority: 'critical', signal },
  );
  throwUnlessKept(supplied);
  return supplied.bytes;
}

/** Kept before the release is used. Errors: LOADER_OLDER, LOADER_DISK. */
async function keepSequence({ channel, sequence }: ReleaseManifest, keeper: StateKeeper) {
  if (sequence < keeper.channel(channel).sequence) {
    const seen = keeper.channel(channel).sequence;
    throw new LoaderError('LOADER_OLDER', `a manifest of sequence ${sequence}, seen was ${seen}`);
  }
  await keeper.changeChannel(channel, (record) => {
    return { ...record, sequence: Math.max(record.sequence, sequence) };
  });
}

/** Clears away what other updates left, and sees whether this release has room beside what must
 *  stay. Errors: LOADER_LIMIT. */
async function makeRoom(
  release: OpenRelease,
  { keeper, content, limits, reading }: InstallContext,
): Promise<void> {
  const kept = await contentsToKeep(keeper.state, reading, content);
  keepRelease(release, kept);
  const sizeBytes = [...kept.values()].reduce((sum, one) => sum + one, 0);
  if (sizeBytes > limits.storageSizeBytesMax) {
    throw new LoaderError(
      'LOADER_LIMIT',
      `${sizeBytes} bytes with what must stay, the limit is ${limits.storageSizeBytesMax}`,
    );
  }
  await content.collect(kept);
}

/** All files but idle ones, and these too when they came as one pack, whose skeleton is given back.
 *  Errors: LOADER_DISK, LOADER_UNAVAILABLE, LOADER_ABORTED. */
export async function bringContents(
  release: OpenRelease,
  context: InstallContext,
): Promise<ContentRef | null> {
  const { content, notes } = context;
  const { manifest } = release;
  try {
    if (manifest.pack !== null) {
      const files = onePerContent(manifest.files);
      const missing = await content.missing(files);
      const progress = progressOf(manifest, files, missing);
      const skeleton = await receivePack(release, missing, context);
      if (skeleton !== null) {
        for (const file of missing) progress.add(file, 0);
        notes.emit('progress', progress.now());
        return skeleton;
      }
    }
  } catch (error) {
    const known = toLoaderError(error, 'LOADER_PACK');
    if (isFinal(known) || known.failure === 'disk') throw known;
    const { channel } = manifest;
    notes.fallback(known, known.code, { level: 'full', channel, what: 'pack' });
  }
  const needed = manifest.files.filter((file) => !isIdle(file));
  await bringFiles(release, needed, context);
  return null;
}

/** Two paths may have one content. */
function onePerContent(files: readonly ReleaseFile[]): ReleaseFile[] {
  return [...new Map(files.map((file) => [file.sha256, file])).values()];
}

function progressOf(
  { channel, version }: ReleaseManifest,
  files: readonly ReleaseFile[],
  missing: readonly { readonly sizeBytes: number }[],
) {
  const all = onePerContent(files);
  const sum = (of: readonly { readonly sizeBytes: number }[]): number => {
    return of.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
  };
  const bytesTotal = sum(all);
  let filesDone = all.length - missing.length;
  let bytesDone = bytesTotal - sum(missing);
  let bytesReceived = 0;
  return {
    add: (file: ContentRef, receivedBytes: number): void => {
      filesDone += 1;
      bytesDone += file.sizeBytes;
      bytesReceived += receivedBytes;
    },
    now: (): Progress => {
      const filesTotal = all.length;
      return { channel, version, filesDone, filesTotal, bytesDone, bytesTotal, bytesReceived };
    },
  };
}

/** Works in order, a few at a time, until one fails: an origin that is gone would fail each of them
 *  as slowly. What is under way is waited for, so that nothing goes on behind the caller's back. */
async function inLanes<T>(
  items: readonly T[],
  count: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      next += 1;
      await work(items[next - 1]!).catch((error: unknown) => void failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.min(count, items.length) }, lane));
  if (failures.length > 0) throw failures[0];
}
