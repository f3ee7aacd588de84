// What a channel knows: its releases and who gets them (`state.json`), and which bases devices ask
// with (`bases.json`). Read strictly; replaced as a whole, so that a reader sees one state.

import { join } from 'node:path';
import {
  CHANNEL_BASES_COUNT_MAX,
  CHANNEL_RELEASES_COUNT_MAX,
  DEVICE_ATTRIBUTES_COUNT_MAX,
  type ErrorCode,
  GatewayError,
  RULE_DEVICES_COUNT_MAX,
  RULE_STEPS_COUNT_MAX,
  RULE_VALUES_COUNT_MAX,
} from '../core/index.ts';
import { compileVersionRange } from './app-version.ts';
import { readCheckedJson, replaceCheckedJson } from './checked-json.ts';
import { readRef } from './documents.ts';
import { CHANNEL_PATTERN, Fields, SHA256_PATTERN, VERSION_PATTERN } from './fields.ts';
import type {
  ChannelState,
  HaltRule,
  ReleaseEntry,
  ReleaseRule,
  RolloutStep,
  Targeting,
} from './model.ts';
import { ROLLOUT_WHOLE } from './release-rules.ts';
import { readFolder } from './store.ts';
import { channelFolder } from './store-paths.ts';

const STATE_FILE = 'state.json';
const BASES_FILE = 'bases.json';
const CODE = 'GW_DIST_CORRUPT';
/** A device id, an attribute's name or value, a platform, a region. */
const TEXT_LENGTH_MAX = 256;
const STATES: readonly ReleaseRule['state'][] = ['active', 'paused', 'halted'];
const ENTRY_KEYS = [
  'sequence',
  'version',
  'salt',
  'state',
  'rollout',
  'schedule',
  'targeting',
  'halt',
  'createdAtMs',
  'manifest',
  'isBuiltIn',
  'resumeCount',
];

/** How often each content was named as a delta's base, by its SHA-256; decayed by who writes. */
export type BaseCounts = Readonly<Record<string, number>>;

/** The channels that have something, sorted. */
export async function listChannels(dir: string): Promise<string[]> {
  const entries = await readFolder(join(dir, 'channels'));
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return names.filter((name) => CHANNEL_PATTERN.test(name)).sort();
}

/** Null when the channel has no release yet. Errors: GW_DIST_CORRUPT. */
export async function readChannelState(dir: string, channel: string): Promise<ChannelState | null> {
  const content = await readCheckedJson(dir, statePath(channel));
  return content === undefined ? null : readState(content, channel);
}

/** Makes a state the one that everybody sees. The caller holds the store's lock.
 *  Errors: GW_DIST_DISK, and then the old state stands. */
export async function replaceChannelState(dir: string, state: ChannelState): Promise<void> {
  // What could not be read again is not written.
  readState(JSON.parse(JSON.stringify(state)), state.channel);
  await replaceCheckedJson(dir, statePath(state.channel), state);
}

export function statePath(channel: string): string {
  return join(channelFolder(channel), STATE_FILE);
}

/** Empty when nobody has asked yet. Errors: GW_DIST_CORRUPT. */
export async function readBaseCounts(dir: string, channel: string): Promise<BaseCounts> {
  const path = join(channelFolder(channel), BASES_FILE);
  const content = await readCheckedJson(dir, path);
  if (content === undefined) return {};
  const fields = new Fields(content, path, ['counts'], CODE);
  return fields.map('counts', CHANNEL_BASES_COUNT_MAX, (value, place, name) => {
    if (!SHA256_PATTERN.test(name)) throw new GatewayError(CODE, `${place}: no SHA-256`);
    if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
    throw new GatewayError(CODE, `${place} is no count`);
  });
}

export async function replaceBaseCounts(
  dir: string,
  channel: string,
  counts: BaseCounts,
): Promise<void> {
  await replaceCheckedJson(dir, join(channelFolder(channel), BASES_FILE), { counts });
}

/** Checks the fields of a channel's state, and that they fit each other. */
export function readState(value: unknown, channel: string): ChannelState {
  const keys = ['channel', 'generation', 'isPacked', 'releases'];
  const fields = new Fields(value, '', keys, CODE);
  const state: ChannelState = {
    channel: fields.literal('channel', [channel]),
    generation: fields.integer('generation', 1, Number.MAX_SAFE_INTEGER),
    isPacked: fields.boolean('isPacked'),
    releases: fields.list('releases', CHANNEL_RELEASES_COUNT_MAX, readEntry),
  };
  const versions = new Set<string>();
  let previous = Number.POSITIVE_INFINITY;
  for (const { sequence, version } of state.releases) {
    if (sequence >= previous) throw new GatewayError(CODE, `releases are not sorted at ${version}`);
    if (versions.has(version)) throw new GatewayError(CODE, `two releases are named ${version}`);
    versions.add(version);
    previous = sequence;
  }
  return state;
}

function readEntry(value: unknown, place: string): ReleaseEntry {
  const fields = new Fields(value, place, ENTRY_KEYS, CODE);
  const halt = fields.get('halt');
  const targeting = fields.get('targeting');
  return {
    sequence: fields.integer('sequence', 1, Number.MAX_SAFE_INTEGER),
    version: fields.matching('version', VERSION_PATTERN, 'a version'),
    salt: fields.string('salt', 1, TEXT_LENGTH_MAX),
    state: fields.literal('state', STATES),
    rollout: fields.integer('rollout', 0, ROLLOUT_WHOLE),
    schedule: readSchedule(fields.get('schedule'), fields.placeOf('schedule'), CODE),
    targeting: targeting === null ? null : readTargeting(targeting, `${place}.targeting`, CODE),
    halt: halt === null ? null : readHalt(halt, `${place}.halt`, CODE),
    createdAtMs: fields.integer('createdAtMs', 0, Number.MAX_SAFE_INTEGER),
    manifest: readRef(fields.get('manifest'), `${place}.manifest`, Number.MAX_SAFE_INTEGER),
    isBuiltIn: fields.boolean('isBuiltIn'),
    // Absent in states that were written before there was one.
    resumeCount:
      fields.get('resumeCount') === undefined
        ? 0
        : fields.integer('resumeCount', 0, Number.MAX_SAFE_INTEGER),
  };
}

/** Steps in order of time and of share. Errors: `code`. */
export function readSchedule(value: unknown, place: string, code: ErrorCode): RolloutStep[] {
  const fields = new Fields({ schedule: value }, '', ['schedule'], code);
  const steps = fields.list('schedule', RULE_STEPS_COUNT_MAX, (one, at) => {
    const step = new Fields(one, at, ['atMs', 'rollout'], code);
    return {
      atMs: step.integer('atMs', 0, Number.MAX_SAFE_INTEGER),
      rollout: step.integer('rollout', 0, ROLLOUT_WHOLE),
    };
  });
  for (let index = 1; index < steps.length; ++index) {
    const [left, right] = [steps[index - 1]!, steps[index]!];
    if (left.atMs < right.atMs && left.rollout < right.rollout) continue;
    throw new GatewayError(code, `${place}[${index}] is not later and larger than the step before`);
  }
  return steps;
}

/** Errors: `code`. */
export function readTargeting(value: unknown, place: string, code: ErrorCode): Targeting {
  const keys = ['appVersion', 'platforms', 'regions', 'devices', 'attributes'];
  const fields = new Fields(value, place, keys, code);
  const appVersion = fields.nullableString('appVersion', TEXT_LENGTH_MAX);
  if (appVersion !== null && compileVersionRange(appVersion) === null) {
    throw fields.bad('appVersion', 'comparisons such as >=1.2.0 <2.0.0');
  }
  const texts = (key: string, countMax: number): string[] | null => {
    const given = fields.get(key);
    if (given === undefined || given === null) return null;
    return fields.list(key, countMax, (one, at) => readText(one, at, code));
  };
  const attributes =
    fields.get('attributes') === undefined
      ? {}
      : fields.map('attributes', DEVICE_ATTRIBUTES_COUNT_MAX, (one, at) => {
          const inner = new Fields({ values: one }, at, ['values'], code);
          return inner.list('values', RULE_VALUES_COUNT_MAX, (text, where) =>
            readText(text, where, code),
          );
        });
  return {
    appVersion,
    platforms: texts('platforms', RULE_VALUES_COUNT_MAX),
    regions: texts('regions', RULE_VALUES_COUNT_MAX),
    devices: texts('devices', RULE_DEVICES_COUNT_MAX),
    attributes,
  };
}

function readText(value: unknown, place: string, code: ErrorCode): string {
  if (typeof value === 'string' && value !== '' && value.length <= TEXT_LENGTH_MAX) return value;
  throw new GatewayError(code, `${place} is no string of 1 to ${TEXT_LENGTH_MAX} characters`);
}

/** Errors: `code`. */
export function readHalt(value: unknown, place: string, code: ErrorCode): HaltRule {
  const fields = new Fields(value, place, ['failureShare', 'minimumCount'], code);
  return {
    failureShare: fields.number('failureShare', 0, 1),
    minimumCount: fields.integer('minimumCount', 1, Number.MAX_SAFE_INTEGER),
  };
}
