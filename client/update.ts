// An update: roots, heads, contents, the swap, and then the rubbish. One process or tab at a time;
// the others wait, and find it done.

import type { ChannelUpdate, UpdateOptions } from './api.ts';
import { type Checked, checkChannels } from './check.ts';
import { throwIfAborted } from './clock.ts';
import { isFinal, LoaderError, toLoaderError } from './errors.ts';
import { bringContents, bringFiles, bringRelease, type InstallContext, isIdle } from './install.ts';
import { contentsToKeep } from './keep-set.ts';
import type { ChannelHead } from './model.ts';
import type { OpenRelease } from './release.ts';
import type { Session } from './session.ts';

/** Longer than any update takes that goes on. */
const WAIT_MS = 60_000;

/** Errors: LOADER_ABORTED; anything else is in the answer. */
export async function checkAll(
  session: Session,
  channels: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, Checked>> {
  const { network, keeper, notes, settings, open, device } = session;
  const nowMs = settings.clock.nowMs();
  try {
    const trust = await session.trust.refresh(network, nowMs, signal);
    const sequences = new Map(
      channels.map((channel) => [channel, open.get(channel)?.installed.sequence ?? 0]),
    );
    const context = { network, keeper, notes, trust, device, sequences, nowMs, signal };
    return await checkChannels(context);
  } catch (error) {
    const known = toLoaderError(error, 'LOADER_UNAVAILABLE');
    if (isFinal(known)) throw known;
    notes.fallback(known, known.code, { level: 'root', channel: null, what: 'the trust root' });
    const failed = { status: 'failed', error: known, head: null } as const;
    return new Map(channels.map((channel) => [channel, failed]));
  }
}

/** Errors: LOADER_ABORTED, LOADER_OPTIONS; anything else is in the answer. */
export async function updateAll(
  session: Session,
  options: UpdateOptions,
  signal: AbortSignal,
): Promise<ChannelUpdate[]> {
  const channels = options.channels ?? session.settings.channels;
  for (const channel of channels) {
    if (!session.settings.channels.includes(channel)) {
      throw new LoaderError('LOADER_OPTIONS', `no channel ${channel} in this loader`);
    }
  }
  const work = async (): Promise<ChannelUpdate[]> => {
    const checked = await checkAll(session, channels, signal);
    const updates: ChannelUpdate[] = [];
    for (const [channel, one] of checked) {
      const update = await updateChannel(session, channel, one, options, signal);
      session.notes.emit('updated', update);
      updates.push(update);
    }
    const { keeper, content } = session;
    // What a failed update has brought is where the next one goes on from.
    if (updates.every(({ status }) => status !== 'failed')) {
      await content.collect(await contentsToKeep(keeper.state, session.reading(), content));
    }
    return updates;
  };
  try {
    return await exclusively(session, work);
  } catch (error) {
    const known = toLoaderError(error, 'LOADER_DISK');
    if (isFinal(known)) throw known;
    session.notes.fallback(known, known.code, { level: 'disk', channel: null, what: 'update' });
    return channels.map((channel) => ({ channel, status: 'failed', version: null, error: known }));
  }
}

async function exclusively<T>(session: Session, work: () => Promise<T>): Promise<T> {
  const { storage, levels } = session.settings;
  return levels.disk ? await storage.exclusive('update', WAIT_MS, work) : await work();
}

async function updateChannel(
  session: Session,
  channel: string,
  checked: Checked,
  options: UpdateOptions,
  signal: AbortSignal,
): Promise<ChannelUpdate> {
  if (checked.status === 'none') return { channel, status: 'none', version: null, error: null };
  if (checked.status === 'failed') {
    return failed(session, channel, checked.error, checked.head);
  }
  const { head } = checked;
  const { version } = head;
  try {
    const context = contextOf(session, channel, signal);
    if (checked.status === 'current') {
      await completeOpen(session, channel, context);
      return { channel, status: 'current', version, error: null };
    }
    const release = await bringRelease(head, context);
    session.outcomes.add({ channel, sequence: head.sequence, outcome: 'delivered' });
    throwIfAborted(signal);
    const apply = options.apply ?? 'now';
    await makeCurrent(session, release, apply);
    session.outcomes.add({ channel, sequence: head.sequence, outcome: 'applied' });
    if (apply === 'now') session.swap(release);
    bringIdle(session, release);
    return { channel, status: apply === 'now' ? 'updated' : 'ready', version, error: null };
  } catch (error) {
    const known = toLoaderError(error, 'LOADER_UNAVAILABLE');
    if (isFinal(known)) throw known;
    return failed(session, channel, known, head);
  }
}

/** Only a head that was signed names a release that may be blamed. */
function failed(
  session: Session,
  channel: string,
  error: LoaderError,
  head: ChannelHead | null,
): ChannelUpdate {
  const what = head === null ? 'update' : `update to ${head.version}`;
  session.notes.fallback(error, error.code, { level: 'current', channel, what });
  // That it crashed was told when it was given up.
  if (head !== null && error.code !== 'LOADER_CRASHED') {
    const cause = error.failure;
    session.outcomes.add({ channel, sequence: head.sequence, outcome: 'failed', cause });
  }
  return { channel, status: 'failed', version: head?.version ?? null, error };
}

async function makeCurrent(
  { keeper }: Session,
  { installed, manifest }: OpenRelease,
  apply: 'now' | 'next-start',
): Promise<void> {
  await keeper.changeChannel(manifest.channel, (record) => {
    // A swap in a running app is the first start of the release.
    return { ...record, current: installed, starts: apply === 'now' ? 1 : 0 };
  });
}

async function completeOpen(
  session: Session,
  channel: string,
  context: InstallContext,
): Promise<void> {
  const release = session.open.get(channel);
  // What is built in is there already.
  if (release === undefined || release.source === 'builtIn') return;
  await bringContents(release, context);
  bringIdle(session, release);
}

/** Idle files come after the swap, and the app does not wait for them. */
function bringIdle(session: Session, release: OpenRelease): void {
  const files = release.manifest.files.filter(isIdle);
  if (files.length === 0) return;
  const { channel } = release.manifest;
  session.background(async () => {
    try {
      await bringFiles(release, files, contextOf(session, channel, session.lifetime));
    } catch (error) {
      const place = { level: 'full', channel, what: 'idle files' } as const;
      session.notes.fallback(error, 'LOADER_UNAVAILABLE', place);
    }
  });
}

function contextOf(session: Session, channel: string, signal: AbortSignal): InstallContext {
  const { supply, content, keeper, trust, notes, settings } = session;
  const present = session.present(channel);
  const shared = { supply, content, keeper, trust, notes, limits: settings.limits };
  return { ...shared, present, reading: session.reading(), signal };
}
