// `sluice release`: lists the releases of a channel and changes who gets them. Nothing is published
// anew but by a rollback, which is a new release with old content.

import { GatewayError, systemClock } from '../../core/index.ts';
import {
  type ChannelState,
  changeChannelState,
  changeRule,
  collectGarbage,
  entryOf,
  LOCK_PATIENCE_MS,
  listChannels,
  openStoredManifest,
  type ReleaseEntry,
  type RuleChange,
  readChannelState,
  readManifestEnvelope,
  readRootChain,
  retireRelease,
  rolloutAt,
  scanStore,
  storedSource,
} from '../../distribution/index.ts';
import {
  checkVersion,
  type FlagSpec,
  Flags,
  parseHalt,
  parseSchedule,
  parseShare,
  parseTargeting,
  RULE_FLAGS,
  STORE_FLAGS,
} from './flags.ts';
import { ProgressBar } from './progress.ts';
import { release, releaseWishes, SIGNING_FLAGS } from './publish.ts';
import { type Output, openContentWriter, openStore, withReasons, withWriter } from './session.ts';
import { shareChangeText, stateText } from './state-text.ts';
import { grouped } from './table.ts';

export const RELEASE_FLAGS: Readonly<Record<string, FlagSpec>> = {
  channel: { kind: 'value', what: '<name> the channel' },
  name: { kind: 'value', what: '<name> of the release that a rollback makes' },
  clear: { kind: 'switch', what: 'take targeting, schedule or halt rule away' },
  json: { kind: 'switch', what: 'list as JSON' },
  ...SIGNING_FLAGS,
  ...RULE_FLAGS,
  ...STORE_FLAGS,
};

interface Context {
  readonly flags: Flags;
  readonly output: Output;
  /** As given; null for the newest. */
  readonly version: string | null;
}

type Action = (context: Context) => Promise<number>;

const ACTIONS: Readonly<Record<string, Action>> = {
  list,
  rollout: (context) =>
    change(context, ({ flags }) => ({
      rollout: parseShare('rollout', flags.required('rollout')),
    })),
  target: (context) =>
    change(context, ({ flags }) => ({
      targeting: givenOrCleared(flags, parseTargeting(flags), 'a target'),
    })),
  schedule: (context) =>
    change(context, ({ flags }) => {
      const steps = parseSchedule(flags, systemClock.wallMs());
      const given = givenOrCleared(flags, steps.length === 0 ? null : steps, '--schedule');
      return { schedule: given ?? [] };
    }),
  halt: (context) =>
    change(context, ({ flags }) => ({
      halt: givenOrCleared(flags, parseHalt(flags), '--halt-share'),
    })),
  pause: (context) => change(context, () => ({ state: 'paused' })),
  resume: (context) => change(context, () => ({ state: 'active' })),
  'built-in': (context) => change(context, () => ({ isBuiltIn: true })),
  rollback,
  manifest,
  retire,
  gc,
  scan,
};

export const RELEASE_ACTIONS: readonly string[] = Object.keys(ACTIONS);

export function releaseCommand(argv: readonly string[], output: Output = process): Promise<number> {
  return withReasons(output, async () => {
    const flags = new Flags(argv, RELEASE_FLAGS, { positionalsMax: 2 });
    const [name, version] = flags.positionals;
    const action = Object.hasOwn(ACTIONS, name ?? '') ? ACTIONS[name!] : undefined;
    if (action === undefined) {
      const detail = `found "${name ?? ''}", expected one of ${RELEASE_ACTIONS.join(', ')}`;
      throw new GatewayError('GW_FLAG_BAD_VALUE', detail);
    }
    return action({ flags, output, version: version ?? null });
  });
}

async function list({ flags, output }: Context): Promise<number> {
  const { dir } = flags.store();
  const channels = flags.has('channel') ? [flags.channel()] : await listChannels(dir);
  const states: ChannelState[] = [];
  for (const channel of channels) {
    const state = await readChannelState(dir, channel);
    if (state !== null) states.push(state);
    else if (flags.has('channel')) throw new GatewayError('GW_DIST_NOT_FOUND', channel);
  }
  const wallMs = systemClock.wallMs();
  if (flags.isSet('json')) {
    const shown = states.map((state) => ({
      ...state,
      releases: state.releases.map((one) => ({ ...one, rolloutInForce: rolloutAt(one, wallMs) })),
    }));
    output.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
  } else for (const state of states) output.stdout.write(stateText(state, wallMs));
  return 0;
}

/** Changes the rule of a release: the named one, or the newest. */
async function change(
  context: Context,
  changeOf: (context: Context) => RuleChange,
): Promise<number> {
  const { flags, output } = context;
  const channel = flags.channel();
  const asked = changeOf(context);
  const { dir } = flags.store();
  const wallMs = systemClock.wallMs();
  let version = context.version ?? '';
  let old: ReleaseEntry | null = null;
  const changed = (before: ChannelState | null) => {
    if (context.version === null) version = newestOf(before);
    old = entryOf(before, version);
    return changeRule(before, version, asked, wallMs);
  };
  const state = await changeChannelState(dir, channel, changed, LOCK_PATIENCE_MS);
  const entry = entryOf(state, version);
  output.stdout.write(stateText({ ...state, releases: [entry] }, wallMs));
  output.stdout.write(shareChangeText(old!, entry, wallMs));
  return 0;
}

/** The name of the newest release. Errors: GW_DIST_NOT_FOUND. */
function newestOf(state: ChannelState | null): string {
  const newest = state?.releases[0];
  if (newest !== undefined) return newest.version;
  throw new GatewayError('GW_DIST_NOT_FOUND', 'the channel has no release; see --dir too');
}

function givenOrCleared<T>(flags: Flags, given: T | null, what: string): T | null {
  if ((given === null) === flags.isSet('clear')) return given;
  throw new GatewayError('GW_FLAG_BAD_VALUE', `either ${what} or --clear is needed`);
}

/** Brings back the content of an older release, as a new one: what clients have seen they never go
 *  back behind. */
async function rollback(context: Context): Promise<number> {
  const { flags, output } = context;
  const channel = flags.channel();
  const version = versionOf(context);
  const named = flags.text('name');
  if (named !== null) checkVersion('name', named);
  const wishes = releaseWishes(flags);
  const writer = await openContentWriter(flags);
  const { store } = writer;
  const state = await readChannelState(store.dir, channel);
  const old = entryOf(state, version);
  const manifest = await openStoredManifest(store, old, await readRootChain(store.dir));
  const again = `${old.version}-again.${state!.releases[0]!.sequence + 1}`;
  const draft = {
    channel,
    version: named ?? checkVersion('name', again),
    source: storedSource(store, manifest),
    isPacked: null,
    rollbackOf: old.version,
  };
  return release(draft, { wishes, output, writer });
}

/** Writes the signed manifest of a release to stdout, for an app that ships with its files. */
async function manifest({ flags, output, version }: Context): Promise<number> {
  const store = openStore(flags);
  const state = await readChannelState(store.dir, flags.channel());
  const entry = entryOf(state, version ?? newestOf(state));
  const envelope = await readManifestEnvelope(store, entry);
  output.stdout.write(`${Buffer.from(envelope).toString('utf8')}\n`);
  return 0;
}

async function retire(context: Context): Promise<number> {
  const { flags, output } = context;
  const channel = flags.channel();
  const version = versionOf(context);
  const { dir } = flags.store();
  await changeChannelState(
    dir,
    channel,
    (state) => retireRelease(state, version),
    LOCK_PATIENCE_MS,
  );
  output.stdout.write(`retired ${version}; sluice release gc frees its content\n`);
  return 0;
}

function versionOf({ version }: Context): string {
  if (version !== null) return version;
  throw new GatewayError('GW_FLAG_BAD_VALUE', 'the version is missing');
}

async function gc({ flags, output }: Context): Promise<number> {
  return withWriter(flags, async (writer) => {
    const { removedCount, removedBytes, keptCount } = await collectGarbage(
      writer,
      systemClock.wallMs(),
    );
    output.stdout.write(
      `removed ${grouped(removedCount)} files of ${grouped(removedBytes)} B, ` +
        `kept ${grouped(keptCount)}\n`,
    );
    return 0;
  });
}

/** Exit code 1 when something is bad. */
async function scan({ flags, output }: Context): Promise<number> {
  const bar = new ProgressBar(output.stderr, () => systemClock.nowMs());
  const { artefactCount, findings } = await scanStore(openStore(flags), (doneCount) =>
    bar.show({ label: 'scanning', doneCount, totalCount: doneCount + 1 }),
  );
  bar.clear();
  for (const { what, why } of findings) output.stdout.write(`${what}: ${why}\n`);
  output.stdout.write(`${grouped(artefactCount)} files read, ${findings.length} findings\n`);
  return findings.length === 0 ? 0 : 1;
}
