// A channel's releases and their rules as people read them.

import {
  type ChannelState,
  type ReleaseEntry,
  ROLLOUT_WHOLE,
  type RolloutStep,
  rolloutAt,
  type Targeting,
} from '../../distribution/index.ts';

/** Values of one target that are shown; device lists may be long. */
const VALUES_SHOWN_MAX = 4;

/** One line for each release, newest first: its share in force, and what else its rule says. */
export function stateText({ channel, isPacked, releases }: ChannelState, wallMs: number): string {
  const lines = releases.map((entry) => {
    const { sequence, version, state, createdAtMs } = entry;
    const parts = [
      `  ${String(sequence).padStart(5)}`,
      version.padEnd(20),
      state.padEnd(7),
      shareText(rolloutAt(entry, wallMs)).padStart(9),
      new Date(createdAtMs).toISOString().slice(0, 19),
      noteOf(entry, wallMs),
    ];
    return parts.join('  ').trimEnd();
  });
  return `${channel}${isPacked ? ' (packed)' : ''}\n${lines.join('\n')}\n`;
}

/** What a change did beside what was asked for; empty where it is nothing. */
export function shareChangeText(old: ReleaseEntry, entry: ReleaseEntry, wallMs: number): string {
  const hasEnded = old.schedule.length > 0 && entry.schedule.length === 0;
  if (!hasEnded) return '';
  const left = old.schedule.filter(({ atMs }) => atMs > wallMs);
  const dropped = left.length === 0 ? '' : `; dropped: ${left.map(stepText).join(', ')}`;
  return `the schedule has ended; the share stays at ${shareText(entry.rollout)}${dropped}\n`;
}

function noteOf(entry: ReleaseEntry, wallMs: number): string {
  const { rollout, schedule, targeting, halt, isBuiltIn } = entry;
  const coming = schedule.filter(({ atMs }) => atMs > wallMs);
  const notes = [
    isBuiltIn ? 'built in' : '',
    rollout === rolloutAt(entry, wallMs) ? '' : `set to ${shareText(rollout)}`,
    coming.map(stepText).join(', '),
    targeting === null ? '' : `for ${targetText(targeting)}`,
    halt === null ? '' : `halts at ${(halt.failureShare * 100).toFixed(2)} %`,
  ];
  return notes.filter((note) => note !== '').join('; ');
}

function stepText({ atMs, rollout }: RolloutStep): string {
  return `${shareText(rollout)} at ${new Date(atMs).toISOString().slice(0, 19)}`;
}

function targetText({ appVersion, platforms, regions, devices, attributes }: Targeting): string {
  const parts = [
    appVersion === null ? '' : `app ${appVersion}`,
    listText('platform', platforms),
    listText('region', regions),
    ...Object.entries(attributes).map(([name, values]) => listText(name, values)),
    listText('device', devices),
  ];
  return parts.filter((part) => part !== '').join(', ');
}

function listText(name: string, values: readonly string[] | null): string {
  if (values === null) return '';
  const more = values.length - VALUES_SHOWN_MAX;
  const shown = values.slice(0, VALUES_SHOWN_MAX).join('|');
  return `${name} ${shown}${more > 0 ? ` and ${more} more` : ''}`;
}

function shareText(share: number): string {
  return `${((share / ROLLOUT_WHOLE) * 100).toFixed(2)} %`;
}
