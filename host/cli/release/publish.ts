// `sluice publish`: makes a release of a folder. It is visible as a whole or not at all.

import { writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { GatewayError, systemClock } from '../../core/index.ts';
import {
  type ContentWriter,
  checkSchedule,
  installRoots,
  LOCK_PATIENCE_MS,
  type PublishOptions,
  type PublishReport,
  prepareManifest,
  publish,
  RESERVED_CHANNELS,
  readKeyFile,
  type Signer,
  StoreLock,
  signersIn,
  type TrustRoot,
  treeSource,
} from '../../distribution/index.ts';
import { ComputePool } from '../../workers/index.ts';
import {
  checkVersion,
  type FlagSpec,
  Flags,
  parseHalt,
  parseSchedule,
  parseShare,
  parseTargeting,
  RULE_FLAGS,
  readFlagFile,
  refused,
  STORE_FLAGS,
} from './flags.ts';
import { ProgressBar } from './progress.ts';
import { type Output, openContentWriter, withReasons } from './session.ts';
import { costRows, costTable, grouped } from './table.ts';

const KEYS_DEFAULT = 'keys';
/** Bases taken from what clients asked with, and the latest releases: most clients have one of
 *  these, and each costs an encoding of every changed file. */
const BASE_COUNT_DEFAULT = 8;
const LATEST_COUNT_DEFAULT = 3;
const BASE_COUNT_MAX = 256;
const THREADS_MAX = 8;

/** Flags that publishing a folder and bringing a release back share. */
export const SIGNING_FLAGS: Readonly<Record<string, FlagSpec>> = {
  key: {
    kind: 'values',
    what: `<path> a release key, or a folder of keys (default: ${KEYS_DEFAULT})`,
  },
  'base-count': { kind: 'value', what: `<n> bases by demand (default: ${BASE_COUNT_DEFAULT})` },
  'latest-count': { kind: 'value', what: `<n> latest as bases (default: ${LATEST_COUNT_DEFAULT})` },
  'built-in': { kind: 'switch', what: 'it ships inside the app: deltas from it are always made' },
  prepare: {
    kind: 'value',
    what: '<file> write the manifest to be signed elsewhere, publish nothing',
  },
  manifest: { kind: 'value', what: '<file> publish with the manifest that was signed elsewhere' },
};

export const PUBLISH_FLAGS: Readonly<Record<string, FlagSpec>> = {
  channel: { kind: 'value', what: '<name> the channel' },
  version: { kind: 'value', what: '<name> the name of the release' },
  entry: { kind: 'values', what: '<path> a file that is loaded first; may be repeated' },
  pack: { kind: 'switch', what: 'deliver all files as one tar, from this release on' },
  unpack: { kind: 'switch', what: 'deliver files one by one, from this release on' },
  paused: { kind: 'switch', what: 'nobody gets it until `sluice release resume`' },
  'allow-empty': { kind: 'switch', what: 'take files of no bytes' },
  ...SIGNING_FLAGS,
  ...RULE_FLAGS,
  ...STORE_FLAGS,
};

/** What differs between publishing a folder and bringing a release back. */
export type ReleaseDraft = Pick<
  PublishOptions,
  'channel' | 'version' | 'source' | 'isPacked' | 'rollbackOf'
>;

/** What the flags of `SIGNING_FLAGS` and `RULE_FLAGS` say, read before anything else is done. */
export interface ReleaseWishes extends Pick<PublishOptions, 'rule' | 'deltas' | 'isBuiltIn'> {
  readonly keyPaths: readonly string[];
  readonly preparePath: string | null;
  readonly signedManifest: Uint8Array | null;
}

export function publishCommand(argv: readonly string[], output: Output = process): Promise<number> {
  return withReasons(output, async () => {
    const flags = new Flags(argv, PUBLISH_FLAGS, { positionalsMax: 1 });
    const dir = flags.positionals[0];
    if (dir === undefined) throw new GatewayError('GW_FLAG_BAD_VALUE', 'the folder is missing');
    const channel = flags.channel();
    if (RESERVED_CHANNELS.includes(channel)) {
      throw refused('channel', channel, `a name other than ${RESERVED_CHANNELS.join(', ')}`);
    }
    const version = checkVersion('version', flags.required('version'));
    const isPacked = packedOf(flags);
    const wishes = releaseWishes(flags);
    const emptyFiles = flags.isSet('allow-empty') ? 'allowed' : 'refused';
    const bar = new ProgressBar(output.stderr, () => systemClock.nowMs());
    let doneCount = 0;
    const source = await treeSource({
      dir,
      emptyFiles,
      entryPoints: flags.texts('entry'),
      onFile: (_file, totalCount) => {
        doneCount += 1;
        bar.show({ label: 'reading', doneCount, totalCount });
      },
    });
    bar.clear();
    const draft: ReleaseDraft = { channel, version, source, isPacked, rollbackOf: null };
    return release(draft, { wishes, output, writer: await openContentWriter(flags) });
  });
}

/** Signs and publishes a draft, or writes its manifest for others to sign. */
export async function release(
  draft: ReleaseDraft,
  context: {
    readonly wishes: ReleaseWishes;
    readonly output: Output;
    readonly writer: ContentWriter;
  },
): Promise<number> {
  const { wishes, output, writer } = context;
  const { keyPaths, preparePath, signedManifest: envelope, rule, deltas, isBuiltIn } = wishes;
  const { root, signers } = await signersOf(keyPaths, writer.store.dir);
  const bar = new ProgressBar(output.stderr, () => systemClock.nowMs());
  const pool = new ComputePool(Math.min(THREADS_MAX, availableParallelism()));
  const options: PublishOptions = {
    ...draft,
    writer,
    jobs: pool,
    clock: systemClock,
    isBuiltIn,
    rule,
    root,
    signing: envelope === null ? { kind: 'signers', signers } : { kind: 'envelope', envelope },
    deltas,
    effort: 3,
    onProgress: ({ phase, ...counts }) => bar.show({ label: phase, ...counts }),
  };
  try {
    if (preparePath !== null) return await prepareTo(preparePath, options, output);
    const report = await publish(options);
    bar.clear();
    sayReport(report, output);
    return 0;
  } finally {
    bar.clear();
    await pool.close();
  }
}

/** Errors: GW_FLAG_BAD_VALUE, GW_DIST_RULE. */
export function releaseWishes(flags: Flags): ReleaseWishes {
  const signed = flags.text('manifest');
  const keys = flags.texts('key');
  return {
    rule: ruleOf(flags),
    deltas: {
      askedCountMax: flags.count('base-count', BASE_COUNT_DEFAULT, BASE_COUNT_MAX),
      latestCountMax: flags.count('latest-count', LATEST_COUNT_DEFAULT, BASE_COUNT_MAX),
    },
    isBuiltIn: flags.isSet('built-in'),
    keyPaths: keys.length === 0 ? [KEYS_DEFAULT] : keys,
    preparePath: flags.text('prepare'),
    signedManifest: signed === null ? null : readFlagFile('manifest', signed),
  };
}

function packedOf(flags: Flags): boolean | null {
  if (flags.isSet('pack') && flags.isSet('unpack')) {
    throw new GatewayError('GW_FLAG_BAD_VALUE', '--pack and --unpack exclude each other');
  }
  if (flags.isSet('pack')) return true;
  return flags.isSet('unpack') ? false : null;
}

function ruleOf(flags: Flags): PublishOptions['rule'] {
  const wallMs = systemClock.wallMs();
  const rollout = parseShare('rollout', flags.text('rollout') ?? '100%');
  const schedule = parseSchedule(flags, wallMs);
  checkSchedule({ rollout, schedule }, wallMs);
  return {
    state: flags.isSet('paused') ? 'paused' : 'active',
    rollout,
    schedule,
    targeting: parseTargeting(flags),
    halt: parseHalt(flags),
  };
}

async function prepareTo(path: string, options: PublishOptions, output: Output): Promise<number> {
  const envelope = await prepareManifest(options);
  try {
    writeFileSync(path, envelope);
  } catch (error) {
    throw refused('prepare', path, `a file to write (${(error as Error).message})`);
  }
  output.stdout.write(
    `${path}: sign it with \`sluice keys sign\`, then publish with --manifest ${path}\n`,
  );
  return 0;
}

/** The keys that the flags name. Trust roots that lie beside them and that the store does not have
 *  yet are taken over. */
async function signersOf(
  paths: readonly string[],
  storeDir: string,
): Promise<{ readonly root: TrustRoot; readonly signers: readonly Signer[] }> {
  let root: TrustRoot | null = null;
  const signers = new Map<string, Signer>();
  for (const path of paths) {
    const isFolder = (await stat(path).catch(() => null))?.isDirectory() === true;
    root = await installLocked(isFolder ? path : dirname(path), storeDir);
    const found = isFolder ? await signersIn(path, 'release', root) : [await readKeyFile(path)];
    for (const signer of found) signers.set(signer.keyId, signer);
  }
  return { root: root!, signers: [...signers.values()] };
}

async function installLocked(keysDir: string, storeDir: string): Promise<TrustRoot> {
  const lock = await StoreLock.take(storeDir, LOCK_PATIENCE_MS);
  try {
    return await installRoots(keysDir, storeDir);
  } finally {
    await lock.release();
  }
}

function sayReport(report: PublishReport, output: Output): void {
  const { manifest, newContentCount, forms } = report;
  const { channel, version, sequence, files, pack } = manifest;
  output.stdout.write(
    `published ${version} in ${channel} as number ${sequence}: ` +
      `${grouped(files.length)} files${pack === null ? '' : ' in one pack'}, ` +
      `${grouped(newContentCount)} new contents\n${costTable(costRows(report))}\n`,
  );
  for (const wrong of forms.wrong) {
    output.stderr.write(`sluice: left out, please report: ${wrong}\n`);
  }
}
