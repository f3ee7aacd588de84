// Opening a release that is here: installed ones from the storage, and the one inside the app. A
// release opens when its manifest is signed, everything but idle files is there, and what the app
// needs first is whole.

import type { BuiltIn, ReleaseInfo, ReleaseSource } from './api.ts';
import type { ContentStore } from './content.ts';
import { checkContent, sha256Hex } from './digest.ts';
import { readManifest } from './documents.ts';
import { peekPayload, readEnvelope } from './envelope.ts';
import { LoaderError } from './errors.ts';
import type { Bytes, ContentRef, ReleaseFile, ReleaseManifest } from './model.ts';
import type { Notes } from './notes.ts';
import type { InstalledRelease } from './state.ts';
import { envelopeBytes, type Trust } from './trust.ts';

/** A release whose files can be asked for. */
export interface OpenRelease {
  readonly installed: InstalledRelease;
  readonly manifest: ReleaseManifest;
  readonly files: ReadonlyMap<string, ReleaseFile>;
  readonly source: ReleaseSource;
  /** What lies in the app; null when the app has no such content. Errors: LOADER_HASH. */
  readonly content?: (ref: ContentRef) => Promise<Bytes | null>;
}

/** The release inside the app, and how its files are read. */
export interface BuiltInRelease extends OpenRelease {
  readonly content: (ref: ContentRef) => Promise<Bytes | null>;
}

export interface Shelf {
  readonly content: ContentStore;
  readonly trust: Trust;
  readonly notes: Notes;
}

/** Errors: LOADER_DISK, LOADER_SIGNATURE, LOADER_DOCUMENT, LOADER_MISMATCH. */
export async function openInstalled(
  channel: string,
  installed: InstalledRelease,
  source: ReleaseSource,
  { content, trust }: Shelf,
): Promise<OpenRelease> {
  const place = { channel, what: `release ${installed.version}` };
  const bytes = await content.read(installed.manifest, place);
  if (bytes === null) throw new LoaderError('LOADER_DISK', 'its manifest is not here');
  const manifest = readManifest(await trust.verifyKept(readEnvelope(bytes, 'release')));
  checkIdentity(manifest, channel, installed);
  const files = manifest.files.filter(({ priority }) => priority !== 'idle');
  const missing = await content.missing(files);
  if (missing.length > 0) {
    throw new LoaderError('LOADER_DISK', `${missing.length} of its files are not here`);
  }
  for (const file of manifest.files.filter((one) => isNeededFirst(one, manifest))) {
    const found = await content.read(file, { channel, what: file.path });
    if (found === null) throw new LoaderError('LOADER_DISK', `${file.path} is not whole`);
  }
  return releaseOf(installed, manifest, source);
}

/** Its files are read when they are asked for: they came with the app.
 *  Errors: LOADER_SIGNATURE, LOADER_DOCUMENT, LOADER_MISMATCH. */
export async function openBuiltIn(
  channel: string,
  builtIn: BuiltIn,
  { trust }: Shelf,
): Promise<BuiltInRelease> {
  const given = builtIn.manifest;
  const bytes = envelopeBytes(
    typeof given === 'function' ? await given() : given,
    `builtIn.${channel}.manifest`,
  );
  const envelope = readEnvelope(bytes, 'release');
  // Where no signature can be checked, it stands as the app's own code does.
  const document = trust.isOpen ? await trust.verifyKept(envelope) : peekPayload(envelope);
  const manifest = readManifest(document);
  const { sequence, version } = manifest;
  const hash = await sha256Hex(bytes).catch(() => '');
  const ref = { sha256: hash, sizeBytes: bytes.length };
  const installed = { sequence, version, manifest: ref, skeleton: null };
  checkIdentity(manifest, channel, installed);
  const byHash = new Map(manifest.files.map((file) => [file.sha256, file]));
  const content = async (wanted: ContentRef): Promise<Bytes | null> => {
    const file = byHash.get(wanted.sha256);
    if (file === undefined) return null;
    const found = new Uint8Array(await builtIn.read(file.path));
    // No hash where the platform has none: it stands as the app's own code does.
    if (hash !== '') await checkContent(found, wanted, `the built-in ${file.path}`);
    return found;
  };
  return { ...releaseOf(installed, manifest, 'builtIn'), content };
}

export function releaseOf(
  installed: InstalledRelease,
  manifest: ReleaseManifest,
  source: ReleaseSource,
): OpenRelease {
  const files = new Map(manifest.files.map((file) => [file.path, file]));
  return { installed, manifest, files, source };
}

/** Errors: LOADER_MISMATCH: a manifest of another channel or release, however well signed. */
export function checkIdentity(
  manifest: ReleaseManifest,
  channel: string,
  { sequence, version }: { readonly sequence: number; readonly version: string },
): void {
  const isSame = manifest.sequence === sequence && manifest.version === version;
  if (manifest.channel === channel && isSame) return;
  throw new LoaderError(
    'LOADER_MISMATCH',
    `the manifest is of ${manifest.channel} ${manifest.version} (${manifest.sequence}), expected ` +
      `${channel} ${version} (${sequence})`,
  );
}

export function isNeededFirst(file: ReleaseFile, { entryPoints }: ReleaseManifest): boolean {
  return file.priority === 'critical' || entryPoints.includes(file.path);
}

export function infoOf({ manifest, source }: OpenRelease): ReleaseInfo {
  const { channel, sequence, version, entryPoints, files } = manifest;
  const paths = files.map(({ path }) => path);
  return { channel, sequence, version, source, paths, entryPoints };
}
