// Publishing a release: all or nothing. Content, manifest and deltas are put first, where nobody
// looks; the channel's state is replaced last, and that is the moment in which the release exists.
// Whatever ends the work before leaves the old state, and the same command finishes it later: what
// has been put is found by its hash. All but that last moment is done without the store's lock.

import {
  type Clock,
  eachAtOnce,
  GatewayError,
  RESOURCE_SIZE_BYTES_MAX,
  secretBytes,
} from '../core/index.ts';
import { sha256Of } from './artefact-file.ts';
import { readBaseCounts, readChannelState, replaceChannelState } from './channel-state.ts';
import type { ContentWriter } from './content-writer.ts';
import type { DeltaTask, FormResult, VariantTask } from './delta.ts';
import { type DeltaPlanOptions, type OldRelease, planDeltas } from './delta-plan.ts';
import { openManifest, readManifest } from './documents.ts';
import type { Effort } from './effort.ts';
import { type Signer, sealEnvelope } from './envelope.ts';
import { RESERVED_CHANNELS } from './fields.ts';
import { checkSigners } from './key-files.ts';
import type {
  ChannelState,
  ContentRef,
  ReleaseEntry,
  ReleaseFile,
  ReleaseManifest,
  ReleaseRule,
  TrustRoot,
} from './model.ts';
import { packSize, writePack } from './pack.ts';
import { FormJobs, type FormProgress, type FormTally } from './publish-forms.ts';
import { PublishLease } from './publish-lease.ts';
import { addRelease, checkVersionIsNew, nextSequence } from './release-changes.ts';
import { LOCK_PATIENCE_MS, StoreLock } from './store-lock.ts';
import { readStoredManifest } from './stored-manifest.ts';
import { readRootChain } from './trust-root-chain.ts';

/** Makes smaller forms of content, in another thread. */
export interface PublishJobs {
  makeVariant(task: VariantTask): Promise<FormResult>;
  makeDelta(task: DeltaTask): Promise<FormResult>;
}

/** Where a release's bytes come from. */
export interface ReleaseSource {
  readonly files: readonly ReleaseFile[];
  readonly entryPoints: readonly string[];
  /** The bytes of one of `files`. */
  read(file: ReleaseFile): Promise<Uint8Array>;
}

export interface PublishOptions {
  /** Not the one that holds the lock. */
  readonly writer: ContentWriter;
  readonly jobs: PublishJobs;
  readonly clock: Clock;
  readonly channel: string;
  readonly version: string;
  readonly source: ReleaseSource;
  /** Null: as the channel was before; a new channel is not packed. */
  readonly isPacked: boolean | null;
  readonly isBuiltIn: boolean;
  readonly rollbackOf: string | null;
  readonly rule: Pick<ReleaseRule, 'state' | 'rollout' | 'schedule' | 'targeting' | 'halt'>;
  readonly root: TrustRoot;
  readonly signing: ReleaseSigning;
  readonly deltas: DeltaPlanOptions;
  readonly effort: Effort;
  readonly onProgress: (progress: PublishProgress) => void;
}

/** Who signs: the keys at hand, or keys elsewhere that have signed what `prepareManifest` made. */
export type ReleaseSigning =
  | { readonly kind: 'signers'; readonly signers: readonly Signer[] }
  | { readonly kind: 'envelope'; readonly envelope: Uint8Array };

export interface PublishProgress extends FormProgress {
  readonly phase: 'content' | 'variants' | 'deltas';
}

export interface PublishReport {
  readonly manifest: ReleaseManifest;
  readonly generation: number;
  /** Contents that were not in the store before. */
  readonly newContentCount: number;
  readonly forms: FormTally;
  readonly olds: readonly OldRelease[];
}

/** Files that are put at once: each waits for the disk twice, and is held in memory meanwhile. */
const PUTS_UNDER_WAY_MAX = 4;
/** Releases of others that may come in between; each costs a look at what has been made. */
const ATTEMPTS_MAX = 16;
/** Manifests of older releases that are looked through for bases. */
const OLD_RELEASES_COUNT_MAX = 64;

/** Publishes. The lock is held for a moment when all is made: whatever other publishers, operators
 *  and collections of garbage do meanwhile is kept. When another release of the channel was faster
 *  the work begins anew from that, with the next sequence, and finds what it has made.
 *  Errors: those of reading the source; GW_DIST_EXISTS, GW_DIST_KEY, GW_DIST_SIGNATURE,
 *  GW_DIST_LIMIT, GW_DIST_REFERENCE, GW_DIST_RULE, GW_DIST_DISK, GW_DIST_LOCKED. Nothing is visible
 *  then. */
export async function publish(options: PublishOptions): Promise<PublishReport> {
  let newContentCount = 0;
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; ++attempt) {
    const draft = await draftRelease(options);
    // Signed before anything is written: what cannot be signed costs nothing.
    const envelope = signDraft(options, draft.manifest);
    const manifest = openManifest(envelope, options.root);
    const manifestRef = { sha256: sha256Of(envelope), sizeBytes: envelope.length };
    const contents = [manifestRef.sha256, ...contentsOf(manifest)];
    const { writer, clock } = options;
    const lease = await PublishLease.take(writer.store.dir, contents, clock.wallMs());
    try {
      newContentCount += await putContent(options, draft.pack);
      const olds = await oldReleases(options, draft.state);
      const forms = await makeForms(options, { manifest, olds });
      await writer.putObject(manifestRef.sha256, envelope);
      const entry = entryFor(options, { manifest, manifestRef });
      const next = await makeVisible(options, { draft, entry, envelope, lease });
      if (next === null) continue;
      return { manifest, generation: next.generation, newContentCount, forms, olds };
    } finally {
      await lease.release();
    }
  }
  const detail = `channel ${options.channel} got ${ATTEMPTS_MAX} releases meanwhile; try again`;
  throw new GatewayError('GW_DIST_LOCKED', detail);
}

/** Puts the release in front of what the channel has now. Null when that is another release than
 *  the draft was made for. */
async function makeVisible(
  { writer, channel, version, isPacked, root }: PublishOptions,
  made: {
    readonly draft: Draft;
    readonly entry: ReleaseEntry;
    readonly envelope: Uint8Array;
    readonly lease: PublishLease;
  },
): Promise<ChannelState | null> {
  const { draft, entry, envelope, lease } = made;
  const { dir } = writer.store;
  await writer.sync();
  const lock = await StoreLock.take(dir, LOCK_PATIENCE_MS);
  try {
    await lease.assertHeld();
    const state = await readChannelState(dir, channel);
    checkVersionIsNew(state, version);
    const isOtherForm = isPacked === null && (state?.isPacked ?? false) !== draft.isPacked;
    if (nextSequence(state) !== entry.sequence || isOtherForm) return null;
    const newest = (await readRootChain(dir)).at(-1)?.root ?? root;
    // Keys may have been changed since it was signed.
    if (newest.version !== root.version) openManifest(envelope, newest);
    const next = addRelease(state, channel, { entry, isPacked: draft.isPacked });
    await lock.assertHeld();
    await replaceChannelState(dir, next);
    return next;
  } finally {
    await lock.release();
  }
}

function contentsOf({ files, pack }: ReleaseManifest): Set<string> {
  const contents = new Set(files.map(({ sha256 }) => sha256));
  if (pack !== null) contents.add(pack.sha256);
  return contents;
}

/** The manifest that `publish` would sign, for keys that are kept in several places: each adds its
 *  signature, and the envelope then is what `publish` takes. Writes nothing. */
export async function prepareManifest(options: PublishOptions): Promise<Uint8Array> {
  const { manifest } = await draftRelease(options);
  return signDraft(options, manifest);
}

interface Draft {
  readonly state: ChannelState | null;
  readonly isPacked: boolean;
  readonly pack: Pack | null;
  readonly manifest: ReleaseManifest;
}

async function draftRelease(options: PublishOptions): Promise<Draft> {
  const { writer, channel, version } = options;
  if (RESERVED_CHANNELS.includes(channel)) {
    throw new GatewayError('GW_DIST_RULE', `the channel name ${channel} is reserved`);
  }
  const state = await readChannelState(writer.store.dir, channel);
  checkVersionIsNew(state, version);
  const isPacked = options.isPacked ?? state?.isPacked ?? false;
  const pack = isPacked ? await makePack(options.source) : null;
  return { state, isPacked, pack, manifest: draftManifest(options, { state, pack }) };
}

function signDraft(options: PublishOptions, manifest: ReleaseManifest): Uint8Array {
  const { signing, root, version } = options;
  if (signing.kind === 'signers') {
    checkSigners(signing.signers, 'release', root);
    return sealEnvelope('release', manifest, signing.signers);
  }
  const signed = openManifest(signing.envelope, root);
  const { createdAtMs } = signed;
  if (JSON.stringify(signed) === JSON.stringify({ ...manifest, createdAtMs })) {
    return signing.envelope;
  }
  const detail = `the signed manifest of ${signed.version} is not that of ${version} as it is now`;
  throw new GatewayError('GW_DIST_REFERENCE', detail);
}

function draftManifest(
  options: PublishOptions,
  { state, pack }: { readonly state: ChannelState | null; readonly pack: Pack | null },
): ReleaseManifest {
  const { source, channel, version, rollbackOf, clock } = options;
  const files = source.files.map(({ path, sha256, sizeBytes, priority }) => {
    return { path, sha256, sizeBytes, priority };
  });
  // Read as every client will read it.
  return readManifest({
    type: 'release',
    channel,
    sequence: nextSequence(state),
    version,
    createdAtMs: clock.wallMs(),
    entryPoints: source.entryPoints,
    files,
    pack: pack === null ? null : pack.ref,
    rollbackOf,
  });
}

interface Pack {
  readonly ref: ContentRef;
  readonly bytes: Uint8Array;
}

async function makePack(source: ReleaseSource): Promise<Pack> {
  const sizeBytes = packSize(source.files);
  // A pack is a dictionary too, and no window is larger.
  if (sizeBytes > RESOURCE_SIZE_BYTES_MAX) {
    const detail = `a pack of ${sizeBytes} bytes, the limit is ${RESOURCE_SIZE_BYTES_MAX}`;
    throw new GatewayError('GW_DIST_LIMIT', `${detail}; publish it unpacked`);
  }
  const files = [];
  for (const file of source.files) {
    files.push({ path: file.path, bytes: await source.read(file) });
  }
  const bytes = writePack(files);
  return { ref: { sha256: sha256Of(bytes), sizeBytes }, bytes };
}

async function putContent(options: PublishOptions, pack: Pack | null): Promise<number> {
  const { source, writer, onProgress } = options;
  const unique = new Map(source.files.map((file) => [file.sha256, file]));
  const totalCount = unique.size + (pack === null ? 0 : 1);
  let doneCount = 0;
  let newCount = 0;
  const tell = () => onProgress({ phase: 'content', doneCount, totalCount });
  tell();
  await eachAtOnce(unique.values(), PUTS_UNDER_WAY_MAX, async (file) => {
    const isNew = await writer.putObject(file.sha256, await source.read(file));
    newCount += Number(isNew);
    doneCount += 1;
    tell();
  });
  if (pack !== null) {
    newCount += Number(await writer.putObject(pack.ref.sha256, pack.bytes));
    doneCount += 1;
    tell();
  }
  return newCount;
}

/** The latest releases and those that apps ship with, newest first. One whose manifest is damaged
 *  has no bases to offer. */
async function oldReleases(
  { writer }: PublishOptions,
  state: ChannelState | null,
): Promise<OldRelease[]> {
  const entries = (state?.releases ?? []).filter((entry, index) => {
    return index < OLD_RELEASES_COUNT_MAX || entry.isBuiltIn;
  });
  const olds: OldRelease[] = [];
  for (const entry of entries) {
    try {
      olds.push({ entry, manifest: await readStoredManifest(writer.store, entry) });
    } catch (error) {
      if (!(error instanceof GatewayError) || error.code !== 'GW_DIST_CORRUPT') throw error;
    }
  }
  return olds;
}

async function makeForms(
  options: PublishOptions,
  { manifest, olds }: { readonly manifest: ReleaseManifest; readonly olds: readonly OldRelease[] },
): Promise<FormTally> {
  const { writer, jobs, channel, effort, onProgress } = options;
  const counts = await readBaseCounts(writer.store.dir, channel);
  const contents = manifest.pack === null ? manifest.files : [manifest.pack];
  const forms = new FormJobs({ writer, jobs, effort });
  await forms.makeVariants([...new Set(contents.map(({ sha256 }) => sha256))], (progress) =>
    onProgress({ phase: 'variants', ...progress }),
  );
  // A delta is measured against the variants, so these come first.
  await forms.makeDeltas(planDeltas(manifest, olds, counts, options.deltas), (progress) =>
    onProgress({ phase: 'deltas', ...progress }),
  );
  return forms.tally;
}

function entryFor(
  options: PublishOptions,
  parts: { readonly manifest: ReleaseManifest; readonly manifestRef: ContentRef },
): ReleaseEntry {
  const { sequence, version, createdAtMs } = parts.manifest;
  const { state, rollout, schedule, targeting, halt } = options.rule;
  return {
    sequence,
    version,
    salt: Buffer.from(secretBytes(16)).toString('hex'),
    state,
    rollout,
    schedule,
    targeting,
    halt,
    createdAtMs,
    manifest: parts.manifestRef,
    isBuiltIn: options.isBuiltIn,
    resumeCount: 0,
  };
}
