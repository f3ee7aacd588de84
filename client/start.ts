// Which release opens. The newest that is here and whole: the current one, the last good one, the
// built-in one. A current one that was started again and again and never confirmed is given up.

import type { Level, LevelSwitches } from './api.ts';
import { LoaderError } from './errors.ts';
import { CRASHED_COUNT_MAX } from './limits.ts';
import type { Outcomes } from './outcomes.ts';
import { type BuiltInRelease, type OpenRelease, openInstalled, type Shelf } from './release.ts';
import type { ChannelRecord, InstalledRelease, StateKeeper } from './state.ts';

export interface StartContext extends Shelf {
  readonly keeper: StateKeeper;
  readonly levels: LevelSwitches;
  readonly outcomes: Outcomes;
  readonly startsMax: number;
  readonly builtIn: BuiltInRelease | null;
}

interface Candidate {
  readonly level: Level;
  readonly installed: InstalledRelease;
  readonly open: () => Promise<OpenRelease>;
}

/** Null when nothing is here. Never throws; what was passed over is in the trail. */
export async function openBest(
  channel: string,
  context: StartContext,
): Promise<OpenRelease | null> {
  await giveUpCrashed(channel, context);
  for (const { level, installed, open } of candidates(channel, context)) {
    try {
      const release = await open();
      if (level === 'current') await countStart(channel, context);
      return release;
    } catch (error) {
      const what = `release ${installed.version}`;
      const { failure } = context.notes.fallback(error, 'LOADER_DISK', { level, channel, what });
      if (level !== 'current') continue;
      const { sequence } = installed;
      context.outcomes.add({ channel, sequence, outcome: 'failed', cause: failure });
    }
  }
  return null;
}

/** Whether the current release still has to show that it works. */
export function isUnconfirmed({ current, lastGood }: ChannelRecord): boolean {
  return current !== null && current.manifest.sha256 !== lastGood?.manifest.sha256;
}

function candidates(channel: string, context: StartContext): Candidate[] {
  const { keeper, levels, builtIn } = context;
  const { current, lastGood } = keeper.channel(channel);
  const found: Candidate[] = [];
  const add = (level: 'current' | 'lastGood', installed: InstalledRelease): void => {
    found.push({ level, installed, open: () => openInstalled(channel, installed, level, context) });
  };
  if (current !== null) add('current', current);
  const isOther = lastGood?.manifest.sha256 !== current?.manifest.sha256;
  if (levels.lastGood && lastGood !== null && isOther) add('lastGood', lastGood);
  if (builtIn !== null) {
    const open = async (): Promise<OpenRelease> => builtIn;
    found.push({ level: 'builtIn', installed: builtIn.installed, open });
  }
  // An app that was updated brings a newer built-in release than what was downloaded before.
  return found.sort((one, other) => other.installed.sequence - one.installed.sequence);
}

async function giveUpCrashed(channel: string, context: StartContext): Promise<void> {
  const { keeper, startsMax, outcomes, notes } = context;
  const record = keeper.channel(channel);
  if (record.current === null || !isUnconfirmed(record) || record.starts < startsMax) return;
  const { sequence, version } = record.current;
  const detail = `${record.starts} starts of ${version} and nobody confirmed it`;
  const place = { level: 'current', channel, what: `release ${version}` } as const;
  notes.fallback(new LoaderError('LOADER_CRASHED', detail), 'LOADER_CRASHED', place);
  outcomes.add({ channel, sequence, outcome: 'failed', cause: 'crash' });
  await keep(context, channel, (fresh) => {
    if (fresh.current?.sequence !== sequence) return fresh;
    const crashed = [...fresh.crashed, sequence].slice(-CRASHED_COUNT_MAX);
    return { ...fresh, current: fresh.lastGood, starts: 0, crashed };
  });
}

/** Counted before the app runs: a crash leaves no time for it. */
async function countStart(channel: string, context: StartContext): Promise<void> {
  if (!isUnconfirmed(context.keeper.channel(channel))) return;
  await keep(context, channel, (record) => ({ ...record, starts: record.starts + 1 }));
}

/** A disk that takes nothing must not stop the app from opening. */
async function keep(
  { keeper, notes }: StartContext,
  channel: string,
  alter: (record: ChannelRecord) => ChannelRecord,
): Promise<void> {
  try {
    await keeper.changeChannel(channel, alter);
  } catch (error) {
    notes.fallback(error, 'LOADER_DISK', { level: 'disk', channel, what: 'the state' });
  }
}
