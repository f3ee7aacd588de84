// Asking which releases this device gets, and believing only what is signed, fresh and not older
// than what was seen. Counters are kept before anything is done with a head.

import type { LoaderDevice } from './api.ts';
import { readHead } from './documents.ts';
import { envelopeOf, verifyEnvelope } from './envelope.ts';
import { isFinal, LoaderError, toLoaderError } from './errors.ts';
import { Fields } from './fields.ts';
import { CHANNELS_COUNT_MAX } from './limits.ts';
import type { ChannelHead, TrustRoot } from './model.ts';
import type { Network } from './network.ts';
import type { Notes } from './notes.ts';
import type { ChannelRecord, StateKeeper } from './state.ts';

export interface CheckContext {
  readonly network: Network;
  readonly keeper: StateKeeper;
  readonly notes: Notes;
  readonly trust: TrustRoot;
  readonly device: LoaderDevice;
  /** What each asked channel runs; 0 for nothing. */
  readonly sequences: ReadonlyMap<string, number>;
  /** When the check began: what is fresh is judged once. */
  readonly nowMs: number;
  readonly signal: AbortSignal;
}

/** What is known of a channel after a check. */
export type Checked =
  | { readonly status: 'update' | 'current'; readonly head: ChannelHead }
  | { readonly status: 'none' }
  | { readonly status: 'failed'; readonly error: LoaderError; readonly head: ChannelHead | null };

/** Asks origin after origin until each channel has an answer that holds.
 *  Errors: LOADER_ABORTED; anything else is in the answer. */
export async function checkChannels(context: CheckContext): Promise<Map<string, Checked>> {
  const checked = new Map<string, Checked>();
  const failures = new Map<string, Checked>();
  const place = { level: 'check', channel: null, what: 'check' } as const;
  const attempt = async (origin: string): Promise<void> => {
    const open = [...context.sequences.keys()].filter((channel) => !checked.has(channel));
    const answers = await ask(origin, open, context);
    for (const channel of open) {
      const result = await judge(channel, answers.get(channel), origin, context);
      (result.status === 'failed' ? failures : checked).set(channel, result);
    }
    const failed = open.filter((channel) => !checked.has(channel));
    if (failed.length === 0) return;
    // Another origin may have a better answer; the reasons are in the trail already.
    throw (failures.get(failed[0]!) as { error: LoaderError }).error;
  };
  let whole: LoaderError | null = null;
  try {
    await context.network.origins.run({ place, signal: context.signal, attempt });
  } catch (error) {
    whole = toLoaderError(error, 'LOADER_NETWORK');
    if (isFinal(whole)) throw whole;
  }
  for (const channel of context.sequences.keys()) {
    if (checked.has(channel)) continue;
    const error = whole ?? new LoaderError('LOADER_NETWORK', 'no origin answered');
    checked.set(channel, failures.get(channel) ?? { status: 'failed', error, head: null });
  }
  return checked;
}

async function ask(
  origin: string,
  channels: readonly string[],
  { network, device, sequences, signal }: CheckContext,
): Promise<Map<string, unknown>> {
  const asked = channels.map((channel) => [channel, { sequence: sequences.get(channel) ?? 0 }]);
  const question = { device, channels: Object.fromEntries(asked) };
  const answer = await network.check(origin, question, signal);
  const fields = new Fields(answer, 'the answer', ['nowMs', 'channels']);
  return fields.map('channels', CHANNELS_COUNT_MAX, (one) => one);
}

async function judge(
  channel: string,
  answer: unknown,
  origin: string,
  context: CheckContext,
): Promise<Checked> {
  let head: ChannelHead | null = null;
  try {
    const fields = new Fields(answer, `channels.${channel}`, ['status', 'head']);
    const status = fields.literal('status', ['update', 'current', 'none']);
    if (status === 'none') return { status };
    const envelope = envelopeOf(fields.get('head'), 'head');
    const signed = readHead(await verifyEnvelope(envelope, context.trust));
    if (signed.channel !== channel) {
      throw new LoaderError('LOADER_MISMATCH', `a head of channel ${signed.channel}`);
    }
    head = signed;
    const running = context.sequences.get(channel) ?? 0;
    checkHead(signed, running, context.keeper.channel(channel), context.nowMs);
    await keepCounter(signed, context.keeper);
    return { status: signed.sequence === running ? 'current' : 'update', head: signed };
  } catch (error) {
    const known = toLoaderError(error, 'LOADER_DOCUMENT');
    context.notes.fallback(known, known.code, { level: 'check', channel, what: 'head', origin });
    return { status: 'failed', error: known, head };
  }
}

/** Errors: LOADER_EXPIRED, LOADER_OLDER. */
function checkHead(head: ChannelHead, running: number, record: ChannelRecord, nowMs: number): void {
  if (head.counter < record.counter) {
    const detail = `a head with counter ${head.counter}, seen was ${record.counter}`;
    throw new LoaderError('LOADER_OLDER', detail);
  }
  if (nowMs >= head.expiresAtMs) {
    const when = new Date(head.expiresAtMs).toISOString();
    throw new LoaderError(
      'LOADER_EXPIRED',
      `the head ended at ${when}; the release stays as it is`,
    );
  }
  // What runs may be older than what was seen: after a crash the last good release does.
  const floor = Math.max(running, record.sequence);
  if (head.sequence === running || head.sequence >= floor) return;
  throw new LoaderError('LOADER_OLDER', `release ${head.sequence}, seen was ${floor}`);
}

async function keepCounter({ channel, counter }: ChannelHead, keeper: StateKeeper): Promise<void> {
  if (keeper.channel(channel).counter >= counter) return;
  await keeper.changeChannel(channel, (record) => {
    return { ...record, counter: Math.max(record.counter, counter) };
  });
}
