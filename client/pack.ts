// A packed channel: all files in one tar, as one delta from the last one. The tar is taken apart at
// once; only its skeleton is kept, from which the next base is put together.

import { checkContent, sha256Hex } from './digest.ts';
import { LoaderError } from './errors.ts';
import type { InstallContext } from './install.ts';
import { PACK_SINGLES_COUNT_MAX } from './limits.ts';
import type { Bytes, ContentRef, ReleaseManifest } from './model.ts';
import { type DeltaBase, packTarget } from './network.ts';
import type { OpenRelease } from './release.ts';
import { cutContents, fillContents, readTar, type TarEntry, writeTar } from './tar.ts';

/** Brings the files of a packed release by its pack; null when it has none, when nothing is
 *  missing, or when a few single files are less than a whole pack. `missing`: idle files too, which
 *  a pack brings along.
 *  Errors: LOADER_PACK, LOADER_LIMIT, LOADER_DISK, LOADER_UNAVAILABLE, LOADER_ABORTED. */
export async function receivePack(
  release: OpenRelease,
  missing: readonly ContentRef[],
  context: InstallContext,
): Promise<ContentRef | null> {
  const { manifest } = release;
  const { pack, channel, version } = manifest;
  if (pack === null || missing.length === 0) return null;
  const bases = context.present.flatMap((one) => baseOf(one, pack, context));
  const isFew = areFew(missing, manifest);
  if (isFew && bases.length === 0) return null;
  if (pack.sizeBytes > context.limits.packSizeBytesMax) {
    const { packSizeBytesMax } = context.limits;
    const detail = `a pack of ${pack.sizeBytes} bytes, the limit is ${packSizeBytesMax}`;
    throw new LoaderError('LOADER_PACK', detail);
  }
  const target = packTarget(channel, version);
  const kind = isFew ? 'delta' : 'content';
  const wanted = { ref: pack, channel, what: 'pack', target, bases, kind } as const;
  const task = { priority: 'critical', signal: context.signal } as const;
  const { bytes } = await context.supply.passing(wanted, task);
  return await unpack(manifest, bytes, context);
}

/** Whether single files are less than a whole pack. Contents are compared: a tar has a block of
 *  headers for each file, which is most of a pack of small ones and compresses to nothing. */
function areFew(missing: readonly ContentRef[], { files }: ReleaseManifest): boolean {
  const sum = (refs: readonly ContentRef[]): number => {
    return refs.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
  };
  return missing.length <= PACK_SINGLES_COUNT_MAX && sum(missing) * 2 < sum(files);
}

/** Stores the files of a pack, each checked against the manifest. Returns the skeleton. */
async function unpack(
  manifest: ReleaseManifest,
  bytes: Bytes,
  { content, signal }: InstallContext,
): Promise<ContentRef> {
  const entries = readTar(bytes, 'kept');
  checkEntries(manifest, entries);
  const files = new Map(manifest.files.map((file) => [file.path, file]));
  const absent = new Set((await content.missing(manifest.files)).map(({ sha256 }) => sha256));
  for (const { path, offset, sizeBytes } of entries) {
    if (signal.aborted) throw new LoaderError('LOADER_ABORTED', 'the work was aborted');
    const file = files.get(path)!;
    const one = bytes.slice(offset, offset + sizeBytes);
    await checkContent(one, file, `${path} in the pack`);
    if (absent.delete(file.sha256)) await content.write(file, one);
  }
  const skeleton = cutContents(bytes, entries);
  const ref = { sha256: await sha256Hex(skeleton), sizeBytes: skeleton.length };
  await content.write(ref, skeleton);
  return ref;
}

/** Errors: LOADER_PACK unless the pack holds the manifest's files, each once. */
function checkEntries({ files }: ReleaseManifest, entries: readonly TarEntry[]): void {
  const sizes = new Map(files.map(({ path, sizeBytes }) => [path, sizeBytes]));
  for (const { path, sizeBytes } of entries) {
    if (sizes.get(path) !== sizeBytes) {
      throw new LoaderError('LOADER_PACK', `the pack holds ${path}, which the manifest does not`);
    }
    sizes.delete(path);
  }
  const [left] = sizes.keys();
  if (left !== undefined) throw new LoaderError('LOADER_PACK', `the pack lacks ${left}`);
}

/** The pack of a release that is here, put together when it is asked for. */
function baseOf(release: OpenRelease, target: ContentRef, context: InstallContext): DeltaBase[] {
  const { pack, channel, files } = release.manifest;
  if (pack === null || pack.sha256 === target.sha256) return [];
  const { skeleton } = release.installed;
  const contentAt = async (path: string): Promise<Bytes | null> => {
    const file = release.files.get(path);
    if (file === undefined) return null;
    const kept = await context.content.read(file, { channel, what: path });
    return kept ?? (await release.content?.(file)) ?? null;
  };
  const read = async (): Promise<Bytes | null> => {
    const what = 'the last pack';
    const cut = skeleton === null ? null : await context.content.read(skeleton, { channel, what });
    const whole =
      cut === null
        ? await writeTar(files, contentAt)
        : await fillContents(cut, ({ path }) => contentAt(path));
    if (whole !== null) await checkContent(whole, pack, 'the last pack, put together,');
    return whole;
  };
  return [{ ref: pack, read }];
}
