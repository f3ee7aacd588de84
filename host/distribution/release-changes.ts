// Changing who gets a release. Pure: a state in, the next state out. Nothing here changes what a
// release is; that is signed and never changes.

import { CHANNEL_RELEASES_COUNT_MAX, GatewayError } from '../core/index.ts';
import type { ChannelState, ReleaseEntry, RolloutStep } from './model.ts';
import { ROLLOUT_WHOLE, rolloutAt } from './release-rules.ts';
import { entryOf } from './stored-manifest.ts';

const CODE = 'GW_DIST_RULE';

/** What an operator can change; what is not given stays. */
export type RuleChange = Partial<
  Pick<ReleaseEntry, 'state' | 'rollout' | 'schedule' | 'targeting' | 'halt' | 'isBuiltIn'>
>;

/** The state with another rule for one release. A share that is set by hand is the share: it ends
 *  the schedule. A schedule begins at the share in force, also one of no steps. Failures count from
 *  when a release was resumed. Errors: GW_DIST_NOT_FOUND, GW_DIST_RULE. */
export function changeRule(
  state: ChannelState | null,
  version: string,
  change: RuleChange,
  wallMs: number,
): ChannelState {
  const entry = entryOf(state, version);
  const isResumed = change.state === 'active' && entry.state !== 'active';
  const changed: ReleaseEntry = {
    ...entry,
    ...change,
    ...sharesOf(entry, change, wallMs),
    resumeCount: entry.resumeCount + Number(isResumed),
  };
  const releases = state!.releases.map((one) => (one === entry ? changed : one));
  return next(state!, { releases });
}

type Shares = Pick<ReleaseEntry, 'rollout' | 'schedule'>;

function sharesOf(entry: ReleaseEntry, change: RuleChange, wallMs: number): Shares {
  const { rollout, schedule } = change;
  if (rollout !== undefined && !(Number.isInteger(rollout) && isShare(rollout))) {
    throw new GatewayError(CODE, `a rollout of ${rollout}, the limit is ${ROLLOUT_WHOLE}`);
  }
  if (rollout === undefined && schedule === undefined) {
    return { rollout: entry.rollout, schedule: entry.schedule };
  }
  const shares = { rollout: rollout ?? rolloutAt(entry, wallMs), schedule: schedule ?? [] };
  checkSchedule(shares, wallMs);
  return shares;
}

/** A step that has come, or adds nobody, is a mistake of whoever asks for it. Errors:
 *  GW_DIST_RULE. */
export function checkSchedule(
  { rollout, schedule }: { readonly rollout: number; readonly schedule: readonly RolloutStep[] },
  wallMs: number,
): void {
  const [first] = schedule;
  if (first === undefined) return;
  const at = new Date(first.atMs).toISOString();
  if (first.atMs <= wallMs) throw new GatewayError(CODE, `the step at ${at} has passed`);
  if (first.rollout > rollout) return;
  const shown = [first.rollout, rollout].map((share) => `${share / 100} %`);
  const detail = `the step to ${shown[0]} at ${at} adds nobody to the ${shown[1]} in force`;
  throw new GatewayError(CODE, detail);
}

/** The state with a new release in front. The oldest is retired when there are too many, but none
 *  that an app ships with. Errors: GW_DIST_EXISTS. */
export function addRelease(
  state: ChannelState | null,
  channel: string,
  { entry, isPacked }: { readonly entry: ReleaseEntry; readonly isPacked: boolean },
): ChannelState {
  const before = state ?? { channel, generation: 0, isPacked, releases: [] };
  checkVersionIsNew(state, entry.version);
  const releases = [entry, ...before.releases];
  if (releases.length > CHANNEL_RELEASES_COUNT_MAX) {
    const oldest = releases.findLastIndex((one, index) => index > 0 && !one.isBuiltIn);
    if (oldest === -1) {
      const detail = `${releases.length} releases, all built in; retire one`;
      throw new GatewayError('GW_DIST_LIMIT', detail);
    }
    releases.splice(oldest, 1);
  }
  return next(before, { releases, isPacked });
}

/** Errors: GW_DIST_EXISTS. */
export function checkVersionIsNew(state: ChannelState | null, version: string): void {
  if (state?.releases.every((one) => one.version !== version) ?? true) return;
  throw new GatewayError('GW_DIST_EXISTS', `${version} in channel ${state?.channel}`);
}

/** The state without a release: nobody gets it any more, and its content may be collected. The
 *  newest stays, for the next one counts from it. Errors: GW_DIST_NOT_FOUND, GW_DIST_RULE. */
export function retireRelease(state: ChannelState | null, version: string): ChannelState {
  const entry = entryOf(state, version);
  if (entry === state!.releases[0]) {
    throw new GatewayError(CODE, `${version} is the newest release; pause it, or publish another`);
  }
  return next(state!, { releases: state!.releases.filter((one) => one !== entry) });
}

/** What the next release is counted as. */
export function nextSequence(state: ChannelState | null): number {
  return (state?.releases[0]?.sequence ?? 0) + 1;
}

function next(
  before: ChannelState,
  change: Partial<Pick<ChannelState, 'releases' | 'isPacked'>>,
): ChannelState {
  return { ...before, ...change, generation: before.generation + 1 };
}

function isShare(rollout: number): boolean {
  return rollout >= 0 && rollout <= ROLLOUT_WHOLE;
}
